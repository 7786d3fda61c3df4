"""The plan that the members agree on before the first round."""

import hashlib
import json
import math
from dataclasses import dataclass

from medward.agents.closed_form.features import LEAST_FEATURES, MOST_FEATURES
from medward.agents.closed_form.model import recipe_in_closed_form
from medward.agents.sentinel.recipe import Recipe
from medward.agents.sentinel.recipe_format import flat_of
from medward.federation.errors import FederationError
from medward.federation.model.courier import Courier
from medward.fhe.packing import Quantiser
from medward.flows.datasets import DATASETS
from medward.flows.history import FeatureSpace


@dataclass(frozen=True)
class TrainingPlan:
    """What the members agreed to do, before the first round.

    Args:
        space: the features.
        recipe: how to train.
        rounds: how many training rounds, each a period of local training; Courier may have one sum cover several.
        seed: what the initial weights derive from.
        bits: the width of a value of an update, as `Quantiser` takes it, where Courier decides no other.
        courier: decides how training sums are sent; without one, all blocks after every period.
        features: how many random features a model in closed form has, made of one sum (gram.py); 0 for training in
            rounds. Such a plan has one round, and a recipe of `recipe_in_closed_form`.
    """

    space: FeatureSpace
    recipe: Recipe
    rounds: int
    seed: int
    bits: int = 16
    courier: Courier | None = None
    features: int = 0

    @property
    def steps(self) -> int:
        """How many steps there are: surveys, then training rounds."""
        return self.recipe.scaling.surveys + self.rounds

    def learning_rate(self, number: int) -> float:
        """Return the local learning rate of a training round, the first being 0: a cosine over the rounds."""
        return self.recipe.learning.learning_rate * (0.49 * (1 + math.cos(math.pi * number / self.rounds)) + 0.02)

    def clip(self, number: int) -> float:
        """Return the range that updates of a training round are clipped to.

        Adam moves a weight by hardly more than the learning rate in a step, so the steps of a round bound the update;
        Muon moves it by a fifth of that in root mean square.
        """
        return self.learning_rate(number) * self.recipe.federation.local_steps

    def quantiser(self, bits: int, first: int, last: int) -> Quantiser:
        """Return how values of updates that the rounds from `first` to `last` made become integers."""
        return Quantiser(bits, sum(self.clip(number) for number in range(first, last + 1)))


def training_plan(
    space: FeatureSpace,
    recipe: Recipe,
    rounds: int,
    seed: int,
    bits: int = 16,
    courier: Courier | None = None,
    features: int = 0,
) -> TrainingPlan:
    """Return the plan that options lead to; with features, that of a model in closed form, whatever the rounds.

    Args:
        space, recipe, rounds, seed, bits, courier, features: as `TrainingPlan` has them.

    Raises:
        FederationError: there are no models of so many features, or a Courier would decide on one sum.
    """
    if not features:
        return TrainingPlan(space, recipe, rounds, seed, bits, courier)
    if features % 4 or not LEAST_FEATURES <= features <= MOST_FEATURES:
        raise FederationError(
            f"A model in closed form has {LEAST_FEATURES} to {MOST_FEATURES} features, a multiple of 4, not {features}."
        )
    if courier is not None:
        raise FederationError("A model in closed form is one sum, on which a Courier decides nothing: leave it out.")
    return TrainingPlan(space, recipe_in_closed_form(recipe), 1, seed, bits, None, features)


def plan_digest(plan: TrainingPlan) -> str:
    """Return a hash of everything in the plan, which two members compare before they start.

    Members that run the same version mean the same by the columns of a data set that it knows. What the columns of
    another one mean stands in a schema file, of which each member has its own copy: so that is hashed, too.
    """
    schema = plan.space.schema
    agreed = [
        [column.name for column in plan.space.columns],
        schema.classes,
        flat_of(plan.recipe),
        plan.rounds,
        plan.seed,
        plan.bits,
        None if plan.courier is None else plan.courier.text(),
    ]
    if schema.dataset not in DATASETS:
        agreed.append(schema.digest.hex())
    if plan.features:
        agreed.append({"features": plan.features})
    return hashlib.sha256(json.dumps(agreed).encode()).hexdigest()
