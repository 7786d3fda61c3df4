"""The shared state of a network between two rounds: the scaler that surveys fit, and flat weights.

    survey   sum of counts           -> a finer grid; at last the scaler, the classes, and the first weights
    train    sum of updates q        -> weights + step * sum(q) / members

Every hospital counts the same, whatever its rows: nobody can gain weight by claiming more of them.
"""

import hashlib
import json
from dataclasses import dataclass, replace

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray

from medward.agents.networks.interface import FlatWeights, Network
from medward.errors import BadUsage
from medward.federation.errors import FederationError
from medward.federation.records import Dispatch, Next, Task
from medward.federation.sums.interface import IntVector
from medward.fhe.packing import Quantiser
from medward.flows.history import FeatureSpace
from medward.flows.scaling import Scaler, fit_scaler
from medward.flows.sketch import Grid, coarse_grid, refine

#: The coarse survey, and one in the cells that it found occupied.
SURVEYS = 2
CELLS = 256
#: Seeds of first weights are so far apart that no plan's next seed is another's.
_SEEDS_APART = 1_000_003


@dataclass(frozen=True)
class NetworkPlan:
    """What the members agree to do with a network.

    Args:
        space: the features.
        network: what is trained.
        rounds: how many training rounds there are.
        seed: what first weights derive from.
        bits: the width of a value of an update.
        clip: the largest change of a weight that one round sends; a hospital sends the rest with its next updates.
    """

    space: FeatureSpace
    network: Network
    rounds: int
    seed: int
    bits: int = 16
    clip: float = 1.0

    @property
    def digest(self) -> str:
        """A hash of the plan, but for the network's code."""
        columns = [column.name for column in self.space.columns]
        name = type(self.network).__qualname__
        text = json.dumps([columns, self.space.schema.classes, name, self.rounds, self.seed, self.bits, self.clip])
        return hashlib.sha256(text.encode()).hexdigest()

    def quantiser(self) -> Quantiser:
        """Return how values of updates become integers."""
        return Quantiser(self.bits, self.clip)


