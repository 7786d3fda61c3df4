"""The state that all hospitals advance in step: the plan, the fitted scaler, and the model between two rounds.

A shared model is a value: `advance` makes the next one from a decrypted sum, by integer arithmetic and numpy alone, so
that every member gets the same bytes and nobody has to be believed. First come the surveys, whose summed counts fit the
scaler, tell which classes anybody holds, and freeze how many rows there are; then the training rounds. `skip` goes on
without a sum where one would tell too much (spec/round.md, "Many rounds").
"""

import json
from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import msgspec
import numpy as np
import safetensors.numpy
from jax.flatten_util import ravel_pytree
from numpy.typing import NDArray
from safetensors import SafetensorError

from medward.agents.sentinel.export import exported
from medward.agents.sentinel.learner import new_network
from medward.agents.sentinel.model import Provenance, SentinelModel
from medward.agents.sentinel.network import Layout, SentinelNetwork, layout_of
from medward.federation.errors import FederationError
from medward.federation.model.courier import COUNTS, NO_SIGNALS, Signals, blocks_of, spans, update_energy
from medward.federation.model.plan import TrainingPlan, plan_digest
from medward.federation.records import Dispatch, Next, Task
from medward.federation.sums.interface import IntVector
from medward.fhe.quantise import Quantiser
from medward.flows.scaling import Scaler, fit_scaler
from medward.flows.sketch import Grid, coarse_grid, refine

#: A mean update counts up to so many times the range of a single one.
LARGEST_MEAN = 2.0

#: Seeds of first weights are so far apart that no plan's next seed is another's.
_SEEDS_APART = 1_000_003

#: The templates of networks, by the layout's shapes, the number of classes and the recipe; a process has one or few.
_TEMPLATES: dict[tuple[object, ...], tuple[list[jax.ShapeDtypeStruct], jax.tree_util.PyTreeDef]] = {}

#: A survey counts the hospitals by size: cell k holds those with 2^(k-1) < rows <= 2^k.
SIZES = 33

#: No shared model is longer; those of the data sets that are known have 0.3 to 2.4 million bytes.
MOST_BYTES = 2**24
_MOST_HEADER = 2**16
#: The arrays of a shared model: type and number of dimensions.
_ARRAYS = {
    "grid.cells": (np.int64, 1),
    "grid.edges": (np.int64, 1),
    "classes": (np.int64, 1),
    "scaler.numbers": (np.int64, 1),
    "scaler.indicators": (np.int64, 1),
    "scaler.flags": (np.int64, 1),
    "scaler.knots": (np.float32, 2),
    "scaler.knot_count": (np.int64, 1),
    "scaler.mean": (np.float32, 1),
    "scaler.scale": (np.float32, 1),
    "scaler.bins": (np.float32, 2),
    "scaler.bin_count": (np.int64, 1),
    "weights": (np.float32, 1),
    "momentum": (np.float32, 1),
    "tail": (np.float64, 1),
}


