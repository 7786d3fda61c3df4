"""From moments to a Sentinel: chances of the classes by ridge regression, and from these what each action costs.

The model is an ordinary one, of one hidden layer: `medward.agents.sentinel.scorer` decides with it, and files, audits
and reports treat it as any other (spec/closed-form.md, section 3).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medward.agents.closed_form.features import UNIT, RandomFeatures
from medward.agents.closed_form.moments import Moments
from medward.agents.closed_form.ridge import ridge, total_of
from medward.agents.costs import Costs
from medward.agents.sentinel.recipe import Recipe
from medward.agents.sentinel.scorer import Weights
from medward.fhe.arrays import Doubles
from medward.flows.scaling import Scaler

#: The penalty of the regression, in units of the mean square of a feature times the rows.
PENALTY = 2.0**-17
#: What holds the half of the hidden layer that is not meant below zero.
_GATE = 2.0
#: The slope of an action's logit in its cost: sigmoid(4 (1/2 - c)) touches 1 - c at 1/2.
_SLOPE = 4.0


@dataclass(frozen=True)
class Regression:
    """What the moments lead to.

    Args:
        coefficients: of the classes' chances, float64[states, 1 + m, C]; the first of each is that of the constant F.
        shortfall: half the mean squared error of the chances in the last state, which tells what a decision with all
            evidence still costs.
    """

    coefficients: Doubles
    shortfall: float


def recipe_in_closed_form(recipe: Recipe) -> Recipe:
    """Return the recipe of models in closed form: numbers by their quantile, as they are; no bias of the alerts."""
    changed = recipe.change(scaler="quantile", embedding=0, ensemble=1, layer="quaternion")
    return changed.change(training_costs=None, alert_bias=0.0, federated_alert_bias=None)


def regress(moments: Moments, largest: int, penalty: float = PENALTY) -> Regression:
    """Regress the classes on the features of each state.

    Args:
        moments: whose `check` passed.
        largest: F, which is also the constant feature.
        penalty: see PENALTY.

    Raises:
        ImpossibleMoments: they are those of no rows.
    """
    found, shortfall = [], 0.0
    rows = float(moments.rows.sum())
    for sums, squares in zip(moments.sums, moments.squares, strict=True):
        size = len(squares) + 1
        whole, products = np.empty((size, size)), np.empty((size, len(moments.rows)))
        whole[0, 0], whole[1:, 1:] = largest**2 * rows, squares
        whole[0, 1:] = whole[1:, 0] = largest * sums.sum(axis=1)
        products[0], products[1:] = largest * moments.rows, sums
        strength = penalty * total_of(np.diagonal(whole)) / size
        solved = ridge(whole, products, strength)
        # sum of |y - W phi|^2 = n - sum of W P - strength |W|^2, as (G + strength I) W = P.
        missing = rows - total_of(solved * products) - strength * total_of(solved * solved)
        shortfall = min(max(missing / (2.0 * rows), 0.0), 1.0)
        found.append(solved)
    return Regression(np.stack(found), shortfall)


def network_of(states: Sequence[RandomFeatures], found: Regression, scaler: Scaler, costs: Costs) -> Weights:
    """Return the network whose logits are 4 (1/2 - c), c what each action is expected to cost in units of the highest.

    One half of the hidden layer works without the evidence and the other with it: the input that says whether it was
    bought holds the other half below zero.

    Args:
        states: the features.
        found: the regression on them.
        scaler: of the features' inputs.
        costs: what decisions cost.
    """
    inputs, many = states[0].matrix.shape
    largest, classes = states[0].largest, found.coefficients.shape[2]
    width = -(-(inputs + 2) // 4) * 4
    matrix = np.zeros((width, len(states) * many + 1))
    bias, head = np.zeros(matrix.shape[1]), np.zeros((matrix.shape[1], classes + 1))
    table = _costs(costs, classes)
    constants = []
    for number, state in enumerate(states):
        at = slice(number * many, (number + 1) * many)
        matrix[:inputs, at] = state.matrix * UNIT / state.divisor
        bias[at] = state.bias / state.divisor
        if len(states) > 1:
            # No hidden unit is larger than 1 with inputs from 0 to 1.
            matrix[inputs, at] = _GATE if number else -_GATE
            bias[at] -= _GATE if number else 0.0
        logits = -_SLOPE * _weighed(found.coefficients[number] * float(largest), table)
        constants.append(_SLOPE / 2 + logits[0])
        head[at, :classes] = logits[1:]
    # The last hidden unit is 1 with the evidence: there the constant is another one.
    matrix[inputs, -1] = 1.0
    head[-1, :classes] = constants[-1] - constants[0]
    escalate = _SLOPE * (0.5 - (costs.escalation / costs.highest + found.shortfall))
    return Weights(
        slope=np.zeros((0, 0, 1), np.float32),
        offset=np.zeros((0, 1), np.float32),
        matrices=(matrix.astype(np.float32),),
        biases=(bias.astype(np.float32),),
        value=np.zeros((matrix.shape[1], 1), np.float32),
        value_bias=np.zeros(1, np.float32),
        advantage=head.astype(np.float32),
        advantage_bias=np.append(constants[0], escalate).astype(np.float32),
    )


def _costs(costs: Costs, classes: int) -> NDArray[np.float64]:
    """Return what deciding a on a row of class k costs, in units of the highest cost, float64[k, a]."""
    table = np.full((classes, classes), costs.wrong_class)
    table[0, :], table[:, 0] = costs.false_alarm, costs.miss
    np.fill_diagonal(table, 0.0)
    return table / costs.highest


def _weighed(coefficients: Doubles, table: Doubles) -> Doubles:
    """Return coefficients @ table, term by term in order."""
    out = np.zeros((len(coefficients), table.shape[1]))
    for k in range(len(table)):
        out += coefficients[:, k : k + 1] * table[k]
    return out
