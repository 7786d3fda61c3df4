"""A federation of simulated hospitals: Sentinel or any network, under encrypted sums or in the open."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medward.agents.networks.interface import Network
from medward.agents.sentinel.model import Provenance
from medward.agents.sentinel.recipe import Recipe, recipe_of
from medward.api.data import Data, as_split
from medward.api.model import Model, TrainedSentinel
from medward.api.network import TrainedNetwork
from medward.api.training import chosen_rows
from medward.errors import BadUsage
from medward.federation.blobs import RoundBlobs
from medward.federation.model.hospital import Hospital, TrainingRows, training_rows, trial_secret
from medward.federation.model.plan import TrainingPlan, plan_digest, training_plan
from medward.federation.model.shared_model import SharedModel
from medward.federation.model.shared_model_format import encode_model
from medward.federation.model.survey import first_model
from medward.federation.networks.hospital import NetworkHospital
from medward.federation.networks.shared import NetworkPlan, SharedNetwork, first_network
from medward.federation.simulation.combining import Combine, Mean, OpenRounds, Tamper, Tampered
from medward.federation.simulation.dealing import deal, rows_of_hospitals
from medward.federation.simulation.interface import Contributor, Shared
from medward.federation.simulation.machines import (
    Protect,
    RoundReport,
    Simulation,
    SimulationSettings,
    member_names,
)
from medward.federation.simulation.training import Options, refuse_impossible
from medward.flows.partition import PARTITIONS, Partition
from medward.flows.prepared import PreparedData
from medward.store.local import in_memory


@dataclass(frozen=True)
class Sentinel:
    """The project's own detector, as something to federate.

    Args:
        recipe: how it is trained; without one, as is best for the data set.
        features: how many random features a model in closed form has, made in one round of one sum; 0 trains in rounds.
    """

    recipe: Recipe | None = None
    features: int = 0


#: Is told of each round when it is over.
OnRound: TypeAlias = Callable[[RoundReport], None]
#: The numbers of each hospital's rows.
Shares: TypeAlias = list[NDArray[np.intp]]


@dataclass(frozen=True, repr=False)
class Federation:
    """What a federation led to.

    Args:
        model: the trained model.
        rounds: every round, surveys included: its cohort, bytes, seconds, outcome, and from the first training round
            on the model's measures on validation rows.
        shares: by hospital, the numbers of the training rows that it holds.
        split: the table that was dealt to them.
        protect: how updates were protected.
    """

    model: Model
    rounds: tuple[RoundReport, ...]
    shares: dict[str, NDArray[np.intp]]
    split: PreparedData
    protect: Protect

    def __repr__(self) -> str:
        return f"Federation({len(self.shares)} hospitals, {len(self.rounds)} rounds, {self.protect}: {self.model!r})"


def federate(
    data: Data | PreparedData,
    hospitals: int = 4,
    rounds: int = 20,
    protect: Protect = "aggregate",
    model: "Sentinel | Network | None" = None,
    combine: Combine | None = None,
    seed: int = 0,
    progress: OnRound | None = None,
    *,
    partition: Partition = "blocks",
    shares: Sequence[ArrayLike] | None = None,
    bits: int = 16,
    clip: float = 1.0,
    tamper: Tamper | None = None,
) -> Federation:
    """Train one model among hospitals that are simulated in this process.

    Args:
        data: a table, which is then split honestly, or one that was split.
        hospitals: how many there are, at least 3; the training rows are dealt to them.
        rounds: the number of training rounds.
        protect: "aggregate" encrypts every update and decrypts only their sum, as hospitals' nodes do; "none" sums in
            the open.
        model: `Sentinel()`, which is the default, or a network of flat weights: `PlainNetwork()` or your own.
        combine: how updates become one: `Mean()`, which is the default, or in the open any rule, such as `Median()`.
        seed: what split, shares and training are drawn from; never keys.
        progress: is told of each round when it is over.
        partition: how rows are dealt: "blocks", "devices" or "dirichlet" (skewed classes).
        shares: in place of a partition, the numbers of the rows that each hospital trains on, in their order; hospitals
            that have tables of their own. None of them then has rows to vote by.
        bits: the width of a value of an update: 4, 8, 12 or 16, or 32 in the open.
        clip: for a network, the largest change of a weight that one round sends; the rest goes with the next rounds.
        tamper: for trying attacks: is called with a hospital's name and its update, int64[n], and returns what the
            hospital sends instead.

    Raises:
        BadUsage: what was asked for cannot be, such as a rule other than the mean under "aggregate", or a share of no
            rows.
        FederationError: three rounds in a row came to nothing.
        BadSplit: a hospital would get no rows.
    """
    _refuse(protect, partition, combine)
    options = Options(hospitals, rounds, partition, protect=protect, bits=bits, seed=seed)
    refuse_impossible(options)
    split = as_split(data, seed)
    given = None if shares is None else _given_shares(split, shares, hospitals)
    rule = None if combine is None or isinstance(combine, Mean) else combine
    if model is None or isinstance(model, Sentinel):
        wanted = model or Sentinel()
        plan_of_it = training_plan(
            *(split.space, wanted.recipe or recipe_of(split.dataset.name), rounds, seed, bits),
            features=wanted.features,
        )
        return _federate_sentinel(split, given, plan_of_it, options, rule, tamper, progress)
    plan = NetworkPlan(split.space, model, rounds, seed, bits, clip)
    return _federate_network(split, given, plan, options, rule, tamper, progress)


def _refuse(protect: str, partition: str, combine: Combine | None) -> None:
    if protect not in ("aggregate", "none"):
        raise BadUsage(f"protect is aggregate or none, not {protect}.")
    if partition not in PARTITIONS:
        raise BadUsage(f"partition is one of {', '.join(PARTITIONS)}, not {partition}.")
    if protect == "aggregate" and combine is not None and not isinstance(combine, Mean):
        raise BadUsage(
            f"Under protect='aggregate' only the sum of all updates is decrypted, and {type(combine).__name__} needs "
            "each of them: use Mean(), or protect='none' to combine them in the open."
        )


def _federate_sentinel(
    split: PreparedData,
    given: Shares | None,
    plan: TrainingPlan,
    options: Options,
    rule: Combine | None,
    tamper: Tamper | None,
    progress: OnRound | None,
) -> Federation:
    """Federate Sentinel."""
    shares, rows = _deal_rows(split, given, options)
    hospitals = [Hospital(trial_secret(options.seed, number), *own) for number, own in enumerate(rows)]

    def model_of(shared: SharedModel) -> Model | None:
        if shared.round < 1:
            return None
        return TrainedSentinel(shared.guard(_provenance(split, options, shared.round)))

    first: SharedModel = first_model(plan)
    ran = _run(_tamper_with(hospitals, tamper), first, encode_model, plan_digest(plan), options, rule)
    model, reports = _follow(ran, model_of, split, progress)
    return Federation(model, reports, shares, split, options.protect)


def _federate_network(
    split: PreparedData,
    given: Shares | None,
    plan: NetworkPlan,
    options: Options,
    rule: Combine | None,
    tamper: Tamper | None,
    progress: OnRound | None,
) -> Federation:
    """Federate a network of flat weights."""
    shares, rows = _deal_rows(split, given, options)
    hospitals = [NetworkHospital(trial_secret(options.seed, number), *own) for number, own in enumerate(rows)]

    def model_of(shared: SharedNetwork) -> Model | None:
        if shared.round < 1 or shared.weights is None or shared.scaler is None:
            return None
        classes = tuple(split.flows.schema.classes[k] for k in shared.classes)
        provenance = _provenance(split, options, shared.round)
        return TrainedNetwork(plan.network, shared.weights, shared.scaler, plan.space, classes, provenance)

    ran = _run(_tamper_with(hospitals, tamper), first_network(plan), SharedNetwork.to_bytes, plan.digest, options, rule)
    model, reports = _follow(ran, model_of, split, progress)
    return Federation(model, reports, shares, split, options.protect)


def _given_shares(split: PreparedData, shares: Sequence[ArrayLike], hospitals: int) -> Shares:
    """Return the rows that each hospital was given, checked."""
    if len(shares) != hospitals:
        raise BadUsage(f"There are shares for {len(shares)} hospitals of {hospitals}: give each of them one.")
    return [chosen_rows(split, share) for share in shares]


def _deal_rows(
    split: PreparedData, given: Shares | None, options: Options
) -> tuple[dict[str, NDArray[np.intp]], list[tuple[TrainingRows, TrainingRows]]]:
    """Return the hospitals' shares by name, and their training and validation rows."""
    if given is not None:
        own = [training_rows(split.flows, split.x, split.stream, share) for share in given]
        none = training_rows(split.flows, split.x, split.stream, np.zeros(0, np.intp))
        return dict(zip(member_names(options.sites), given, strict=True)), [(rows, none) for rows in own]
    shares = deal(split, split.split.train, options.sites, options.partition, options.seed)
    rows = rows_of_hospitals(split, shares, options.partition, options.seed)
    return dict(zip(member_names(options.sites), shares, strict=True)), rows