@dataclass(frozen=True)
class SharedModel:
    """The state that the members share between two rounds.

    Args:
        plan: what they agreed to do.
        step: how many of the plan's steps are done.
        grid: the cells that the next survey counts in; empty once the surveys are over.
        classes: the numbers of the classes that some member holds, once known.
        most_rows: no member has more rows, once known; the weight of so many rows is 1.
        rows: how many training rows the surveyed members have together.
        windows: how many validation rows, where Courier wants to know.
        surveyed: how many members were surveyed.
        scaler: fitted on the last survey; the one to train with, once the surveys are over.
        weights: the network's weights as one vector.
        momentum: the running mean of the rounds' updates.
        tail: the sum of the last rounds' weights.
        averaged: how many rounds that sum holds.
        sent: for each block of weights the training round up to which it holds the members' training.
        signals: what the training sums have told Courier.
        skipped: how many rounds went on without a sum.
    """

    plan: TrainingPlan
    step: int
    grid: Grid
    classes: tuple[int, ...] = ()
    most_rows: int = 0
    rows: int = 0
    windows: int = 0
    surveyed: int = 0
    scaler: Scaler | None = None
    weights: NDArray[np.float32] | None = None
    momentum: NDArray[np.float32] | None = None
    tail: NDArray[np.float64] | None = None
    averaged: int = 0
    sent: tuple[int, ...] = ()
    signals: Signals = NO_SIGNALS
    skipped: int = 0

    @property
    def task(self) -> Task:
        """What the next sum is for."""
        return "survey" if self.step < self.plan.recipe.scaling.surveys else "train"

    @property
    def round(self) -> int:
        """The number of the next training round, the first being 0; negative during the surveys."""
        return self.step - self.plan.recipe.scaling.surveys

    @property
    def done(self) -> bool:
        """Whether the plan is fulfilled, or Courier wants no more sums."""
        return self.dispatch is None

    @property
    def dispatch(self) -> Dispatch | None:
        """How the next sum is sent, or None if there is none."""
        plan = self.plan
        if self.task == "survey":
            return Dispatch(plan.bits)
        if self.weights is None or self.step >= plan.steps:
            return None
        if plan.courier is None:
            return Dispatch(plan.bits, tuple(range(len(self.sent))))
        return plan.courier.decide(self.signals, self.round, plan.rounds, self.sent, len(self.weights))

    @property
    def next(self) -> Next | None:
        """What the next sum is for, or None once the plan is fulfilled."""
        dispatch = self.dispatch
        return None if dispatch is None else Next(self.task, self.counts, self.values, dispatch)

    @property
    def counts(self) -> int:
        """How many counts the next sum has: what a survey counts, or, while training, what Courier wants to know."""
        watched = self.plan.courier is not None
        if self.task == "survey":
            return self.grid.size + len(self.plan.space.schema.classes) + SIZES + watched
        return COUNTS if watched else 0

    @property
    def values(self) -> int:
        """How many values the next sum has: the weights that are sent."""
        return int(np.count_nonzero(self.picked()))

    def picked(self) -> NDArray[np.bool_]:
        """Return which weights the next sum has, bool[weights]."""
        dispatch = self.dispatch
        picked = np.zeros(0 if self.weights is None else len(self.weights), bool)
        for start, stop in spans(() if dispatch is None else dispatch.blocks, len(picked)):
            picked[start:stop] = True
        return picked

    def waiting(self) -> NDArray[np.bool_]:
        """Return which weights lack training that members have done and not sent, bool[weights]."""
        assert self.weights is not None
        late = [block for block, sent in enumerate(self.sent) if sent < self.round]
        waiting = np.zeros(len(self.weights), bool)
        for start, stop in spans(late, len(waiting)):
            waiting[start:stop] = True
        return waiting

    def quantiser(self) -> Quantiser:
        """Return how values of the next sum's updates become integers."""
        dispatch = self.dispatch
        assert dispatch is not None
        first = min(self.sent[block] for block in dispatch.blocks)
        return self.plan.quantiser(dispatch.bits, first, self.round + dispatch.periods - 1)

    def advance(
        self, total: IntVector | None, refused: int = 0, turnout: tuple[int, int] | None = None
    ) -> "SharedModel":
        """Return the shared model after the next task's sum was decrypted.

        Args:
            total: int64[counts + values]; None where the round summed nothing (`skip`).
            refused: how many next models of this step the members have refused. Each halves the step: where the whole
                one leads to a worse model, a shorter one along nearly the same way may not.
            turnout: how many members were invited, and how many contributed; by default those that were surveyed.

        Raises:
            FederationError: nothing can be learned from this sum; no range is proved of what a liar contributes.
        """
        if total is None:
            return self.skip()
        if (total[: self.counts] < 0).any():
            raise FederationError("The sum has negative counts: a hospital did not send what it counted.")
        if self.task == "survey":
            return self._survey(total)
        return self._train(total, refused, turnout or (self.surveyed, self.surveyed))

    def skip(self) -> "SharedModel":
        """Return the shared model that follows without a sum: other weights, or training on what was surveyed.

        Where nothing was surveyed, the scaler follows from the public grid, every class counts as held, and every
        hospital as one row, so that means are taken over hospitals.
        """
        after = replace(self, skipped=self.skipped + 1)
        if self.task == "survey":
            return (after if self.scaler is not None else after._unsurveyed())._begin_training()
        assert self.weights is not None
        assert self.momentum is not None
        if not self.momentum.any():
            return replace(after, weights=after._first_weights())
        momentum = np.float32(self.plan.recipe.federation.server_momentum) * self.momentum
        return replace(after, momentum=momentum, weights=self.weights + np.float32(self._rate()) * momentum)

    def _unsurveyed(self) -> "SharedModel":
        recipe, space = self.plan.recipe, self.plan.space
        evenly = np.ones(self.grid.size, np.int64)
        return replace(
            self,
            classes=tuple(range(len(space.schema.classes))),
            most_rows=1,
            rows=1,
            windows=1,
            surveyed=1,
            scaler=fit_scaler(space.columns, self.grid, evenly, recipe.scaling.scaler, recipe.scaling.bins),
        )

    def _survey(self, total: IntVector) -> "SharedModel":
        recipe, space = self.plan.recipe, self.plan.space
        parts = np.cumsum([self.grid.size, len(space.schema.classes), SIZES])
        counts, held, sizes, windows = np.split(total, parts)
        classes = tuple(int(k) for k in np.flatnonzero(held))
        counted = replace(
            self,
            classes=classes,
            most_rows=1 << int(np.flatnonzero(sizes).max(initial=0)),
            rows=int(held.sum()),
            windows=int(windows.sum()),
            surveyed=int(sizes.sum()),
            scaler=fit_scaler(space.columns, self.grid, counts, recipe.scaling.scaler, recipe.scaling.bins),
        )
        if self.step + 1 < recipe.scaling.surveys:
            return replace(counted, step=self.step + 1, grid=refine(self.grid, counts, recipe.scaling.cells))
        return counted._begin_training()

    def _begin_training(self) -> "SharedModel":
        """Draw the first weights."""
        if 0 not in self.classes or len(self.classes) < 2:
            raise FederationError(
                "The hospitals together hold no attack rows or no benign ones: nothing can be learned."
            )
        fitted = replace(self, step=self.plan.recipe.scaling.surveys, grid=Grid(()))
        weights = fitted._first_weights()
        return replace(
            fitted,
            weights=weights,
            momentum=np.zeros_like(weights),
            tail=np.zeros(len(weights)),
            sent=(0,) * blocks_of(len(weights)),
        )

    def _first_weights(self) -> NDArray[np.float32]:
        """Draw the weights that training begins with; others after a round that was skipped."""
        seed = self.plan.seed + _SEEDS_APART * self.skipped
        network = new_network(self.layout(), len(self.classes), self.plan.recipe, seed)
        return np.asarray(ravel_pytree(network)[0], np.float32)

    def _rate(self, refused: int = 0) -> float:
        return self.plan.recipe.federation.server_rate * 0.5**refused

    def _train(self, total: IntVector, refused: int, turnout: tuple[int, int]) -> "SharedModel":
        assert self.weights is not None
        assert self.momentum is not None
        assert self.tail is not None
        recipe, plan, dispatch = self.plan.recipe, self.plan, self.dispatch
        assert dispatch is not None
        if self.rows < 1:
            raise FederationError("The hospitals have no training rows together: nothing can be learned.")
        quantiser, picked = self.quantiser(), self.picked()
        # The rows of all who were invited; who is absent counts as no change.
        rows = self.rows * turnout[0] / self.surveyed
        # No honest mean reaches this bound.
        most = LARGEST_MEAN * quantiser.clip
        values = quantiser.dequantise(total[self.counts :], rows / self.most_rows)
        mean = np.clip(values, -most, most).astype(np.float32)
        until = self.round + dispatch.periods
        keep = self._kept(until)[picked]
        momentum, weights = self.momentum.copy(), self.weights.copy()
        momentum[picked] = keep * momentum[picked] + (1 - keep) * mean
        weights[picked] += np.float32(self._rate(refused)) * momentum[picked]
        counted = until > plan.rounds - max(1, round(recipe.federation.averaged_share * plan.rounds))
        return replace(
            self,
            step=self.step + dispatch.periods,
            weights=weights,
            momentum=momentum,
            tail=self.tail + weights if counted else self.tail,
            averaged=self.averaged + counted,
            sent=tuple(until if block in dispatch.blocks else sent for block, sent in enumerate(self.sent)),
            signals=self._told(total, mean, dispatch, turnout[1]),
        )

    def _kept(self, until: int) -> NDArray[np.float32]:
        """Return what each weight's momentum keeps: one factor for each round since its block was last sent."""
        assert self.weights is not None
        kept = np.empty(len(self.weights), np.float32)
        for (start, stop), sent in zip(spans(range(len(self.sent)), len(kept)), self.sent, strict=True):
            factor = np.float32(1)
            for _ in range(until - sent):
                factor *= np.float32(self.plan.recipe.federation.server_momentum)
            kept[start:stop] = factor
        return kept

    def _told(self, total: IntVector, mean: NDArray[np.float32], dispatch: Dispatch, contributed: int) -> Signals:
        """Return what Courier knows after a sum."""
        courier = self.plan.courier
        if courier is None:
            return self.signals
        assert self.weights is not None
        energy = update_energy(mean, self.plan.clip(0) * dispatch.periods)
        windows = self.windows * contributed // self.surveyed
        cost = courier.cost(dispatch, len(self.weights))
        return self.signals.after(cost, dispatch.periods, energy, windows, int(total[0]))

    def layout(self) -> Layout:
        """Return how encoded rows are laid out, once the scaler is fitted."""
        assert self.scaler is not None
        return layout_of(self.plan.space, self.scaler)

    def network(self, weights: NDArray[np.float32] | None = None) -> SentinelNetwork:
        """Return the network with the shared weights, or with others of the same length."""
        vector = self.weights if weights is None else weights
        assert vector is not None
        leaves, tree = self._template()
        bounds = np.cumsum([leaf.size for leaf in leaves])[:-1]
        parts = [
            jnp.asarray(part).reshape(leaf.shape) for part, leaf in zip(np.split(vector, bounds), leaves, strict=True)
        ]
        network: SentinelNetwork = jax.tree.unflatten(tree, parts)
        return network

    def _template(self) -> tuple[list[jax.ShapeDtypeStruct], jax.tree_util.PyTreeDef]:
        """Return the shapes of the network's arrays and how they hang together; tracing them is slow."""
        layout = self.layout()
        shapes = tuple(leaf.shape for leaf in jax.tree.leaves(layout))
        key = (shapes, len(self.classes), self.plan.recipe)
        if key not in _TEMPLATES:
            template = jax.eval_shape(lambda: new_network(layout, len(self.classes), self.plan.recipe, self.plan.seed))
            _TEMPLATES[key] = jax.tree.flatten(template)
        return _TEMPLATES[key]

    def guard(self, provenance: Provenance, *, averaged: bool = True, biased: bool = True) -> SentinelModel:
        """Return the model to put on guard: the average of the last rounds' weights, where there is one yet.

        Args:
            provenance: where it comes from.
            averaged: whether that average is wanted; otherwise the weights as they are now.
            biased: whether the recipe's alert bias is applied. Training is judged without it: the bias is for attacks
                that no validation rows hold, and on those rows it only costs, the more the younger the model is.
        """
        assert self.scaler is not None
        assert self.tail is not None
        weights = (self.tail / self.averaged).astype(np.float32) if averaged and self.averaged else self.weights
        recipe = self.plan.recipe
        bias = recipe.deployment.bias_of_federated if biased else 0.0
        return SentinelModel(
            space=self.plan.space,
            classes=tuple(self.plan.space.schema.classes[k] for k in self.classes),
            scaler=self.scaler,
            weights=exported(self.network(weights), bias),
            recipe=recipe,
            provenance=provenance,
        )

    def to_bytes(self) -> bytes:
        """Return the shared model's one encoding; equal models have equal bytes."""
        arrays: dict[str, NDArray[np.generic]] = {
            "grid.cells": np.array([len(edges) for edges in self.grid.edges], np.int64),
            "grid.edges": np.concatenate([np.zeros(0, np.int64), *self.grid.edges]),
            "classes": np.array(self.classes, np.int64),
        }
        if self.scaler is not None:
            fields = {name: value for name, value in self.scaler.__dict__.items() if name != "kind"}
            arrays |= {f"scaler.{name}": value for name, value in fields.items()}
        # Until the last rounds are averaged the tail is nothing but zeros.
        names = ("weights", "momentum", "tail") if self.averaged else ("weights", "momentum")
        arrays |= {name: value for name in names if (value := getattr(self, name)) is not None}
        head = json.dumps(
            {
                "plan": plan_digest(self.plan),
                "step": self.step,
                "averaged": self.averaged,
                "most_rows": self.most_rows,
                "rows": self.rows,
                "windows": self.windows,
                "surveyed": self.surveyed,
                "skipped": self.skipped,
                "sent": self.sent,
                "signals": self.signals.fields(),
            },
            sort_keys=True,
        )
        # One key only: safetensors writes several in no fixed order.
        content = safetensors.numpy.save(
            {name: np.ascontiguousarray(value) for name, value in arrays.items()}, {"head": head}
        )
        if len(content) > MOST_BYTES:
            raise FederationError(f"A shared model of {len(content)} bytes is too long; at most {MOST_BYTES} are read.")
        return content


