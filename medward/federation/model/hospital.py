"""A hospital's private side: its rows, and the work that a round asks of it. Only integers to be summed leave here."""

import hashlib
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from numpy.typing import NDArray

from medward.agents.closed_form.own_rows import rows_of_large_classes
from medward.agents.metrics import window_costs
from medward.agents.sentinel.learner import start, train
from medward.agents.sentinel.model import Provenance, SentinelModel
from medward.agents.sentinel.traffic import TrainingTraffic, traffic_of
from medward.federation.errors import FederationError, NothingToTrain
from medward.federation.model.courier import COST_UNIT
from medward.federation.model.gram import ClosedForm, Gather, check_own_rows
from medward.federation.model.plan import TrainingPlan
from medward.federation.model.shared_model import SharedModel
from medward.federation.model.survey import SIZES, Survey
from medward.federation.model.train import Train
from medward.federation.sums.interface import IntVector
from medward.fhe.packing import quantise_with_feedback, rounding_seed, weighted
from medward.flows.schema import UNLABELLED, Flows
from medward.flows.sketch import count

#: A hospital votes against a model that costs it more than this many times what the one before did, unless the
#: difference is less than so many standard errors.
WORSE = 1.5
CERTAIN = 3.0
#: Fewer rows than these say nothing.
LEAST_VALIDATION_ROWS = 50


@dataclass(frozen=True)
class TrainingRows:
    """One hospital's rows.

    Args:
        x: the feature matrix of its rows.
        y: their classes, as the schema numbers them; UNLABELLED where a row has none.
        stream: each row's stream.
        order: each row's place in its stream, or None for the order of the rows.
        trust: how often each row counts, in (0, 1], or None for once each.
    """

    x: NDArray[np.float32]
    y: NDArray[np.int32]
    stream: NDArray[np.int32]
    order: NDArray[np.float64] | None
    trust: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.y)


def training_rows(
    flows: Flows, x: NDArray[np.float32], stream: NDArray[np.int32], rows: NDArray[np.intp]
) -> TrainingRows:
    """Return some rows of a data set as one hospital's own."""
    order = None if flows.order is None or not flows.schema.history else flows.order[rows]
    trust = None if flows.trust is None else flows.trust[rows]
    return TrainingRows(x[rows], flows.y[rows], stream[rows], order, trust)


@dataclass(frozen=True)
class Carried:
    """What was not sent of a hospital's updates so far: what rounding lost, and blocks that wait.

    Args:
        step: the shared model's step that the last update was for.
        before: what was carried into it; valid again if that step is repeated, since its sum came to nothing.
        after: what is carried into the next step.
    """

    step: int
    before: NDArray[np.float64]
    after: NDArray[np.float64]


