"""Four real nodes, one with benign rows alone and one without labels: what they train, and what each of them keeps."""

import asyncio
import json
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path

import polars as pl
import pytest

from medward.agents.sentinel.model import load_model
from medward.flows.datasets import DATASETS, ward
from medward.node.training.data import ParticipantSettings, plan_for
from medward.node.training.rules import agreement_parameters
from tests.e2e.documented import said
from tests.e2e.ward import DEADLINE, REQUEST_TIMEOUT, Ward
from tests.node.forks import ForkingLauncher
from tests.node.hosts import MEDWARD

pytestmark = pytest.mark.processes

NAMES = ("both", "as-well", "benign", "bare")
TRAINING = ("both", "as-well", "benign")
ROWS = 1000
SHARED = ParticipantSettings(data="ward", rounds=2, seed=1)


def rows_of(folder: Path, name: str) -> Path:
    """Write a hospital's own rows: all of a ward's, its benign ones, or all without their classes."""
    folder.mkdir()
    path = folder / f"{name}.csv"
    ward.write_csv(path, ROWS, seed=60 + NAMES.index(name))
    frame = pl.read_csv(path, infer_schema=False)
    if name == "benign":
        frame = frame.filter(pl.col("label") == "benign")
    if name == "bare":
        frame = frame.drop("label")
    frame.write_csv(path)
    return path


def live(folder: Path, data: dict[str, Path], tell: Callable[[Ward], Awaitable[None]]) -> None:
    """Found the federation and let `tell` live through it."""
    plan = plan_for(DATASETS["ward"], SHARED)
    launcher = ForkingLauncher.found(
        folder,
        NAMES,
        "training",
        settings={
            "participant": {"rounds": SHARED.rounds, "seed": SHARED.seed},
            "ledger": {"request_timeout": REQUEST_TIMEOUT},
        },
        own_settings={name: {"participant": {"data": str(data[name])}} for name in NAMES},
        agree=lambda members: agreement_parameters(plan, members, name="ward", deadline=10 * DEADLINE),
    )

    async def run() -> None:
        async with launcher:
            await launcher.wait_until_healthy(300)
            await tell(Ward(launcher, plan))

    asyncio.run(run())


def test_hospitals_without_attacks_or_labels_take_part_and_every_home_has_the_model(tmp_path: Path) -> None:
    data = {name: rows_of(tmp_path / name, name) for name in NAMES}
    homes = {name: tmp_path / "ward" / name for name in NAMES}

    async def train(world: Ward) -> None:
        rounds = await world.until_done()
        trained = [one for one in rounds.values() if one["task"] == "train" and one["outcome"] == "final"]
        assert len(trained) == SHARED.rounds
        # Nothing of the hospital without labels is in a sum, from the first survey on.
        assert all(sorted(one["cohort"]) == sorted(TRAINING) for one in rounds.values())
        assert {name: world.state(name)["observers"] for name in NAMES} == {name: ["bare"] for name in NAMES}
        labels = {name: world.state(name)["labels"] for name in NAMES}
        assert labels == {"both": "both", "as-well": "both", "benign": "benign", "bare": "none"}
        told = await asyncio.to_thread(world.launcher.client("bare").get, "/status")
        assert (told["phase"], told["participant"]["doing"], told["problem"]) == ("finished", "finished", None)
        shown = await asyncio.to_thread(said, [*MEDWARD, "federation", "status", "--home", str(homes["bare"])])
        assert "finished" in shown
        assert "bare has no labels" in shown
        assert "bare has no labels" in world.launcher.output("bare")
        running = await asyncio.to_thread(taken_out, homes["both"], tmp_path / "running")
        assert running["shared_model"] == told["participant"]["model"]
        assert (running["rounds_trained"], running["rounds"], running["sites"]) == (SHARED.rounds, SHARED.rounds, 4)

    live(tmp_path / "ward", data, train)
    # Every hospital has the same model, also those that could not have trained it, and after its node has stopped.
    models = {load_model(home / "model").name for home in homes.values()}
    assert models == {taken_out(homes[name], tmp_path / f"stopped-{name}")["model_name"] for name in ("bare", "both")}
    for name, measured in (("both", True), ("benign", True), ("bare", False)):
        page = tmp_path / f"{name}.html"
        words = ("node", "report", "--home", str(homes[name]), "--out", str(page), "--json")
        report = json.loads(said([*MEDWARD, *words]))
        assert [one["round"] for one in report["rounds_log"]] == list(range(len(report["rounds_log"])))
        costs = [one["validation"] for one in report["rounds_log"] if one["task"] == "train"]
        assert any(costs) is measured
        assert (report["metrics"] is not None) is measured
        assert f"what the node of {name} knows" in page.read_text()
    words = ("detect", "--model", str(homes["bare"] / "model"), "--flows", str(data["bare"]))
    assert len(said([*MEDWARD, *words]).splitlines()) == ROWS


def taken_out(home: Path, out: Path) -> dict[str, object]:
    """Take the model out of a home with the command; return what it said."""
    words = [*MEDWARD, "node", "model", "--home", str(home), "--out", str(out), "--json"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told: dict[str, object] = json.loads(done.stdout)
    assert load_model(out).name == told["model_name"]
    return told
