"""Encrypted scores are computed again: who handed in others is named, and so is a vendor whose part is none."""

from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from medward.audit.computing.batches import AuditedScoring
from medward.audit.findings import AuditResult
from medward.audit.homes import Audit, audit
from medward.audit.stores import Stores, open_blocks
from medward.federation.computing.records import KeyPublished
from medward.federation.scoring import records
from medward.federation.scoring.records import BatchAsked, BatchDeclined, PartOpened, ResultComputed
from medward.fhe.computing.ciphertexts import Ciphertext
from medward.ledger.transactions import decode_transaction
from medward.node.errors import NodeError
from medward.node.scoring.rules import ScoringRules
from medward.store.cid import Cid
from tests.audit.computing.homes import ScoringHomes
from tests.audit.homes import altered, one_byte_altered

FOR_TESTS = "is of a ring that is not secure, which is for tests alone"


def crafted(result: list[Ciphertext]) -> list[Ciphertext]:
    """A result with one coefficient of one component changed."""
    parts = result[0].parts.copy()
    parts[1, 0, 0] += -1 if parts[1, 0, 0] > 0 else 1
    return [replace(result[0], parts=parts), *result[1:]]


def said(found: Audit) -> list[tuple[str, tuple[str, ...]]]:
    """What the audit remarks on batches, and whom it proves guilty."""
    return [(one.what, one.guilty) for one in found.groups["batches"].remarks if FOR_TESTS not in one.what]


@pytest.fixture(scope="module")
def lively(tmp_path_factory: pytest.TempPathFactory) -> ScoringHomes:
    """Homes of a federation in which honest members and up to f liars did all that they can."""
    homes = ScoringHomes(tmp_path_factory.mktemp("scoring") / "homes")
    homes.score()

    lied = homes.ask(1)  # a lie of one is outvoted by two
    homes.compute(lied, "cloud-a", result=crafted(homes.result(lied)))
    homes.compute(lied, "cloud-b", "vendor")
    homes.open(lied)

    garbage = homes.say("hospital", BatchAsked("00000001", homes.put(b"no flows" * 100), 3))
    homes.say("cloud-a", ResultComputed(garbage, homes.put(b"no result")))
    for name in ("cloud-b", "vendor"):
        homes.say(name, BatchDeclined(garbage, "a blob of it is none"))

    homes.ask(2)  # waits

    broken = homes.ask(3)
    homes.compute(broken, "cloud-a", "cloud-b")
    homes.say("vendor", PartOpened(broken, homes.state.batches[broken].agreed, homes.put(b"no part")))

    other = homes.ask(4)
    homes.compute(other, "cloud-a", "cloud-b")
    homes.open(other, of=homes.ciphertexts(homes.state.batches["00000001"].agreed))

    homes.say("vendor", KeyPublished(homes.put(b"another key"), "vendor/0123456789abcdef", 1024), refused=True)
    homes.write()
    return homes


@pytest.fixture(scope="module")
def found(lively: ScoringHomes) -> Audit:
    return audit(lively.folder)


def test_federation_in_which_no_more_lied_than_may_is_sound(found: Audit) -> None:
    assert found.sound, "\n".join(map(str, found.problems))
    assert found.groups["ledger"].checked["records"] == found.height - 1
    assert found.groups["batches"].checked == {
        "keys": 2,
        "batches": 6,
        "computed anew": 4,
        "results": 10,
        "parts": 4,
    }
    assert (found.units, *found.outcomes) == (
        "batches",
        (1, "5 flows of hospital, offer 1", "opened"),
        (2, "5 flows of hospital, offer 1", "opened"),
        (
            3,
            "3 flows of hospital, offer 1",
            "cloud-b declined: a blob of it is none; vendor declined: a blob of it is none",
        ),
        (4, "5 flows of hospital, offer 1", "not answered"),
        (5, "5 flows of hospital, offer 1", "opened"),
        (6, "5 flows of hospital, offer 1", "opened"),
    )


def test_who_handed_in_another_result_is_named_and_nobody_else(found: Audit) -> None:
    lies = said(found)
    assert lies[0] == (
        "cloud-a handed in a result of batch 2 that does not follow from what is on record",
        ("cloud-a",),
    )
    assert lies[1][0].startswith(
        "cloud-a handed in a result of batch 3 that does not follow from what is on record, although none follows: "
    )
    assert lies[1][1] == ("cloud-a",)
    assert len(lies) == 4


def test_vendor_whose_part_is_none_or_of_another_result_is_named(found: Audit) -> None:
    broken, other = said(found)[2:]
    assert broken[0].startswith("the part of vendor of batch 5 is none of its result: ")
    assert other[0] == "the part of vendor of batch 6 is none of its result"
    assert broken[1] == other[1] == ("vendor",)


def test_refused_record_is_told_by_kind_and_author(found: Audit) -> None:
    (refused,) = found.refused_records
    assert (refused.kind, refused.author) == ("KeyPublished", "vendor")
    assert refused.why == "vendor has a key already; a member has one for its life"


def test_ring_for_tests_is_told_of(found: Audit) -> None:
    told = [one.what for one in found.groups["batches"].remarks if FOR_TESTS in one.what]
    assert told == [f"batch {number} {FOR_TESTS}" for number in range(1, 7)]


def test_one_batch_is_checked_alone(lively: ScoringHomes) -> None:
    found = audit(lively.folder, only=2)
    assert found.groups["batches"].checked == {"keys": 2, "batches": 1, "computed anew": 1, "results": 3, "parts": 1}
    assert len(said(found)) == 1
    with pytest.raises(NodeError, match="the ledger has no batch 7; it has 6, from 1 on"):
        audit(lively.folder, only=7)


