"""Trees that correct the Q-network where a window's evidence was bought (spec/sentinel.md, "Correcting trees").

Each tree adds to the logit of one action. Nodes of all trees lie in one set of arrays; a node's right child is behind
its left one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

#: Instead of a column.
LEAF = -1


@dataclass(frozen=True, eq=False)
class Forest:
    """Trees, each for the logit of one action.

    Args:
        action: for each tree the action whose logit it adds to.
        root: for each tree its first node.
        column: for each node the matrix column that it asks for, LEAF for a leaf.
        threshold: for each node: a value below it goes left.
        missing_left: for each node whether a missing value goes left.
        left: for each node its left child; the right one is the next.
        value: what a leaf adds; 0 for other nodes.
    """

    action: NDArray[np.int32]
    root: NDArray[np.int32]
    column: NDArray[np.int32]
    threshold: NDArray[np.float32]
    missing_left: NDArray[np.bool_]
    left: NDArray[np.int32]
    value: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.root)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the arrays by name; `Forest(**arrays)` is the forest again."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def add_to(self, logits: NDArray[np.float32], x: NDArray[np.float32]) -> None:
        """Add to each row's logits, in place, what the trees say of it.

        Args:
            logits: rows by actions.
            x: rows of the raw feature matrix, evidence included; NaN where missing.
        """
        add_trees(
            *(np.ascontiguousarray(x, np.float32), self.action, self.root, self.column, self.threshold),
            *(self.missing_left, self.left, self.value, logits),
        )

    def leaves(self, x: NDArray[np.float32]) -> NDArray[np.int32]:
        """Return the node where each row (first axis) ends in each tree (second axis)."""
        out = np.empty((len(x), len(self)), np.int32)
        rows = np.ascontiguousarray(x, np.float32)
        _walk(rows, self.root, self.column, self.threshold, self.missing_left, self.left, out)
        return out


def no_trees() -> Forest:
    """Return a forest that adds nothing."""
    none = np.zeros(0, np.int32)
    return Forest(none, none, none, np.zeros(0, np.float32), np.zeros(0, np.bool_), none, np.zeros(0, np.float32))


def read_forest(arrays: Mapping[str, NDArray[Any]], columns: int, actions: int) -> Forest:
    """Return the forest of `Forest.arrays`, read from somewhere.

    Args:
        arrays: by name.
        columns: how many columns the feature matrix has.
        actions: how many actions trees may speak of.

    Raises:
        ValueError: these arrays are no such forest, and walking it might not end.
    """
    made = {name: np.ascontiguousarray(arrays[name], array.dtype) for name, array in no_trees().arrays().items()}
    forest = Forest(**made)
    nodes, inner = len(forest.column), np.flatnonzero(forest.column != LEAF)
    sound = all(len(made[name]) == len(forest) for name in ("action", "root"))
    sound &= all(array.shape == (nodes,) for name, array in made.items() if name not in ("action", "root"))
    sound = sound and bool(
        ((forest.action >= 0) & (forest.action < actions)).all()
        and ((forest.root >= 0) & (forest.root < nodes)).all()
        and ((forest.column >= LEAF) & (forest.column < columns)).all()
        # Children behind their parents: every walk ends.
        and ((forest.left[inner] > inner) & (forest.left[inner] < nodes - 1)).all()
    )
    if not sound:
        raise ValueError("its trees are damaged")
    return forest


def planted(forests: Sequence[Forest]) -> Forest:
    """Return the trees of several forests as one."""
    first = np.cumsum([0] + [len(forest.column) for forest in forests[:-1]]).astype(np.int32)
    parts = {name: [forest.arrays()[name] for forest in forests] for name in forests[0].arrays()}
    for name in ("root", "left"):
        parts[name] = [array + start for array, start in zip(parts[name], first, strict=True)]
    return Forest(**{name: np.concatenate(arrays) for name, arrays in parts.items()})


def scaled(forest: Forest, factor: float) -> Forest:
    """Return a forest whose values are multiplied by a factor."""
    return replace(forest, value=forest.value * np.float32(factor))


@njit(cache=True)
def _leaf(row, node, column, threshold, missing_left, left):  # type: ignore[no-untyped-def]  # pragma: no cover
    """The leaf where a row ends that starts at `node`."""
    while column[node] >= 0:
        value = row[column[node]]
        goes_left = missing_left[node] if np.isnan(value) else value < threshold[node]
        node = left[node] if goes_left else left[node] + 1
    return node


@njit(cache=True)
def add_trees(x, action, root, column, threshold, missing_left, left, value, out):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Add the trees' values to `out`, rows by actions or more columns; `Forest.add_to` has the rest."""
    for i in range(len(x)):
        for tree in range(len(root)):
            leaf = _leaf(x[i], root[tree], column, threshold, missing_left, left)
            out[i, action[tree]] += value[leaf]


@njit(cache=True)
def _walk(x, root, column, threshold, missing_left, left, out):  # type: ignore[no-untyped-def]  # pragma: no cover
    for tree in range(len(root)):
        for i in range(len(x)):
            out[i, tree] = _leaf(x[i], root[tree], column, threshold, missing_left, left)
