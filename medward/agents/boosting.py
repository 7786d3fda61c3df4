"""How correcting trees are grown from sums over rows (spec/sentinel.md, "Correcting trees").

Rows meet the trees in whole numbers only: what a row adds to a cell is rounded to a unit before anything is summed. So
sums over the rows of several hospitals are the sums over all rows, exactly, and the trees do not depend on who holds
which row.
"""

from dataclasses import dataclass, replace

import numpy as np
from numba import njit
from numpy.typing import NDArray

from medward.agents.environment import cost_matrix
from medward.agents.model import SentinelModel
from medward.agents.recipe import Trees
from medward.agents.trees import LEAF, Forest, no_trees, planted, scaled
from medward.flows.sketch import Grid, column_counts, values_of

#: Slopes and curvatures are counted in this part of the unit.
UNIT = 1 / 1024
#: No sum has more cells, so that an epoch's keys have answers enough for it (spec/round.md).
MOST_CELLS = 1 << 18


@dataclass(frozen=True, eq=False)
class Cuts:
    """Where the trees may split, chosen from the survey's summed counts.

    Args:
        values: all columns' ascending thresholds, one column after another.
        many: how many each column has.
    """

    values: NDArray[np.float32]
    many: NDArray[np.int64]

    @property
    def cells(self) -> NDArray[np.int64]:
        """How many cells each column has: one more than cuts, and one for missing values."""
        return self.many + 2

    @property
    def by_column(self) -> list[NDArray[np.float32]]:
        """Each column's thresholds."""
        return np.split(self.values, np.cumsum(self.many)[:-1])

    def places(self, x: NDArray[np.float32]) -> NDArray[np.int32]:
        """Return each value's cell, as a place among all columns' cells; a column's last one is for missing values."""
        out = np.empty(x.shape, np.int32)
        first = np.cumsum(self.cells) - self.cells
        for j, cuts in enumerate(self.by_column):
            cell = np.searchsorted(cuts, x[:, j], side="right")
            out[:, j] = first[j] + np.where(np.isnan(x[:, j]), len(cuts) + 1, cell)
        return out


