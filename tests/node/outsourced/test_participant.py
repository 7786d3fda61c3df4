"""A member that trains on encrypted rows: what it does not carry out, it puts aside or declines, and says why."""

import io
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from medward.federation.computing.preparation import write_preparation
from medward.federation.computing.records import KeyPublished
from medward.federation.outsourced.application import OutsourcedApplication, outsourced_state
from medward.federation.outsourced.records import (
    OutsourcedState,
    PlanProposed,
    ProductsComputed,
    SharesCommitted,
    TableEncrypted,
    TaskAsked,
)
from medward.ledger.encoding import encode
from medward.node.outsourced.orders import PlanFile, TaskFile, carried_out, leave_plan, leave_rows, leave_task
from medward.node.outsourced.participant import OutsourcedParticipant
from tests.federation.outsourced.world import COHORT, MEMBERS, PLAN, TASK, TERMS, toy_plan
from tests.node.computing.alone import AloneMember

MINUTE, FINGERPRINT = 60_000, "0" * 16


class Alone(AloneMember[OutsourcedParticipant]):
    """The member north, in a folder, and the ledger of all."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        super().__init__(folder, "north", OutsourcedApplication, OutsourcedParticipant, MEMBERS, **settings)
        self.folder = self.participant._folder

    @property
    def state(self) -> OutsourcedState:
        return outsourced_state(self.ledger.application.snapshot())


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("medward.node.computing.participant._LOOK_SECONDS", 0.005)
    # The ledger of these tests counts its blocks as milliseconds, and this member's clock goes with it.
    clock = SimpleNamespace(time=lambda: 0.1, monotonic=time.monotonic)
    monkeypatch.setattr("medward.node.outsourced.participant.time", clock)


@pytest.fixture
def north(tmp_path: Path) -> Iterator[Alone]:
    with closing(Alone(tmp_path, insecure_ring_for_tests=True, compute=True)) as alone:
        yield alone


@pytest.fixture
def secure(tmp_path: Path) -> Iterator[Alone]:
    """A member that takes part in no ring for tests."""
    with closing(Alone(tmp_path, compute=True)) as alone:
        yield alone


@pytest.fixture
def owner(tmp_path: Path) -> Iterator[Alone]:
    """A member that does not compute for others."""
    with closing(Alone(tmp_path, insecure_ring_for_tests=True)) as alone:
        yield alone


def proposed(alone: Alone, author: str = "north") -> None:
    name = alone.participant.blobs.put(write_preparation(toy_plan()), "plan")
    alone.tell((author, PlanProposed(name, TERMS)))


def npz(**arrays: Any) -> bytes:
    content = io.BytesIO()
    np.savez(content, **arrays)
    return content.getvalue()


def test_plan_is_proposed_and_its_number_is_kept_for_who_waits(north: Alone) -> None:
    order = leave_plan(north.folder, write_preparation(toy_plan()), TERMS)
    north.until(lambda: not order.exists())
    assert carried_out(north.folder, order) == PLAN
    assert north.state.plans[PLAN].proposed.terms == TERMS
    assert north.participant.models()[0]["plan"] == PLAN


def test_ring_that_is_not_secure_is_for_tests_alone(secure: Alone) -> None:
    alone = secure
    order = leave_plan(alone.folder, write_preparation(toy_plan()), TERMS)
    assert alone.refused(order) == "the plan asks for a ring that is not secure, which is for tests alone"
    # Nor does it encrypt or compute for whoever else proposes one.
    proposed(alone, author="east")
    for name in COHORT:
        alone.tell(
            (name, KeyPublished("b" * 59, f"{name}/{FINGERPRINT}", 1024)), (name, TableEncrypted(PLAN, "b" * 59, 100))
        )
    assert "is not secure" in alone.refused(
        leave_rows(alone.folder, PLAN, np.zeros((64, TERMS.table_columns), np.int64))
    )
    alone.tell(("east", TaskAsked(PLAN, COHORT, MINUTE)))
    alone.until(lambda: bool(alone.state.tasks[TASK].declined))
    assert alone.state.tasks[TASK].declined == (
        ("north", "the plan asks for a ring that is not secure, which is for tests alone"),
    )


def test_plan_that_is_none_is_put_aside(north: Alone) -> None:
    order = north.folder.plans / "one.plan"
    for content in (b"", b"\xff" * 100, encode(PlanFile(b"", TERMS))[:-1]):
        order.write_bytes(content)
        assert north.refused(order).startswith("this is no plan (")
    for preparation in (b"", b"no preparation"):
        assert north.refused(leave_plan(north.folder, preparation, TERMS))
    assert north.state.plans == {}


def test_rows_that_are_none_are_put_aside_and_nothing_of_them_is_stored(north: Alone) -> None:
    proposed(north)
    good = np.zeros((TERMS.least_rows, TERMS.table_columns), np.int64)
    for content, said in (
        (b"", "these are no columns ("),
        (b"PK\x03\x04 no archive", "these are no columns ("),
        (npz(columns=good), "these are no columns ("),
        (npz(plan=PLAN, columns=np.array([{}], dtype=object)), "these are no columns ("),
        (npz(plan="00000009", columns=good), "there is no plan 00000009"),
        (npz(plan=PLAN, columns=good[:, 1:]), "these are not the columns of the plan"),
        (npz(plan=PLAN, columns=good[0]), "these are not the columns of the plan"),
        (npz(plan=PLAN, columns=good[:0]), "these are not the columns of the plan"),
        (npz(plan=PLAN, columns=good - 1), "these are not the columns of the plan"),
        (npz(plan=PLAN, columns=good + TERMS.largest + 1), "these are not the columns of the plan"),
    ):
        order = north.folder.rows / "one.npz"
        order.write_bytes(content)
        assert north.refused(order).startswith(said)
    assert north.state.tables == {}
    assert not north.folder.key.made
    assert [pin.label for pin in north.host.store.pins()] == ["outsourced/plan"]


def test_task_that_is_none_or_that_the_ledger_does_not_take_is_put_aside(north: Alone) -> None:
    order = north.folder.tasks / "one.task"
    order.write_bytes(encode(TaskFile(PLAN, (), MINUTE)) + b"x")
    assert north.refused(order).startswith("this is no task (")
    assert "00000001" in north.refused(leave_task(north.folder, PLAN, COHORT, MINUTE))
    proposed(north)
    # Nobody has encrypted rows for it.
    assert north.refused(leave_task(north.folder, PLAN, (), MINUTE))
    assert north.state.tasks == {}


def with_task(alone: Alone, key: str, table: str) -> None:
    """Put a task on record of owners whose keys and rows are these blobs."""
    proposed(alone, author="east")
    for name in COHORT:
        alone.tell(
            (name, KeyPublished(key, f"{name}/{FINGERPRINT}", 1024)),
            (name, TableEncrypted(PLAN, table, TERMS.least_rows)),
        )
    alone.tell(("east", TaskAsked(PLAN, COHORT, MINUTE)))


def test_keys_that_are_none_are_declined_with_a_reason(north: Alone) -> None:
    garbage = north.participant.blobs.put(b"garbage" * 100, "key")
    with_task(north, garbage, garbage)
    north.until(lambda: bool(north.state.tasks[TASK].declined))
    ((name, reason),) = north.state.tasks[TASK].declined
    assert name == "north"
    assert reason
    told = north.participant.rounds()[0]
    assert (told["task"], told["closed"]) == (TASK, False)
    assert reason in north.participant.status()["problem"]


def test_blobs_that_nobody_has_are_waited_for(north: Alone) -> None:
    absent = str(north.host.store.add(b"gone", pin="for/a-moment"))
    (pin,) = north.host.store.pins("for/a-moment")
    north.host.store.unpin(pin.cid, pin.label)
    north.host.store.collect_garbage()
    with_task(north, absent, absent)
    north.until(lambda: "wait" in str(north.participant.status()["problem"]))
    assert north.state.tasks[TASK].declined == ()
    assert north.participant.status() | {"problem": ""} == {
        "computes": True, "kept_rows_of": [], "outputs_left": None, "problem": "",
    }  # fmt: skip


def test_member_that_does_not_compute_for_others_fetches_and_computes_nothing(owner: Alone) -> None:
    alone = owner
    garbage = alone.participant.blobs.put(b"garbage" * 100, "key")
    with_task(alone, garbage, garbage)
    alone.until((alone.folder.preparations / PLAN).exists)
    assert alone.state.tasks[TASK].declined == ()
    assert alone.participant.status()["kept_rows_of"] == []


def test_owner_that_computed_another_result_opens_none(north: Alone) -> None:
    """f + 1 others may all lie: what this owner computed itself is no vote, it is what it knows."""
    garbage = north.participant.blobs.put(b"garbage" * 100, "key")
    with_task(north, garbage, garbage)
    true, lie = "b" + "a" * 58, "b" + "c" * 58
    north.tell(("north", ProductsComputed(TASK, true)))
    for liar in ("south", "west"):
        north.tell((liar, ProductsComputed(TASK, lie)))
    assert north.state.tasks[TASK].agreed == lie
    north.until(lambda: bool(north.state.tasks[TASK].declined or north.state.tasks[TASK].ended))
    task = north.state.tasks[TASK]
    assert "another result than the one of the others" in (task.ended or task.declined[0][1])
    assert dict(task.commitments) == {}
    assert not north.folder.key.made


def test_shares_that_are_not_on_the_disk_any_more_are_not_shown(north: Alone) -> None:
    garbage = north.participant.blobs.put(b"garbage" * 100, "key")
    with_task(north, garbage, garbage)
    result = "b" + "c" * 58
    for name in ("south", "west"):
        north.tell((name, ProductsComputed(TASK, result)))
    for owner, letter in zip(COHORT, "def", strict=True):
        north.tell((owner, SharesCommitted(TASK, result, "b" + letter * 58)))
    assert north.state.tasks[TASK].committed
    north.until(lambda: bool(north.participant.status()["problem"]))
    assert "not on its disk any more" in north.participant.status()["problem"]
    assert "north" not in north.state.tasks[TASK].revealed
