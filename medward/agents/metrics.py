"""How good decisions are: every measure that docs/results.md reports, from labels and scores alone."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medward.agents.costs import Costs


def measures(
    y: NDArray[np.int32], decision: NDArray[np.int32], suspicion: NDArray[np.float32], classes: Sequence[str]
) -> dict[str, Any]:
    """Return the measures of decisions on labelled rows.

    Args:
        y: each row's class, 0 benign.
        decision: each row's decision: 0 for "no alert", or the class alerted on.
        suspicion: the higher, the more likely an attack; only its order counts.
        classes: the names of the classes.

    Returns:
        `binary` (attack or not) with accuracy, macro_f1, attack_recall, false_alarm_rate, auroc, auprc and the recall
        at 0.1 % and 1 % false alarms; `multiclass` with accuracy, macro_f1 (over the classes that occur in `y`),
        per_class_recall and the confusion matrix (rows: truth). A measure that is not defined (no attack rows, or no
        benign ones) is None.
    """
    # Here and not above: it takes two seconds, and a node or an audit, which judge nothing, need only the costs.
    import sklearn.metrics  # noqa: PLC0415

    attack, alert = y > 0, decision > 0
    both = bool(attack.any() and not attack.all())
    present = np.unique(y)
    binary = {
        "accuracy": float(np.mean(attack == alert)),
        "macro_f1": float(sklearn.metrics.f1_score(attack, alert, average="macro", zero_division=0.0))
        if both
        else None,
        "attack_recall": float(np.mean(alert[attack])) if attack.any() else None,
        "false_alarm_rate": float(np.mean(alert[~attack])) if not attack.all() else None,
        "auroc": float(sklearn.metrics.roc_auc_score(attack, suspicion)) if both else None,
        "auprc": float(sklearn.metrics.average_precision_score(attack, suspicion)) if both else None,
        "recall_at_0.1%_false_alarms": _recall_at(attack, suspicion, 0.001) if both else None,
        "recall_at_1%_false_alarms": _recall_at(attack, suspicion, 0.01) if both else None,
    }
    multiclass = {
        "accuracy": float(np.mean(y == decision)),
        "macro_f1": float(sklearn.metrics.f1_score(y, decision, labels=present, average="macro", zero_division=0.0)),
        "per_class_recall": {classes[k]: float(np.mean(decision[y == k] == k)) for k in present},
        "confusion": sklearn.metrics.confusion_matrix(y, decision, labels=range(len(classes))).tolist(),
    }
    return {"binary": binary, "multiclass": multiclass}


def _recall_at(attack: NDArray[np.bool_], suspicion: NDArray[np.float32], false_alarms: float) -> float:
    """The share of attacks above the lowest threshold at which at most that share of benign rows lies above it."""
    from sklearn.metrics import roc_curve  # noqa: PLC0415

    rate, recall, _ = roc_curve(attack, suspicion)
    return float(recall[rate <= false_alarms].max())


def expected_cost(
    y: NDArray[np.int32], decision: NDArray[np.int32], escalated: NDArray[np.bool_], costs: Costs
) -> float:
    """Return the mean cost of a window under the cost matrix, escalations included."""
    return float(np.mean(window_costs(y, decision, escalated, costs)))


def window_costs(
    y: NDArray[np.int32], decision: NDArray[np.int32], escalated: NDArray[np.bool_], costs: Costs
) -> NDArray[np.float64]:
    """Return each window's cost under the cost matrix, its escalation included."""
    wrong = np.where(
        y == decision, 0.0, np.where(y == 0, costs.false_alarm, np.where(decision == 0, costs.miss, costs.wrong_class))
    )
    return np.asarray(wrong + costs.escalation * escalated, np.float64)
