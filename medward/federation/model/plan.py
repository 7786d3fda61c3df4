"""The plan that the members agree on before the first round."""

import hashlib
import json
import math
from dataclasses import dataclass

from medward.agents.sentinel.recipe import Recipe
from medward.agents.sentinel.recipe_format import flat_of
from medward.federation.model.courier import Courier
from medward.fhe.quantise import Quantiser
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
    """

    space: FeatureSpace
    recipe: Recipe
    rounds: int
    seed: int
    bits: int = 16
    courier: Courier | None = None

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
    return hashlib.sha256(json.dumps(agreed).encode()).hexdigest()
