"""A model in closed form: one sum of the second moments of random features, before and after it.

Every hospital's moments are integers, and so is their sum: the model is that of all their rows in one place, byte for
byte. What may be opened, and what each hospital adds, is bounded (spec/closed-form.md, section 4).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medward.agents.closed_form.features import (
    LEAST_FEATURES,
    RandomFeatures,
    inputs_of,
    random_features,
    states_of,
)
from medward.agents.closed_form.model import PENALTY, Regression, network_of, regress
from medward.agents.closed_form.moments import (
    ImpossibleMoments,
    Moments,
    largest_feature,
    moments_of,
    moments_size,
    unpacked,
)
from medward.agents.closed_form.own_rows import LEAST_CLASS_ROWS, different_rows, least_rows, rows_of_large_classes
from medward.agents.sentinel.central import fitted_scaler
from medward.agents.sentinel.model import Provenance, SentinelModel
from medward.federation.errors import FederationError, NothingToTrain
from medward.federation.model.plan import TrainingPlan
from medward.federation.model.shared_model import Census, SharedModel
from medward.federation.records import Dispatch, Task
from medward.federation.sums.interface import IntVector
from medward.fhe.packing import COUNT_BITS
from medward.flows.errors import FlowsError
from medward.flows.history import FeatureSpace
from medward.flows.scaling import Scaler
from medward.flows.schema import UNLABELLED

#: By how much each refusal of the model strengthens the penalty.
_STRONGER = 16.0


def check_own_rows(
    plan: TrainingPlan, x: NDArray[np.float32], y: NDArray[np.int32], scaler: Scaler | None = None
) -> None:
    """Refuse to take part with so few rows that the sum would have more numbers than the honest hospitals' rows.

    It is looked at before the first survey, with a scaler of the hospital's own rows: whoever stands aside later would
    keep the others from ever summing. And again before anything is added, with the surveys' scaler, which a liar may
    have shaped.

    Args:
        plan: of a model in closed form.
        x, y: the hospital's rows and their classes; those of no class or a small one take no part, and do not count.
        scaler: the surveys'; None before there is one.

    Raises:
        NothingToTrain: says how many rows it takes.
    """
    schema, x = plan.space.schema, x[rows_of_large_classes(y)]
    columns, classes = len(schema.columns), len(schema.classes)
    if scaler is None:
        x = x[:, :columns]
        try:
            own, told = different_rows(fitted_scaler(FeatureSpace(schema, history=False), x, plan.recipe), x, columns)
        except FlowsError:  # no column takes more than one value
            own, told = min(len(x), 1), 0
    else:
        own, told = different_rows(scaler, x, columns)

    def least(features: int) -> int:
        return least_rows(moments_size(states_of(plan.space), features, classes), told)

    if own >= least(plan.features):
        return
    seen = "" if scaler is None else " as the surveys scale them"
    fitting = next((k for k in range(plan.features - 4, LEAST_FEATURES - 1, -4) if own >= least(k)), None)
    raise NothingToTrain(
        f"Different labelled rows{seen}, of classes with at least {LEAST_CLASS_ROWS} rows: {own}, in {told} of "
        f"{columns} columns. They are too few to hide in a sum for {plan.features} features: it takes "
        f"{least(plan.features)} of them"
        + (
            f", or a federation for at most {fitting} features."
            if fitting
            else "; no number of features is small enough."
        )
    )


@dataclass(frozen=True)
class Gather(SharedModel):
    """The state before the sum of moments.

    Args:
        census: what the surveys told.
    """

    census: Census

    @property
    def task(self) -> Task:
        """Adding moments."""
        return "gram"

    @property
    def dispatch(self) -> Dispatch:
        """At the plan's width, all at once."""
        return Dispatch(self.plan.bits)

    @property
    def counts(self) -> int:
        """The moments but for their lowest digits: they are never negative."""
        return moments_size(states_of(self.plan.space), self.plan.features, len(self.census.classes))

    @property
    def values(self) -> int:
        """The lowest digit of each moment, in base 2^(bits - 1)."""
        return self.counts

    @property
    def largest(self) -> int:
        """F, the largest value of a feature: no hospital's moments are too large for a count and a digit."""
        return largest_feature(self.census.most_rows, 1 << (COUNT_BITS + self.plan.bits - 1))

    def written(self, moments: Moments) -> IntVector:
        """Return moments as a contribution has them, int64[counts + values]."""
        packed, width = moments.packed(), self.plan.bits - 1
        return np.concatenate([packed >> width, packed & ((1 << width) - 1)])

    def read(self, total: IntVector) -> Moments:
        """Read a sum of what `written` returned.

        Raises:
            ImpossibleMoments: it has another length.
        """
        high, low = np.split(total, [self.counts])
        if len(low) != len(high):
            raise ImpossibleMoments(f"there are {len(low)} lowest digits for {len(high)} numbers")
        packed = (high << (self.plan.bits - 1)) + low
        return unpacked(packed, states_of(self.plan.space), self.plan.features, len(self.census.classes))

    def contribution(self, x: NDArray[np.float32], y: NDArray[np.int32]) -> IntVector:
        """Return one hospital's moments, int64[counts + values], of exactly the rows that it counted in the surveys.

        Args:
            x, y: the hospital's rows and their classes.

        Raises:
            NothingToTrain: the surveys' sums leave out rows that this hospital counted, or scale them so that they are
                too few to hide in the sum. Of fewer rows than it counted it adds no moments: both sums together would
                tell the difference.
        """
        rows, census = rows_of_large_classes(y), self.census
        x, y = x[rows], y[rows]
        lacking = np.setdiff1d(y, census.classes)
        if len(rows) > census.most_rows or len(lacking):
            found = f"have no row of class {lacking[0]}" if len(lacking) else f"allow {census.most_rows} rows at most"
            raise NothingToTrain(
                f"The surveys {found}, and {len(rows)} rows are to be added here: this hospital was not in them, or a "
                "member gave false counts."
            )
        check_own_rows(self.plan, x, y, census.scaler)
        return self.moments(x, y)

    def moments(self, x: NDArray[np.float32], y: NDArray[np.int32]) -> IntVector:
        """Return the moments of rows of the census's classes, int64[counts + values]."""
        classes = np.array(self.census.classes)
        inputs = inputs_of(self.census.scaler, x)
        return self.written(moments_of(_states(self), inputs, np.searchsorted(classes, y), len(classes)))

    def skip(self) -> SharedModel:
        """Refuse: nothing else than the sum leads to a model.

        Raises:
            FederationError: always.
        """
        raise FederationError(
            "A model in closed form needs the hospitals that were surveyed: bring them back. (In another federation "
            "without one of them, its counts would be the difference of the surveys.)"
        )

    def _follow(self, total: IntVector, refused: int, turnout: tuple[int, int] | None) -> "ClosedForm":
        del turnout
        census = self.census
        try:
            moments = self.read(total)
            moments.check(self.largest)
            if int(moments.rows.sum()) > census.rows:
                raise ImpossibleMoments(f"it counts {moments.rows.sum()} rows where the surveys counted {census.rows}")
            found = regress(moments, self.largest, PENALTY * _STRONGER**refused)
        except ImpossibleMoments as error:
            raise FederationError(f"The sum is not that of what hospitals' rows give: {error}.") from None
        return ClosedForm(self.plan, self.step + 1, census, found)


