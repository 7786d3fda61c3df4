"""A federation of 3 f + 1 hospitals in which everything goes wrong that may, a few at a time, round after round.

First come rounds whose faults are known beforehand (plan.py); the clock is set forward when all have spoken who will.
Then nodes are killed, more than a quorum can spare of them, stores and disks are lost. Every round that led to a model
is computed again in the open.
"""

import asyncio
import logging
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from medward.audit.homes import audit
from medward.federation.blobs import blob_name
from medward.federation.model.shared_model import SharedModel
from medward.federation.model.shared_model_format import encode_model
from medward.federation.model.survey import Survey, first_model
from medward.federation.records import Commitment
from medward.federation.round.rules import FOUND_WORSE
from medward.node.errors import NodeError
from medward.node.home.federation_file import read_federation
from medward.node.home.folder import Home
from medward.node.trial.launcher import NODE_COMMAND
from medward.store.local import open_directory
from tests.e2e.faulty_node import unsaid
from tests.e2e.plan import FRUITLESS, Plan
from tests.e2e.ward import PATIENT, Rounds, Ward, own_sides
from tests.node.hosts import MEDWARD

_LOG = logging.getLogger(__name__)
#: Training rounds of the plan: more than are needed, so that it is never fulfilled.
ROUNDS = 40
#: A look at a node now and then, within what its API allows.
LOOK_SECONDS = 0.25
#: So long nothing is ordered before the ledger is taken to wait.
STILL_SECONDS = 3.0

#: A node that is to speak and does not for so long is looked into.
LONG_SECONDS = 120.0

#: A reminder that time has passed may be lost with the node that was to order it.
AGAIN_SECONDS = 60.0