class Hospital:
    """One hospital's private side.

    Args:
        secret: what its random draws derive from.
        rows: its training rows.
        validation: rows on which it tries a new shared model, or None if it has none.
        room: the rows' arrays are padded to at least this many, which changes no result: hospitals that are simulated
            together share what is compiled.
    """

    def __init__(
        self, secret: bytes, rows: TrainingRows, validation: TrainingRows | None = None, room: int = 0
    ) -> None:
        self._secret, self._rows, self._validation, self.room = secret, rows, validation, room
        self._traffic: TrainingTraffic | None = None
        self.carried: Carried | None = None
        # Of how many features a model in closed form the rows are enough for, once that was found out.
        self._enough_for = 0

    def work(self, shared: SharedModel, number: int) -> IntVector:
        """Return this hospital's integers for the shared model's next task: int64[counts + values].

        Args:
            shared: the shared model to work from.
            number: the federation's round; random draws derive from it, so that no two rounds, a void one and its
                repetition included, ever see the same update.

        Raises:
            NothingToTrain: no row has a class that the model knows, where zeros in place of an update would hide
                nobody's; or the rows are too few for the sums of a model in closed form, or not those that it counted.
        """
        match shared:
            case Survey():
                return self._survey(shared)
            case Train():
                return self._update(shared, number)
            case Gather():
                return shared.contribution(self._rows.x, self._rows.y)
        raise TypeError(f"no work for {type(shared)}")

    def accepts(self, before: SharedModel, after: SharedModel) -> bool:
        """Say whether the next shared model is not clearly worse on this hospital's own validation rows.

        With benign rows alone, a model that learns to alert can only look worse, and with attacks alone only better:
        such a hospital votes against none.
        """
        if self._validation is None or len(self._validation) < LEAST_VALIDATION_ROWS:
            return True
        attack = self._validation.y > 0
        if attack.all() or not attack.any():
            return True
        if isinstance(after, ClosedForm):
            return self._beats_no_model(after)
        if not (isinstance(before, Train) and isinstance(after, Train)):
            return True
        old, new = self._costs(before), self._costs(after)
        noise = float(np.std(new - old)) / float(len(old)) ** 0.5
        before_mean, after_mean = float(old.mean()), float(new.mean())
        return bool(after_mean <= max(WORSE * before_mean, before_mean + CERTAIN * noise))

    def _beats_no_model(self, shared: ClosedForm) -> bool:
        """Say whether a first model does not clearly cost more than to allow everything, or to alert on everything."""
        assert self._validation is not None
        plan = shared.plan
        model = shared.guard(Provenance("federated", 0, 0, "none", plan.space.schema.synthetic, plan.seed))
        labels = model.labels(self._validation.y)
        scores, costs = model.scorer().score(self._validation.x), plan.recipe.costs
        own = window_costs(labels, scores.decision, scores.escalated, costs)
        noise = float(np.std(own)) / float(len(own)) ** 0.5
        never = np.zeros(len(labels), bool)
        least = min(
            float(window_costs(labels, np.full(len(labels), k, np.int32), never, costs).mean())
            for k in range(len(model.classes))
        )
        return bool(float(own.mean()) <= least + CERTAIN * noise)

    def tried(self, shared: Train) -> NDArray[np.float64]:
        """Return each own validation window's cost with what would go on guard now, but for its alert bias."""
        if self._validation is None or not len(self._validation):
            return np.zeros(0)
        return self._costs(shared, averaged=True)

    def validate(self, model: SentinelModel) -> dict[str, float] | None:
        """Return how a model does on the own validation rows, None without any.

        That is: how many, the expected cost, the escalation rate, and the shares of attacks and of benign rows that it
        alerts on, where there are any.

        It is the model as it goes on guard, its alert bias included.
        """
        if self._validation is None or not len(self._validation):
            return None
        scores, labels = model.scorer().score(self._validation.x), model.labels(self._validation.y)
        costs = window_costs(labels, scores.decision, scores.escalated, model.recipe.costs)
        alerts, attack = scores.decision > 0, labels > 0
        found = {
            "rows": len(labels),
            "expected_cost": float(costs.mean()),
            "escalation_rate": float(np.mean(scores.escalated)),
        }
        if attack.any():
            found["attack_recall"] = float(alerts[attack].mean())
        if not attack.all():
            found["false_alarm_rate"] = float(alerts[~attack].mean())
        return found

    def _costs(self, shared: Train, *, averaged: bool = False) -> NDArray[np.float64]:
        """Return the cost of each window of the validation rows under a shared model."""
        assert self._validation is not None
        plan, model = shared.plan, _model_without_bias(shared, averaged=averaged)
        scores = model.scorer().score(self._validation.x)
        labels = model.labels(self._validation.y)
        return window_costs(labels, scores.decision, scores.escalated, plan.recipe.costs)

    def check_rows(self, plan: TrainingPlan) -> None:
        """Refuse rows that are too few for the sums of a plan; rows without any label are refused later, one by one.

        Raises:
            NothingToTrain: says how many rows it takes.
        """
        if plan.features and self._enough_for != plan.features:
            check_own_rows(plan, self._rows.x, self._rows.y)
            self._enough_for = plan.features

    def _survey(self, shared: Survey) -> IntVector:
        self.check_rows(shared.plan)
        # Rows without a class tell what traffic looks like, which the scaler is fitted on; nothing is trained on them.
        # A model in closed form is of the surveyed rows exactly: what only the surveys count, their difference tells.
        x, y = self._rows.x, self._rows.y
        if shared.plan.features:
            kept = rows_of_large_classes(y)
            x, y = x[kept], y[kept]
        labelled = y[y != UNLABELLED]
        classes = np.bincount(labelled, minlength=len(shared.plan.space.schema.classes))
        size = np.bincount([max(len(labelled) - 1, 0).bit_length()], minlength=SIZES)
        windows = [] if shared.plan.courier is None else [0 if self._validation is None else len(self._validation)]
        return np.concatenate([count(x, shared.grid), classes, size, windows]).astype(np.int64)

    def _update(self, shared: Train, number: int) -> IntVector:
        plan, recipe, dispatch = shared.plan, shared.plan.recipe, shared.dispatch
        if dispatch is None:
            raise FederationError("The plan is fulfilled: nothing is contributed any more.")
        if self._traffic is None:
            self._rows = _nameable(self._rows, shared)
            if not len(self._rows):
                raise NothingToTrain("No row has a class that the shared model knows: there is nothing to train on.")
            self._traffic = _traffic(self._rows, shared, self.room)
        before = self._carried_into(shared.step, len(shared.weights))
        first_weights = self._first_weights(shared, before)
        progress, key = start(shared.network(first_weights), recipe), _training_key(self._secret, number)
        for period in range(dispatch.periods):
            rates = jnp.full(recipe.federation.local_steps, plan.learning_rate(shared.round + period), jnp.float32)
            drawn = jax.random.fold_in(key, period) if period else key
            progress, _ = train(progress, shared.layout(), self._traffic, recipe.of_hospitals, rates, drawn)
        trained = np.asarray(ravel_pytree(progress.network)[0])
        after = weighted(trained - first_weights, len(self._rows), shared.census.most_rows) + before
        picked, seed = shared.picked(), rounding_seed(self._secret, number)
        values, after[picked] = quantise_with_feedback(shared.quantiser(dispatch), after[picked], np.zeros(1), seed)
        self.carried = Carried(shared.step, before, after)
        return np.concatenate([self._counts(shared), values]).astype(np.int64)

    def _first_weights(self, shared: Train, carried: NDArray[np.float64]) -> NDArray[np.float32]:
        """Return the weights to train from: the shared ones, and in blocks that wait to be sent this hospital's own."""
        weights, waiting = shared.weights.copy(), shared.waiting()
        if waiting.any():
            own = carried[waiting] * (shared.census.most_rows / min(len(self._rows), shared.census.most_rows))
            weights[waiting] += own.astype(np.float32)
        return weights

    def _counts(self, shared: Train) -> list[int]:
        """Return the counts of a training sum: for Courier, what this hospital's validation rows cost."""
        if not shared.counts:
            return []
        if self._validation is None or not len(self._validation):
            return [0]
        return [round(float(self._costs(shared).sum()) * COST_UNIT)]

    def _carried_into(self, step: int, length: int) -> NDArray[np.float64]:
        if self.carried is None:
            return np.zeros(length)
        return self.carried.after if self.carried.step < step else self.carried.before