def fit_cuts(grid: Grid, counts: NDArray[np.int64], most: int) -> Cuts:
    """Return at most `most` cuts a column: half at equal shares of its values, half at equal shares of its cells.

    Args:
        grid: the cells of the last survey.
        counts: their summed counts.
        most: how many cuts a column may have.
    """
    values, many = [], []
    for edges, (own, _) in zip(grid.edges, column_counts(grid, counts), strict=True):
        cells = np.flatnonzero(own)
        mass = own[cells]
        share = (np.cumsum(mass) - mass) / max(mass.sum(), 1)
        at = np.linspace(0, 1, most // 2 + 2)[1:-1]
        by_mass = np.searchsorted(share, at, side="left")
        by_value = np.round(np.linspace(0, 1, most - most // 2 + 2)[1:-1] * len(cells)).astype(np.intp)
        # A cut is the lower bound of a cell; below the first one there is nothing.
        chosen = np.unique(np.concatenate([by_mass, by_value]))
        chosen = chosen[(chosen > 0) & (chosen < len(cells))]
        cuts = np.unique(values_of(edges[cells[chosen]]))
        values.append(cuts)
        many.append(len(cuts))
    return Cuts(np.concatenate([np.zeros(0, np.float32), *values]).astype(np.float32), np.array(many, np.int64))


@dataclass(frozen=True, eq=False)
class Growth:
    """Trees that are growing, and those that are grown.

    Args:
        grown: the trees whose values count.
        round: how many times trees were grown, one for each decision.
        growing: the trees of this time; their values are not yet scaled.
        open: which of their nodes may still be split, in the order in which sums are made of them.
        depth: for each of these how far it is from the root.
    """

    grown: Forest
    round: int
    growing: Forest
    open: NDArray[np.int32]
    depth: NDArray[np.int32]


def begun(decisions: int) -> Growth:
    """Return the growth before the first sum."""
    return _sown(no_trees(), 0, decisions)


def _sown(grown: Forest, number: int, decisions: int) -> Growth:
    """Return a growth whose next trees are one open root each."""
    each = np.arange(decisions, dtype=np.int32)
    single = Forest(
        action=each, root=each, column=np.full(decisions, LEAF, np.int32), threshold=np.zeros(decisions, np.float32),
        missing_left=np.zeros(decisions, np.bool_), left=np.zeros(decisions, np.int32),
        value=np.zeros(decisions, np.float32),
    )  # fmt: skip
    return Growth(grown, number, single, each, np.zeros(decisions, np.int32))


def asked(growth: Growth, cuts: Cuts) -> NDArray[np.int32]:
    """Return the open nodes that the next sum is made of: as many of the first as its cells allow, and one at least."""
    return growth.open[: max(1, MOST_CELLS // int(cuts.cells.sum()))]


def cells(growth: Growth, cuts: Cuts) -> int:
    """Return how many cells the next sum has: all columns' of every node that it asks for."""
    return len(asked(growth, cuts)) * int(cuts.cells.sum())


def counted(
    growth: Growth,
    cuts: Cuts,
    x: NDArray[np.float32],
    target: NDArray[np.float32],
    logits: NDArray[np.float32],
) -> NDArray[np.int64]:
    """Return what rows add to the next sum: for each node asked for, column and cell their slopes and curvatures.

    Args:
        growth: which nodes are open.
        cuts: where the cells end.
        x: the rows' features.
        target: for each row and decision the chance that its logit should tell, in [0, 1].
        logits: for each row and decision what the network, as far as it is trusted, and the grown trees say.

    Returns:
        int64[cells, 2], in `UNIT`s. A row adds at most 1 to a slope and 1/4 to a curvature.
    """
    out = np.zeros((cells(growth, cuts), 2), np.int64)
    chance = 1 / (1 + np.exp(-np.clip(logits.astype(np.float64), -60, 60)))
    slope = np.rint((chance - target) / UNIT).astype(np.int64)
    curvature = np.rint(chance * (1 - chance) / UNIT).astype(np.int64)
    place = cuts.places(x)
    ends = growth.growing.leaves(x)
    each = int(cuts.cells.sum())
    owner = _owners(growth.growing)
    for number, node in enumerate(asked(growth, cuts)):
        tree = owner[node]
        here = np.flatnonzero(ends[:, tree] == node)
        action = growth.growing.action[tree]
        _count(here, place, slope[:, action], curvature[:, action], out[number * each : (number + 1) * each])
    return out


def counted_by(
    model: SentinelModel, growth: Growth, cuts: Cuts, x: NDArray[np.float32], y: NDArray[np.int32]
) -> NDArray[np.int64]:
    """Return what labelled rows add to the next sum, as `counted` does.

    Args:
        model: the network whose decisions are corrected, without caution and without trees.
        growth: which nodes are open, and the trees that are grown.
        cuts: where the cells end.
        x: the rows' features.
        y: their classes, as the model numbers them.
    """
    costs, trees, decisions = model.recipe.taught_costs, model.recipe.trees, len(model.classes)
    assert trees is not None
    target = 1 - cost_matrix(decisions, costs)[y] / np.float32(costs.highest)
    logits = corrected(model, growth).scorer().logits(x, bought=True)[:, :decisions]
    return counted(growth, cuts, x, target, np.float32(trees.trust) * logits)


def corrected(model: SentinelModel, growth: Growth) -> SentinelModel:
    """Return a model with the grown trees: trust (logits + trees / trust) is what they were grown on."""
    trees = model.recipe.trees
    assert trees is not None
    return replace(model, trees=scaled(growth.grown, 1 / trees.trust))


@njit(cache=True)
def _count(here, place, slope, curvature, out):  # type: ignore[no-untyped-def]  # pragma: no cover
    for i in here:
        for j in range(place.shape[1]):
            out[place[i, j], 0] += slope[i]
            out[place[i, j], 1] += curvature[i]


def grow(growth: Growth, cuts: Cuts, trees: Trees, sums: NDArray[np.int64], shrink: float = 1.0) -> Growth:
    """Return the growth after a sum: what it asked for is split where that lowers the loss most, or stays a leaf.

    Args:
        growth: which nodes were open.
        cuts: as `counted` had them.
        trees: how they are grown.
        sums: the summed counts of all hospitals, int64[cells, 2].
        shrink: what the trees' values are multiplied by besides their rate, if they are full-grown now.
    """
    nodes = asked(growth, cuts)
    forest, opened, depths = _Arrays(growth.growing), growth.open[len(nodes) :].tolist(), growth.depth.tolist()
    depths, past = depths[len(nodes) :], depths[: len(nodes)]
    for node, depth, own in zip(nodes, past, np.split(sums, len(nodes)), strict=True):
        if depth == 0:
            # Every row is in one cell of each column.
            forest.value[node] = _step(own[: cuts.cells[0]].sum(axis=0), trees)
        split = best_split(own, cuts, trees)
        if split is None:
            continue
        children = forest.split(int(node), split)
        for child, side in zip(children, (split.below, split.above), strict=True):
            forest.value[child] = _step(side, trees)
            # Both of its sides must have that much.
            if depth + 1 < trees.depth and side[1] * UNIT >= 2 * trees.least:
                opened.append(child)
                depths.append(depth + 1)
    grown = forest.forest()
    if opened:
        return replace(growth, growing=grown, open=np.array(opened, np.int32), depth=np.array(depths, np.int32))
    return _sown(planted([growth.grown, scaled(grown, trees.rate * shrink)]), growth.round + 1, len(grown))


@dataclass(frozen=True, eq=False)
class Split:
    """Where a node is split.

    Args:
        column: the matrix column that is asked for.
        threshold: a value below it goes left.
        missing_left: whether a missing value does.
        below: the left side's slope and curvature, in `UNIT`s.
        above: the right side's.
    """

    column: int
    threshold: float
    missing_left: bool
    below: NDArray[np.int64]
    above: NDArray[np.int64]


def best_split(own: NDArray[np.int64], cuts: Cuts, trees: Trees) -> Split | None:
    """Return the split of a node that lowers the loss most, None if none does or may.

    Args:
        own: the node's sums, int64[its cells, 2].
        cuts: where the cells end.
        trees: what a split must leave on each side.
    """
    best, most = None, 0.0
    parts = np.split(own, np.cumsum(cuts.cells)[:-1])
    for column, (part, thresholds) in enumerate(zip(parts, cuts.by_column, strict=True)):
        total, missing = part.sum(axis=0), part[-1]
        below = np.cumsum(part[:-1], axis=0)[:-1]
        if not len(below):
            continue
        for missing_left in (False, True) if missing.any() else (False,):
            left = below + missing if missing_left else below
            right = total - left
            gain = _score(left, trees) + _score(right, trees) - _score(total[None], trees)
            gain[np.minimum(left[:, 1], right[:, 1]) * UNIT < trees.least] = 0.0
            place = int(gain.argmax())
            if gain[place] > most:
                most = float(gain[place])
                best = Split(column, float(thresholds[place]), missing_left, left[place], right[place])
    return best


class _Arrays:
    """A forest's arrays while nodes are added."""

    def __init__(self, forest: Forest) -> None:
        self._trees = forest.action, forest.root
        self._column, self._threshold = forest.column.tolist(), forest.threshold.tolist()
        self._missing_left, self._left = forest.missing_left.tolist(), forest.left.tolist()
        self.value: list[float] = forest.value.tolist()

    def split(self, node: int, split: Split) -> tuple[int, int]:
        """Make a leaf into a node with two children; return these."""
        left = len(self._column)
        self._column[node], self._threshold[node] = split.column, split.threshold
        self._missing_left[node], self._left[node], self.value[node] = split.missing_left, left, 0.0
        self._column += [LEAF, LEAF]
        self._threshold += [0.0, 0.0]
        self._missing_left += [False, False]
        self._left += [0, 0]
        self.value += [0.0, 0.0]
        return left, left + 1

    def forest(self) -> Forest:
        """Return the forest that the arrays are now."""
        return Forest(
            *self._trees,
            column=np.array(self._column, np.int32),
            threshold=np.array(self._threshold, np.float32),
            missing_left=np.array(self._missing_left, np.bool_),
            left=np.array(self._left, np.int32),
            value=np.array(self.value, np.float32),
        )


def _owners(forest: Forest) -> NDArray[np.int64]:
    """Return for each node the tree that it belongs to."""
    owner = np.full(len(forest.column), -1)
    owner[forest.root] = np.arange(len(forest))
    # A child has a higher number than its parent.
    for node in np.flatnonzero(forest.column != LEAF):
        owner[forest.left[node] : forest.left[node] + 2] = owner[node]
    return owner


def _step(sums: NDArray[np.int64], trees: Trees) -> float:
    """Return a Newton step against the slope."""
    slope, curvature = sums * UNIT
    step = -slope / (max(curvature, 0.0) + trees.ridge)
    return float(min(max(step, -trees.farthest), trees.farthest))


def _score(sums: NDArray[np.int64], trees: Trees) -> NDArray[np.float64]:
    """Return twice what the best step lowers the loss by, for each row of slope and curvature."""
    slope, curvature = sums[:, 0] * UNIT, np.maximum(sums[:, 1], 0) * UNIT
    return np.asarray(slope * slope / (curvature + trees.ridge), np.float64)
