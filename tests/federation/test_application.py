"""The rules on a ledger: strangers, refusals, snapshots, and one state whatever way it is reached."""

from collections.abc import Iterator

import pytest

from medward.federation.application import (
    REFUSED,
    STRANGER,
    UNREADABLE,
    FederationApplication,
    decode_state,
    encode_state,
)
from medward.federation.records import (
    Announce,
    Change,
    Commitment,
    RoundTick,
    decode_record,
    encode_record,
)
from medward.federation.simulation.log import Entry
from medward.ledger.encoding import encode
from medward.ledger.errors import SnapshotMismatch
from medward.ledger.merkle import MerkleMap, verify_proof
from medward.ledger.snapshots import MapSnapshot, decode_map
from medward.ledger.types import Block, Transaction
from tests.federation.conftest import Start
from tests.federation.ledger import AGREEMENT, NAMES, Ledger, replica


def test_strangers_and_what_cannot_be_read_are_refused_and_change_nothing(ledger: Ledger) -> None:
    before = ledger.application.federation
    codes = ledger.codes(("x", RoundTick(0)), ("a", b"\x00"), ("a", encode(["tick", "zero"])), ("a", RoundTick(0)))
    assert codes == [STRANGER, UNREADABLE, UNREADABLE, REFUSED]
    assert ledger.application.federation == before


def test_snapshot_restores_to_the_same_root_and_goes_on_alike(ledger: Ledger) -> None:
    ledger.order(("a", ledger.application.federation.expected()), ("b", Announce(b"here")))
    other = FederationApplication(AGREEMENT)
    snapshot = ledger.application.snapshot()
    assert other.restore(snapshot.encode()) == snapshot.app_hash
    twin = Ledger(other, ledger.height, ledger.nonce)
    said = (("a", Commitment(0, "a", bytes(32))), ("c", RoundTick(0)))
    assert ledger.order(*said).app_hash == twin.order(*said).app_hash
    with pytest.raises(SnapshotMismatch):
        other.restore(b"\x80")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (b"state/head", None),
        (b"state/head", b"\x81\xa1x" + b"\x91" * 5000 + b"\x90"),
        (b"state/agreement", None),
        (b"state/agreement", b"\xc0"),
        (b"state/membership/head", None),
        (b"state/membership/head", b"\x91" * 5000),
        (b"state/\xff", b"\x01"),
        (b"state/contacts/a\nb", b"\x01"),
    ],
)
def test_snapshot_of_no_federation_is_refused_whatever_a_peer_put_in_it(
    ledger: Ledger, key: bytes, value: bytes | None
) -> None:
    """With CometBFT a peer chooses what stands in a snapshot; only afterwards its root is compared."""
    items = dict(decode_map(ledger.application.snapshot().encode()).items())
    if value is None:
        assert items.pop(key, None) is not None
    else:
        items[key] = value
    other = FederationApplication(AGREEMENT)
    with pytest.raises(SnapshotMismatch):
        other.restore(MapSnapshot(MerkleMap().update(items)).encode())
    assert other.federation == FederationApplication(AGREEMENT).federation


def test_value_is_proved_against_the_root(ledger: Ledger) -> None:
    root = ledger.order(("b", Announce(b"here"))).app_hash
    value, key, proof = ledger.application.snapshot().prove("contact/b")
    assert value == b"here"
    verify_proof(root, key, value, proof)


def test_hash_of_the_blocks_depends_on_all_of_them(ledger: Ledger) -> None:
    twin = Ledger(FederationApplication(AGREEMENT))
    ledger.order(("a", RoundTick(0)))
    twin.order(("b", RoundTick(0)))
    for one in (ledger, twin):
        one.order(("c", RoundTick(0)))
    assert ledger.application.snapshot().block != twin.application.snapshot().block


def test_newcomer_needs_two_of_four_and_leaving_is_ones_own_word(ledger: Ledger) -> None:
    change = {name: Change("e", b"e" * 32, replica("e")) for name in NAMES}
    assert not ledger.order(("a", change["a"])).member_updates
    assert not ledger.order(("a", change["a"])).member_updates
    applied = ledger.order(("c", change["c"]))
    assert [update.name for update in applied.member_updates] == ["e"]
    assert ledger.application.federation.terms.members == (*NAMES, "e")
    gone = ledger.order(("b", Change("b", None, None)))
    assert [(update.name, update.member) for update in gone.member_updates] == [("b", None)]
    assert ledger.codes(("b", RoundTick(0))) == [STRANGER]
    assert ledger.codes(("e", ledger.application.federation.expected())) == [0]


def test_members_change_only_between_rounds(ledger: Ledger) -> None:
    ledger.order(("a", ledger.application.federation.expected()))
    applied = ledger.order(("a", Change("a", None, None)))
    assert not applied.member_updates
    applied = ledger.order(("b", RoundTick(0)), time=100.0)
    assert [update.name for update in applied.member_updates] == ["a"]


def test_lost_disk_comes_back_under_new_keys_and_the_old_ones_are_a_strangers(ledger: Ledger) -> None:
    for name in ("a", "b"):
        ledger.order((name, Change("d", b"D" * 32, replica("d", "D"))))
    assert ledger.codes(("d", RoundTick(0))) == [STRANGER]
    assert ledger.application.federation.terms.members == NAMES
    assert ledger.application.federation.accounts["d"] == b"D" * 32


def _entries(training: object) -> Iterator[Entry]:
    yield from training._simulation._log.read(0)  # type: ignore[attr-defined]


@pytest.mark.slow
def test_every_state_of_a_federation_has_one_encoding(federation: Start) -> None:
    """Surveys and rounds of an encrypted federation: each record and each state survives its encoding."""
    training = federation(protect="aggregate", rounds=1, silent=("hospital-4",))
    training.run(None, lambda report: None)
    agreement = training._simulation.state.agreement
    one, two = FederationApplication(agreement), FederationApplication(agreement)
    for height, entry in enumerate(_entries(training), 1):
        payload = encode_record(entry.record)
        assert decode_record(payload) == entry.record
        account = agreement.accounts[entry.author]
        block = Block(height, int(entry.time * 1000), (Transaction(account, height, payload, ()),))
        applied = one.apply(block)
        assert two.apply(block).app_hash == applied.app_hash
        state = one.federation
        assert decode_state(encode_state(state)) == state
        assert two.restore(one.snapshot().encode()) == applied.app_hash
    assert one.federation.next is None
    assert one.query("round/00000003") is not None