@dataclass(frozen=True)
class ClosedForm(SharedModel):
    """The state after the sum of moments: a model, and nothing left to do.

    Args:
        census: what the surveys told.
        found: what the moments led to; the moments themselves are not kept.
    """

    census: Census
    found: Regression

    @property
    def task(self) -> Task:
        """Adding moments, which is over."""
        return "gram"

    @property
    def dispatch(self) -> None:
        """None: there is no further sum."""
        return

    @property
    def counts(self) -> int:
        """None."""
        return 0

    @property
    def values(self) -> int:
        """None."""
        return 0

    def skip(self) -> SharedModel:
        """Return this: nothing follows."""
        return self

    def _follow(self, total: IntVector, refused: int, turnout: tuple[int, int] | None) -> SharedModel:
        raise FederationError("The plan is fulfilled: no sum is due.")

    def guard(self, provenance: Provenance) -> SentinelModel:
        """Return the model to put on guard.

        Args:
            provenance: where it comes from.
        """
        plan, census = self.plan, self.census
        names = plan.space.schema.classes
        states = _states(Gather(plan, self.step - 1, census))
        return SentinelModel(
            space=plan.space,
            classes=tuple(names[k] for k in census.classes),
            scaler=census.scaler,
            weights=network_of(states, self.found, census.scaler, plan.recipe.costs),
            recipe=plan.recipe,
            provenance=provenance,
        )


def begin_gathering(plan: TrainingPlan, census: Census) -> Gather:
    """Return the stage before the sum of moments, of a census whose classes were checked.

    Raises:
        FederationError: a hospital has too many rows for one sum.
    """
    stage = Gather(plan, plan.recipe.scaling.surveys, census)
    try:
        stage.largest  # noqa: B018
    except ImpossibleMoments as error:
        raise FederationError(f"No model in closed form can be made: {error}.") from None
    return stage


def in_one_place(plan: TrainingPlan, x: NDArray[np.float32], y: NDArray[np.int32], most_rows: int = 0) -> ClosedForm:
    """Return what rows in one place lead to: the same as a sum over hospitals that add all of them.

    Nothing is opened here, so rows of small classes stay, and rows without a class help to fit the scaler.

    Args:
        plan: of a model in closed form.
        x, y: the rows and their classes.
        most_rows: what no hospital has more rows than; 0 for the rows given, rounded up as a survey does.

    Raises:
        FederationError: nothing can be learned from them.
    """
    labelled = y != UNLABELLED
    scaler = fitted_scaler(plan.space, x, plan.recipe)
    x, y = x[labelled], y[labelled]
    classes = tuple(int(k) for k in np.unique(y))
    most = most_rows or 1 << max(len(y) - 1, 0).bit_length()
    census = Census(scaler, classes, most, len(y), 0, 1)
    census.check_classes()
    stage = begin_gathering(plan, census)
    return stage._follow(stage.moments(x, y), 0, None)


def _states(stage: Gather) -> tuple[RandomFeatures, ...]:
    plan = stage.plan
    return random_features(plan.space, stage.census.scaler, plan.features, plan.seed, stage.largest)
