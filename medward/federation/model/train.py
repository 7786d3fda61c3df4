"""The training rounds: each sum of updates moves the shared weights."""

from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from numpy.typing import NDArray

from medward.agents.sentinel.export import exported
from medward.agents.sentinel.learner import new_network
from medward.agents.sentinel.model import Provenance, SentinelModel
from medward.agents.sentinel.network import Layout, SentinelNetwork, layout_of
from medward.federation.errors import FederationError
from medward.federation.model.courier import COUNTS, NO_SIGNALS, Signals, blocks_of, spans, update_energy
from medward.federation.model.plan import TrainingPlan
from medward.federation.model.shared_model import Census, SharedModel
from medward.federation.records import Dispatch, Task
from medward.federation.sums.interface import IntVector
from medward.fhe.packing import Quantiser

#: A mean update counts up to so many times the range of a single one.
LARGEST_MEAN = 2.0

#: Seeds of first weights are so far apart that no plan's next seed is another's.
_SEEDS_APART = 1_000_003

#: The templates of networks, by the layout's shapes, the number of classes and the recipe; a process has one or few.
_TEMPLATES: dict[tuple[object, ...], tuple[list[jax.ShapeDtypeStruct], jax.tree_util.PyTreeDef]] = {}


@dataclass(frozen=True)
class Train(SharedModel):
    """The state between two training rounds, or after the last.

    Args:
        census: what the surveys told.
        weights: the network's weights as one vector.
        momentum: the running mean of the rounds' updates, float32[weights].
        tail: the sum of the last rounds' weights, float64[weights].
        averaged: how many rounds that sum holds.
        sent: for each block of weights the training round up to which it holds the members' training.
        signals: what the training sums have told Courier.
        skipped: how many rounds went on without a sum.
    """

    census: Census
    weights: NDArray[np.float32]
    momentum: NDArray[np.float32]
    tail: NDArray[np.float64]
    sent: tuple[int, ...]
    averaged: int = 0
    signals: Signals = NO_SIGNALS
    skipped: int = 0

    @property
    def task(self) -> Task:
        """Training."""
        return "train"

    @property
    def dispatch(self) -> Dispatch | None:
        """All blocks at the plan's width, or as Courier decides; None if there is no further sum."""
        plan = self.plan
        if self.step >= plan.steps:
            return None
        if plan.courier is None:
            return Dispatch(plan.bits, tuple(range(len(self.sent))))
        return plan.courier.decide(self.signals, self.round, plan.rounds, self.sent, len(self.weights))

    @property
    def counts(self) -> int:
        """What Courier wants to know."""
        return 0 if self.plan.courier is None else COUNTS

    @property
    def values(self) -> int:
        """The weights that are sent."""
        return int(np.count_nonzero(self.picked()))

    def picked(self) -> NDArray[np.bool_]:
        """Return which weights the next sum has, bool[weights]."""
        dispatch = self.dispatch
        return self._among(() if dispatch is None else dispatch.blocks)

    def waiting(self) -> NDArray[np.bool_]:
        """Return which weights lack training that members have done and not sent, bool[weights]."""
        return self._among(tuple(block for block, sent in enumerate(self.sent) if sent < self.round))

    def _among(self, blocks: tuple[int, ...]) -> NDArray[np.bool_]:
        """Return which weights are in some blocks, bool[weights]."""
        among = np.zeros(len(self.weights), bool)
        for start, stop in spans(blocks, len(among)):
            among[start:stop] = True
        return among

    def quantiser(self, dispatch: Dispatch) -> Quantiser:
        """Return how values of the next sum's updates become integers."""
        first = min(self.sent[block] for block in dispatch.blocks)
        return self.plan.quantiser(dispatch.bits, first, self.round + dispatch.periods - 1)

    def skip(self) -> "Train":
        """Return this stage with other weights: a further step of the momentum, or, where it is zero, a new draw."""
        skipped = self.skipped + 1
        if not self.momentum.any():
            return replace(self, skipped=skipped, weights=first_weights(self.plan, self.census, skipped))
        federation = self.plan.recipe.federation
        momentum = np.float32(federation.server_momentum) * self.momentum
        weights = self.weights + np.float32(federation.server_rate) * momentum
        return replace(self, skipped=skipped, momentum=momentum, weights=weights)

    def _follow(self, total: IntVector, refused: int, turnout: tuple[int, int] | None) -> "Train":
        plan, census, dispatch, federation = self.plan, self.census, self.dispatch, self.plan.recipe.federation
        if dispatch is None:
            raise FederationError("The plan is fulfilled: no sum is due.")
        if census.rows < 1:
            raise FederationError("The hospitals have no training rows together: nothing can be learned.")
        invited, contributed = turnout or (census.hospitals, census.hospitals)
        quantiser, picked = self.quantiser(dispatch), self.picked()
        # The rows of all who were invited; who is absent counts as no change.
        rows = census.rows * invited / census.hospitals
        # No honest mean reaches this bound.
        most = LARGEST_MEAN * quantiser.clip
        values = quantiser.dequantise(total[self.counts :], rows / census.most_rows)
        mean = np.clip(values, -most, most).astype(np.float32)
        until = self.round + dispatch.periods
        keep = self._momentum_factors(until)[picked]
        momentum, weights = self.momentum.copy(), self.weights.copy()
        momentum[picked] = keep * momentum[picked] + (1 - keep) * mean
        weights[picked] += np.float32(federation.server_rate * 0.5**refused) * momentum[picked]
        last = until > plan.rounds - max(1, round(federation.averaged_share * plan.rounds))
        return replace(
            self,
            step=self.step + dispatch.periods,
            weights=weights,
            momentum=momentum,
            tail=self.tail + weights if last else self.tail,
            averaged=self.averaged + last,
            sent=tuple(until if block in dispatch.blocks else sent for block, sent in enumerate(self.sent)),
            signals=self._next_signals(total, mean, dispatch, contributed),
        )

    def _momentum_factors(self, until: int) -> NDArray[np.float32]:
        """Return what each weight's momentum keeps: one factor for each round since its block was last sent."""
        factors = np.empty(len(self.weights), np.float32)
        for (start, stop), sent in zip(spans(range(len(self.sent)), len(factors)), self.sent, strict=True):
            factor = np.float32(1)
            for _ in range(until - sent):
                factor *= np.float32(self.plan.recipe.federation.server_momentum)
                if not factor:
                    break
            factors[start:stop] = factor
        return factors

    def _next_signals(
        self, total: IntVector, mean: NDArray[np.float32], dispatch: Dispatch, contributed: int
    ) -> Signals:
        """Return what Courier knows after a sum."""
        courier = self.plan.courier
        if courier is None:
            return self.signals
        energy = update_energy(mean, self.plan.clip(0) * dispatch.periods)
        windows = self.census.windows * contributed // self.census.hospitals
        cost = courier.cost(dispatch, len(self.weights))
        return self.signals.after(cost, dispatch.periods, energy, windows, int(total[0]))

    @property
    def size(self) -> int:
        """How many weights the network of these classes and this scaler has."""
        return sum(leaf.size for leaf in self._template()[0])

    def layout(self) -> Layout:
        """Return how encoded rows are laid out."""
        return layout_of(self.plan.space, self.census.scaler)

    def network(self, weights: NDArray[np.float32] | None = None) -> SentinelNetwork:
        """Return the network with the shared weights, or with others of the same length."""
        leaves, tree = self._template()
        bounds = np.cumsum([leaf.size for leaf in leaves])[:-1]
        parts = np.split(self.weights if weights is None else weights, bounds)
        arrays = [jnp.asarray(part).reshape(leaf.shape) for part, leaf in zip(parts, leaves, strict=True)]
        network: SentinelNetwork = jax.tree.unflatten(tree, arrays)
        return network

    def _template(self) -> tuple[list[jax.ShapeDtypeStruct], jax.tree_util.PyTreeDef]:
        """Return the shapes of the network's arrays and how they hang together; tracing them is slow."""
        layout, classes, plan = self.layout(), len(self.census.classes), self.plan
        shapes = tuple(leaf.shape for leaf in jax.tree.leaves(layout))
        key = (shapes, classes, plan.recipe)
        if key not in _TEMPLATES:
            template = jax.eval_shape(lambda: new_network(layout, classes, plan.recipe, plan.seed))
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
        weights = (self.tail / self.averaged).astype(np.float32) if averaged and self.averaged else self.weights
        recipe, names = self.plan.recipe, self.plan.space.schema.classes
        return SentinelModel(
            space=self.plan.space,
            classes=tuple(names[k] for k in self.census.classes),
            scaler=self.census.scaler,
            weights=exported(self.network(weights), recipe.deployment.bias_of_federated if biased else 0.0),
            recipe=recipe,
            provenance=provenance,
        )