@dataclass
class Told:
    """What became of it.

    Args:
        plan: what was to go wrong.
        rounds: the rounds, as all nodes tell them.
        killed: the rounds in which nodes were killed at random.
        still: the ledger's height when too few replicas ran, and a while and a deadline later.
        overdue: the round that was under way then, and who was away.
        kept: the rounds that were over by then, as told at that time.
        lost_store: the round in which a store was lost.
        replaced: the member whose disk was lost, the round of that, and its incarnation afterwards.
        absent: the holders without a sealing key in the round after that, and once it was back.
        stopped: why the federation has stopped, as each node tells it.
        status: what `medward federation status` said then, and its exit code.
        metrics: what a node's `GET /metrics` said then.
        resumed: what `medward federation resume` said, and its exit code, from as many members as are needed.
        refusals: what a node said that started on an empty disk, an old copy, and an old incarnation's; and to one who
            would resume a federation that has not stopped, or says so twice.
        crashed: what crashed in which node, and was started again by it.
        waited: what nodes told when others waited long for some of them, and the last that those wrote.
        computed: the model of each round, computed anew in the open.
        problems: what an audit of all homes found.
    """

    plan: Plan
    rounds: Rounds = field(default_factory=dict)
    killed: list[int] = field(default_factory=list)
    still: tuple[int, int] = (0, 0)
    overdue: tuple[int, tuple[str, ...]] = (0, ())
    kept: Rounds = field(default_factory=dict)
    lost_store: int = -1
    replaced: tuple[str, int, int] = ("", -1, 0)
    absent: tuple[list[str], list[str]] = ([], [])
    stopped: dict[str, str] = field(default_factory=dict)
    status: tuple[int, str] = (0, "")
    metrics: str = ""
    resumed: list[tuple[int, str]] = field(default_factory=list)
    refusals: dict[str, str] = field(default_factory=dict)
    crashed: dict[str, list[str]] = field(default_factory=dict)
    waited: list[str] = field(default_factory=list)
    computed: dict[int, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


class Troubles:
    """What happens to a ward.

    Args:
        ward: its nodes; the clock is this object's.
        told: is told.
        spare: an empty folder.
    """

    def __init__(self, ward: Ward, told: Told, spare: Path) -> None:
        self._ward, self._told, self._spare = ward, told, spare
        self._plan = told.plan
        #: Who is away for good in a round.
        self._away: dict[str, int] = {}
        self._random = Random()

    async def live(self) -> None:
        """Live through all of it."""
        async with asyncio.TaskGroup() as group:
            keeper = group.create_task(self._keep_time())
            await self._fruitless()
            await self._until_round(self._plan.rounds)
            note_crashes(self._ward, self._told)
            for name in self._plan.names:
                self._ward.misbehave(name, {})
            await self._killed()
            await self._below_quorum()
            await self._store_lost()
            await self._disk_lost()
            self._told.rounds = await self._agreed()
            keeper.cancel()
        await self._ward.launcher.stop(list(self._plan.names))

    # The clock.

    async def _keep_time(self) -> None:
        """Set the clock forward whenever a phase waits only for those who will not speak."""
        done: tuple[object, ...] = ()
        stood, since, told = done, 0.0, False
        doing, again, loop = "", 0.0, asyncio.get_running_loop()
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            state = await asyncio.to_thread(self._seen)
            if state is None:
                continue
            if state["doing"] != doing:
                doing = state["doing"]
                _LOG.info("round %s: %s", state["round"], doing)
            stands, now = (state["round"], state["phase"], state["doing"]), loop.time()
            if stands != stood:
                stood, since, told = stands, now, False
            if not told and now - since > LONG_SECONDS:
                told = True
                self._told.waited.append(await asyncio.to_thread(self._ward.stands, state["waits_for"]))
            if stands == done and now < again:
                continue
            # Between two rounds it may be the turn of one who is away.
            idle = self._idle(state) and now - since > STILL_SECONDS
            if idle or await asyncio.to_thread(self._in_vain, state):
                _LOG.info("nobody else speaks: %s", state["doing"])
                self.pass_deadline()
            elif await asyncio.to_thread(self._is_withheld, state):
                _LOG.info("nothing else comes: %s", state["doing"])
                self.pass_half()
            else:
                continue
            done, again = stands, now + AGAIN_SECONDS

    def pass_deadline(self) -> None:
        """Let the present phase's deadline pass, and the patience of all who take another's turn."""
        assert self._ward.clock is not None
        self._ward.clock.forward(2 * PATIENT)

    def pass_half(self) -> None:
        """Let half of the present phase's deadline pass, and not all of it."""
        assert self._ward.clock is not None
        self._ward.clock.forward(0.6 * PATIENT)

    def _seen(self) -> Any:
        """What any node says that runs."""
        for name in self._plan.names:
            if self._ward.launcher.running(name):
                try:
                    state = self._ward.state(name)
                except (NodeError, OSError):  # it does not answer yet, or its home is not whole
                    continue
                if "round" in state:
                    return state
        return None

    def _idle(self, state: Mapping[str, Any]) -> bool:
        return not state["waits_for"] and state["stopped"] is None and state["round"] in self._away.values()

    def _in_vain(self, state: Mapping[str, Any]) -> bool:
        number, waits_for = state["round"], set(state["waits_for"])
        away = {name for name, last in self._away.items() if number == last}
        if not waits_for or not waits_for <= self._plan.awaited_in_vain(state) | away:
            return False
        # Whoever is silent has come to where it would have spoken: what it did before is the same in every run.
        homes = [self._ward.launcher.homes[name].folder for name in waits_for - away]
        return state["phase"] != "committing" or all((home / unsaid(number, Commitment)).exists() for home in homes)

    def _is_withheld(self, state: Mapping[str, Any]) -> bool:
        """Whether everybody has examined all that can be had in the present round, and something is withheld."""
        examined = self._plan.examined(state["round"]) if state["phase"] == "checking" else None
        homes = [home.folder for home in self._ward.launcher.homes.values()]
        return examined is not None and all((home / f"examined.{state['round']}.{examined}").exists() for home in homes)

    # What is done to nodes.

    async def _fruitless(self) -> None:
        """Too few members speak, round after round, until the federation stops; then f + 1 have it go on."""
        _LOG.info("rounds lead to nothing")
        ward, names, told = self._ward, self._plan.names, self._told
        await ward.until(lambda: all(ward.state(name)["stopped"] for name in names), "the federation has stopped", 600)
        told.stopped = {name: ward.state(name)["stopped"] for name in names}
        told.status = await asyncio.to_thread(self._federation, "status", names[0])
        told.metrics = ward.launcher.client(names[0]).text("/metrics")
        first, *rest = names[: self._plan.f + 1]
        told.resumed = [await asyncio.to_thread(self._federation, "resume", first)]

        def twice() -> bool:
            code, told.refusals["twice"] = self._federation("resume", first)
            return code != 0 and "already" in told.refusals["twice"]

        await ward.until(twice, "it knows what it has said", 60)
        told.resumed += [await asyncio.to_thread(self._federation, "resume", name) for name in rest]
        await ward.until(lambda: not any(ward.state(name)["stopped"] for name in names), "the federation goes on", 60)
        _, told.refusals["not stopped"] = await asyncio.to_thread(self._federation, "resume", first)

    def _federation(self, command: str, name: str) -> tuple[int, str]:
        """What `medward federation` says of a member's node, and its exit code."""
        words = (*MEDWARD, "federation", command, "--home", str(self._ward.launcher.homes[name].folder))
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr

    async def _killed(self) -> None:
        """Kill f nodes at a random instant; a disk is copied meanwhile."""
        _LOG.info("nodes are killed")
        first = await self._under_way()
        for turn in range(2 if self._plan.f == 1 else 1):
            await asyncio.sleep(self._random.random() * 4)
            victims = self._random.sample(self._plan.names, self._plan.f)
            for victim in victims:
                self._ward.launcher.kill(victim)
            if turn == 0:
                self._told.replaced = (victims[0], -1, 0)
                shutil.copytree(self._ward.launcher.homes[victims[0]].folder, self._spare / "backup")
            for victim in victims:
                self._ward.launcher.start(victim)
            await self._ward.launcher.wait_until_healthy(600)
        last = await self._under_way()
        await self._until_round(last + 1)
        self._told.killed = list(range(first, last + 1))

    async def _below_quorum(self) -> None:
        """Kill so many that no quorum is left, let a deadline pass, and start them again."""
        _LOG.info("a quorum is lost")
        ward = self._ward
        number = await self._under_way() + 1
        gone = self._plan.names[1 : self._plan.f + 2]
        for name in gone:
            ward.misbehave(name, {"dies at commit": [number]})
        await ward.until(lambda: not any(map(ward.launcher.running, gone)), "more than f nodes are gone", 600)
        before = await self._still()
        self.pass_deadline()
        after = await self._still()
        self._told.still = (before, after)
        self._told.overdue = (number, gone)
        self._told.kept = ward.rounds(self._plan.names[0])
        for name in gone:
            ward.misbehave(name, {})
            ward.launcher.start(name)
        await self._until_round(number + 1)

    async def _store_lost(self) -> None:
        """Kill a node between its commitment and its contribution, and empty its store."""
        _LOG.info("a store is lost")
        ward, victim = self._ward, self._plan.names[-1]
        number = self._told.lost_store = await self._under_way() + 1
        ward.misbehave(victim, {"dies at submit": [number]})
        await ward.until(lambda: not ward.launcher.running(victim), "a node is gone", 600)
        ward.misbehave(victim, {})
        shutil.rmtree(ward.launcher.homes[victim].store)
        ward.launcher.start(victim)
        await self._until_round(number + 1)

    async def _disk_lost(self) -> None:
        """Lose a disk; try an empty one and an old copy; come back with new keys."""
        _LOG.info("a disk is lost")
        ward, plan, told = self._ward, self._plan, self._told
        victim, *_ = told.replaced
        home = ward.launcher.homes[victim]
        configuration = home.configuration()
        others = [name for name in plan.names if name != victim]
        number = await self._under_way() + 1
        ward.misbehave(victim, {"dies at submit": [number]})
        await ward.until(lambda: not ward.launcher.running(victim), "the node is gone", 600)
        shutil.rmtree(home.folder)

        shutil.copytree(self._spare / "backup", home.folder)
        told.refusals["an empty disk"], told.refusals["an old copy"] = await asyncio.gather(
            asyncio.to_thread(_said_without_a_home, self._spare / "empty"), self._refusal(victim)
        )
        shutil.rmtree(home.folder)

        made = Home.create(home.folder, configuration, incarnation=1)
        made.install(read_federation(ward.launcher.homes[others[0]].federation_file))
        for name in others[: plan.f + 1]:
            await asyncio.to_thread(ward.launcher.client(name).admit, made.card())
        self._away[victim] = number
        await ward.until(lambda: ward.state(others[0])["absent_holders"] == [victim], "its old key is gone", 600)
        absent = ward.state(others[0])["absent_holders"]
        ward.launcher.start(victim)

        def answers_again() -> bool:
            later = [one for at, one in ward.rounds(others[0]).items() if at > number]
            return any(victim in one["answers"] for one in later) and not ward.state(victim)["absent_holders"]

        await ward.until(answers_again, "it holds shares and answers again", 600)
        told.absent = (absent, ward.state(others[0])["absent_holders"])
        last = await self._under_way()
        await self._until_round(last + 1)
        told.replaced = (victim, number, ward.launcher.client(victim).get("/status")["incarnation"])

        await ward.launcher.stop([victim])
        shutil.move(home.folder, self._spare / "replaced")
        shutil.copytree(self._spare / "backup", home.folder)
        told.refusals["an old incarnation"] = await self._refusal(victim)
        shutil.rmtree(home.folder)
        shutil.move(self._spare / "replaced", home.folder)
        ward.launcher.start(victim)
        await ward.launcher.wait_until_healthy(600)

    async def _refusal(self, name: str) -> str:
        """What a node says that does not start."""
        ward = self._ward
        ward.launcher.start(name)
        await ward.until(lambda: not ward.launcher.running(name), f"{name} does not start", 600)
        return ward.launcher.output(name)

    # Looking.

    async def _under_way(self) -> int:
        """The round that is under way, or the next."""
        found: list[int] = []

        def looked() -> bool:
            state = self._seen()
            found[:] = [] if state is None or state["round"] is None else [state["round"]]
            return bool(found) and state["phase"] not in ("final", "void", "rolled back")

        await self._ward.until(looked, "a round is under way", 600)
        return found[0]

    async def _until_round(self, number: int) -> None:
        """Wait until all earlier rounds are over, and all nodes know."""
        names = self._plan.names
        await self._ward.until(
            lambda: all((self._ward.state(name)["round"] or 0) >= number for name in names),
            f"round {number} is under way at all",
            900,
        )

    async def _still(self) -> int:
        """Wait until nothing has been ordered for a while; return the height."""
        loop, name = asyncio.get_running_loop(), self._plan.names[0]
        height, since = -1, loop.time()
        while loop.time() - since < STILL_SECONDS:
            now = await asyncio.to_thread(self._ward.height, name)
            if now != height:
                height, since = now, loop.time()
            await asyncio.sleep(LOOK_SECONDS)
        return height

    async def _agreed(self) -> Rounds:
        """The rounds that are over; all nodes tell the same of them."""
        names = self._plan.names
        last = max(self._ward.rounds(names[0]))
        await self._ward.until(lambda: all(last in self._ward.rounds(name) for name in names), "all tell of it", 600)
        first, *others = [
            {number: one for number, one in self._ward.rounds(name).items() if number <= last} for name in names
        ]
        assert all(one == first for one in others)
        return first


def compile_ahead(plan: Plan) -> None:
    """Have JAX compile what the nodes will train, once and not in each of them.

    Whose surveys are missing decides the inputs of the model, so the surveys are those of the plan.
    """
    sides = own_sides(ROUNDS, len(plan.names))
    model: SharedModel = first_model(sides[0].plan)
    number = FRUITLESS
    while isinstance(model, Survey):
        losing = plan.losing(number)
        counted = [side for name, side in zip(plan.names, sides, strict=True) if name not in losing]
        model = model.advance(np.sum([side.hospital.work(model, number) for side in counted], axis=0))
        number += 1
    sides[0].hospital.work(model, number)


def _said_without_a_home(folder: Path) -> str:
    """Return what a node says that starts in an empty folder, and does not run."""
    folder.mkdir()
    done = subprocess.run([*NODE_COMMAND, str(folder)], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


def look_back(ward: Ward, told: Told) -> None:
    """Look at what the nodes left on their disks, once they have stopped."""
    plan = told.plan
    note_crashes(ward, told)
    for name in plan.names:
        with open_directory(ward.launcher.homes[name].store) as store:
            assert store.verify().intact
    found = audit(ward.launcher.homes[plan.names[0]].folder.parent)
    told.problems = [str(problem) for problem in found.problems]
    told.computed = computed(told)


def note_crashes(ward: Ward, told: Told) -> None:
    """See what crashed in the nodes, as far as their homes have not been lost since."""
    for name in told.plan.names:
        noted = told.crashed.setdefault(name, [])
        noted += [crash for crash in re.findall(r".* crashed: .*", ward.launcher.output(name)) if crash not in noted]


def computed(told: Told) -> dict[int, str]:
    """Compute the model of every round that led to one in the open, from the contributions of its cohort."""
    names = told.plan.names
    sides = own_sides(ROUNDS, len(names))
    hospitals = dict(zip(names, [side.hospital for side in sides], strict=True))
    model: SharedModel = first_model(sides[0].plan)
    replaced, since, _ = told.replaced
    models = {}
    refused = 0
    for number, one in sorted(told.rounds.items()):
        if number == since + 1:
            hospitals[replaced].carried = None  # it was on the disk that is lost
        worked = [name for name in names if name != replaced or number <= since or name in one["contributions"]]
        values = {name: hospitals[name].work(model, number) for name in worked}
        if one["outcome"] == "final":
            total = np.sum([values[name] for name in one["cohort"]], axis=0)
            model = model.advance(total, refused, (len(names), len(one["cohort"])))
            models[number], refused = blob_name(encode_model(model)), 0
        elif one["outcome"] == FOUND_WORSE:
            refused += 1
    return models
