"""What members that compute ordered is replayed once more: strangers, garbage and refused records are told of."""

from pathlib import Path

import pytest

from medward.audit.computing.batches import AuditedScoring
from medward.audit.homes import audit
from medward.federation.computing.records import ContactSaid
from medward.federation.scoring.records import BatchDeclined
from medward.ledger.encoding import encode
from medward.ledger.transactions import decode_transaction
from medward.node.scoring.rules import ScoringRules
from tests.audit.computing.homes import ScoringHomes


@pytest.fixture
def homes(tmp_path: Path) -> ScoringHomes:
    return ScoringHomes(tmp_path / "homes")


def audited(homes: ScoringHomes) -> AuditedScoring:
    """The federation after all its records."""
    found = AuditedScoring(ScoringRules(homes.parameters).make_application, homes.chain)
    application = found.new_application()
    for _, encoded, executed in homes.ledger.blocks:
        application.apply(executed.block)
        found.take(executed, decode_transaction(encoded), executed.results[0])
    return found


def test_records_lead_to_the_state_of_the_ledgers_own_replay(homes: ScoringHomes) -> None:
    homes.score()
    homes.say("cloud-a", ContactSaid(b"somewhere"))
    homes.say("cloud-a", BatchDeclined("00000009", "none"), refused=True)
    found = audited(homes)
    assert found.agrees()
    assert found.taken == len(homes.ledger.blocks) - 1
    assert [str(one) for one in found.refusals()] == [
        f"height {len(homes.ledger.blocks)}: a BatchDeclined of cloud-a was refused: there is no batch 00000009"
    ]
    assert found.outcomes() == {1: ("5 flows of hospital, offer 1", "opened")}


def test_record_that_only_one_replay_has_is_noticed(homes: ScoringHomes) -> None:
    found = audited(homes)
    homes.ask()
    _, encoded, executed = homes.ledger.blocks[-1]
    found.take(executed, decode_transaction(encoded), executed.results[0])
    assert not found.agrees()


def test_garbage_is_told_of_as_what_could_not_be_read(homes: ScoringHomes) -> None:
    homes.ledger.order("cloud-a", b"no record")
    (result,) = homes.ledger.blocks[-1][2].results
    assert result.code
    found = audit(homes.write())
    assert found.sound
    (unread,) = found.refused_records
    assert (unread.kind, unread.author, unread.why) == ("", "", "this payload is no record of scoring")


def test_federation_that_did_nothing_yet_has_nothing_to_check(homes: ScoringHomes) -> None:
    found = audit(homes.write())
    assert found.sound
    assert found.groups["batches"].checked == {"keys": 2}
    assert encode(found.outcomes) == encode(())
