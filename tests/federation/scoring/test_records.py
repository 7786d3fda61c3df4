"""The rules of scoring on a ledger: who may say what, when a result stands, and what stays after a snapshot."""

import hashlib

import msgspec
import pytest

from medward.federation.computing.application import REFUSED, STRANGER, UNREADABLE
from medward.federation.computing.records import ContactSaid, KeyPublished
from medward.federation.computing.work import ComputingWork
from medward.federation.errors import RecordRefused
from medward.federation.scoring import records
from medward.federation.scoring.answers import names_of, work_of
from medward.federation.scoring.application import ScoringApplication, scoring_state
from medward.federation.scoring.records import (
    BatchAsked,
    BatchDeclined,
    ModelOffered,
    PartOpened,
    ResultComputed,
    ScoringRecord,
    ScoringState,
    apply_scoring,
)
from medward.federation.scoring.terms import ScoringTerms
from medward.ledger.encoding import encode
from medward.ledger.errors import SnapshotMismatch
from medward.ledger.merkle import MerkleMap
from medward.ledger.snapshots import MapSnapshot
from tests.federation.computing.ledger import ComputingLedger

MEMBERS = ("vendor", "hospital", "cloud-a", "cloud-b")
TERMS = ScoringTerms(4, (4, 2), 3, 256, for_tests=True)
BATCH = "00000001"


def name(what: str) -> str:
    """Something that looks like a CID."""
    return "b" + hashlib.sha256(what.encode()).hexdigest()


def key(member: str) -> KeyPublished:
    return KeyPublished(name(member), f"{member}/0123456789abcdef", 1024)


OFFER = ModelOffered(name("model"), name("preparation"), TERMS)
ASK = BatchAsked("00000001", name("flows"), 100)


def told(state: ScoringState, *said: tuple[str, ScoringRecord], time: int = 1) -> ScoringState:
    for author, record in said:
        state = apply_scoring(state, record, author, time)
    return state


def empty() -> ScoringState:
    return ScoringState(MEMBERS, {}, {}, {})


def asked() -> ScoringState:
    said = [("vendor", key("vendor")), ("hospital", key("hospital")), ("vendor", OFFER), ("hospital", ASK)]
    return told(empty(), *said)


def result(member: str, what: str = "true") -> tuple[str, ResultComputed]:
    return member, ResultComputed(BATCH, name(what))


def test_result_stands_once_two_members_computed_the_same() -> None:
    state = told(asked(), result("cloud-a"))
    assert state.batches[BATCH].agreed == ""
    assert list(work_of(state, "vendor", computes=False)) == []
    state = told(state, result("cloud-b"))
    assert state.batches[BATCH].agreed == name("true")
    assert list(work_of(state, "vendor", computes=False)) == [ComputingWork("answer", BATCH)]
    state = told(state, ("vendor", PartOpened(BATCH, name("true"), name("part"))))
    assert state.keys["vendor"].opened == TERMS.pairs
    assert list(work_of(state, "hospital", computes=False)) == [ComputingWork("receive", BATCH)]
    assert not [work for member in MEMBERS for work in work_of(state, member, True) if member != "hospital"]


def test_results_that_differ_are_opened_by_nobody() -> None:
    state = told(asked(), result("cloud-a"), result("cloud-b", "weights"))
    assert list(work_of(state, "vendor", computes=False)) == []
    for wrong in ("true", "weights"):
        with pytest.raises(RecordRefused, match="2 members have not computed this result"):
            told(state, ("vendor", PartOpened(BATCH, name(wrong), name("part"))))
    with pytest.raises(RecordRefused, match="has computed batch 00000001 already"):
        told(state, result("cloud-b"))
    # The hospital that asked has no say in it.
    both = told(state, result("hospital", "weights"))
    assert list(work_of(both, "vendor", computes=False)) == []
    # A vendor that computed it itself answers for its own.
    own = told(state, result("vendor", "own"))
    assert list(work_of(own, "vendor", computes=True)) == [ComputingWork("answer", BATCH)]
    assert told(own, ("vendor", PartOpened(BATCH, name("own"), name("part")))).batches[BATCH].agreed == name("own")


