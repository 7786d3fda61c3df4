"""Records of training on encrypted rows: which bytes are one, and what the state says of tables and tasks."""

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from medward.federation.computing.records import ContactSaid, KeyPublished
from medward.federation.outsourced.records import (
    LEAST_DEADLINE,
    MOST_DEADLINE,
    OutsourcedPlan,
    OutsourcedRecord,
    OutsourcedState,
    OutsourcedTask,
    PlanProposed,
    ProductsComputed,
    SharesCommitted,
    SharesRevealed,
    TableEncrypted,
    TaskAsked,
    TaskDeclined,
    TaskEnded,
    decode_outsourced_record,
)
from medward.federation.outsourced.terms import OutsourcedTerms
from medward.ledger.encoding import encode
from tests.bombs import crowd_of_lists, most_memory_of

NUMBER, LONGEST_BLOB = "00000001", "b" * 128
TERMS = OutsourcedTerms(16, 2, 3, 9, 7)
COHORT = ("east", "north", "south")
ASK = TaskAsked(NUMBER, COHORT, 60_000)
TABLE = TableEncrypted(NUMBER, "table", 100)
RECORDS: tuple[OutsourcedRecord, ...] = (
    KeyPublished(LONGEST_BLOB, "h" * 200, 1024),
    PlanProposed(LONGEST_BLOB, TERMS),
    TableEncrypted(NUMBER, LONGEST_BLOB, 2**62),
    TaskAsked(NUMBER, ("n" * 64,) * 4, MOST_DEADLINE),
    ProductsComputed(NUMBER, LONGEST_BLOB),
    SharesCommitted(NUMBER, LONGEST_BLOB, LONGEST_BLOB),
    SharesRevealed(NUMBER),
    TaskDeclined(NUMBER, "r" * 400),
    TaskEnded(NUMBER),
    ContactSaid(bytes(4096)),
)


def changed(record: Any, **changes: object) -> Any:
    return msgspec.structs.replace(record, **changes)


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_largest_records_come_back(record: OutsourcedRecord) -> None:
    payload = encode(record)
    assert decode_outsourced_record(payload) == record
    for wrong in (payload[:-1], payload + b"\0", payload[:1]):
        assert decode_outsourced_record(wrong) is None


@pytest.mark.parametrize(
    "record",
    [
        changed(RECORDS[0], key="b" * 129), changed(RECORDS[0], holder="h" * 201), changed(RECORDS[0], holder=""),
        changed(RECORDS[0], outputs=-1), changed(RECORDS[0], outputs=2**62 + 1), changed(RECORDS[1], preparation=""),
        changed(RECORDS[1], terms=changed(TERMS, most_rows=2**63)), changed(TABLE, rows=-1), changed(TABLE, plan="1"),
        changed(ASK, owners=("east",) * 5), changed(ASK, owners=("",)), changed(ASK, owners=("n" * 65,)),
        changed(ASK, deadline=LEAST_DEADLINE - 1), changed(ASK, deadline=MOST_DEADLINE + 1),
        ContactSaid(bytes(4097)), changed(RECORDS[5], shares=""), changed(RECORDS[4], result="b" * 129),
    ],
)  # fmt: skip
def test_what_is_out_of_its_range_is_no_record(record: Any) -> None:
    assert decode_outsourced_record(encode(record)) is None


def test_bytes_of_nothing_are_no_record() -> None:
    for payload in (b"", b"\x80", b"\xff", encode(["end"]), encode(["else", NUMBER]), encode([*"end", NUMBER])):
        assert decode_outsourced_record(payload) is None


def test_crowd_of_empty_lists_is_refused_before_it_is_made() -> None:
    """What comes from a member costs what it weighs."""
    crowd = crowd_of_lists()
    assert decode_outsourced_record(crowd) is None
    assert most_memory_of(lambda: decode_outsourced_record(crowd)) < 10 * len(crowd)


def task(**fields: Any) -> OutsourcedTask:
    return msgspec.structs.replace(OutsourcedTask("east", ASK, 1000, (TABLE,) * 3), **fields)


def test_task_says_what_it_waits_for_and_until_when() -> None:
    assert (task().missing(), task().deadline) == ("too few members computed the same result", 61_000)
    bound = task(agreed="result", commitments=(("north", "blob"),))
    assert (bound.missing(), bound.deadline) == ("east, south did not commit to shares", 61_000)
    shown = task(agreed="result", committed=5000, revealed=("east", "north"))
    assert shown.missing() == "south withheld the shares that all owners had committed to"
    # Who came to show has its time anew.
    assert shown.deadline == 65_000


def test_task_is_closed_once_all_shares_are_shown_or_it_came_to_nothing() -> None:
    two, three = task(revealed=COHORT[:2]), task(revealed=COHORT)
    assert [(one.opened, one.closed) for one in (task(), two, three)] == [(False, False), (False, False), (True, True)]
    ended = task(ended="south did not commit to shares")
    assert (ended.opened, ended.closed) == (False, True)


def state(*, tasks: tuple[OutsourcedTask, ...] = (), cohorts: tuple[tuple[str, ...], ...] = ()) -> OutsourcedState:
    plan = OutsourcedPlan("east", PlanProposed("plan", TERMS), cohorts)
    by_number = {f"{number:08d}": one for number, one in enumerate(tasks)}
    return OutsourcedState(("east", "north", "south", "west"), {}, {NUMBER: plan}, {}, by_number)


def test_table_counts_in_an_open_task_and_in_a_sum_that_may_be_known() -> None:
    for counted in (state(tasks=(task(),)), state(cohorts=(COHORT,)), state(cohorts=(("a",), COHORT))):
        assert [counted.counted(owner) for owner in ("east", "south", "west")] == [True, True, False]
    for free in (state(), state(tasks=(task(ended="no"), task(revealed=COHORT)))):
        assert not free.counted("east")


def test_sum_has_more_owners_than_may_lie_and_three_at_least() -> None:
    def least(members: int) -> tuple[int, int]:
        one = replace(state(), members=tuple(map(str, range(members))))
        return one.faulty, one.least_owners

    assert [least(members) for members in (1, 4, 7, 10, 13)] == [(0, 3), (1, 3), (2, 4), (3, 5), (4, 6)]
