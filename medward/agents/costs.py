"""Costs of decisions about windows of traffic: training, the members' votes and the tables go by them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Costs:
    """What a decision about one window costs; the unit is one missed attack window.

    Args:
        miss: allowing an attack.
        false_alarm: alerting on benign traffic.
        wrong_class: alerting on an attack as another attack.
        escalation: buying the expensive evidence of one window.
    """

    miss: float = 1.0
    false_alarm: float = 1.0
    wrong_class: float = 0.5
    escalation: float = 0.01

    @property
    def highest(self) -> float:
        """What the worst decision costs."""
        return max(self.miss, self.false_alarm, self.wrong_class)
