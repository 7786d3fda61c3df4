"""A trial of training on encrypted rows: nodes of hospitals on this machine, from encrypted rows to their model.

As in the other trial, whoever runs it sees everything; each node has its own keys, ledger, store and process.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from medward.agents.sentinel.model import SentinelModel, load_model
from medward.federation.outsourced.records import MOST_DEADLINE
from medward.federation.outsourced.terms import OutsourcedTerms
from medward.fhe.arrays import Integers
from medward.node.computing.rules import computing_parameters_of
from medward.node.errors import NodeError
from medward.node.home.configuration import LedgerEngine, StoreEngine
from medward.node.home.folder import Home
from medward.node.outsourced.folder import OutsourcedFolder
from medward.node.outsourced.orders import carried_out, leave_plan, leave_rows, leave_task
from medward.node.outsourced.telling import TOLD_OF_LEDGER
from medward.node.trial import earlier_run
from medward.node.trial.launcher import Launcher
from medward.node.trial.trial import PREFIX

_LOOK_SECONDS = 0.5
#: Milliseconds that a leader may leave a request: on a machine that all nodes share, a slow one is not a bad one.
_REQUEST_TIMEOUT = 10_000


@dataclass(frozen=True)
class OutsourcedOutcome:
    """What a trial led to.

    Args:
        model: of all rows.
        task: what the ledger says of the task that it comes from, with its number.
        homes: the members', by name; their nodes have ended.
    """

    model: SentinelModel
    task: Mapping[str, Any]
    homes: Mapping[str, Home]


class OutsourcedTrial:
    """A trial in a folder; all members but the first, who asks, compute.

    Args:
        folder: gets a home for each member.
        names: the members, in alphabetical order; all of them own rows.
        store: the nodes' store.
        ledger: the nodes' ledger.
    """

    def __init__(self, folder: Path, names: Sequence[str], store: StoreEngine, ledger: LedgerEngine) -> None:
        self._folder, self._names, self._store, self._ledger = folder, names, store, ledger

    def found(self) -> Launcher:
        """Make the homes, in a folder that has none (`earlier_run.make_room`)."""
        faulty = (len(self._names) - 1) // 3
        computing = self._names[1 : faulty + 2]
        launcher = Launcher.found(
            self._folder,
            self._names,
            "outsourced",
            settings={"store": {"engine": self._store}, "ledger": {"request_timeout": _REQUEST_TIMEOUT}},
            own_settings={name: {"participant": {"compute": name in computing}} for name in self._names},
            agree=computing_parameters_of,
            engine=self._ledger,
            prefix=PREFIX,
        )
        earlier_run.write_mark(self._folder, [home.folder for home in launcher.homes.values()])
        return launcher

    async def run(
        self,
        launcher: Launcher,
        preparation: bytes,
        terms: OutsourcedTerms,
        columns: Mapping[str, Integers],
        on_step: Callable[[str], None],
    ) -> OutsourcedOutcome:
        """Run the nodes until the hospitals have opened the moments of their rows, and return what came of it.

        Args:
            launcher: the nodes.
            preparation: how rows are prepared.
            terms: of the plan.
            columns: each hospital's, in plain; its node encrypts them.
            on_step: called with what is being waited for.

        Raises:
            NodeError: a node ended, or does not do what is asked.
        """
        async with launcher:
            await launcher.wait_until_healthy()
            first = self._names[0]
            on_step("the plan is proposed")
            order = leave_plan(self._own(launcher, first), preparation, terms)
            plan = await self._until(launcher, lambda: carried_out(self._own(launcher, first), order))
            for name in self._names:
                await self._until(launcher, partial(self._plan_is_known, launcher, name, plan))
            on_step("the hospitals encrypt their rows")
            orders = {name: leave_rows(self._own(launcher, name), plan, columns[name]) for name in self._names}
            for name, rows in orders.items():
                await self._until(launcher, partial(carried_out, self._own(launcher, name), rows))
            on_step("others compute with encrypted rows")
            asked = leave_task(self._own(launcher, first), plan, self._names, MOST_DEADLINE)
            number = await self._until(launcher, lambda: carried_out(self._own(launcher, first), asked))
            task = await self._until(launcher, lambda: self._opened(launcher, number, on_step))
            model = load_model(self._own(launcher, first).models / number)
        return OutsourcedOutcome(model, task, launcher.homes)

    def _own(self, launcher: Launcher, name: str) -> OutsourcedFolder:
        return OutsourcedFolder(launcher.homes[name].participant)

    def _plan_is_known(self, launcher: Launcher, name: str, plan: str) -> bool:
        return any(one["plan"] == plan for one in launcher.client(name).get("/models"))

    def _opened(self, launcher: Launcher, number: str, on_step: Callable[[str], None]) -> Mapping[str, Any] | None:
        """Return what is on record of a task, once its model is made."""
        found = next((one for one in launcher.client(self._names[0]).get("/rounds") if one["task"] == number), None)
        if found is None:
            return None
        on_step(found["state"])
        if found["closed"] and ("void" in found["state"] or "no model" in found["state"]):
            raise NodeError(f"the hospitals opened nothing: {found['state']}")
        return {key: found[key] for key in ("task", *TOLD_OF_LEDGER)} if found["model"] else None

    async def _until(self, launcher: Launcher, ask: Callable[[], Any]) -> Any:
        """Ask again and again, and return the first answer that is one."""
        while not (answer := await asyncio.to_thread(ask)):
            ended = [name for name in self._names if not launcher.running(name)]
            if ended:
                raise NodeError(f"the node of {ended[0]} ended: {launcher.output(ended[0])[-300:].strip()}")
            await asyncio.sleep(_LOOK_SECONDS)
        return answer
