"""A member that names bombs in a round is left out by name, and the others finish (threat T2)."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from medward.audit.findings import AuditResult
from medward.audit.rounds import audit_round, sums_of_auditor
from medward.federation.errors import FederationError
from medward.federation.model.shared_model_format import MOST_BYTES, decode_model, encode_model
from medward.federation.model.survey import first_model
from medward.federation.records import Answer, Attest, Commitment, Record, Show, Submit, commitment_to
from medward.federation.round.effects import OrderRecord, RoundEffect
from medward.federation.round.naming import authors_of, sizes_of
from medward.federation.round.state import Round
from medward.flows.prepared import PreparedData
from medward.store.limits import DagLimits
from tests.federation.lies import NAMES, Change, Recorded, told
from tests.store import bombs

ONE, TWO, THREE, FOUR = NAMES
SEVERAL = (bombs.swelling, bombs.tiny_leaf, bombs.inline_crowd, bombs.exabyte, bombs.record, bombs.shards)


@pytest.fixture
def four(prepared: PreparedData) -> Recorded:
    """Four members that have not begun."""
    return Recorded(prepared)


def planted(recorded: Recorded, bomb: Any) -> str:
    """Put a bomb into the store that the members share, and return its name."""
    return str(bombs.plant(bomb, recorded.simulation._blobs._store.blocks))  # type: ignore[attr-defined]


def names_it(bomb: str, what: str) -> Change:
    """Return a change that names a bomb where a member names a blob of its own."""

    def change(record: Record, now: Round) -> Iterator[Record]:
        member = getattr(record, "member", "")
        match record:
            case Commitment() if what == "contribution":
                yield replace_record(record, commitment=commitment_to(now.terms.name, now.number, member, bomb))
            case Submit() if what == "response":
                yield replace_record(record, response=bomb)
            case Answer() if what == "answer":
                yield replace_record(record, answer=bomb)
            case Show() if what == "shown":
                yield replace_record(record, shown=bomb)
            case _:
                yield record

    return change


def lies(recorded: Recorded, bomb: str, what: str) -> list[Record]:
    """Let the second member name a bomb; return what will have been ordered."""
    ordered: list[Record] = []
    recorded.orders(TWO, names_it(bomb, what))
    carry_out = recorded.simulation._carry_out

    def watch(member: str, effect: RoundEffect) -> None:
        record = effect.record if isinstance(effect, OrderRecord) else None
        if isinstance(record, Submit) and what == "contribution" and not any(isinstance(r, Submit) for r in ordered):
            # Its own machine shows nothing that it did not commit to.
            ordered.append(record)
            carry_out(TWO, OrderRecord(Submit(record.round, TWO, bomb, record.response)))
        ordered.extend([] if record is None else [record])
        carry_out(member, effect)

    recorded.simulation._carry_out = watch  # type: ignore[method-assign]
    return ordered


def replace_record(record: Any, **changes: Any) -> Record:
    changed: Record = type(record)(**{name: getattr(record, name) for name in record.__struct_fields__} | changes)
    return changed


@pytest.mark.parametrize("what", ["contribution", pytest.param("response", marks=pytest.mark.slow)])
@pytest.mark.parametrize("bomb", SEVERAL, ids=lambda bomb: bomb.__name__)
def test_author_of_a_bomb_is_left_out_by_name_and_the_others_finish(four: Recorded, bomb: Any, what: str) -> None:
    ordered = lies(four, planted(four, bomb), what)
    report = four.simulation.run_round()
    assert (report.outcome, report.cohort) == ("final", (ONE, THREE, FOUR))
    verdicts = [record for record in ordered if isinstance(record, Attest)]
    assert len(verdicts) == 4
    assert all(record.at_fault == (TWO,) for record in verdicts if record.member != TWO)
    # Nobody waited for the deadline at which a member says what it knows.
    assert four.simulation._log.time < four.round().now.terms.deadline / 2


@pytest.mark.parametrize("bomb", [bombs.swelling, bombs.tiny_leaf, bombs.record], ids=lambda bomb: bomb.__name__)
def test_bomb_in_place_of_an_answer_is_passed_over(four: Recorded, bomb: Any) -> None:
    four.orders(TWO, names_it(planted(four, bomb), "answer"))
    report = four.simulation.run_round()
    assert (report.outcome, report.cohort) == ("final", NAMES)


def test_audit_names_the_author_of_a_bomb(four: Recorded) -> None:
    name = planted(four, bombs.tiny_leaf)
    lies(four, name, "contribution")
    four.run()
    planted(four, bombs.tiny_leaf)  # which the round's end let go of

    def read(wanted: str, limits: DagLimits) -> bytes | None:
        return four.simulation._blobs.get(wanted, limits) if wanted == name else four.blobs.get(wanted)

    found = AuditResult()
    audit_round(four.round(), sums_of_auditor("aggregate"), read, four.plan, found)
    assert found.problems == [], told(found)
    assert found.guilty == {TWO}
    assert "the dealing of hospital-2 is at fault" in told(found)


def test_blob_of_another_length_than_is_due_is_not_read_as_the_old_bound_did(four: Recorded) -> None:
    """Up to the length of a contribution was read before, whatever was due."""
    four.run()
    now = four.round().now
    sizes = sizes_of(now, sums_of_auditor("aggregate"))
    submitted = now.submissions[ONE]
    assert sizes[submitted.contribution] == (len(four.blobs[submitted.contribution]),)
    assert sizes[submitted.response] == (len(four.blobs[submitted.response]),)
    for name in now.answers.values():
        assert sizes[name] == (len(four.blobs[name]),)
    assert sizes[submitted.response][0] < sizes[submitted.contribution][0] / 4


def test_blob_that_a_liar_names_as_something_else_keeps_its_own_length_and_author(four: Recorded) -> None:
    """Otherwise a liar had an honest member's blob refused, or waited for in the liar's line."""
    four.run()
    now = four.round().now
    contribution, response = now.submissions[ONE].contribution, now.submissions[ONE].response
    for order in (NAMES, NAMES[::-1]):
        stolen = replace_record(now.submissions[TWO], response=contribution)
        submissions = {member: stolen if member == TWO else now.submissions[member] for member in order}
        lied = replace(now, submissions=submissions)  # type: ignore[arg-type]
        sizes, authors = sizes_of(lied, sums_of_auditor("aggregate")), authors_of(lied)
        assert len(four.blobs[contribution]) in sizes[contribution]
        assert set(authors[contribution]) == {ONE, TWO}
        assert authors[response] == (ONE,)


# Shared models.


def padded(model: bytes, size: int) -> bytes:
    """A model whose header has so many bytes, most of them spaces."""
    before = int.from_bytes(model[:8], "little")
    return size.to_bytes(8, "little") + model[8 : 8 + before].ljust(size) + model[8 + before :]


def test_shared_model_that_claims_more_than_it_holds_is_refused_in_one_sentence(four: Recorded) -> None:
    plan = four.plan
    sound = encode_model(first_model(plan))
    assert encode_model(decode_model(plan, sound)) == sound
    assert encode_model(decode_model(plan, padded(sound, 2**15))) == sound
    deep = b"[" * 60_000
    headers = (
        (2**62).to_bytes(8, "little") + b"{}",
        padded(sound, 2**16 + 8),
        len(deep).to_bytes(8, "little") + deep,
        b"",
        sound[:-1],
        sound[:8] + sound[8:].replace(b'"I64"', b'"F64"'),
        sound.replace(b"grid.cells", b"grid.sells"),
        sound.replace(b'\\"step\\": 0', b'\\"step\\": []'),
        sound.replace(b'\\"sent\\": []', b'\\"sent\\": {}'),
    )
    for wrong in headers:
        with pytest.raises(FederationError, match="is damaged"):
            decode_model(plan, wrong)
    with pytest.raises(FederationError, match=str(MOST_BYTES)):
        decode_model(plan, sound + bytes(MOST_BYTES))