def _provenance(split: PreparedData, options: Options, rounds: int) -> Provenance:
    return Provenance(
        how="federated",
        round=rounds - 1,
        sites=options.sites,
        protect=options.protect,
        synthetic=split.flows.schema.synthetic,
        seed=options.seed,
        protocol=split.protocol,
    )


def _tamper_with(hospitals: Sequence[Contributor[Shared]], tamper: Tamper | None) -> Sequence[Contributor[Shared]]:
    """Return the hospitals, with their updates changed on the way where that was asked for."""
    if tamper is None:
        return hospitals
    named = zip(member_names(len(hospitals)), hospitals, strict=True)
    return [Tampered(name, hospital, tamper) for name, hospital in named]


def _run(
    members: Sequence[Contributor[Shared]],
    first: Shared,
    encode: Callable[[Shared], bytes],
    plan: str,
    options: Options,
    rule: Combine | None,
) -> Iterator[tuple[RoundReport, Shared]]:
    """Yield every round with what is shared after it: by sums, or in the open by another rule."""
    if rule is not None:
        rounds = OpenRounds(members, first, rule)
        while rounds.shared.next is not None:
            yield rounds.run_round(), rounds.shared
        return
    settings = SimulationSettings(plan=plan, protect=options.protect)
    with TemporaryDirectory(prefix="medward-") as folder, closing(in_memory()) as store:
        simulation = Simulation(members, first, encode, RoundBlobs(store), Path(folder), settings)
        with closing(simulation):
            while simulation.shared.next is not None:
                yield simulation.run_round(), simulation.shared


def _follow(
    ran: Iterator[tuple[RoundReport, Shared]],
    model_of: Callable[[Shared], Model | None],
    split: PreparedData,
    progress: OnRound | None,
) -> tuple[Model, tuple[RoundReport, ...]]:
    """Run all rounds; measure the model after each, tell of it, and return the last one."""
    model, reports = None, []
    for report, shared in ran:
        if report.task != "survey" and report.outcome == "final" and (model := model_of(shared)) is not None:
            report.validation = _measure(model, split)
        reports.append(report)
        if progress is not None:
            progress(report)
    assert model is not None
    return model, tuple(reports)


def _measure(model: Model, split: PreparedData) -> dict[str, float]:
    """Measure a model on validation rows."""
    judged = model.evaluate(split, "validation")
    return {
        "binary_macro_f1": judged.metrics["binary"]["macro_f1"],
        "multiclass_macro_f1": judged.metrics["multiclass"]["macro_f1"],
        "expected_cost": judged.expected_cost,
        "escalation_rate": judged.escalation_rate,
    }