def test_batch_is_over_when_its_vendor_or_two_others_decline() -> None:
    no = BatchDeclined(BATCH, "no blob")
    assert told(asked(), ("vendor", no)).closed(BATCH)
    state = told(asked(), ("cloud-a", no))
    assert not state.closed(BATCH)
    assert list(work_of(state, "cloud-a", computes=True)) == []
    state = told(state, ("cloud-b", no))
    assert state.closed(BATCH)
    with pytest.raises(RecordRefused, match="closed"):
        told(state, result("hospital"))


@pytest.mark.parametrize(
    ("author", "record", "match"),
    [
        ("vendor", key("hospital"), "not one of vendor"),
        ("vendor", key("vendor"), "one for its life"),
        ("cloud-a", OFFER, "has published no key"),
        ("vendor", msgspec.structs.replace(OFFER, terms=ScoringTerms(4, (), 3)), "is not scored"),
        ("vendor", msgspec.structs.replace(OFFER, terms=ScoringTerms(4, (4, 2), 3, 256)), "not secure"),
        ("vendor", msgspec.structs.replace(OFFER, terms=ScoringTerms(4, (4, 2), 3, 2**40, for_tests=True)), "degree"),
        ("vendor", msgspec.structs.replace(OFFER, terms=ScoringTerms(4, (10**6, 2), 3)), "is not scored"),
        ("cloud-a", ASK, "has published no key"),
        ("vendor", ASK, "in plain"),
        ("hospital", msgspec.structs.replace(ASK, offer="00000007"), "no offer"),
        ("hospital", msgspec.structs.replace(ASK, rows=129), "1 to 128 flows"),
        ("cloud-a", ResultComputed("00000009", name("true")), "no batch"),
        ("cloud-a", PartOpened(BATCH, name("true"), name("part")), "opened by vendor"),
    ],
)
def test_records_that_break_a_rule_change_nothing(author: str, record: ScoringRecord, match: str) -> None:
    with pytest.raises(RecordRefused, match=match):
        apply_scoring(asked(), record, author, 1)


def test_batches_of_one_hospital_keep_no_other_from_asking(monkeypatch: pytest.MonkeyPatch) -> None:
    """A liar that has flows scored which nobody can get fills its own places alone."""
    monkeypatch.setattr(records, "MOST_WAITING", 2)
    state = told(asked(), ("hospital", ASK), ("cloud-a", key("cloud-a")))
    with pytest.raises(RecordRefused, match="2 batches of hospital wait"):
        told(state, ("hospital", ASK))
    assert told(state, ("cloud-a", ASK)).batches["00000003"].hospital == "cloud-a"


def test_batch_that_waited_for_a_week_gives_way_to_a_new_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "MOST_WAITING", 2)
    state = told(asked(), ("hospital", ASK))
    with pytest.raises(RecordRefused, match="2 batches of hospital wait"):
        told(state, ("hospital", ASK), time=records.GIVES_WAY)
    assert sorted(told(state, ("hospital", ASK), time=1 + records.GIVES_WAY).batches) == ["00000002", "00000003"]


