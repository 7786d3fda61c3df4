"""A whole federation of node processes on this machine, to try it out: founded, run until its plan is fulfilled, told.

Whoever runs it sees everything; it is the real thing in every other way: each node has its own keys, ledger, store and
process, and they speak over mutual TLS.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medward.federation.blobs import blob_name
from medward.federation.errors import FederationError
from medward.federation.model.plan import TrainingPlan
from medward.federation.model.shared_model import SharedModel
from medward.federation.model.shared_model_format import decode_model
from medward.node.errors import NodeError
from medward.node.home.configuration import LedgerEngine, StoreEngine
from medward.node.home.folder import Home
from medward.node.training.data import ParticipantSettings
from medward.node.training.files import TrainingFiles
from medward.node.training.rules import agreement_parameters
from medward.node.trial import earlier_run
from medward.node.trial.launcher import Launcher

PREFIX = "node-"
_LOOK_SECONDS = 0.5
_HEALTHY_SECONDS = 300.0
#: Without a fault, phases may take long: nobody is left out because a machine is slow.
PATIENT_SECONDS, IMPATIENT_SECONDS = 600.0, 20.0
#: Milliseconds that a leader may leave a request: on a machine that all nodes share, a slow one is not a bad one.
_REQUEST_TIMEOUT = 10_000

Statuses = Mapping[str, Mapping[str, Any] | None]
#: What every node tells alike of a round, since the ledger says it.
SHARED_KEYS = (
    *("round", "task", "outcome", "cohort", "contributions", "answers"),
    *("complaints", "shown", "audited", "checks", "model"),
)


@dataclass(frozen=True)
class TrialOptions:
    """How a trial is set up.

    Args:
        settings: what all members are told of the data and the plan; their part of the data is added.
        names: the members.
        silent: members whose nodes are never started: a fault to inject.
        protect: "aggregate" or "none".
        sample: the share of members invited to a training round.
        store: the nodes' store.
        ledger: the nodes' ledger.
    """

    settings: ParticipantSettings
    names: Sequence[str]
    silent: Sequence[str] = ()
    protect: str = "aggregate"
    sample: float = 1.0
    store: StoreEngine = "embedded"
    ledger: LedgerEngine = "pbft"


class Trial:
    """A trial in a folder.

    Args:
        folder: gets a home for each member.
        options: how it is set up.
        plan: what the members train.
    """

    def __init__(self, folder: Path, options: TrialOptions, plan: TrainingPlan) -> None:
        self.folder, self.options, self.plan = folder, options, plan
        self._models: dict[str, SharedModel] = {}
        self._reports: dict[int, dict[str, Any]] = {}

    def found(self) -> Launcher:
        """Make the homes, in a folder that has none (`earlier_run.make_room`)."""
        options = self.options
        kept = ("data", "rounds", "bits", "seed", "rows", "partition", "courier", "budget", "members", "schema")
        table = {key: getattr(options.settings, key) for key in kept}
        table |= {"features": options.settings.features, "sites": len(options.names), "trial": True}
        deadline = IMPATIENT_SECONDS if options.silent else PATIENT_SECONDS
        launcher = Launcher.found(
            self.folder,
            options.names,
            "training",
            settings={
                "participant": table,
                "store": {"engine": options.store},
                "ledger": {"request_timeout": _REQUEST_TIMEOUT},
            },
            own_settings={name: {"participant": {"site": site}} for site, name in enumerate(options.names)},
            agree=lambda members: agreement_parameters(
                *(self.plan, members),
                name="trial",
                deadline=deadline,
                protect=options.protect,
                sample=options.sample,
                schema=options.settings.schema,
            ),
            engine=options.ledger,
            prefix=PREFIX,
        )
        earlier_run.write_mark(self.folder, [home.folder for home in launcher.homes.values()])
        return launcher

    def reopen(self) -> Launcher:
        """Return the nodes of a trial that was begun before.

        Raises:
            NodeError: there is none in the folder.
        """
        return Launcher(homes_of(self.folder, self.options.names))

    async def run(
        self,
        launcher: Launcher,
        on_status: Callable[[Statuses], None],
        on_round: Callable[[dict[str, Any], SharedModel | None], None],
    ) -> SharedModel:
        """Run the nodes until the plan is fulfilled, and return the last shared model.

        Args:
            launcher: the nodes.
            on_status: called with every node's status, again and again.
            on_round: called with what became of each round, and the shared model that it led to, if it did.

        Raises:
            FederationError: the federation has stopped.
            NodeError: a node ended, or they do not start.
        """
        running = [name for name in launcher.homes if name not in self.options.silent]
        try:
            for name in running:
                launcher.start(name)
            await launcher.wait_until_healthy(_HEALTHY_SECONDS, running)
            async for statuses in launcher.watch(_LOOK_SECONDS):
                on_status({name: statuses[name] for name in running})
                self._check(launcher, running)
                self._tell(launcher, running, on_round)
                states = [status["participant"] for name in running if (status := statuses[name]) is not None]
                stopped = next((state["stopped"] for state in states if state.get("stopped")), None)
                if stopped is not None:
                    raise FederationError(f"The federation has stopped: {stopped}.")
                if len(states) == len(running) and all(state.get("done") for state in states):
                    self._tell(launcher, running, on_round)
                    last = self._model(launcher, running, states[0]["model"])
                    if last is None:
                        raise NodeError(f"no node keeps the last model; look at the nodes' logs in {self.folder}")
                    return last
        finally:
            await launcher.stop()
        raise NodeError("the nodes ended before the plan was fulfilled")

    def _check(self, launcher: Launcher, running: Sequence[str]) -> None:
        for name in running:
            if not launcher.running(name):
                raise NodeError(f"the node {name} ended: {launcher.last_line(name)}")

    def _tell(
        self,
        launcher: Launcher,
        running: Sequence[str],
        on_round: Callable[[dict[str, Any], SharedModel | None], None],
    ) -> None:
        """Tell the rounds that are over and that all nodes know of."""
        by_node = []
        for name in running:
            try:
                by_node.append({told["round"]: told for told in launcher.client(name).get("/rounds")})
            except NodeError:
                return
        for number in sorted(set.intersection(*(set(told) for told in by_node)) - self._reports.keys()):
            report = _merge([told[number] for told in by_node])
            self._reports[number] = report
            final = report["outcome"] == "final"
            on_round(report, self._model(launcher, running, report["model"]) if final else None)

    def _model(self, launcher: Launcher, running: Sequence[str], name: str) -> SharedModel | None:
        """Return a shared model that one of the nodes keeps; None for one of long ago."""
        for member in running if name not in self._models else ():
            content = TrainingFiles(launcher.homes[member].participant).model(name)
            if content is not None and blob_name(content) == name:
                self._models = {name: decode_model(self.plan, content)}
                break
        return self._models.get(name)


def homes_of(folder: Path, names: Sequence[str]) -> dict[str, Home]:
    """Return the homes of a trial that was begun before, by member.

    Raises:
        NodeError: one is missing, or was not made to its end.
    """
    homes = {name: Home(folder / f"{PREFIX}{name}") for name in names}
    missing = [str(home.folder) for home in homes.values() if not home.federation_file.exists()]
    if missing:
        raise NodeError(
            f"there is no checkpoint to resume: {missing[0]} is no home; start with --force in place of --resume"
        )
    return homes


def _merge(told: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return one report of a round from what every node told of it; seconds are the mean over the nodes."""
    first = told[0]
    report = {key: first[key] for key in SHARED_KEYS}
    for key in ("seconds", "processor", "phases"):
        named = dict.fromkeys(name for one in told for name in one[key])
        report[key] = {name: sum(one[key].get(name, 0.0) for one in told) / len(told) for name in named}
    report["bytes_up"] = sum(one["bytes_up"] for one in told)
    report["bytes_down"] = sum(one["bytes_down"] for one in told)
    report["model"] = first["model"] or ""
    report["validation"] = None
    return report