def begin_training(plan: TrainingPlan, census: Census, skipped: int = 0) -> Train:
    """Return the stage before the first training round.

    Args:
        plan: what the members agreed to do.
        census: what the surveys told.
        skipped: how many rounds went on without a sum.

    Raises:
        FederationError: the hospitals hold no attack rows, or no benign ones.
    """
    census.check_classes()
    weights = first_weights(plan, census, skipped)
    size = len(weights)
    sent = (0,) * blocks_of(size)
    return Train(
        plan,
        plan.recipe.scaling.surveys,
        census,
        weights,
        np.zeros_like(weights),
        np.zeros(size),
        sent,
        skipped=skipped,
    )


def first_weights(plan: TrainingPlan, census: Census, skipped: int) -> NDArray[np.float32]:
    """Draw the weights that training begins with, float32[weights]; others after a round that was skipped."""
    seed = plan.seed + _SEEDS_APART * skipped
    network = new_network(layout_of(plan.space, census.scaler), len(census.classes), plan.recipe, seed)
    return np.asarray(ravel_pytree(network)[0], np.float32)


def training_stage(shared: SharedModel) -> Train:
    """Return a shared model that is past the surveys.

    Raises:
        FederationError: it is not.
    """
    if not isinstance(shared, Train):
        raise FederationError("The surveys are not over, so there is no model yet: run the federation further.")
    return shared