@dataclass(frozen=True)
class SharedNetwork:
    """The state that the members share between two rounds; a `SharedState`.

    Args:
        plan: what they agreed to do.
        step: how many of its steps, surveys and training rounds, are done.
        grid: the cells that the next survey counts in.
        classes: the numbers of the classes that some member holds, once known.
        scaler: fitted on the last survey.
        weights: the network's, float32[n], once training has begun.
        change: by how much the last round changed them.
        skipped: how many rounds went on without a sum.
    """

    plan: NetworkPlan
    step: int
    grid: Grid
    classes: tuple[int, ...] = ()
    scaler: Scaler | None = None
    weights: FlatWeights | None = None
    change: FlatWeights | None = None
    skipped: int = 0

    @property
    def task(self) -> Task:
        """What the next sum is for."""
        return "survey" if self.step < SURVEYS else "train"

    @property
    def round(self) -> int:
        """The number of the next training round, the first being 0; negative during the surveys."""
        return self.step - SURVEYS

    @property
    def done(self) -> bool:
        """Whether the plan is fulfilled."""
        return self.round >= self.plan.rounds

    @property
    def next(self) -> Next | None:
        """The next sum's size and width, or None once the plan is fulfilled."""
        if self.done:
            return None
        if self.task == "survey":
            held = len(self.plan.space.schema.classes)
            return Next("survey", self.grid.size + held, 0, Dispatch(self.plan.bits))
        assert self.weights is not None
        return Next("train", 0, len(self.weights), Dispatch(self.plan.bits, (0,)))

    def advance(
        self, total: IntVector | None, refused: int = 0, turnout: tuple[int, int] | None = None
    ) -> "SharedNetwork":
        """Return the state after a sum; each refusal of what followed from this one halves the step."""
        if total is None:
            return self._skip()
        if self.task == "survey":
            return self._take_survey(total)
        assert self.weights is not None
        assert turnout is not None
        mean = self.plan.quantiser().dequantise(total, turnout[1])
        # No honest mean lies outside.
        change = (0.5**refused * np.clip(mean, -self.plan.clip, self.plan.clip)).astype(np.float32)
        return replace(self, step=self.step + 1, weights=self.weights + change, change=change)

    def _take_survey(self, total: IntVector) -> "SharedNetwork":
        if (total < 0).any():
            raise FederationError("The sum has negative counts: a hospital did not send what it counted.")
        counts, held = np.split(total, [self.grid.size])
        if self.step + 1 < SURVEYS:
            return replace(self, step=self.step + 1, grid=refine(self.grid, counts, CELLS))
        classes = tuple(int(k) for k in np.flatnonzero(held))
        if 0 not in classes or len(classes) < 2:
            raise FederationError(
                "The hospitals together hold no attack rows or no benign ones: nothing can be learned."
            )
        scaler = fit_scaler(self.plan.space.columns, self.grid, counts, "standard", 1)
        fitted = replace(self, step=SURVEYS, grid=Grid(()), classes=classes, scaler=scaler)
        return replace(fitted, weights=fitted._draw_weights())

    def _skip(self) -> "SharedNetwork":
        """Return other weights to train from: updates of the present ones are not asked for again."""
        after = replace(self, skipped=self.skipped + 1)
        if self.weights is None:
            raise FederationError("Without a survey nothing tells how to scale the rows: bring the hospitals back.")
        if self.change is None:
            return replace(after, weights=after._draw_weights())
        change = self.change / np.float32(2)
        return replace(after, weights=self.weights + change, change=change)

    def _draw_weights(self) -> FlatWeights:
        assert self.scaler is not None
        seed = self.plan.seed + _SEEDS_APART * self.skipped
        return flat(self.plan.network.start(self.scaler.width, len(self.classes), seed), None)

    def inputs(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return rows of the feature matrix as the network takes them."""
        assert self.scaler is not None
        return self.scaler.encode(x)

    def scores(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return a score for each row of the feature matrix and each class."""
        assert self.weights is not None
        return scores_of(self.plan.network, self.weights, self.inputs(x), len(self.classes))

    def to_bytes(self) -> bytes:
        """Return the state's one encoding."""
        arrays: dict[str, NDArray[np.generic]] = {
            "grid.cells": np.array([len(edges) for edges in self.grid.edges], np.int64),
            "grid.edges": np.concatenate([np.zeros(0, np.int64), *self.grid.edges]),
            "classes": np.array(self.classes, np.int64),
        }
        if self.scaler is not None:
            fields = {name: value for name, value in vars(self.scaler).items() if name != "kind"}
            arrays |= {f"scaler.{name}": np.ascontiguousarray(value) for name, value in fields.items()}
        arrays |= {name: value for name in ("weights", "change") if (value := getattr(self, name)) is not None}
        head = json.dumps([self.plan.digest, self.step, self.skipped])
        return safetensors.numpy.save(arrays, {"head": head})


def first_network(plan: NetworkPlan) -> SharedNetwork:
    """Return the state before the first survey."""
    return SharedNetwork(plan, 0, coarse_grid(len(plan.space.columns)))


def flat(weights: NDArray[np.float32], like: FlatWeights | None) -> FlatWeights:
    """Return what a user's network gave as weights, once it is known to be such.

    Raises:
        BadUsage: it is no vector of finite numbers, or of another length than before.
    """
    vector = np.asarray(weights, np.float32)
    if vector.ndim != 1 or not len(vector):
        raise BadUsage(f"The network's weights have shape {vector.shape}: they must be one flat vector.")
    if like is not None and len(vector) != len(like):
        raise BadUsage(f"The network was given {len(like)} weights and returned {len(vector)}: return as many.")
    if not np.isfinite(vector).all():
        raise BadUsage("The network's weights are not all finite: train with a smaller learning rate.")
    return vector


def scores_of(network: Network, weights: FlatWeights, inputs: NDArray[np.float32], classes: int) -> NDArray[np.float32]:
    """Return a network's scores, float32[rows, classes].

    Raises:
        BadUsage: they have another shape.
    """
    scores = np.asarray(network.scores(weights, inputs, classes), np.float32)
    if scores.shape != (len(inputs), classes):
        raise BadUsage(
            f"The network's scores have shape {scores.shape}: they must have {(len(inputs), classes)}, "
            "one for each row and class."
        )
    return scores
