"""Costs of decisions about windows of traffic: training, the members' votes and the tables go by them."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Costs:
    """What a decision about one window costs; the unit is one missed attack window.

    Args:
        miss: allowing an attack.
        false_alarm: alerting on benign traffic.
        wrong_class: alerting on an attack as another attack.
        escalation: buying the expensive evidence of one window.

    Raises:
        ValueError: a cost is negative or no number, by which nothing can be decided.
    """

    miss: float = 1.0
    false_alarm: float = 1.0
    wrong_class: float = 0.5
    escalation: float = 0.01

    def __post_init__(self) -> None:
        if not all(0 <= cost < math.inf for cost in (self.miss, self.false_alarm, self.wrong_class, self.escalation)):
            raise ValueError(f"costs are numbers from 0 on, not {self}")

    @property
    def highest(self) -> float:
        """What the worst decision costs."""
        return max(self.miss, self.false_alarm, self.wrong_class)
