"""A vendor, a hospital and two members that compute, as processes: lies get no answer, and no budget is refilled."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from medward.agents.sentinel.model import SentinelModel
from medward.api.model import TrainedSentinel
from medward.audit.homes import audit
from medward.federation.scoring.records import MOST_WAITING
from medward.flows.prepared import PreparedData
from medward.node.scoring.key_folder import KeyFolder
from medward.node.trial.launcher import Launcher
from tests.agents.conftest import toy_flows
from tests.federation.scoring.world import toy_rows, untrained_model
from tests.node.computing.running import RunningFederation, run_federation, settings_of
from tests.node.scoring.process import COMMAND

pytestmark = pytest.mark.processes

NAMES = ["vendor", "hospital", "cloud-a", "cloud-b"]
OWN = settings_of(NAMES, ("cloud-a", "cloud-b"))
ROWS = 100


class World(RunningFederation):
    """The running federation."""

    def __init__(self, launcher: Launcher, prepared: PreparedData) -> None:
        super().__init__(launcher)
        self.prepared, self.asked = prepared, 0

    def folder(self, name: str) -> KeyFolder:
        return KeyFolder(self.launcher.homes[name].participant)

    def offer(self, model: SentinelModel) -> None:
        folder = self.folder("vendor").offers / "one"
        model.save(folder)
        (folder / "ready").write_text("256")

    def ask(self) -> str:
        """Ask for the scores of some rows, and return the batch's number."""
        self.asked += 1
        rows = self.prepared.split.test[:ROWS]
        waiting = self.folder("hospital").flows / "new"
        np.savez(waiting.with_suffix(".tmp.npz"), offer="00000001", x=self.prepared.x[rows])
        waiting.with_suffix(".tmp.npz").rename(self.folder("hospital").flows / f"flows-{self.asked}.npz")
        return f"{self.asked:08d}"

    def batch(self, number: str) -> dict[str, Any]:
        return self.told("batch", number, "hospital")

    async def until_state(self, number: str, begins: str) -> None:
        await self.until(lambda: begins in self.batch(number)["state"], f"batch {number} is '{begins}'")


@pytest.fixture(scope="module")
def prepared() -> PreparedData:
    return toy_rows(2000)


@pytest.fixture(scope="module")
def model(prepared: PreparedData) -> SentinelModel:
    return untrained_model(prepared)


def test_scores_come_from_what_two_members_computed_and_nothing_else_is_opened(
    tmp_path: Path, prepared: PreparedData, model: SentinelModel
) -> None:
    async def tell(launcher: Launcher) -> None:
        world = World(launcher, prepared)
        world.offer(model)
        await world.until(lambda: bool(world.launcher.client("hospital").get("/models")), "the offer is on record")
        await _honest(world, model)
        await _by_command(world, model, tmp_path)
        await _lies(world)
        await _withheld(world)
        await _killed(world)
        await _spent(world)
        await _set_back(world)

    run_federation(tmp_path / "score", "scoring", OWN, COMMAND, tell)
    found = audit(tmp_path / "score")
    assert found.sound, "\n".join(map(str, found.problems))
    assert found.groups["batches"].guilty == {"cloud-a", "cloud-b"}
    assert found.groups["batches"].checked["parts"] >= 2


async def _honest(world: World, model: SentinelModel) -> None:
    """The hospital gets the decisions of the plain network; no flow in plain is left on any disk."""
    number = world.ask()
    await world.until_state(number, "opened")
    scores = world.folder("hospital").scores / f"{number}.npy"
    await world.until(scores.exists, "the hospital has its scores")
    rows = world.prepared.split.test[:ROWS]
    expected = model.scorer().score(world.prepared.x[rows]).decision
    assert (np.load(scores).argmax(axis=1) == expected).mean() >= 0.99
    results = world.batch(number)["results"]
    assert set(results) == {"cloud-a", "cloud-b"}
    assert len(set(results.values())) == 1
    assert not world.folder("hospital").waiting_flows()
    assert world.left("vendor") == 1024 - 2  # three classes in two ciphertexts


async def _by_command(world: World, model: SentinelModel, folder: Path) -> None:
    """`medward score flows` reads a table, waits, and writes a decision for each row."""
    rows, flows = 20, toy_flows(20, 3)
    table = pl.DataFrame(
        {
            "rate": flows.x[:, 0],
            "size": flows.x[:, 1],
            "flag": np.where(flows.x[:, 2] > 0, "a", "b"),
            "pulse": flows.x[:, 4],
            "device": ["pump"] * rows,
            "time": flows.order,
        }
    ).fill_nan(None)
    table.write_csv(folder / "flows.csv")
    home = world.launcher.homes["hospital"].folder
    command = (sys.executable, "-c", "from medward.cli import main; main()", "score")
    asked = [*command, "flows", "--home", home, "--flows", folder / "flows.csv", "--out", folder / "scores.csv"]
    done = await asyncio.to_thread(subprocess.run, asked, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    world.asked += 1
    expected = TrainedSentinel(model).predict(folder / "flows.csv")["class"].to_list()
    assert pl.read_csv(folder / "scores.csv")["class"].to_list() == expected


async def _lies(world: World) -> None:
    before = world.left("vendor")
    for how in ("weights", "crafted"):
        world.lie("cloud-b", how)
        number = world.ask()
        await world.until_state(number, "the results differ")
        assert world.batch(number)["state"].endswith("before 2 members have the same")
    # More members lie than may: both hand in the vendor's weights.
    world.lie("cloud-a", "weights")
    world.lie("cloud-b", "weights")
    number = world.ask()
    await world.until_state(number, "vendor declined: a result is under the keys of hospital/")
    for name in ("cloud-a", "cloud-b"):
        world.lie(name, None)
    await asyncio.sleep(1)
    assert world.left("vendor") == before, "nothing was opened"
    assert not list(world.folder("hospital").scores.glob(f"{number}.*"))


async def _withheld(world: World) -> None:
    """Batches of flows that nobody can get fill their author's places alone, and nobody waits behind them."""
    world.lie("cloud-b", "withholds")

    def withheld() -> int:
        return sum(one["hospital"] == "cloud-b" for one in world.launcher.client("hospital").get("/rounds"))

    await world.until(lambda: withheld() == MOST_WAITING, "cloud-b has asked for all that it may")
    world.asked += MOST_WAITING
    for _ in range(2):
        await world.until_state(world.ask(), "opened")


async def _killed(world: World) -> None:
    before = world.left("vendor")
    world.launcher.kill("vendor")
    number = world.ask()
    await world.until_state(number, "computed, waits for the vendor")
    await world.restart("vendor")
    await world.until_state(number, "opened")
    assert world.left("vendor") == before - 2, "what was opened before the kill is counted after it"


async def _spent(world: World) -> None:
    await world.spend("vendor", "outputs - 1", world.folder("vendor").folder / "key" / "opened.sqlite")
    await world.restart("vendor")
    number = world.ask()
    await world.until_state(number, "vendor declined: the key of vendor may open 1 more ciphertexts")
    assert world.left("vendor") == 1


async def _set_back(world: World) -> None:
    """A journal from before what the ledger shows stops the vendor for good."""
    await world.spend("vendor", "1", world.folder("vendor").folder / "key" / "opened.sqlite")
    await world.check_retired("vendor")
    told = json.dumps(world.launcher.client("hospital").get("/rounds"))
    assert "Traceback" not in told
