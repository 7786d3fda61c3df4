"""What a gateway remembers of a device's stream: running averages, the last row, and how long ago an event was.

The memory is causal and costs a few numbers per device, whatever the stream's length. Where the data set's order key
counts time, the averages decay with it: a stream of which some rows were lost gives nearly the same averages.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numba import njit
from numpy.typing import NDArray

from medward.flows.schema import Column, Flows, Schema

# Memories of about 1, 6 and 25 rows: inside one attack run, across one run, and the device's normal behaviour.
RATES = (0.5, 0.15, 0.04)
# An event longer ago than this counts as forgotten; the attack runs of WUSTL-EHMS last at most 31 rows.
FORGOTTEN = 48.0
_KINDS = ("fast", "middle", "slow", "from slow", "fast-slow", "middle-slow", "last")


@dataclass(frozen=True)
class FeatureSpace:
    """The columns that a model sees: a schema's own and, if wished, the history of each.

    Args:
        schema: the data set's schema.
        history: whether the memory's columns are appended.
    """

    schema: Schema
    history: bool

    @cached_property
    def remembered(self) -> NDArray[np.intp]:
        """The schema's columns that the memory follows: numbers and events, not what never changes."""
        return np.array(
            [i for i, column in enumerate(self.schema.columns) if column.event or not column.indicator], np.intp
        )

    @cached_property
    def events(self) -> NDArray[np.intp]:
        """Those of the schema's columns that indicate events."""
        return np.array([i for i, column in enumerate(self.schema.columns) if column.event], np.intp)

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """The columns of the matrix that `build` returns."""
        own = self.schema.columns
        if not self.history:
            return own
        past = [
            Column(f"{own[i].name} ({kind})", own[i].group, history=True) for kind in _KINDS for i in self.remembered
        ]
        past += [Column(f"{own[i].name} (since)", own[i].group, history=True) for i in self.events]
        return (*own, *past)

    def build(self, flows: Flows, stream: NDArray[np.int32] | None = None) -> NDArray[np.float32]:
        """Return the feature matrix of `flows`.

        Args:
            flows: the rows, in any order.
            stream: for each row the stream whose memory it reads and feeds (a device, or a piece of one device's
                stream that must not look back further); None where the rows carry no device or order key, and
                history is then missing (NaN).

        Returns:
            One row per flow, `columns` wide; NaN where a value is missing.
        """
        if not self.history:
            return flows.x
        width = len(self.columns) - len(self.schema.columns)
        if stream is None or flows.order is None:
            past = np.full((len(flows), width), np.nan, np.float32)
        else:
            in_order = np.lexsort((flows.order, stream))
            past = np.empty((len(flows), width), np.float32)
            past[in_order] = _remember(
                np.ascontiguousarray(flows.x[in_order]),
                stream[in_order].astype(np.int64),
                flows.order[in_order],
                self.remembered,
                self.events,
                np.array([math.log1p(-rate) for rate in RATES]),
            )
        return np.concatenate([flows.x, past], axis=1)


def streams_of(flows: Flows) -> NDArray[np.int32] | None:
    """Return each row's stream where the flows name their device and order, else None."""
    if flows.schema.device is None or flows.order is None or flows.devices == ("",):
        return None
    return flows.device


@njit(cache=True)
def _remember(x, stream, order, remembered, events, log_keep):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Run the memory over rows sorted by stream and order; see `FeatureSpace.build` for what comes out."""
    rows, width = len(x), len(remembered)
    out = np.empty((rows, 7 * width + len(events)), np.float32)
    means = np.empty((3, width))
    last = np.empty(width)
    since = np.empty(len(events))
    seen = 0
    for i in range(rows):
        if i == 0 or stream[i] != stream[i - 1]:
            means[:], last[:], since[:] = np.nan, np.nan, FORGOTTEN
            seen, gap = 0, 1.0
        else:
            gap = max(order[i] - order[i - 1], 1.0)
        seen += 1
        for k in range(width):
            value = x[i, remembered[k]]
            out[i, 3 * width + k] = value - means[2, k]
            for r in range(3):
                if math.isnan(means[r, k]):
                    means[r, k] = value
                elif not math.isnan(value):
                    # The first rows are averaged evenly, so that the slow mean does not start as the first value.
                    rate = max(1.0 - math.exp(log_keep[r] * gap), 1.0 / seen)
                    means[r, k] += rate * (value - means[r, k])
                out[i, r * width + k] = means[r, k]
            out[i, 4 * width + k] = means[0, k] - means[2, k]
            out[i, 5 * width + k] = means[1, k] - means[2, k]
            out[i, 6 * width + k] = last[k]
            last[k] = value
        for k in range(len(events)):
            since[k] = 0.0 if x[i, events[k]] > 0 else min(since[k] + gap, FORGOTTEN)
            out[i, 7 * width + k] = since[k]
    return out
