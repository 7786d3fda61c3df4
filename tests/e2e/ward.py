"""A small ward whose hospitals train together as real node processes, for the tests."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from medward.federation.blobs import blob_name
from medward.federation.hospital import trial_secret
from medward.federation.shared_model import Plan, SharedModel, first_model, from_bytes
from medward.node.errors import NodeError
from medward.node.launcher import Launcher
from medward.node.training_data import Settings, own_side, plan_of, read_data
from medward.node.training_files import TrainingFiles
from medward.node.training_rules import agreement_parameters
from tests.e2e.faulty_node import COMMAND, FILE

NAMES = ("h0", "h1", "h2", "h3")
#: No phase of a healthy round comes near this, not even on a busy machine.
DEADLINE = 30.0
#: Nobody is left out because it is away for a while.
PATIENT = 600.0

Rounds = Mapping[int, Mapping[str, Any]]
Faults = Mapping[str, Mapping[str, Sequence[int]]]


class Ward:
    """A federation of node processes that trains.

    Args:
        launcher: its nodes.
        plan: what they train.
    """

    def __init__(self, launcher: Launcher, plan: Plan) -> None:
        self.launcher, self.plan = launcher, plan

    def state(self, name: str) -> Any:
        """What a node says of its participant."""
        return self.launcher.client(name).get("/status")["participant"]

    def height(self, name: str) -> int:
        return int(self.launcher.client(name).get("/status")["ledger"]["height"])

    def rounds(self, name: str) -> Rounds:
        """The rounds that are over, as a node tells them, without what only concerns the node itself."""
        own = ("seconds", "phases", "bytes_up", "bytes_down")
        told = self.launcher.client(name).get("/rounds")
        return {one["round"]: {key: value for key, value in one.items() if key not in own} for one in told}

    def model(self, name: str, model: str) -> SharedModel:
        """A shared model that a node keeps on its disk."""
        content = TrainingFiles(self.launcher.homes[name].participant).model(model)
        assert content is not None, f"{name} keeps no model {model}"
        assert blob_name(content) == model
        return from_bytes(self.plan, content)

    async def until(self, holds: Callable[[], bool], what: str, seconds: float = 240) -> None:
        end = time.monotonic() + seconds
        while True:
            try:
                if await asyncio.to_thread(holds):
                    return
            except (NodeError, KeyError, TypeError):  # a node that is away or not that far
                pass
            if time.monotonic() > end:
                logs = "\n".join(f"{name}\n{self.launcher.output(name)[-2000:]}" for name in self.launcher.homes)
                raise AssertionError(f"waited in vain until {what}\n{logs}")
            await asyncio.sleep(0.1)

    async def until_done(self) -> Rounds:
        """Wait until all nodes have fulfilled the plan; return the rounds, of which all must tell the same."""
        names = list(self.launcher.homes)
        await self.until(lambda: all(self.state(name)["done"] for name in names), "the plan is fulfilled", 420)
        [first, *others] = [self.rounds(name) for name in names]
        assert all(told == first for told in others)
        assert len({self.state(name)["model"] for name in names}) == 1
        return first


def settings(rounds: int) -> Settings:
    return Settings(data="ward", rows=4000, rounds=rounds, seed=1, sites=len(NAMES), trial=True)


def run(
    folder: Path,
    rounds: int,
    tell: Callable[[Ward], Awaitable[None]],
    *,
    deadline: float = DEADLINE,
    faults: Faults | None = None,
    keep_rounds: int = 0,
) -> None:
    """Found a federation, and have `tell` live through it."""
    shared = settings(rounds)
    plan = plan_of(read_data(shared), shared)
    table = {key: getattr(shared, key) for key in ("data", "rows", "rounds", "seed", "sites", "trial")}
    table["keep_rounds"] = keep_rounds
    launcher = Launcher.found(
        folder / "ward",
        NAMES,
        "training",
        settings={"participant": table},
        own_settings={name: {"participant": {"site": site}} for site, name in enumerate(NAMES)},
        agree=lambda members: agreement_parameters(plan, members, name="ward", deadline=deadline),
        command=COMMAND,
    )
    for name, own in (faults or {}).items():
        (launcher.homes[name].folder / FILE).write_text(json.dumps(own))

    async def live() -> None:
        async with launcher:
            await launcher.wait_until_healthy(180)
            await tell(Ward(launcher, plan))

    asyncio.run(live())


def undisturbed(rounds: int) -> str:
    """The name of the last model where every hospital contributes to every round, by plain addition in the open."""
    shared = settings(rounds)
    sides = [
        own_side(Settings(**{**vars_of(shared), "site": site}), trial_secret(shared.seed, site))
        for site in range(len(NAMES))
    ]
    model = first_model(sides[0].plan)
    for number in range(sides[0].plan.steps):
        model = model.advance(np.sum([side.hospital.work(model, number) for side in sides], axis=0))
    assert model.next is None
    return blob_name(model.to_bytes())


def vars_of(shared: Settings) -> dict[str, Any]:
    return {field: getattr(shared, field) for field in shared.__struct_fields__}
