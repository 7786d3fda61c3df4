"""What all hospitals know and advance in step: the plan, the fitted scaler, and the model between two rounds.

A shared model is a value: `advance` makes the next one from an opened sum, by integer arithmetic and numpy alone, so
that every member gets the same bytes and nobody has to be believed. First come the surveys, whose summed counts fit the
scaler and tell which classes anybody holds; then the training rounds.
"""

import hashlib
import json
import math
from dataclasses import asdict, dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays

from medward.agents.export import exported
from medward.agents.learner import new_network
from medward.agents.model import Provenance, SentinelModel
from medward.agents.network import Layout, SentinelNetwork, layout_of
from medward.agents.recipe import Recipe
from medward.federation.interfaces import FederationError, IntVector
from medward.federation.records import Next, Task
from medward.fhe.quantise import Quantiser
from medward.flows.history import FeatureSpace
from medward.flows.scaling import Scaler, fit_scaler
from medward.flows.sketch import Grid, coarse_grid, refine

# The rounds at the end whose models are averaged into the final one.
AVERAGED_SHARE = 0.2

#: A survey counts the hospitals by size: cell k holds those with 2^(k-1) < rows <= 2^k.
SIZES = 33


@dataclass(frozen=True)
class Plan:
    """What the members agreed to do, before the first round.

    Args:
        space: the features.
        recipe: how to train.
        rounds: how many training rounds.
        seed: what the initial weights derive from.
        bits: the width of a value of an update, as `Quantiser` takes it.
    """

    space: FeatureSpace
    recipe: Recipe
    rounds: int
    seed: int
    bits: int = 16

    @property
    def steps(self) -> int:
        """How many sums there are: surveys, then training rounds."""
        return self.recipe.surveys + self.rounds

    def learning_rate(self, number: int) -> float:
        """Return the local learning rate of a training round, the first being 0: a cosine over the rounds."""
        return self.recipe.learning_rate * (0.49 * (1 + math.cos(math.pi * number / self.rounds)) + 0.02)

    def clip(self, number: int) -> float:
        """Return the range that updates of a training round are clipped to.

        Adam moves a weight by hardly more than the learning rate in a step, so the steps of a round bound the update.
        """
        return self.learning_rate(number) * self.recipe.local_steps

    def quantiser(self, number: int) -> Quantiser:
        """Return how values of a training round's updates become integers."""
        return Quantiser(self.bits, self.clip(number))


