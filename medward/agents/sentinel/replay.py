"""Replay of logged windows as row indices: nothing of the features is copied.

Logged traffic repeats itself (88 % of X-IoMT's test rows stand in its training part too). Equal rows of one class are
folded into one that is drawn with probability and weighted by the square root of how often it occurred; the expected
gradient is that of the unfolded rows, its variance smaller.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray
from numpy.typing import NDArray


class Replay(NamedTuple):
    """The windows that updates are drawn from.

    Args:
        row: distinct rows.
        reach: the cumulative probability up to and with each; padded entries have 1 and are never drawn.
        weight: for each the factor on its loss; its mean over draws is 1.
    """

    row: Int[Array, " entries"]
    reach: Float[Array, " entries"]
    weight: Float[Array, " entries"]

    def draw(self, key: PRNGKeyArray, batch: int) -> tuple[Int[Array, " batch"], Float[Array, " batch"]]:
        """Draw rows and their weights."""
        entry = jnp.searchsorted(self.reach, jax.random.uniform(key, (batch,)), side="right")
        entry = jnp.minimum(entry, len(self.row) - 1)
        return self.row[entry], self.weight[entry]


def fold(
    x: NDArray[np.float32],
    y: NDArray[np.int32],
    rows: NDArray[np.intp],
    size: int | None = None,
    trust: NDArray[np.float32] | None = None,
) -> Replay:
    """Fold the given rows.

    Args:
        x: the feature matrix of the whole data set.
        y: its classes.
        rows: the rows that may be replayed.
        size: pad to this many entries, so that several hospitals' replays have one shape.
        trust: for each row of the data set how often it counts, in (0, 1]; None for once each.
    """
    keyed = np.concatenate([x[rows], y[rows, None].astype(np.float32)], axis=1)
    vectors = np.ascontiguousarray(keyed).view(np.dtype((np.void, keyed.shape[1] * 4))).ravel()
    if trust is None:
        _, first, count = np.unique(vectors, return_index=True, return_counts=True)
    else:
        _, first, group = np.unique(vectors, return_index=True, return_inverse=True)
        count = np.bincount(group.ravel(), trust[rows])
    by_row = np.argsort(first)
    first, root = first[by_row], np.sqrt(count[by_row].astype(np.float64))
    probability = root / root.sum()
    weight = root / (probability * root).sum()
    entries = len(first) if size is None else size
    reach = np.ones(entries)
    reach[: len(first)] = np.cumsum(probability)
    reach[len(first) - 1 :] = 1.0
    padded_row = np.full(entries, rows[first[-1]], np.int32)
    padded_row[: len(first)] = rows[first]
    padded_weight = np.zeros(entries, np.float32)
    padded_weight[: len(first)] = weight
    return Replay(jnp.asarray(padded_row), jnp.asarray(reach, jnp.float32), jnp.asarray(padded_weight))
