"""Reasons for an alert: the measures whose unusual values moved Sentinel from allowing to alerting.

With the suspicion s(x) of a window x, and the columns J of a measure, its views, the measure's weight is

    (s(x) - s(x with x_J as is usual)) / |s(x)|

the share of the suspicion that goes when the measure alone is as it usually is (occlusion; Zeiler and Fergus, 2014).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from medward.alerts.deciding import DecidedWindow, WindowDecider
from medward.traffic.columns import COLUMNS

MOST_REASONS = 3


class Reason(NamedTuple):
    """One measure that moved a decision.

    Args:
        feature: the measure's column, of the view that is furthest from usual.
        value: what it was; None where it was missing.
        usual: what it is on average in windows that are allowed.
        weight: which share of the suspicion goes when it is as usual; can be above 1.
    """

    feature: str
    value: float | None
    usual: float
    weight: float


def reasons_for(decider: WindowDecider, window: DecidedWindow, most: int = MOST_REASONS) -> tuple[Reason, ...]:
    """Return the measures that speak most for an alert, the strongest first; none where no single one does."""
    names, usual = decider.features, decider.usual
    views: dict[str, list[int]] = {}
    for number, name in enumerate(names):
        payload = COLUMNS[name][0].payload
        if window.evidence or not payload:
            views.setdefault(COLUMNS[name][0].name, []).append(number)
    x = np.repeat(window.x[None, :], len(views) + 1, axis=0)
    for row, columns in enumerate(views.values(), 1):
        x[row, columns] = usual[columns]
    suspicion = decider.suspicion(x, window.evidence)
    weights = (suspicion[0] - suspicion[1:]) / max(abs(float(suspicion[0])), 1e-6)
    strongest = np.argsort(-weights, kind="stable")[:most]
    measures = list(views.values())
    return tuple(
        _reason(names, window.x, usual, measures[k], float(weights[k])) for k in strongest if weights[k] > 0.01
    )


def _reason(
    names: list[str], x: NDArray[np.float32], usual: NDArray[np.float32], columns: list[int], weight: float
) -> Reason:
    far = [abs(float(np.nan_to_num(x[j])) - float(usual[j])) / (abs(float(usual[j])) + 1.0) for j in columns]
    j = columns[int(np.argmax(far))]
    value = float(x[j])
    return Reason(names[j], None if np.isnan(value) else value, float(usual[j]), weight)
