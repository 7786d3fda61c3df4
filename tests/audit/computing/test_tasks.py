"""Tasks on encrypted rows are computed and opened again, and lead to the model that the members have."""

import hashlib
from pathlib import Path

import pytest

from medward.audit.homes import Audit, audit
from medward.federation.computing.preparation import write_preparation
from medward.federation.outsourced.records import (
    ProductsComputed,
    SharesCommitted,
    SharesRevealed,
    TableEncrypted,
    TaskDeclined,
    TaskEnded,
)
from medward.federation.outsourced.training import read_plan, trained_model
from medward.fhe.computing.formats.opened_products import read_shares, write_shares
from medward.fhe.computing.inner_product_opening import OpenedShares
from tests.audit.computing.homes import TASK_TERMS, TaskHomes
from tests.federation.outsourced.world import columns_of, plain_numbers, toy_plan

FOR_TESTS = "task 1 is of a ring that is not secure, which is for tests alone"


def said(found: Audit) -> list[tuple[str, tuple[str, ...]]]:
    return [(one.what, one.guilty) for one in found.groups["tasks"].remarks if one.what != FOR_TESTS]


@pytest.fixture
def homes(tmp_path: Path) -> TaskHomes:
    return TaskHomes(tmp_path / "homes")


def opened(homes: TaskHomes, **others: bytes) -> Audit:
    """Let all compute and open a task honestly, but for what some show, and audit it."""
    number = homes.ask()
    homes.compute(number, "north", "west")
    homes.open(number, **others)
    return audit(homes.write())


def test_opened_task_leads_to_the_model_of_all_rows_in_one_place(homes: TaskHomes) -> None:
    number = homes.ask()
    homes.compute(number, "north", lie=1)
    homes.compute(number, "south", "west")
    homes.open(number)
    found = audit(homes.write())
    assert found.sound, "\n".join(map(str, found.problems))
    assert found.groups["tasks"].checked == {
        "keys": 3,
        "tasks": 1,
        "computed anew": 1,
        "results": 3,
        "shares": 3,
        "models": 1,
    }
    assert found.outcomes == ((1, "the rows of east, north, south, plan 1", "opened"),)
    plan = read_plan(write_preparation(toy_plan()), TASK_TERMS)
    rows = [len(columns_of(owner)) for owner in homes.owners]
    model = trained_model(plan, TASK_TERMS, plain_numbers(*homes.owners), rows)
    digest = hashlib.sha256(model.files()["weights.safetensors"]).hexdigest()
    assert said(found) == [
        ("north handed in a result of task 1 that does not follow from what is on record", ("north",)),
        (f"task 1 leads to the model whose weights.safetensors has the SHA-256 {digest}", ()),
    ]


def test_owner_that_showed_no_shares_is_named(homes: TaskHomes) -> None:
    found = opened(homes, south=b"no shares")
    assert found.sound
    none, leads = said(found)
    assert none[0].startswith("what south showed of task 1 are no shares: ")
    assert leads[0].startswith("task 1 leads to no model: ")
    assert (none[1], leads[1]) == (("south",), ())
    assert "models" not in found.groups["tasks"].checked


def test_owner_that_showed_shares_of_another_result_is_named(homes: TaskHomes) -> None:
    number = homes.ask()
    homes.compute(number, "north", "west")
    true = read_shares(TASK_TERMS.products, homes.shares(number, "south"))
    other = write_shares(OpenedShares(true.owner, bytes(32), true.shares), TASK_TERMS.products)
    homes.open(number, south=other)
    lie, leads = said(audit(homes.write()))
    assert lie == (f"what south showed of task 1 are shares of {true.owner}, or of another result", ("south",))
    assert leads[0].startswith("task 1 leads to no model: ")


def test_shares_that_are_off_open_nothing_and_prove_nobody_guilty(homes: TaskHomes) -> None:
    number = homes.ask()
    homes.compute(number, "north", "west")
    true = read_shares(TASK_TERMS.products, homes.shares(number, "south"))
    off = OpenedShares(true.owner, true.opening, (true.shares[0] + (1 << 191), *true.shares[1:]))
    homes.open(number, south=write_shares(off, TASK_TERMS.products))
    found = audit(homes.write())
    assert found.sound
    ((leads, guilty),) = said(found)
    assert leads.startswith("task 1 leads to no model: ")
    assert guilty == ()


def test_more_liars_than_may_make_a_problem(homes: TaskHomes) -> None:
    number = homes.ask()
    homes.compute(number, "north", "west", lie=1)
    homes.open(number)
    (problem,) = audit(homes.write()).problems
    assert problem.what == (
        "what was opened of task 1 does not follow from what is on record; north and west computed it"
    )
    assert problem.guilty == ("north", "west")


@pytest.mark.slow
def test_task_that_came_to_nothing_says_why_and_its_results_are_compared_all_the_same(homes: TaskHomes) -> None:
    declined = homes.ask()
    homes.say("west", ProductsComputed(declined, homes.put(b"no result")))
    for name in ("north", "south"):
        homes.say(name, TaskDeclined(declined, "too little memory"))
    withheld = homes.ask()
    homes.compute(withheld, "north", "west")
    for owner in homes.owners:
        agreed = homes.state.tasks[withheld].agreed
        shares = homes.put(homes.shares(withheld, owner))
        homes.say(owner, SharesCommitted(withheld, agreed, shares))
    homes.say("east", SharesRevealed(withheld))
    homes.ledger.time += 1200
    homes.say("west", TaskEnded(withheld))
    homes.ask()
    found = audit(homes.write())
    assert found.sound
    assert [ended for _, _, ended in found.outcomes] == [
        "north declined: too little memory; south declined: too little memory",
        "north, south withheld the shares that all owners had committed to",
        "not over: too few members computed the same result",
    ]
    assert found.groups["tasks"].checked == {"keys": 3, "tasks": 3, "computed anew": 2, "results": 3}
    assert [guilty for _, guilty in said(found) if guilty] == [("west",)]


def test_rows_that_no_home_has_are_told_of_by_their_owner(homes: TaskHomes) -> None:
    number = homes.ask()
    homes.compute(number, "north", "west")
    homes.open(number)
    table = homes.state.tables["south"].table
    homes.forget(table)
    found = audit(homes.write())
    assert [(one.what, one.name) for one in found.problems] == [
        ("the encrypted rows of south is whole in none of the homes", table)
    ]
    assert said(found)[0][0].startswith("task 1 could not be checked: task 1: ")


def test_rows_that_are_none_lead_to_no_result(homes: TaskHomes) -> None:
    garbage = homes.put(b"no rows" * 100)
    homes.say("south", TableEncrypted(homes.plan, garbage, len(columns_of("south"))))
    number = homes.ask()
    homes.say("west", ProductsComputed(number, homes.put(b"a result")))
    ((told, guilty),) = said(audit(homes.write()))
    assert told.startswith("west handed in a result of task 1 that does not follow from what is on record, although")
    assert "the rows of south are none" in told
    assert guilty == ("west",)
