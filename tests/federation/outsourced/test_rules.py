"""Rules of training on encrypted rows: cohorts, tables, plans and tasks; a record that breaks one changes nothing."""

from dataclasses import replace

import msgspec
import numpy as np
import pytest

from medward.federation.computing.records import KeyPublished
from medward.federation.errors import RecordRefused
from medward.federation.outsourced import rules
from medward.federation.outsourced.records import (
    OutsourcedRecord,
    PlanProposed,
    ProductsComputed,
    SharesCommitted,
    SharesRevealed,
    TableEncrypted,
    TaskAsked,
    TaskDeclined,
    TaskEnded,
)
from tests.federation.outsourced.world import (
    COHORT,
    DEADLINE,
    MEMBERS,
    PLAN,
    TASK,
    TERMS,
    Ward,
    encrypted_ward,
    name,
    opened_ward,
    plain_numbers,
    works,
)


def test_sums_of_two_cohorts_that_differ_by_one_hospital_are_its_own_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused by the rule of cohorts; without it the difference of two exact sums is west's moments."""
    ward = opened_ward()
    ward.encrypt("west")
    with pytest.raises(RecordRefused, match="fewer than 3 owners"):
        ward.ask(MEMBERS)
    monkeypatch.setattr(rules, "isolates", lambda known, cohort, least: False)
    number = ward.ask(MEMBERS)
    ward.compute(number, "north", "west")
    ward.commit(number, *MEMBERS)
    ward.reveal(number, *MEMBERS)
    difference = np.array(ward.numbers(number)) - np.array(ward.numbers(TASK))
    assert difference.tolist() == plain_numbers("west")


def test_rows_that_stand_in_a_sum_are_not_replaced() -> None:
    """Two sums of one cohort whose tables differ by a row would tell that row."""
    ward = encrypted_ward()
    again = TableEncrypted(PLAN, name("other rows"), 100)
    ward.order("west", again)
    number = ward.ask()
    with pytest.raises(RecordRefused, match="stand in a sum already"):
        ward.order("south", again)
    ward.order("west", again)
    ward.decline(number)
    ward.order("south", again)
    other = opened_ward()
    with pytest.raises(RecordRefused, match="stand in a sum already"):
        other.order("south", again)


def test_absent_owner_makes_a_task_void_after_its_time() -> None:
    ward = encrypted_ward()
    number = ward.ask()
    ward.time += DEADLINE - 1
    with pytest.raises(RecordRefused, match="is not over"):
        ward.order("west", TaskEnded(number))
    ward.compute(number, "north", "west")
    ward.commit(number, "east", "north")
    ward.time += 1
    with pytest.raises(RecordRefused, match="is over"):
        ward.commit(number, "south")
    ward.order("north", TaskEnded(number))
    assert ward.state.tasks[number].ended == "south did not commit to shares"
    assert ward.state.plans[PLAN].cohorts == ()
    assert works(ward, "south", now=ward.time) == []
    ward.ask(MEMBERS)
    ward.time += DEADLINE
    ward.order("south", TaskEnded("00000002"))
    assert ward.state.tasks["00000002"].ended == "too few members computed the same result"


def test_task_is_over_when_more_than_f_members_do_not_compute_or_an_owner_does_not_open() -> None:
    ward = encrypted_ward()
    number = ward.ask()
    ward.order("south", TaskDeclined(number, "the rows of north are none"))
    assert not ward.state.tasks[number].closed
    assert works(ward, "south") == []
    with pytest.raises(RecordRefused, match="declined task 00000001 already"):
        ward.order("south", TaskDeclined(number, "again"))
    ward.order("west", TaskDeclined(number, "the same"))
    assert ward.state.tasks[number].ended == "south declined: the rows of north are none; west declined: the same"
    with pytest.raises(RecordRefused, match="is closed"):
        ward.compute(number, "north")
    # Who could not compute may open nevertheless.
    number = ward.ask()
    ward.order("south", TaskDeclined(number, "the disk is full"))
    ward.compute(number, "north", "west")
    assert works(ward, "south") == ["commit"]
    with pytest.raises(RecordRefused, match="not by west"):
        ward.order("west", TaskDeclined(number, "late"))
    ward.order("south", TaskDeclined(number, "the budget is spent"))
    assert ward.state.tasks[number].ended == "south declined: the budget is spent"
    assert ward.state.plans[PLAN].cohorts == ()