def trial_secret(seed: int, number: int) -> bytes:
    """Return the secret of a member of a trial on one machine, so that its training can be repeated from the seed."""
    return hashlib.sha256(f"medward simulated hospital {seed} {number}".encode()).digest()


def _training_key(secret: bytes, number: int) -> jax.Array:
    """Return the key of a round's training draws."""
    digest = hashlib.sha256(b"medward training seed 1" + number.to_bytes(8, "little") + secret).digest()
    key: jax.Array = jax.random.wrap_key_data(jnp.asarray(np.frombuffer(digest[:8], np.uint32)))
    return key


def _nameable(rows: TrainingRows, shared: Train) -> TrainingRows:
    """Return the rows of classes that the model can name.

    The surveys fixed its classes. A member that came later may hold others: it can contribute nothing to those.
    """
    known = np.isin(rows.y, shared.census.classes)
    order = None if rows.order is None else rows.order[known]
    trust = None if rows.trust is None else rows.trust[known]
    return TrainingRows(rows.x[known], rows.y[known], rows.stream[known], order, trust)


def _class_numbers(rows: TrainingRows, shared: Train) -> NDArray[np.int32]:
    """Return the rows' classes as the model numbers them."""
    return np.searchsorted(np.array(shared.census.classes), rows.y).astype(np.int32)


def _model_without_bias(shared: Train, *, averaged: bool) -> SentinelModel:
    """Return what would go on guard, or the weights of now, but for the alert bias."""
    plan = shared.plan
    provenance = Provenance("federated", shared.round - 1, 0, "none", plan.space.schema.synthetic, plan.seed)
    return shared.guard(provenance, averaged=averaged, biased=False)


def _traffic(rows: TrainingRows, shared: Train, room: int) -> TrainingTraffic:
    """Return the hospital's rows as the learner takes them."""
    census, y = shared.census, _class_numbers(rows, shared)
    costs, size = shared.plan.recipe.target_costs, _rounded_up(max(len(rows), room))
    classes = len(census.classes)
    return traffic_of(rows.x, y, rows.stream, rows.order, census.scaler, classes, costs, size, rows.trust)


def _rounded_up(rows: int) -> int:
    """Round up to eight steps per power of two: at most an eighth more, and few different sizes."""
    step = 1 << max(rows.bit_length() - 4, 0)
    return -(-rows // step) * step