def test_what_a_member_has_on_record_is_bounded_whatever_it_orders(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "MOST_BATCHES", 3)
    monkeypatch.setattr(records, "MOST_OFFERS", 2)
    ledger = ComputingLedger(ScoringApplication, MEMBERS)
    ledger.tell([("vendor", key("vendor")), ("hospital", key("hospital")), ("vendor", OFFER)])
    for number in range(1, 8):
        asked_for, answer = ledger.order("hospital", encode(ASK))
        assert (asked_for, answer) == (0, f"{number:08d}".encode())
        assert not ledger.order("vendor", encode(BatchDeclined(answer.decode(), "no")))[0]
    assert sorted(scoring_state(ledger.application.snapshot()).batches) == ["00000005", "00000006", "00000007"]
    assert ledger.application.query("batches/00000004") is None
    # An offer that gives way takes the batches for it along, and no number comes twice.
    assert [data for _, data in ledger.tell([("vendor", OFFER)] * 2)] == [b"00000002", b"00000003"]
    assert scoring_state(ledger.application.snapshot()).batches == {}
    newest = msgspec.structs.replace(ASK, offer="00000003")
    assert ledger.order("hospital", encode(newest)) == (0, b"00000008")
    other = ScoringApplication(ledger.accounts)
    assert other.restore(ledger.application.snapshot().encode()) == ledger.application.snapshot().app_hash
    assert scoring_state(other.snapshot()) == scoring_state(ledger.application.snapshot())


def test_blobs_are_needed_as_long_as_they_are_on_record() -> None:
    state = told(
        asked(), result("cloud-a"), result("cloud-b"), ("vendor", PartOpened(BATCH, name("true"), name("part")))
    )
    keys = {name("vendor"), name("hospital")}
    assert names_of(asked()) == keys | {name("model"), name("preparation"), name("flows")}
    assert names_of(state) == names_of(asked()) | {name("true"), name("part")}


def test_key_that_somebody_named_as_the_flows_of_a_batch_is_needed_after_the_batch_is_gone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whoever lets the batch go would let its own key go, which it can never publish again."""
    monkeypatch.setattr(records, "MOST_BATCHES", 1)
    state = told(asked(), ("vendor", BatchDeclined(BATCH, "no")))
    state = told(state, ("hospital", BatchAsked("00000001", name("vendor"), 100)))
    before = names_of(state)
    after = names_of(
        told(
            *(state, ("vendor", BatchDeclined("00000002", "no"))),
            ("hospital", ASK),
        )
    )
    assert "00000002" in state.batches
    assert name("vendor") in before
    assert name("vendor") in after


def test_application_keeps_its_state_over_a_snapshot_and_refuses_strangers() -> None:
    ledger = ComputingLedger(ScoringApplication, MEMBERS)
    assert ledger.order("stranger", encode(key("stranger")))[0] == STRANGER
    assert ledger.order("vendor", b"nonsense")[0] == UNREADABLE
    answers = ledger.tell(
        [
            ("vendor", key("vendor")),
            ("hospital", key("hospital")),
            ("vendor", OFFER),
            ("hospital", ASK),
            result("cloud-a"),
            ("vendor", ContactSaid(b"here")),
        ]
    )
    assert [data for _, data in answers][2:4] == [b"00000001", b"00000001"]
    assert not any(code for code, _ in answers)
    code, why = ledger.order("vendor", encode(PartOpened(BATCH, name("true"), name("part"))))
    assert (code, why) == (REFUSED, b"2 members have not computed this result of batch 00000001")

    snapshot = ledger.application.snapshot()
    other = ScoringApplication(ledger.accounts)
    assert other.restore(snapshot.encode()) == snapshot.app_hash
    assert scoring_state(other.snapshot()) == scoring_state(snapshot)
    assert other.query("contact/vendor") == b"here"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (b"count/members", encode(3)),
        (b"count/else", encode(3)),
        (b"keys/\xff", b"\x01"),
        (b"\xff", b"\x01"),
        (b"offers/00000001", b"\x91" * 5000),
        (b"batches/00000001", encode("a batch")),
    ],
)
def test_snapshot_of_no_scoring_is_refused_whatever_a_peer_put_in_it(key: bytes, value: bytes) -> None:
    """With CometBFT a peer chooses what stands in a snapshot; only afterwards its root is compared."""
    ledger = ComputingLedger(ScoringApplication, MEMBERS)
    with pytest.raises(SnapshotMismatch):
        ledger.application.restore(MapSnapshot(MerkleMap().set(key, value)).encode())
    assert scoring_state(ledger.application.snapshot()).asked == 0