def first_model(plan: TrainingPlan) -> SharedModel:
    """Return the shared model before the first sum."""
    return SharedModel(plan, 0, coarse_grid(len(plan.space.columns)))


def from_bytes(plan: TrainingPlan, content: bytes) -> SharedModel:
    """Read what `to_bytes` wrote.

    Raises:
        FederationError: the bytes are damaged or belong to another plan.
    """
    if len(content) > MOST_BYTES:
        raise FederationError(f"A shared model has at most {MOST_BYTES} bytes, and this one {len(content)}.")
    try:
        size = int.from_bytes(content[:8], "little")
        if size > _MOST_HEADER:
            raise ValueError(f"its header says that it has {size} bytes")
        head = msgspec.json.decode(msgspec.json.decode(content[8 : 8 + size], type=_Header).metadata.head, type=_Head)
        arrays = safetensors.numpy.load(content)
        for name, array in arrays.items():
            _check_array(name, array)
        scaler = {name.removeprefix("scaler."): array for name, array in arrays.items() if name.startswith("scaler.")}
        grid = _grid(arrays["grid.cells"], arrays["grid.edges"])
        classes = tuple(int(k) for k in arrays["classes"])
        fitted = Scaler(kind=plan.recipe.scaling.scaler, **scaler) if scaler else None
    except (ValueError, KeyError, TypeError, RecursionError, SafetensorError, msgspec.MsgspecError) as error:
        raise FederationError(f"The shared model is damaged ({error}): start the federation again.") from None
    if head.plan != plan_digest(plan):
        raise FederationError("The shared model was made under another plan: use the same data, options and seed.")
    weights = arrays.get("weights")
    tail = arrays.get("tail")
    if tail is None and weights is not None:
        tail = np.zeros(len(weights))
    return SharedModel(
        plan=plan,
        step=head.step,
        grid=grid,
        classes=classes,
        most_rows=head.most_rows,
        rows=head.rows,
        windows=head.windows,
        surveyed=head.surveyed,
        scaler=fitted,
        weights=weights,
        momentum=arrays.get("momentum"),
        tail=tail,
        averaged=head.averaged,
        sent=head.sent,
        signals=head.signals,
        skipped=head.skipped,
    )


class _Head(msgspec.Struct, forbid_unknown_fields=True):
    """What stands beside a shared model's arrays."""

    plan: str
    step: int
    averaged: int
    most_rows: int
    rows: int
    windows: int
    surveyed: int
    skipped: int
    sent: tuple[int, ...]
    signals: Signals


class _Metadata(msgspec.Struct):
    head: str


class _Header(msgspec.Struct):
    """The part of a safetensors header that is read here; the library reads the rest."""

    metadata: _Metadata = msgspec.field(name="__metadata__")


def _check_array(name: str, array: NDArray[np.generic]) -> None:
    """Raise ValueError for an array of another kind than `to_bytes` writes under this name."""
    if name not in _ARRAYS or array.dtype != _ARRAYS[name][0] or array.ndim != _ARRAYS[name][1]:
        raise ValueError(f"it holds an array {name!r} of {array.ndim} dimensions and type {array.dtype}")


def _grid(cells: NDArray[np.int64], edges: NDArray[np.int64]) -> Grid:
    return Grid(tuple(np.split(edges, np.cumsum(cells)[:-1])) if len(cells) else ())
