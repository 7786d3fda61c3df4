"""Training by a federation from start to end: hospitals, rounds, checkpoints, and the model that comes out."""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import takewhile
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from medward.agents.sentinel.model import Provenance, SentinelModel
from medward.agents.sentinel.recipe import Recipe
from medward.federation.blobs import RoundBlobs
from medward.federation.errors import FederationError
from medward.federation.model.courier import courier_of
from medward.federation.model.hospital import Hospital, trial_secret
from medward.federation.model.plan import plan_digest, training_plan
from medward.federation.model.shared_model import SharedModel
from medward.federation.model.shared_model_format import decode_model, encode_model
from medward.federation.model.survey import first_model
from medward.federation.model.wire import sum_set
from medward.federation.round.rules import FOUND_WORSE
from medward.federation.simulation import checkpoint
from medward.federation.simulation.checkpoint import Checkpoint
from medward.federation.simulation.dealing import deal, rows_of_hospitals
from medward.federation.simulation.machines import Protect, RoundReport, Simulation, SimulationSettings, member_names
from medward.federation.terms import Terms
from medward.fhe.errors import UnsafeParameters
from medward.fhe.packing import PLAIN_BITS
from medward.fhe.parameters import UPDATE_BITS
from medward.flows.partition import Partition
from medward.flows.prepared import PreparedData
from medward.store.local import in_memory, open_directory


@dataclass(frozen=True)
class Options:
    """What the user may choose of a federation.

    Args:
        sites: the number of hospitals, at least 3.
        rounds: the number of training rounds.
        partition: how one data set is dealt to the hospitals.
        sample: the share of hospitals invited to a training round.
        silent: hospitals that never say anything, by name: a fault to inject.
        protect: how updates are protected.
        bits: the width of a value of an update: 4, 8, 12 or 16, or 32 in a federation that protects nothing.
        seed: what splits, shares and training derive from.
        courier: Courier's policy, as `read_policy` takes it; empty for a sum of everything after every period.
        budget: the bytes that the training sums may take under Courier; 0 for no limit.
        features: how many random features a model in closed form has, made of one sum; 0 for training in rounds.
    """

    sites: int
    rounds: int
    partition: Partition = "blocks"
    sample: float = 1.0
    silent: tuple[str, ...] = ()
    protect: Protect = "aggregate"
    bits: int = 16
    seed: int = 0
    courier: str = ""
    budget: int = 0
    features: int = 0

    def text(self) -> str:
        """Return the options as one text, which two runs compare."""
        return json.dumps(asdict(self), sort_keys=True)


