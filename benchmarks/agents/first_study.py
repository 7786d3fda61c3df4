"""Parts of the first study's training, to be put in the place of medward's own and measured one at a time."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import jax.numpy as jnp
import numpy as np

from medward.agents.sentinel import central, traffic
from medward.agents.sentinel.central import fitted_scaler
from medward.agents.sentinel.recipe import Recipe
from medward.agents.sentinel.replay import Replay
from medward.flows.history import FeatureSpace
from medward.flows.scaling import QUANTILES, Scaler, _bin_edges, _padded


@contextmanager
def differing(parts: Sequence[str]) -> Iterator[None]:
    """Put parts of the first study in the place of medward's own."""
    with ExitStack() as stack:
        for part in parts:
            module, name, other = PARTS[part]
            stack.enter_context(patch.object(module, name, other))
        yield


def as_they_are(x: Any, y: Any, rows: Any, size: int | None = None) -> Replay:
    """Return a replay that draws every row alike, repeated or not; see `medward.agents.sentinel.replay.fold`."""
    entries = len(rows) if size is None else size
    reach, drawn, weight = np.ones(entries), np.full(entries, rows[-1], np.int32), np.zeros(entries, np.float32)
    reach[: len(rows) - 1] = np.arange(1, len(rows)) / len(rows)
    drawn[: len(rows)], weight[: len(rows)] = rows, 1.0
    return Replay(jnp.asarray(drawn), jnp.asarray(reach, jnp.float32), jnp.asarray(weight))


def exactly_scaled(space: FeatureSpace, x: Any, recipe: Recipe) -> Scaler:
    """Return a scaler whose knots and bins are at the quantiles of the values themselves, not of cells' counts."""
    near = fitted_scaler(space, x, recipe)
    knots, bins = [], []
    at = np.linspace(0, 1, QUANTILES)
    for column in near.numbers:
        values = x[~np.isnan(x[:, column]), column].astype(np.float64)
        both = [np.quantile(values, at), np.quantile(np.unique(values), at)]
        knots.append(np.unique(np.concatenate(both).astype(np.float32)).astype(np.float64))
        scaled = np.interp(values, knots[-1], np.linspace(0, 1, len(knots[-1])))
        bins.append(_bin_edges(np.sort(scaled), np.ones(len(scaled), np.int64), recipe.scaling.bins))
    counts = [np.array([len(row) - less for row in rows], np.int64) for rows, less in ((knots, 0), (bins, 1))]
    return replace(near, knots=_padded(knots), knot_count=counts[0], bins=_padded(bins), bin_count=counts[1])


PARTS: dict[str, tuple[Any, str, Any]] = {
    "rows as they are": (traffic, "fold", as_they_are),
    "exact knots": (central, "fitted_scaler", exactly_scaled),
}
