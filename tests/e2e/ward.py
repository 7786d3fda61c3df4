"""A small ward whose hospitals train together as real node processes, for the tests."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from medward.agents.sentinel.recipe import RECIPES
from medward.federation.blobs import blob_name
from medward.federation.model.hospital import trial_secret
from medward.federation.model.plan import TrainingPlan
from medward.federation.model.shared_model import SharedModel
from medward.federation.model.shared_model_format import decode_model, encode_model
from medward.federation.model.survey import first_model
from medward.ledger.membership import ChainParameters
from medward.node.errors import NodeError
from medward.node.home.configuration import LedgerEngine
from medward.node.home.folder import Home
from medward.node.training.data import OwnSide, ParticipantSettings, own_side, plan_of, read_data
from medward.node.training.files import TrainingFiles
from medward.node.training.rules import agreement_parameters
from medward.node.trial.launcher import Launcher
from tests.e2e.clock import Clock
from tests.e2e.faulty_node import COMMAND, FILE
from tests.node.forks import ForkingLauncher


def members(hospitals: int) -> tuple[str, ...]:
    """The names of so many hospitals."""
    return tuple(f"h{number}" for number in range(hospitals))


NAMES = members(4)
ROWS = 4000
#: No phase of a healthy round comes near this, not even on a busy machine.
DEADLINE = 30.0
#: Nobody is left out because it is away for a while.
PATIENT = 600.0
#: Milliseconds that a leader may leave a request: on a machine that all nodes share, a slow one is not a bad one.
REQUEST_TIMEOUT = 5000

Rounds = Mapping[int, Mapping[str, Any]]
Faults = Mapping[str, Mapping[str, Sequence[int]]]


class Ward:
    """A federation of node processes that trains.

    Args:
        launcher: its nodes.
        plan: what they train.
        clock: the nodes' clock, where the test keeps it.
    """

    def __init__(self, launcher: Launcher, plan: TrainingPlan, clock: Clock | None = None) -> None:
        self.launcher, self.plan, self.clock = launcher, plan, clock

    @property
    def names(self) -> tuple[str, ...]:
        """The first members."""
        return tuple(self.launcher.homes)

    def misbehave(self, name: str, faults: Mapping[str, Sequence[int]]) -> None:
        """Let a node do these things wrong from now on, and nothing else."""
        path = self.launcher.homes[name].folder / FILE
        part = path.with_suffix(".part")
        part.write_text(json.dumps(faults))
        part.rename(path)

    def state(self, name: str) -> Any:
        """What a node says of its participant."""
        return self.launcher.client(name).get("/status")["participant"]

    def height(self, name: str) -> int:
        return int(self.launcher.client(name).get("/status")["ledger"]["height"])

    def rounds(self, name: str) -> Rounds:
        """The rounds that are over, as a node tells them, without what only concerns the node itself."""
        own = ("seconds", "processor", "phases", "bytes_up", "bytes_down", "ended")
        told = self.launcher.client(name).get("/rounds")
        return {one["round"]: {key: value for key, value in one.items() if key not in own} for one in told}

    def model(self, name: str, model: str) -> SharedModel:
        """A shared model that a node keeps on its disk."""
        content = TrainingFiles(self.launcher.homes[name].participant).model(model)
        assert content is not None, f"{name} keeps no model {model}"
        assert blob_name(content) == model
        return decode_model(self.plan, content)

    async def until(self, holds: Callable[[], bool], what: str, seconds: float = 240) -> None:
        end = time.monotonic() + seconds
        while True:
            try:
                if await asyncio.to_thread(holds):
                    return
            except (NodeError, KeyError, TypeError):  # a node that is away or not that far
                pass
            if time.monotonic() > end:
                raise AssertionError(f"waited in vain until {what}\n{self.stands(list(self.launcher.homes))}")
            await asyncio.sleep(0.2)

    def stands(self, suspects: Sequence[str]) -> str:
        """Where each node stands, and the last that some wrote, for whoever looks for the reason of a failure."""
        found = []
        for name in self.launcher.homes:
            try:
                found.append(f"{name}: {self.launcher.client(name).get('/status')}")
            except NodeError as error:
                found.append(f"{name}: {error}")
        return "\n".join([*found, *(f"{name}\n{self.launcher.output(name)[-2000:]}" for name in suspects)])

    async def until_done(self) -> Rounds:
        """Wait until all nodes have fulfilled the plan; return the rounds, of which all must tell the same."""
        names = list(self.launcher.homes)
        await self.until(lambda: all(self.state(name)["done"] for name in names), "the plan is fulfilled", 420)
        [first, *others] = [self.rounds(name) for name in names]
        assert all(told == first for told in others)
        assert len({self.state(name)["model"] for name in names}) == 1
        return first


def settings(rounds: int, hospitals: int = len(NAMES)) -> ParticipantSettings:
    return ParticipantSettings(data="ward", rows=ROWS, rounds=rounds, seed=1, sites=hospitals, trial=True)


def run(
    folder: Path,
    rounds: int,
    tell: Callable[[Ward], Awaitable[None]],
    *,
    names: Sequence[str] = NAMES,
    deadline: float = DEADLINE,
    faults: Faults | None = None,
    keep_rounds: int = 0,
    keep_time: bool = False,
    engine: LedgerEngine = "pbft",
    command: Sequence[str] = COMMAND,
) -> None:
    """Found a federation, or start the one that was founded in this folder, and have `tell` live through it.

    Args:
        folder: gets the nodes' homes.
        rounds: how many training rounds the plan has.
        tell: what happens to it.
        names: its members.
        deadline: the seconds that a phase may take.
        faults: what single members do wrong, and in which rounds.
        keep_rounds: as in node.toml.
        keep_time: whether the nodes go by a clock that `tell` may set forward.
        engine: orders the records.
        command: runs a node, given the updates of a round, which are those that this process would make.
    """
    command = (*command, "--local-steps", str(RECIPES["ward"].federation.local_steps))
    shared = settings(rounds, len(names))
    plan = plan_of(read_data(shared), shared)
    table = {key: getattr(shared, key) for key in ("data", "rows", "rounds", "seed", "sites", "trial")}
    table["keep_rounds"] = keep_rounds
    launcher = _reopened(folder / "ward", names, command) or ForkingLauncher.found(
        folder / "ward",
        names,
        "training",
        settings={"participant": table, "ledger": {"request_timeout": REQUEST_TIMEOUT}},
        own_settings={name: {"participant": {"site": site}} for site, name in enumerate(names)},
        agree=lambda members: agreement_parameters(plan, members, name="ward", deadline=deadline),
        # A block that is on its way while the clock is set forward is no leader's fault.
        parameters=ChainParameters(clock_drift=10**9) if keep_time else None,
        engine=engine,
        command=command,
    )
    clock = Clock(folder / "ward") if keep_time else None
    for name, own in (faults or {}).items():
        (launcher.homes[name].folder / FILE).write_text(json.dumps(own))

    async def live() -> None:
        async with launcher:
            await launcher.wait_until_healthy(180)
            await tell(Ward(launcher, plan, clock))

    asyncio.run(live())


def _reopened(folder: Path, names: Sequence[str], command: Sequence[str]) -> Launcher | None:
    """The nodes that were founded in this folder before, if they were."""
    homes = {name: Home(folder / name) for name in names}
    return ForkingLauncher(homes, command=command) if all(home.folder.exists() for home in homes.values()) else None


def own_sides(rounds: int, hospitals: int = len(NAMES)) -> list[OwnSide]:
    """What each hospital has for itself, in this process."""
    shared = settings(rounds, hospitals)
    return [
        own_side(ParticipantSettings(**{**vars_of(shared), "site": site}), trial_secret(shared.seed, site))
        for site in range(hospitals)
    ]


def undisturbed(rounds: int, hospitals: int = len(NAMES)) -> str:
    """The name of the last model where every hospital contributes to every round, by plain addition in the open."""
    sides = own_sides(rounds, hospitals)
    model, number = first_model(sides[0].plan), 0
    while model.next is not None:
        model = model.advance(np.sum([side.hospital.work(model, number) for side in sides], axis=0))
        number += 1
    return blob_name(encode_model(model))


def vars_of(shared: ParticipantSettings) -> dict[str, Any]:
    return {field: getattr(shared, field) for field in shared.__struct_fields__}
