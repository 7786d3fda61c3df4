"""Three hospitals and a cloud, as processes: a model of encrypted rows, and none for lies, absence and old copies."""

import asyncio
import hashlib
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from medward.agents.sentinel.model import load_model
from medward.audit.homes import audit
from medward.federation.computing.preparation import write_preparation
from medward.federation.outsourced.training import trained_model
from medward.node.outsourced.folder import OutsourcedFolder
from medward.node.outsourced.orders import leave_plan, leave_rows, leave_task
from medward.node.trial.launcher import Launcher
from tests.agents.conftest import SCHEMA, toy_flows
from tests.federation.outsourced.world import COHORT, PLAN, TERMS, columns_of, plain_numbers, toy_plan
from tests.node.computing.running import RunningFederation, run_federation, settings_of
from tests.node.outsourced.process import COMMAND

pytestmark = pytest.mark.processes

NAMES = [*COHORT, "cloud"]
OWN = settings_of(NAMES, ("cloud", "north"))
PATIENT, SHORT = 600_000, 12_000


class World(RunningFederation):
    """The running federation."""

    asked = 0

    def folder(self, name: str) -> OutsourcedFolder:
        return OutsourcedFolder(self.launcher.homes[name].participant)

    def ask(self, deadline: int = PATIENT) -> str:
        """Ask for the moments of all three hospitals, and return the task's number."""
        self.asked += 1
        leave_task(self.folder("east"), PLAN, COHORT, deadline)
        return f"{self.asked:08d}"

    def task(self, number: str) -> dict[str, Any]:
        return self.told("task", number, "east")

    def rows(self) -> dict[str, int]:
        """Who has encrypted how many rows."""
        found: dict[str, int] = self.launcher.client("cloud").get("/models")[0]["rows"]
        return found

    async def until_state(self, number: str, has: str) -> None:
        await self.until(lambda: has in self.task(number)["state"], f"task {number} is '{has}'")


def test_model_comes_from_what_two_members_computed_and_all_owners_opened(tmp_path: Path) -> None:
    async def tell(launcher: Launcher) -> None:
        world = World(launcher)
        await _encrypted(world)
        await _honest(world)
        await _lies(world)
        await _killed(world)
        await _withheld(world)
        await _absent(world)
        await _set_back(world)
        await _by_command(world, tmp_path)

    run_federation(tmp_path / "ward", "outsourced", OWN, COMMAND, tell)
    _audited(tmp_path / "ward")


def _audited(folder: Path) -> None:
    """An audit of the homes names the liar, and finds the model that the members have."""
    found = audit(folder)
    assert found.sound, "\n".join(map(str, found.problems))
    assert found.groups["tasks"].guilty == {"cloud"}
    weights = folder / "cloud" / "participant" / "outsourced" / "models" / "00000002" / "weights.safetensors"
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    told = f"task 2 leads to the model whose weights.safetensors has the SHA-256 {digest}"
    assert told in [remark.what for remark in found.groups["tasks"].remarks]


async def _encrypted(world: World) -> None:
    """Owners encrypt once, and no column in plain is left on their disks; what is no table is told of, and replaced."""
    leave_plan(world.folder("east"), write_preparation(toy_plan()), TERMS)
    await world.until(lambda: bool(world.launcher.client("south").get("/models")), "the plan is on record")
    world.lie("south", "garbage")
    for name in COHORT:
        leave_rows(world.folder(name), PLAN, columns_of(name))
    rows = {name: len(columns_of(name)) for name in COHORT}
    garbage = rows | {"south": TERMS.least_rows}
    await world.until(lambda: world.rows() == garbage, "rows are on record")
    number = world.ask()
    await world.until_state(number, "void: ")
    assert world.task(number)["state"].count("declined: the rows of south are none: encrypted table") == 2
    world.lie("south", None)
    leave_rows(world.folder("south"), PLAN, columns_of("south"))
    await world.until(lambda: world.rows() == rows, "what south encrypted is on record")
    assert not any(list(world.folder(name).rows.iterdir()) for name in COHORT)