class FederatedTraining:
    """A federation that trains on one data set's shares.

    Args:
        prepared: the data set.
        recipe: how to train.
        options: the federation's options.
        home: the folder for the store and the members' journals; without one, the store is in memory and the journals
            go with this object.

    Raises:
        FederationError: an option cannot be met.
        BadSplit: a hospital would get no rows.
    """

    def __init__(self, prepared: PreparedData, recipe: Recipe, options: Options, home: Path | None = None) -> None:
        refuse_impossible(options)
        self.prepared, self.options = prepared, options
        self.shares = self._dealt(prepared.split.train)
        courier = courier_of(options.courier, options.sites, options.budget)
        self.plan = training_plan(
            prepared.space, recipe, options.rounds, options.seed, options.bits, courier, options.features
        )
        self.reports: list[RoundReport] = []
        self._hospitals = self._make_hospitals()
        self._temporary = TemporaryDirectory(prefix="medward-")
        self._journals = (home or Path(self._temporary.name)) / "journals"
        self._blobs = RoundBlobs(open_directory(home / "store") if home else in_memory())
        self._last: SharedModel | None = None
        self._simulation = self._simulate(first_model(self.plan))

    @property
    def hospitals(self) -> Sequence[Hospital]:
        """The members' private sides, in the order of their names."""
        return self._hospitals

    @property
    def shared(self) -> SharedModel:
        """What the members share now."""
        return self._simulation.shared if self._last is None else self._last

    def run(
        self,
        folder: Path | None,
        on_round: Callable[[RoundReport], None],
        tell: Callable[[str], None] = lambda _: None,
    ) -> SentinelModel:
        """Run what is left of the plan.

        Args:
            folder: where every finished round is kept, so that a killed run can be resumed.
            on_round: called after each round.
            tell: is told where a round stands, as a clause.

        Raises:
            FederationError: three rounds in a row came to nothing.
        """
        while not self.shared.done:
            report = self._simulation.run_round(tell)
            self.reports.append(report)
            on_round(report)
            if folder is not None:
                carried = [hospital.carried for hospital in self._hospitals]
                state = Checkpoint(self.options.text(), self.reports, carried, encode_model(self.shared))
                checkpoint.save(state, folder)
        return self.model()

    def resume(self, folder: Path) -> None:
        """Take up a run from its checkpoint; of a run that is finished, take its last model.

        Raises:
            FederationError: there is none, it is damaged, or it is of a run with other options.
        """
        state = checkpoint.load(folder, self.options.text())
        self.reports = list(state.reports)
        for hospital, carried in zip(self._hospitals, state.carried, strict=True):
            hospital.carried = carried
        shared = decode_model(self.plan, state.model)
        if shared.done:
            # A federation begins with a round to run, and here none is left.
            self._last = shared
        else:
            self._simulation = self._simulate(shared)

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

    def test_shares(self) -> list[NDArray[np.intp]]:
        """Return test rows for each hospital, dealt as the training rows were."""
        return self._dealt(self.prepared.split.test)

    def _dealt(self, rows: NDArray[np.intp]) -> list[NDArray[np.intp]]:
        """Deal rows to the hospitals as the options say."""
        options = self.options
        return deal(self.prepared, rows, options.sites, options.partition, options.seed)

    def _make_hospitals(self) -> list[Hospital]:
        """Return the hospitals with their rows."""
        options = self.options
        rows = rows_of_hospitals(self.prepared, self.shares, options.partition, options.seed)
        return [Hospital(trial_secret(options.seed, number), *own) for number, own in enumerate(rows)]

    def _simulate(self, shared: SharedModel) -> Simulation[SharedModel]:
        options = self.options
        since_final = takewhile(lambda report: report.outcome != "final", reversed(self.reports))
        settings = SimulationSettings(
            plan=plan_digest(self.plan),
            protect=options.protect,
            sample=options.sample,
            silent=frozenset(options.silent),
            first_round=self.reports[-1].round + 1 if self.reports else 0,
            refused=[report.outcome for report in since_final].count(FOUND_WORSE),
        )
        return Simulation(self._hospitals, shared, encode_model, self._blobs, self._journals, settings)


def refuse_impossible(options: Options) -> None:
    """Refuse options that no federation can meet.

    Raises:
        FederationError: says which, and what to choose instead.
    """
    if options.protect == "outsourced":
        raise FederationError(
            "Rows are encrypted for the nodes of others (protect = outsourced), which a simulation has not: use nodes, "
            "or --protect aggregate."
        )
    widths = (*UPDATE_BITS, PLAIN_BITS) if options.protect == "none" else UPDATE_BITS
    if options.bits not in widths:
        raise FederationError(
            f"Updates of {options.bits} bits are not offered with protect = {options.protect}: choose one of "
            f"{', '.join(map(str, widths))}."
        )
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
    if options.protect == "aggregate":
        try:
            sum_set(options.bits, options.sites)
        except UnsafeParameters as error:
            raise FederationError(f"{options.sites} hospitals cannot sum under encryption: {error}.") from None
    terms = Terms("", member_names(options.sites))
    if options.sample * options.sites < terms.least_cohort:
        raise FederationError(
            f"Of {options.sites} hospitals at least {terms.least_cohort} must contribute to a sum, and a share of "
            f"{options.sample} invites fewer: use at least --sample {share_for(terms)}."
        )


def share_for(terms: Terms) -> float:
    """Return the least share of members, in hundredths, that invites enough of them for a sum."""
    return math.ceil(100 * terms.least_cohort / len(terms.members)) / 100