def test_repeated_or_replayed_answers_change_nothing() -> None:
    ward = opened_ward()
    agreed = ward.state.tasks[TASK].agreed
    for record in (
        ProductsComputed(TASK, agreed),
        SharesCommitted(TASK, agreed, name("again")),
        SharesRevealed(TASK),
        TaskDeclined(TASK, "late"),
        TaskEnded(TASK),
    ):
        with pytest.raises(RecordRefused, match="is closed"):
            ward.order("south", record)
    number = ward.ask()
    ward.compute(number, "north", "west")
    with pytest.raises(RecordRefused, match="has computed"):
        ward.compute(number, "north")
    ward.commit(number, "east")
    with pytest.raises(RecordRefused, match="are another owner's"):
        ward.order("south", SharesCommitted(number, agreed, name(ward.kept["east"])))
    with pytest.raises(RecordRefused, match="opened by east, north, south, not by west"):
        ward.order("west", SharesCommitted(number, agreed, name("mine")))
    ward.commit(number, "north", "south")
    ward.reveal(number, "north")
    with pytest.raises(RecordRefused, match="has shown its shares"):
        ward.order("north", SharesRevealed(number))


@pytest.mark.parametrize(
    ("author", "record", "match"),
    [
        ("east", KeyPublished(name("key"), "north/0123456789abcdef", 1024), "not one of east"),
        ("east", PlanProposed(name("p"), msgspec.structs.replace(TERMS, features=18)), "multiple of 4"),
        ("east", PlanProposed(name("p"), msgspec.structs.replace(TERMS, features=2048)), "take fewer features"),
        ("east", PlanProposed(name("p"), msgspec.structs.replace(TERMS, for_tests=False)), "not secure"),
        ("east", PlanProposed(name("p"), msgspec.structs.replace(TERMS, degree=2**40)), "degree"),
        ("east", PlanProposed(name("p"), msgspec.structs.replace(TERMS, largest=4097)), "steps"),
        ("east", PlanProposed(name("p"), msgspec.structs.replace(TERMS, columns=1, most_rows=64)), "rows to hide in"),
        (
            "east",
            PlanProposed(name("p"), msgspec.structs.replace(TERMS, most_rows=2**40)),
            "no such products|too large",
        ),
        ("west", TableEncrypted("00000009", name("t"), 100), "no plan"),
        ("west", TableEncrypted(PLAN, name("t"), 39), "has 40 to 256 rows"),
        ("west", TableEncrypted(PLAN, name("t"), 257), "has 40 to 256 rows"),
        ("west", TaskAsked(PLAN, COHORT, DEADLINE), "east asks for tasks"),
        ("east", TaskAsked(PLAN, ("north", "east", "south"), DEADLINE), "alphabetical order"),
        ("east", TaskAsked(PLAN, ("east", "north", "north"), DEADLINE), "alphabetical order"),
        ("east", TaskAsked(PLAN, ("east", "north", "stranger"), DEADLINE), "are members"),
        ("east", TaskAsked(PLAN, ("east", "north"), DEADLINE), "needs 3 owners"),
        ("east", ProductsComputed("00000009", name("r")), "no task"),
    ],
)
def test_records_that_break_a_rule_change_nothing(author: str, record: OutsourcedRecord, match: str) -> None:
    ward = encrypted_ward()
    before = ward.state
    with pytest.raises(RecordRefused, match=match):
        ward.order(author, record)
    assert ward.state is before


def test_owner_without_key_or_table_takes_no_part() -> None:
    ward = encrypted_ward("east", "north")
    with pytest.raises(RecordRefused, match="has published no key"):
        ward.order("south", TableEncrypted(PLAN, name("t"), 100))
    with pytest.raises(RecordRefused, match="south encrypted no rows for plan 00000001"):
        ward.ask()


def test_one_task_of_a_plan_is_open_at_a_time_and_the_newest_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "MOST_TASKS", 2)
    ward = encrypted_ward()
    for _ in range(4):
        number = ward.ask()
        with pytest.raises(RecordRefused, match="is open"):
            ward.ask()
        ward.decline(number)
    assert sorted(ward.state.tasks) == ["00000003", "00000004"]


def test_plans_of_one_author_are_few_and_those_without_rows_give_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "MOST_PLANS", 2)
    ward = encrypted_ward()
    plan = PlanProposed(name("another"), TERMS)
    for _ in range(3):
        ward.order("east", plan)
    assert sorted(ward.state.plans) == ["00000001", "00000004"]
    ward.order("west", TableEncrypted("00000004", name("t"), 100))
    with pytest.raises(RecordRefused, match="has 2 plans for which owners have encrypted rows"):
        ward.order("east", plan)
    ward.order("west", plan)


def test_many_members_need_more_owners_than_keys_compute_together() -> None:
    ward = Ward()
    ward.state = replace(ward.state, members=tuple(f"hospital-{k}" for k in range(10)))
    with pytest.raises(RecordRefused, match="a sum needs 5 owners, and 4 keys"):
        ward.order("hospital-1", PlanProposed(name("plan"), TERMS))