async def _honest(world: World) -> None:
    """south's machine is off while others compute; the model is that of the plain rows in one place."""
    await world.until(lambda: _fetched(world), "the members that compute have what the owners encrypted")
    await world.launcher.stop(["south"])
    number = world.ask()
    await world.until_state(number, "2 of 3 owners are bound to their shares")
    await world.restart("south")
    await world.until_state(number, "opened")
    numbers = plain_numbers(*COHORT)
    expected = trained_model(toy_plan(), TERMS, numbers, [len(columns_of(name)) for name in COHORT]).files()
    for name in NAMES:
        folder = world.folder(name).models / number
        await world.until((folder / "model.json").exists, f"{name} has the model")
        assert load_model(folder).files() == expected
    assert set(world.task(number)["results"]) == {"cloud", "north"}
    assert {name: world.left(name) for name in COHORT} == dict.fromkeys(COHORT, 1023)


def _fetched(world: World) -> bool:
    return all(
        world.launcher.client(name).get("/status")["participant"]["kept_rows_of"] == [*COHORT]
        for name in ("cloud", "north")
    )


async def _lies(world: World) -> None:
    """One member hands in what opens an owner's rows: nobody is bound to shares of it."""
    world.lie("cloud", "rows")
    number = world.ask(SHORT)
    await world.until_state(number, "the results differ")
    assert world.task(number)["state"].endswith("before 2 members have the same")
    await world.until_state(number, "void: too few members computed the same result")
    world.lie("cloud", None)
    assert {name: world.left(name) for name in COHORT} == dict.fromkeys(COHORT, 1023)


async def _killed(world: World) -> None:
    """An owner that ends between commitment and reveal shows, once it is back, what it was bound to."""
    world.lie("south", "stops")
    number = world.ask()
    await world.until_state(number, "2 of 3 owners have shown their shares")
    await world.until(lambda: not world.launcher.running("south"), "south ended")
    kept = [path.read_bytes() for path in world.folder("south").shares.glob(f"{number}-*")]
    await world.restart("south")
    await world.until_state(number, "opened")
    assert [path.read_bytes() for path in world.folder("south").shares.glob(f"{number}-*")] == kept
    assert world.left("south") == 1022
    await world.until((world.folder("east").models / number / "model.json").exists, "east has the model")


async def _withheld(world: World) -> None:
    world.lie("south", "withholds")
    number = world.ask(SHORT)
    await world.until_state(number, "void: south withheld the shares that all owners had committed to")
    assert not (world.folder("east").models / number).exists()


async def _absent(world: World) -> None:
    world.lie("south", "absent")
    number = world.ask(SHORT)
    await world.until_state(number, "void: south did not commit to shares")
    world.lie("south", None)


async def _set_back(world: World) -> None:
    """A journal from before what the ledger shows stops the owner for good."""
    await world.spend("south", "1", world.folder("south").folder / "key" / "opened.sqlite")
    await world.check_retired("south")


async def _by_command(world: World, folder: Path) -> None:
    """`medward outsource rows` encrypts for a scaling that its hospital names, and for no other."""
    flows = toy_flows(400, 3)
    table = pl.DataFrame(
        {
            "rate": flows.x[:, 0],
            "size": flows.x[:, 1],
            "flag": np.where(flows.x[:, 2] > 0, "a", "b"),
            "pulse": flows.x[:, 4],
            "class": np.array(SCHEMA.classes)[flows.y],
            "device": ["pump"] * len(flows.x),
            "time": flows.order,
        }
    ).fill_nan(None)
    table.write_csv(folder / "rows.csv")
    known, other = toy_plan(), replace(toy_plan().scaler, knots=toy_plan().scaler.knots + 1)
    known.save(folder / "known")
    replace(known, scaler=other).save(folder / "other")
    home = world.launcher.homes["cloud"].folder
    command = (sys.executable, "-c", "from medward.cli import main; main()", "outsource")

    async def encrypt(*words: object) -> subprocess.CompletedProcess[str]:
        asked = [*command, "rows", "--home", home, "--data", folder / "rows.csv", *words]
        return await asyncio.to_thread(subprocess.run, asked, capture_output=True, text=True, timeout=60, check=False)

    for words, said in (((), "give --model, --train or --schema"), (("--model", folder / "other"), "single out a row")):
        refused = await encrypt(*words)
        assert refused.returncode != 0
        assert said in " ".join(refused.stderr.split())
        assert "Traceback" not in refused.stderr
    assert "cloud" not in world.rows()
    done = await encrypt("--model", folder / "known")
    assert done.returncode == 0, done.stderr
    await world.until(lambda: "cloud" in world.rows(), "the cloud's own rows are on record")
