"""Timing Sentinel: training updates beside PyTorch and stable-baselines3, and scoring at a gateway.

Everything runs in this process, pinned to one core, in turns: each repeat times every competitor once, so that a
machine that slows down slows all of them. Processor time is counted, so that other work on the machine does not
count. The medians of the repeats are reported.
"""

import importlib.util
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import median
from time import process_time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from medward.agents.sentinel.central import fitted_scaler
from medward.agents.sentinel.export import exported
from medward.agents.sentinel.learner import new_network, start, train
from medward.agents.sentinel.model import Provenance, SentinelModel
from medward.agents.sentinel.network import Layout, layout_of
from medward.agents.sentinel.recipe import RECIPES, Recipe
from medward.agents.sentinel.traffic import TrainingTraffic, traffic_of
from medward.bench.rows import BenchmarkRow
from medward.flows.datasets import DATASETS, ward
from medward.flows.prepared import PreparedData, prepare

ROWS = 20_000
# The ward's own columns without history, about as many as CICIoMT2024's, learned by the recipes of both data sets.
TIMED_RECIPES = ("ward", "ciciomt2024")


def measure(updates: int, repeats: int) -> list[BenchmarkRow]:
    """Return the rows of the benchmark; competitors that are not installed are left out.

    Args:
        updates: of each learner in a turn, at least 1.
        repeats: turns, at least 1.
    """
    with _one_core():
        prepared = _prepared()
        rows = []
        for name in TIMED_RECIPES:
            recipe = RECIPES[name].change(dropout=0.0, history_dropout=0.0)
            rows += _training_rows(name, recipe, prepared, updates, repeats)
        model, _, _ = _sentinel(prepared, RECIPES["ciciomt2024"])
        return rows + _scoring_rows(model, prepared.x, repeats)


@contextmanager
def _one_core() -> Iterator[None]:
    """Keep this process on one core inside the block."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


def _training_rows(name: str, recipe: Recipe, prepared: PreparedData, updates: int, repeats: int) -> list[BenchmarkRow]:
    model, layout, traffic = _sentinel(prepared, recipe)
    learners: dict[str, Callable[[], None]] = {"medward": _medward_learner(model, layout, traffic, updates)}
    if importlib.util.find_spec("torch"):
        learners |= _torch_learners(layout, traffic, recipe, updates)
    rates = _rates(learners, updates, repeats)
    what = f"training updates, recipe of {name} (batch {recipe.learning.batch})"
    ours = rates.pop("medward")
    if not rates:
        return [BenchmarkRow(what, ours, None, None, None, "updates/s")]
    return [BenchmarkRow(what, ours, rate, other, ours / rate, "updates/s") for other, rate in rates.items()]


def _prepared() -> PreparedData:
    """The ward without history, whose columns are as many as CICIoMT2024's."""
    dataset = DATASETS["ward"]
    return prepare(dataset, ward.generate(ROWS, 0), "honest", 0)


def _sentinel(prepared: PreparedData, recipe: Recipe) -> tuple[SentinelModel, Layout, TrainingTraffic]:
    own = len(prepared.space.schema.columns)
    space = type(prepared.space)(prepared.space.schema, history=False)
    x = np.ascontiguousarray(prepared.x[:, :own])
    scaler = fitted_scaler(space, x[prepared.split.train], recipe)
    layout = layout_of(space, scaler)
    classes = prepared.flows.schema.classes
    network = new_network(layout, len(classes), recipe, 0)
    model = SentinelModel(
        space, classes, scaler, exported(network), recipe, Provenance("central", None, 1, "none", True, 0)
    )
    rows = prepared.split.train
    order = prepared.flows.order
    assert order is not None
    traffic = traffic_of(
        *(
            x[rows],
            prepared.flows.y[rows],
            prepared.stream[rows],
            order[rows],
            scaler,
            len(classes),
            recipe.target_costs,
        )
    )
    return model, layout, traffic


def _medward_learner(
    model: SentinelModel, layout: Layout, traffic: TrainingTraffic, updates: int
) -> Callable[[], None]:
    recipe = model.recipe
    begun = start(new_network(layout, len(model.classes), recipe, 0), recipe)
    rates = jnp.full(updates, 1e-3, jnp.float32)

    def run() -> None:
        _, losses = train(begun, layout, traffic, recipe, rates, jax.random.key(0))
        losses.block_until_ready()

    return run


def _torch_learners(
    layout: Layout, traffic: TrainingTraffic, recipe: Recipe, updates: int
) -> dict[str, Callable[[], None]]:
    import torch

    from medward.bench.agents.torch_sentinel import TorchSentinel

    torch.set_num_threads(1)
    # The columns that PyTorch's version takes: numbers, their presence, indicators.
    width = 2 * layout.numbers + layout.indicators
    environment, learning = traffic.environment, recipe.learning
    shape: dict[str, Any] = {
        **{name: np.asarray(getattr(layout, name)) for name in ("low", "inverse", "number_cheap", "indicator_cheap")},
        "embedding": recipe.network.embedding,
        "hidden": recipe.network.hidden,
    }
    settings = {
        "batch": learning.batch,
        "discount": learning.discount,
        "value_weight": learning.value_weight,
        "average": learning.average,
        "weight_decay": learning.weight_decay,
        "learning_rate": 1e-3,
        "escalation": recipe.target_costs.escalation,
        "muon": learning.optimiser == "muon",
    }
    eager = TorchSentinel(
        np.asarray(traffic.encoded)[:, :width],
        np.asarray(environment.label),
        np.asarray(environment.following),
        np.asarray(environment.cost),
        shape,
        settings,
    )

    def run() -> None:
        for _ in range(updates):
            eager.update()

    learners = {f"PyTorch {torch.__version__}, eager": run}
    if importlib.util.find_spec("stable_baselines3"):
        from medward.bench.agents.torch_sentinel import stable_baselines_learner

        name, learner = stable_baselines_learner(np.asarray(traffic.encoded), environment.escalate + 1, recipe, updates)
        learners[name] = learner
    return learners


def _rates(learners: dict[str, Callable[[], None]], updates: int, repeats: int) -> dict[str, float]:
    seconds: dict[str, list[float]] = {name: [] for name in learners}
    for run in learners.values():
        run()
    for _ in range(repeats):
        for name, run in learners.items():
            seconds[name].append(_timed(run))
    return {name: updates / median(own) for name, own in seconds.items()}


def _scoring_rows(model: SentinelModel, x: NDArray[np.float32], repeats: int) -> list[BenchmarkRow]:
    scorer = model.scorer()
    x = np.ascontiguousarray(x[:, : len(model.space.columns)])
    scorer.score(x)
    singles = [x[i : i + 1] for i in range(2000)]

    def one_by_one() -> None:
        for row in singles:
            scorer.score(row)

    escalated = float(scorer.score(x).escalated.mean())
    single = median(_timed(one_by_one) for _ in range(repeats)) / len(singles)
    batch = len(x) / median(_timed(lambda: scorer.score(x)) for _ in range(repeats))
    both = len(x) / median(_timed(lambda: scorer.q_values(x, bought=True)) for _ in range(repeats))
    return [
        BenchmarkRow("scoring one flow, without JAX", single * 1e6, None, None, None, "microseconds"),
        BenchmarkRow(f"scoring in batches ({escalated:.0%} escalate)", batch, None, None, None, "flows/s"),
        BenchmarkRow("scoring in batches with all evidence bought", both, None, None, None, "flows/s"),
    ]


def _timed(run: Callable[[], object]) -> float:
    began = process_time()
    run()
    return process_time() - began