def test_one_home_alone_is_enough_if_it_has_the_blobs(lively: ScoringHomes) -> None:
    assert audit(lively.homes["cloud-b"].folder, only=1).sound


def test_altered_block_is_named_by_what_it_belongs_to(lively: ScoringHomes) -> None:
    name = lively.state.batches["00000001"].asked.flows
    (block,) = lively.homes["hospital"].store.glob(f"blocks/*/{Cid.parse(name).key}*")
    with altered(block, one_byte_altered(block.read_bytes(), 1000)):
        (problem,) = audit(lively.folder, only=1).problems
    assert (problem.home, problem.name) == ("hospital", name)
    assert problem.what.endswith("it is part of the encrypted flows of hospital in batch 1")


def test_altered_record_is_named_by_kind_and_author(lively: ScoringHomes) -> None:
    [home, *_] = lively.homes.values()
    database = home.ledger / "journal" / "journal.sqlite"
    _, encoded, _ = lively.ledger.blocks[4]
    content = database.read_bytes()
    with altered(database, content.replace(encoded, one_byte_altered(encoded, len(encoded) - 1))):
        problems = audit(lively.folder, only=1).problems
    assert [(one.home, one.height) for one in problems] == [("vendor", 5)]
    assert problems[0].what == "transaction 1 of 1, the record ResultComputed of cloud-a, was altered"


def test_more_liars_than_may_make_a_problem(tmp_path: Path) -> None:
    homes = ScoringHomes(tmp_path / "homes")
    number = homes.ask()
    homes.compute(number, "cloud-a", "cloud-b", result=crafted(homes.result(number)))
    homes.open(number)
    own = homes.ask(1)  # a vendor opens what it alone says that it computed
    homes.compute(own, "vendor", result=crafted(homes.result(own)))
    name = homes.state.batches[own].result_of("vendor")
    homes.say("vendor", PartOpened(own, name, homes.put(b"no part")))
    found = audit(homes.write())
    assert [(one.what, one.guilty) for one in found.problems] == [
        (
            "what was opened of batch 1 does not follow from what is on record; cloud-a and cloud-b computed it",
            ("cloud-a", "cloud-b"),
        ),
        ("what was opened of batch 2 does not follow from what is on record; vendor computed it", ("vendor",)),
    ]


def test_result_that_is_the_vendors_weights_is_not_what_follows(tmp_path: Path) -> None:
    homes = ScoringHomes(tmp_path / "homes")
    number = homes.ask()
    homes.say("cloud-a", ResultComputed(number, homes.model))
    homes.compute(number, "cloud-b")
    found = audit(homes.write())
    assert found.sound
    assert [guilty for _, guilty in said(found)] == [("cloud-a",)]


def test_blobs_that_no_home_has_are_told_of_and_not_taken_for_checked(tmp_path: Path) -> None:
    homes = ScoringHomes(tmp_path / "homes")
    homes.score()
    homes.forget(homes.model)
    found = audit(homes.write())
    assert [(one.what, one.name) for one in found.problems] == [
        ("the encrypted model of vendor is whole in none of the homes", homes.model)
    ]
    assert said(found)[0][0].startswith("batch 1 could not be checked: batch 1: ")
    assert "computed anew" not in found.groups["batches"].checked


def test_batch_that_is_off_the_record_is_checked_while_its_blobs_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "MOST_BATCHES", 1)
    homes = ScoringHomes(tmp_path / "homes")
    for seed in range(3):
        homes.score(seed)
        if seed == 0:
            gone = homes.state.batches["00000001"].asked.flows
    assert list(homes.state.batches) == ["00000003"]
    homes.forget(gone)
    found = audit(homes.write())
    assert found.sound, "\n".join(map(str, found.problems))
    assert found.groups["batches"].checked["computed anew"] == 2
    ((what, guilty),) = said(found)
    assert what.startswith("batch 1 could not be checked: ")
    assert what.endswith(", and nobody need keep it any more")
    assert guilty == ()


def test_key_that_was_made_for_another_federation_leads_to_no_result(tmp_path: Path) -> None:
    homes = ScoringHomes(tmp_path / "homes")
    number = homes.ask()
    homes.compute(number, "cloud-a", "cloud-b")
    homes.open(number)
    audited = AuditedScoring(ScoringRules(homes.parameters).make_application, b"another chain")
    for header, encoded, executed in homes.ledger.blocks:
        assert executed.block.height == header.height
        audited.take(executed, decode_transaction(encoded), executed.results[0])
    groups = {"batches": AuditResult()}
    with closing(Stores({"vendor": open_blocks(homes.write() / "vendor" / "store")})) as stores:
        audited.check([1], stores, groups, lambda _: None)
    assert groups["batches"].guilty == {"cloud-a", "cloud-b"}
    (problem,) = groups["batches"].problems
    assert "does not follow" in problem.what
    assert "of another owner or federation" in groups["batches"].remarks[1].what


def test_every_blob_that_an_opened_batch_rests_on_must_be_there(found: Audit) -> None:
    offer, keys, opened = 2, 2, 4
    assert found.groups["store"].checked["blobs"] == offer + keys + 3 * opened


def test_key_that_opened_more_than_it_may_is_told_of(tmp_path: Path) -> None:
    homes = ScoringHomes(tmp_path / "homes", outputs=3)
    homes.score()
    homes.score(1)
    found = audit(homes.write())
    assert found.sound
    assert said(found) == [("the key of vendor may open 3 outputs, and opened 4", ("vendor",))]