@dataclass(frozen=True)
class SharedModel:
    """The state that the members share between two rounds.

    Args:
        plan: what they agreed to do.
        step: how many sums were opened.
        grid: the cells that the next survey counts in; empty once the surveys are over.
        classes: the numbers of the classes that some member holds, once known.
        most_rows: no member has more rows, once known; the weight of so many rows is 1.
        scaler: the fitted scaler, once the surveys are over.
        weights: the network's weights as one vector.
        momentum: the running mean of the rounds' updates.
        tail: the sum of the last rounds' weights.
        averaged: how many rounds that sum holds.
    """

    plan: Plan
    step: int
    grid: Grid
    classes: tuple[int, ...] = ()
    most_rows: int = 0
    scaler: Scaler | None = None
    weights: NDArray[np.float32] | None = None
    momentum: NDArray[np.float32] | None = None
    tail: NDArray[np.float64] | None = None
    averaged: int = 0

    @property
    def task(self) -> Task:
        """What the next sum is for."""
        return "survey" if self.step < self.plan.recipe.surveys else "train"

    @property
    def round(self) -> int:
        """The number of the next training round, the first being 0; negative during the surveys."""
        return self.step - self.plan.recipe.surveys

    @property
    def done(self) -> bool:
        """Whether the plan is fulfilled."""
        return self.step >= self.plan.steps

    @property
    def next(self) -> Next | None:
        """What the next sum is for, or None once the plan is fulfilled."""
        return None if self.done else Next(self.task, self.counts, self.values)

    @property
    def counts(self) -> int:
        """How many counts the next sum has: a survey's cells, or the training rows."""
        if self.task == "survey":
            return self.grid.size + len(self.plan.space.schema.classes) + SIZES
        return 1

    @property
    def values(self) -> int:
        """How many values the next sum has."""
        return 0 if self.task == "survey" or self.weights is None else len(self.weights)

    def advance(self, total: IntVector) -> "SharedModel":
        """Return the shared model after the next task's sum was opened.

        Args:
            total: int64[counts + values].
        """
        return self._surveyed(total) if self.task == "survey" else self._trained(total)

    def _surveyed(self, total: IntVector) -> "SharedModel":
        recipe, space = self.plan.recipe, self.plan.space
        counts, held, sizes = np.split(total, [self.grid.size, self.grid.size + len(space.schema.classes)])
        classes = tuple(int(k) for k in np.flatnonzero(held))
        most_rows = 1 << int(np.flatnonzero(sizes).max(initial=0))
        if self.step + 1 < recipe.surveys:
            grid = refine(self.grid, counts, recipe.cells)
            return replace(self, step=self.step + 1, grid=grid, classes=classes, most_rows=most_rows)
        if 0 not in classes or len(classes) < 2:
            raise FederationError(
                "The hospitals together hold no attack rows or no benign ones: nothing can be learned."
            )
        scaler = fit_scaler(space.columns, self.grid, counts, recipe.scaler, recipe.bins)
        network = new_network(layout_of(space, scaler), len(classes), recipe, self.plan.seed)
        weights = np.asarray(ravel_pytree(network)[0], np.float32)
        zeros = np.zeros_like(weights)
        return replace(
            self,
            step=self.step + 1,
            grid=Grid(()),
            classes=classes,
            most_rows=most_rows,
            scaler=scaler,
            weights=weights,
            momentum=zeros,
            tail=np.zeros(len(weights)),
        )

    def _trained(self, total: IntVector) -> "SharedModel":
        assert self.weights is not None
        assert self.momentum is not None
        assert self.tail is not None
        recipe, plan = self.plan.recipe, self.plan
        rows, values = int(total[0]), total[1:]
        mean = plan.quantiser(self.round).dequantise(values, rows / self.most_rows).astype(np.float32)
        keep = np.float32(recipe.server_momentum)
        momentum = np.asarray(keep * self.momentum + (1 - keep) * mean, np.float32)
        weights = np.asarray(self.weights + np.float32(recipe.server_rate) * momentum, np.float32)
        counted = self.round >= plan.rounds - max(1, round(AVERAGED_SHARE * plan.rounds))
        return replace(
            self,
            step=self.step + 1,
            weights=weights,
            momentum=momentum,
            tail=self.tail + weights if counted else self.tail,
            averaged=self.averaged + counted,
        )

    def layout(self) -> Layout:
        """Return how encoded rows are laid out, once the scaler is fitted."""
        assert self.scaler is not None
        return layout_of(self.plan.space, self.scaler)

    def network(self, weights: NDArray[np.float32] | None = None) -> SentinelNetwork:
        """Return the network with the shared weights, or with others of the same length."""
        vector = self.weights if weights is None else weights
        assert vector is not None
        template = jax.eval_shape(
            lambda: new_network(self.layout(), len(self.classes), self.plan.recipe, self.plan.seed)
        )
        leaves, tree = jax.tree.flatten(template)
        bounds = np.cumsum([leaf.size for leaf in leaves])[:-1]
        parts = [
            jnp.asarray(part).reshape(leaf.shape) for part, leaf in zip(np.split(vector, bounds), leaves, strict=True)
        ]
        network: SentinelNetwork = jax.tree.unflatten(tree, parts)
        return network

    def guard(self, provenance: Provenance, *, averaged: bool = True) -> SentinelModel:
        """Return the model to put on guard: the average of the last rounds' weights, where there is one yet.

        Args:
            provenance: where it comes from.
            averaged: whether that average is wanted; otherwise the weights as they are now.
        """
        assert self.scaler is not None
        assert self.tail is not None
        weights = (self.tail / self.averaged).astype(np.float32) if averaged and self.averaged else self.weights
        return SentinelModel(
            space=self.plan.space,
            classes=tuple(self.plan.space.schema.classes[k] for k in self.classes),
            scaler=self.scaler,
            weights=exported(self.network(weights)),
            recipe=self.plan.recipe,
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
        arrays |= {
            name: value for name in ("weights", "momentum", "tail") if (value := getattr(self, name)) is not None
        }
        head = json.dumps(
            {
                "plan": plan_digest(self.plan),
                "step": self.step,
                "averaged": self.averaged,
                "most_rows": self.most_rows,
            },
            sort_keys=True,
        )
        # One key only: safetensors writes several in no fixed order.
        return save_arrays({name: np.ascontiguousarray(value) for name, value in arrays.items()}, {"head": head})


def first_model(plan: Plan) -> SharedModel:
    """Return the shared model before the first sum."""
    return SharedModel(plan, 0, coarse_grid(len(plan.space.columns)))


def from_bytes(plan: Plan, content: bytes) -> SharedModel:
    """Read what `to_bytes` wrote.

    Raises:
        FederationError: the bytes are damaged or belong to another plan.
    """
    try:
        size = int.from_bytes(content[:8], "little")
        head = json.loads(json.loads(content[8 : 8 + size])["__metadata__"]["head"])
        arrays = load_arrays(content)
    except (ValueError, KeyError, TypeError, SafetensorError) as error:
        raise FederationError(f"The shared model is damaged ({error}): start the federation again.") from None
    if head["plan"] != plan_digest(plan):
        raise FederationError("The shared model was made under another plan: use the same data, options and seed.")
    scaler = None
    if "scaler.numbers" in arrays:
        fields = {name.removeprefix("scaler."): array for name, array in arrays.items() if name.startswith("scaler.")}
        scaler = Scaler(kind=plan.recipe.scaler, **fields)
    cells = arrays["grid.cells"]
    return SharedModel(
        plan=plan,
        step=head["step"],
        grid=Grid(tuple(np.split(arrays["grid.edges"], np.cumsum(cells)[:-1])) if len(cells) else ()),
        classes=tuple(int(k) for k in arrays["classes"]),
        most_rows=head["most_rows"],
        scaler=scaler,
        weights=arrays.get("weights"),
        momentum=arrays.get("momentum"),
        tail=arrays.get("tail"),
        averaged=head["averaged"],
    )


def plan_digest(plan: Plan) -> str:
    """Return a hash of everything in the plan, which two members compare before they start."""
    text = json.dumps(
        [
            [column.name for column in plan.space.columns],
            plan.space.schema.classes,
            asdict(plan.recipe),
            plan.rounds,
            plan.seed,
            plan.bits,
        ]
    )
    return hashlib.sha256(text.encode()).hexdigest()
