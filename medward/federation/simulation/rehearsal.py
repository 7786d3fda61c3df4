"""A federation rehearsed in one process, for Courier to learn on and to be measured on.

The hospitals' work, the quantised sums and the shared model are the real ones; ciphertexts and records are left out.
Sums under encryption are exact, so a rehearsal ends with the model that the encrypted federation ends with, bit for
bit, and counts the same bytes (tests/federation/simulation/test_rehearsal.py). spec/courier.md has the decision
process.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from medward.agents.courier.observation import Decision, Observation
from medward.agents.courier.policies import CourierPolicy, Every
from medward.federation.errors import FederationError
from medward.federation.model.courier import COST_UNIT
from medward.federation.model.hospital import Hospital
from medward.federation.model.shared_model import SharedModel
from medward.federation.model.train import Train, training_stage
from medward.federation.sums.interface import IntVector


@dataclass(frozen=True)
class Step:
    """One decision and what it led to.

    Args:
        seen: what Courier saw.
        decision: what it decided.
        sent: the bytes that the sum took on the wire; 0 where there was none.
        gain: by how much the expected cost of a validation window fell; between the highest cost and its negative.
        then: what Courier sees next.
        ended: whether the training was over.
    """

    seen: Observation
    decision: Decision
    sent: int
    gain: float
    then: Observation
    ended: bool

    def reward(self, price: float) -> float:
        """Return the reward at a price of a byte, in units of the expected cost of a window."""
        return self.gain - price * self.sent


@dataclass(frozen=True)
class CourierEpisode:
    """One training from the end of the surveys on.

    Args:
        steps: what was decided, in order.
        cost: the expected cost of a validation window with the final model.
        shared: the shared model in the end.
    """

    steps: tuple[Step, ...]
    cost: float
    shared: Train

    @property
    def spent(self) -> int:
        """The bytes that the training sums took."""
        return sum(step.sent for step in self.steps)


class Rehearsal:
    """A federation that can be trained again and again, each time under another policy.

    Args:
        hospitals: the members' private sides; some have validation rows.
        first: the shared model before the first survey; its plan has a Courier, whose policy does not matter.

    Raises:
        FederationError: no member has validation rows, or the plan has no Courier.
    """

    def __init__(self, hospitals: Sequence[Hospital], first: SharedModel) -> None:
        if first.plan.courier is None:
            raise FederationError("A rehearsal needs a plan with a Courier: name a policy, such as every:1.")
        self._hospitals, self._surveys, shared = hospitals, first.plan.recipe.scaling.surveys, first
        for number in range(self._surveys):
            shared = shared.advance(self._sum(shared, number))
        self._begin = training_stage(shared)
        # Refused at once rather than after the first training.
        self._cost(self._begin)

    def play(self, policy: CourierPolicy) -> CourierEpisode:
        """Train once, asking `policy` once before every sum."""
        for hospital in self._hospitals:
            hospital.carried = None
        shared, number, ended = self._begin, self._surveys, False
        plan = shared.plan
        steps: list[Step] = []
        costs: list[float] = []
        while not ended:
            assert plan.courier is not None
            seen = plan.courier.observe(shared.signals, shared.round, plan.rounds)
            decision = policy.decide(seen)
            # A constant policy: the shared model asks for the decision whenever it needs it.
            constant = Every(decision.periods, decision.bits, decision.ciphertexts)
            imposed = replace(shared, plan=replace(plan, courier=replace(plan.courier, policy=constant)))
            if not imposed.done:
                total = self._sum(imposed, number)
                costs.append(int(total[0]) / (COST_UNIT * imposed.census.windows))
                imposed = training_stage(imposed.advance(total))
            sent, number = imposed.signals.spent - shared.signals.spent, number + 1
            ended, shared = not sent or imposed.round >= plan.rounds, replace(imposed, plan=plan)
            then = plan.courier.observe(shared.signals, shared.round, plan.rounds)
            steps.append(Step(seen, decision, sent, 0.0, then, ended))
        costs.append(self._cost(shared))
        # A sum gains what falls until the next one starts; a decision for no further sum gains nothing.
        gains = [before - after for before, after in pairwise(costs)]
        gains += [0.0] * (len(steps) - len(gains))
        told = tuple(replace(step, gain=gain) for step, gain in zip(steps, gains, strict=True))
        return CourierEpisode(told, costs[-1], shared)

    def _sum(self, shared: SharedModel, number: int) -> IntVector:
        total: IntVector = np.sum([hospital.work(shared, number) for hospital in self._hospitals], axis=0)
        return total

    def _cost(self, shared: Train) -> float:
        """Return the expected cost of a window over all members' validation rows, with what would go on guard."""
        costs = np.concatenate([hospital.tried(shared) for hospital in self._hospitals])
        if not costs.size:
            raise FederationError("No hospital has validation rows, so nothing tells what a sum is worth.")
        return float(costs.mean())
