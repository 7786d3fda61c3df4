"""Training by a federation from start to end: hospitals, rounds, checkpoints, and the model that comes out."""

import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from medward.agents.model import Provenance, SentinelModel
from medward.agents.recipe import Recipe
from medward.federation.hospital import Hospital, training_rows
from medward.federation.interfaces import FederationError
from medward.federation.shared_model import Plan, SharedModel, first_model, from_bytes
from medward.federation.simulation import RoundReport, Simulation
from medward.flows.partition import Partition, partition_rows
from medward.flows.prepared import Prepared

Protect = Literal["none", "aggregate", "outsourced"]
MAX_VOID_ROUNDS = 3


@dataclass(frozen=True)
class Options:
    """What the user may choose of a federation.

    Args:
        sites: the number of hospitals, at least 3.
        rounds: the number of training rounds.
        partition: how one data set is dealt to the hospitals.
        sample: the share of hospitals invited to a training round.
        silent: hospitals that never contribute, by name: a fault to inject.
        protect: how updates are protected.
        seed: what splits, shares and training derive from.
    """

    sites: int
    rounds: int
    partition: Partition = "blocks"
    sample: float = 1.0
    silent: tuple[str, ...] = ()
    protect: Protect = "none"
    seed: int = 0


class FederatedTraining:
    """A federation that trains on one data set's shares.

    Args:
        prepared: the data set.
        recipe: how to train.
        options: the federation's options.

    Raises:
        FederationError: an option cannot be met.
        BadSplit: a hospital would get no rows.
    """

    def __init__(self, prepared: Prepared, recipe: Recipe, options: Options) -> None:
        _refuse_impossible(options)
        self.prepared, self.options = prepared, options
        self.shares = partition_rows(
            prepared.flows, prepared.split.train, prepared.split.block, options.sites, options.partition, options.seed
        )
        self.plan = Plan(prepared.space, recipe, options.rounds, options.seed)
        self.reports: list[RoundReport] = []
        self._hospitals = [
            Hospital(number, training_rows(prepared.flows, prepared.x, prepared.stream, rows))
            for number, rows in enumerate(self.shares)
        ]
        self._simulation = self._simulate(first_model(self.plan))

    def _simulate(self, shared: SharedModel) -> Simulation:
        first_round = self.reports[-1].round + 1 if self.reports else 0
        return Simulation(
            self._hospitals, shared, self.options.sample, frozenset(self.options.silent), first_round=first_round
        )

    @property
    def shared(self) -> SharedModel:
        """What the members share now."""
        return self._simulation.shared

    def run(self, checkpoint: Path | None, on_round: Callable[[RoundReport], None]) -> SentinelModel:
        """Run what is left of the plan.

        Args:
            checkpoint: a folder in which every finished round is kept, so that a killed run can be resumed.
            on_round: called after each round.

        Raises:
            FederationError: three rounds in a row came to nothing.
        """
        void = 0
        while not self.shared.done:
            report = self._simulation.run_round()
            self.reports.append(report)
            void = 0 if report.outcome == "final" else void + 1
            if void == MAX_VOID_ROUNDS:
                raise FederationError(
                    f"Round {report.round} and the two before it came to nothing ({report.outcome}): too few hospitals "
                    "answer to go on."
                )
            on_round(report)
            if checkpoint is not None:
                self._save(checkpoint)
        return self.model()

    def model(self) -> SentinelModel:
        """Return the model to put on guard."""
        options = self.options
        return self.shared.guard(
            Provenance(
                how="federated",
                round=self.shared.round - 1,
                sites=options.sites,
                protect=options.protect,
                synthetic=self.prepared.flows.schema.synthetic,
                seed=options.seed,
                protocol=self.prepared.protocol,
            )
        )

    def _save(self, folder: Path) -> None:
        """Keep the state after a round; a kill at any instant leaves this state or the one before."""
        folder.mkdir(parents=True, exist_ok=True)
        head = json.dumps(
            {"options": _options_text(self.options), "reports": [asdict(r) for r in self.reports]}
        ).encode()
        beside = folder / "state.new"
        with beside.open("wb") as file:
            file.write(len(head).to_bytes(8, "little") + head + self.shared.to_bytes())
            file.flush()
            os.fsync(file.fileno())
        beside.replace(folder / "state")

    def resume(self, folder: Path) -> None:
        """Take up a run from its checkpoint.

        Raises:
            FederationError: there is none, it is damaged, or it is of a run with other options.
        """
        try:
            content = (folder / "state").read_bytes()
        except FileNotFoundError:
            raise FederationError(f"{folder} holds no checkpoint to resume: start without --resume.") from None
        size = int.from_bytes(content[:8], "little")
        try:
            head = json.loads(content[8 : 8 + size])
        except (json.JSONDecodeError, UnicodeDecodeError):
            raise FederationError(f"{folder / 'state'} is damaged: start without --resume.") from None
        if head["options"] != _options_text(self.options):
            raise FederationError(f"{folder} is of a run with other options: use the same ones, or leave out --resume.")
        self.reports = [RoundReport(**{**report, "cohort": tuple(report["cohort"])}) for report in head["reports"]]
        shared = from_bytes(self.plan, content[8 + size :])
        self._simulation = self._simulate(shared)

    def test_shares(self) -> list[NDArray[np.intp]]:
        """Return test rows for each hospital, dealt as the training rows were."""
        split, options = self.prepared.split, self.options
        return partition_rows(
            self.prepared.flows, split.test, split.block, options.sites, options.partition, options.seed
        )


def _options_text(options: Options) -> str:
    return json.dumps(asdict(options), sort_keys=True)


def _refuse_impossible(options: Options) -> None:
    if options.protect == "outsourced":
        raise FederationError("protect = outsourced (training on ciphertexts) does not exist yet: use --protect none.")
    if options.protect == "aggregate":
        raise FederationError("protect = aggregate (encrypted sums) does not exist yet: use --protect none.")
    if options.sites < 3:
        raise FederationError(
            f"A federation of {options.sites} hospitals would show each the other's update: use at least 3 sites."
        )
    if options.rounds < 1:
        raise FederationError(f"A federation needs at least 1 round, not {options.rounds}.")
    if not 0 < options.sample <= 1:
        raise FederationError(
            f"The share of hospitals a round must lie above 0 and at most at 1, not {options.sample}."
        )
