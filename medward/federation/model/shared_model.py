"""The state that all hospitals advance in step, and how a decrypted sum leads to the next.

A shared model is a value: `advance` makes the next one from a decrypted sum, by integer arithmetic and numpy alone, so
that every member gets the same bytes (shared_model_format.py) and nobody has to be believed. First come the surveys
(survey.py), then the training rounds (train.py) or one sum of second moments (gram.py). `skip` goes on without a sum
where one would tell too much (spec/round.md, "Many rounds").
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from medward.agents.sentinel.model import Provenance, SentinelModel
from medward.federation.errors import FederationError
from medward.federation.model.plan import TrainingPlan
from medward.federation.records import Dispatch, Next, Task
from medward.federation.sums.interface import IntVector
from medward.flows.scaling import Scaler


@dataclass(frozen=True)
class Census:
    """What the surveys told of all hospitals together.

    Args:
        scaler: fitted on the last survey; the one to train with, once the surveys are over.
        classes: the numbers of the classes that some member holds.
        most_rows: no member has more rows; the weight of so many rows is 1.
        rows: how many training rows the surveyed members have together.
        windows: how many validation rows, where Courier wants to know.
        hospitals: how many members were surveyed.
    """

    scaler: Scaler
    classes: tuple[int, ...]
    most_rows: int
    rows: int
    windows: int
    hospitals: int

    def check_classes(self) -> None:
        """Refuse a census from which nothing can be learned.

        Raises:
            FederationError: the hospitals hold no attack rows, or no benign ones.
        """
        if 0 not in self.classes or len(self.classes) < 2:
            raise FederationError(
                "The hospitals together hold no attack rows or no benign ones: nothing can be learned."
            )


@dataclass(frozen=True)
class SharedModel(ABC):
    """The state that the members share between two rounds: a `Survey` (survey.py), a stage of training, `Train`
    (train.py), or one before or after the only sum of a model in closed form, `Gather` and `ClosedForm` (gram.py).

    Args:
        plan: what they agreed to do.
        step: how many of the plan's steps are done.
    """

    plan: TrainingPlan
    step: int

    @property
    @abstractmethod
    def task(self) -> Task:
        """What the next sum is for."""

    @property
    @abstractmethod
    def dispatch(self) -> Dispatch | None:
        """How the next sum is sent, or None if there is none."""

    @property
    @abstractmethod
    def counts(self) -> int:
        """How many counts the next sum has."""

    @property
    @abstractmethod
    def values(self) -> int:
        """How many values the next sum has."""

    @abstractmethod
    def skip(self) -> "SharedModel":
        """Return the shared model that follows without a sum: other weights, or training on what was surveyed."""

    @abstractmethod
    def _follow(self, total: IntVector, refused: int, turnout: tuple[int, int] | None) -> "SharedModel":
        """Return the shared model that follows from a sum whose counts are not negative; see `advance`."""

    def guard(self, provenance: Provenance) -> SentinelModel:
        """Return the model to put on guard.

        Args:
            provenance: where it comes from.

        Raises:
            FederationError: there is none yet.
        """
        del provenance
        raise FederationError("The surveys are not over, so there is no model yet: run the federation further.")

    @property
    def round(self) -> int:
        """The number of the next training round, the first being 0; negative during the surveys."""
        return self.step - self.plan.recipe.scaling.surveys

    @property
    def done(self) -> bool:
        """Whether the plan is fulfilled, or Courier wants no more sums."""
        return self.dispatch is None

    @property
    def next(self) -> Next | None:
        """What the next sum is for, or None once the plan is fulfilled."""
        dispatch = self.dispatch
        return None if dispatch is None else Next(self.task, self.counts, self.values, dispatch)

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
        return self._follow(total, refused, turnout)
