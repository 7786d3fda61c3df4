"""The surveys, whose summed counts fit the scaler, and tell the classes and the number of rows that are held."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medward.agents.closed_form.own_rows import LEAST_CLASS_ROWS
from medward.federation.errors import FederationError
from medward.federation.model.gram import begin_gathering
from medward.federation.model.plan import TrainingPlan
from medward.federation.model.shared_model import Census, SharedModel
from medward.federation.model.train import begin_training
from medward.federation.records import Dispatch, Task
from medward.federation.sums.interface import IntVector
from medward.flows.errors import FlowsError
from medward.flows.scaling import Scaler, fit_scaler
from medward.flows.sketch import Grid, coarse_grid, refine

#: A survey counts the hospitals by size: cell k holds those with 2^(k-1) < rows <= 2^k.
SIZES = 33


@dataclass(frozen=True)
class Survey(SharedModel):
    """The state before a survey, whose sum fits the scaler.

    Args:
        grid: the cells that the next survey counts in.
        census: what the survey before told; None before the first.
    """

    grid: Grid
    census: Census | None = None

    @property
    def task(self) -> Task:
        """Counting rows."""
        return "survey"

    @property
    def dispatch(self) -> Dispatch:
        """At the plan's width, all at once."""
        return Dispatch(self.plan.bits)

    @property
    def counts(self) -> int:
        """The grid's cells, the schema's classes, the hospitals' sizes, and the windows that Courier wants to know."""
        return self.grid.size + len(self.plan.space.schema.classes) + SIZES + (self.plan.courier is not None)

    @property
    def values(self) -> int:
        """None: there are no weights yet."""
        return 0

    def skip(self) -> SharedModel:
        """Return the first stage of training, without another survey.

        Where nothing was surveyed, the scaler follows from the public grid, every class counts as held, and every
        hospital as one row, so that means are taken over hospitals. A model in closed form is not made so.
        """
        if self.plan.features:
            if self.census is None:
                raise FederationError(
                    "Without a survey nothing tells how to scale the rows: bring the hospitals back that were surveyed."
                )
            return self._gather(self.census)
        return begin_training(self.plan, self.census or self._even_census(), skipped=1)

    def _even_census(self) -> Census:
        classes = tuple(range(len(self.plan.space.schema.classes)))
        return Census(
            self._fit(np.ones(self.grid.size, np.int64)), classes, most_rows=1, rows=1, windows=1, hospitals=1
        )

    def _follow(self, total: IntVector, refused: int, turnout: tuple[int, int] | None) -> SharedModel:
        scaling = self.plan.recipe.scaling
        parts = np.cumsum([self.grid.size, len(self.plan.space.schema.classes), SIZES])
        counts, held, sizes, windows = np.split(total, parts)
        if not sizes.any():
            raise FederationError("The sum counts no hospital: one did not send what it counted.")
        census = Census(
            scaler=self._fit(counts),
            classes=tuple(int(k) for k in np.flatnonzero(held)),
            most_rows=1 << int(np.flatnonzero(sizes).max(initial=0)),
            rows=int(held.sum()),
            windows=int(windows.sum()),
            hospitals=int(sizes.sum()),
        )
        if self.step + 1 < scaling.surveys:
            return Survey(self.plan, self.step + 1, refine(self.grid, counts, scaling.cells), census)
        return self._gather(census) if self.plan.features else begin_training(self.plan, census)

    def _gather(self, census: Census) -> SharedModel:
        try:
            census.check_classes()
        except FederationError as error:
            raise FederationError(
                f"{error} Of a class only those hospitals' rows count that have at least {LEAST_CLASS_ROWS} of it."
            ) from None
        return begin_gathering(self.plan, census)

    def _fit(self, counts: NDArray[np.int64]) -> Scaler:
        scaling = self.plan.recipe.scaling
        try:
            return fit_scaler(self.plan.space.columns, self.grid, counts, scaling.scaler, scaling.bins)
        except FlowsError as error:
            raise FederationError(f"The sum leads to no scaler. {error}") from None


def first_model(plan: TrainingPlan) -> Survey:
    """Return the shared model before the first sum."""
    return Survey(plan, 0, coarse_grid(len(plan.space.columns)))
