"""A trial on encrypted rows, with nodes that do what a test says: what is asked of them, and when it gives up."""

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from medward.federation.computing.preparation import write_preparation
from medward.ledger.encoding import decode
from medward.node.errors import NodeError
from medward.node.home.private_files import make_private_folder
from medward.node.outsourced.folder import OutsourcedFolder
from medward.node.outsourced.orders import PlanFile, TaskFile
from medward.node.outsourced.telling import TOLD_OF_LEDGER
from medward.node.trial import earlier_run, outsourced
from medward.node.trial.outsourced import OutsourcedOutcome, OutsourcedTrial
from tests.federation.outsourced.world import COHORT, PLAN, TERMS, toy_plan

NUMBER = "00000001"


class Nodes:
    """Nodes that carry orders out when they are asked where they stand."""

    def __init__(self, folder: Path) -> None:
        self.homes = {name: SimpleNamespace(participant=folder / name) for name in COHORT}
        for home in self.homes.values():
            make_private_folder(home.participant)
        self.folders = {name: OutsourcedFolder(home.participant) for name, home in self.homes.items()}
        self.orders: list[tuple[str, Any]] = []
        self.states = ["1 of 2 members have computed it", "opened"]
        self.refusal, self.ended = "", ""
        self.entered = 0

    async def __aenter__(self) -> "Nodes":
        self.entered += 1
        return self

    async def __aexit__(self, *_: object) -> None:
        self.entered -= 1

    async def wait_until_healthy(self) -> None:
        pass

    def running(self, name: str) -> bool:
        self._carry_out()
        return name != self.ended

    def output(self, name: str) -> str:
        return f"the disk of {name} is full\n"

    def client(self, name: str) -> Any:
        return SimpleNamespace(get=self._told)

    def _told(self, path: str) -> list[dict[str, Any]]:
        if path == "/models":
            return [{"plan": PLAN}]
        state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        folder = self.folders[COHORT[0]].models / NUMBER
        if state == "opened":
            toy_plan().save(folder)
        over = state == "opened" or "void" in state or "no model" in state
        known = dict.fromkeys(TOLD_OF_LEDGER) | {"rows": dict.fromkeys(COHORT, 2)}
        return [
            {"task": "00000009", "state": "void: another's", "closed": True, "model": None},
            {"task": NUMBER, "state": state, "closed": over, "model": str(folder) if folder.exists() else None} | known,
        ]

    def _carry_out(self) -> None:
        for name, folder in self.folders.items():
            for order in (*folder.plans.iterdir(), *folder.rows.iterdir(), *folder.tasks.iterdir()):
                self.orders.append((name, order.read_bytes() if order.suffix != ".npz" else np.load(order)["columns"]))
                order.unlink()
                told = "refused" if self.refusal else "done"
                (folder.folder / f"{order.stem}.{told}").write_text(f"{self.refusal or NUMBER}\n")


@pytest.fixture
def nodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Nodes:
    monkeypatch.setattr(outsourced, "_LOOK_SECONDS", 0.0)
    return Nodes(tmp_path)


def run(nodes: Nodes, told: list[str]) -> OutsourcedOutcome:
    trial = OutsourcedTrial(Path("nowhere"), COHORT, "embedded", "pbft")
    columns = {name: np.full((2, 3), number) for number, name in enumerate(COHORT)}

    async def story() -> OutsourcedOutcome:
        preparation, launcher = write_preparation(toy_plan()), nodes
        return await asyncio.wait_for(
            trial.run(launcher, preparation, TERMS, columns, told.append),  # type: ignore[arg-type]
            20,
        )

    return asyncio.run(story())


def test_first_member_asks_and_each_encrypts_its_own_rows(nodes: Nodes) -> None:
    told: list[str] = []
    outcome = run(nodes, told)
    assert outcome.model.files() == toy_plan().files()
    # What the ledger says of the task, and nothing that is the first member's own.
    assert outcome.task == {"task": NUMBER, **dict.fromkeys(TOLD_OF_LEDGER), "rows": dict.fromkeys(COHORT, 2)}
    assert set(outcome.homes) == set(COHORT)
    assert nodes.entered == 0, "the nodes were stopped"
    (asker, plan), *rows, (last, task) = nodes.orders
    assert asker == last == COHORT[0]
    assert decode(plan, PlanFile).terms == TERMS
    assert {name: int(columns[0, 0]) for name, columns in rows} == {name: number for number, name in enumerate(COHORT)}
    assert (decode(task, TaskFile).plan, decode(task, TaskFile).owners) == (PLAN, COHORT)
    assert told[-2:] == ["1 of 2 members have computed it", "opened"]


@pytest.mark.parametrize("state", ["void: south withheld its shares", "opened, but no model: the shares are none"])
def test_task_that_comes_to_nothing_ends_it_with_the_reason(nodes: Nodes, state: str) -> None:
    nodes.states = [state]
    with pytest.raises(NodeError, match=f"the hospitals opened nothing: {state}"):
        run(nodes, [])
    assert nodes.entered == 0


def test_node_that_ends_or_puts_an_order_aside_ends_it(nodes: Nodes) -> None:
    nodes.ended = "north"
    with pytest.raises(NodeError, match="the node of north ended: the disk of north is full"):
        run(nodes, [])
    nodes.ended, nodes.refusal = "", "take fewer features"
    with pytest.raises(NodeError, match=r"^take fewer features$"):
        run(nodes, [])
    assert nodes.entered == 0


def test_all_but_the_asker_up_to_f_plus_1_compute_and_none_without_its_settings(tmp_path: Path) -> None:
    names = ("east", "north", "south", "west")
    launcher = OutsourcedTrial(tmp_path / "trial", names, "embedded", "pbft").found()
    computes = {name: home.configuration().participant["compute"] for name, home in launcher.homes.items()}
    assert computes == {"east": False, "north": True, "south": True, "west": False}
    federation = launcher.homes["east"].federation()
    assert federation.application.name == "outsourced"
    assert set(federation.application.parameters) == {"accounts"}
    assert {home.configuration().store.engine for home in launcher.homes.values()} == {"embedded"}
    # A later run finds that these homes are a trial's.
    earlier_run.make_room(tmp_path / "trial", force=True)
    assert not any(home.folder.exists() for home in launcher.homes.values())
