"""A gateway's memory of a device's stream: running averages, the last row, and how long ago an event was.

The memory is causal and costs a few numbers per device, whatever the stream's length. Where the data set's order key
counts time, the averages decay with it: a stream of which some rows were lost gives nearly the same averages.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from medward.flows.schema import Column, Flows, Schema
from medward.machine_code import kernel

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
        if stream is None or flows.order is None:
            width = len(self.columns) - len(self.schema.columns)
            return np.concatenate([flows.x, np.full((len(flows), width), np.nan, np.float32)], axis=1)
        streams, slot = np.unique(stream, return_inverse=True)
        memory = Memory(self)
        memory.make_room(len(streams))
        return memory.observe(flows.x, slot.astype(np.int64), flows.order)


class Memory:
    """What is remembered of each stream so far; batches of a device's rows must come in the order of the stream.

    Args:
        space: the features, with history.
    """

    def __init__(self, space: FeatureSpace) -> None:
        self._space = space
        self._slots: dict[str, int] = {}
        width = len(space.remembered)
        self._means = np.empty((0, len(RATES), width))
        self._last = np.empty((0, width))
        self._since = np.empty((0, len(space.events)))
        self._seen = np.empty(0, np.int64)
        self._when = np.empty(0)

    def build(self, flows: Flows) -> NDArray[np.float32]:
        """Return the feature matrix of the next batch, as `FeatureSpace.build` would for all batches at once.

        Where the flows name no device or order, history is missing.
        """
        if not self._space.history or streams_of(flows) is None or flows.order is None:
            return self._space.build(flows)
        slots = np.array([self._slots.setdefault(name, len(self._slots)) for name in flows.devices], np.int64)
        self.make_room(len(self._slots))
        return self.observe(flows.x, slots[flows.device], flows.order)

    def make_room(self, streams: int) -> None:
        """Start the memories of streams that were not seen before, up to this many in all."""
        new = max(streams - len(self._seen), 0)
        self._means = np.concatenate([self._means, np.full((new, *self._means.shape[1:]), np.nan)])
        self._last = np.concatenate([self._last, np.full((new, self._last.shape[1]), np.nan)])
        self._since = np.concatenate([self._since, np.full((new, self._since.shape[1]), FORGOTTEN)])
        self._seen = np.concatenate([self._seen, np.zeros(new, np.int64)])
        self._when = np.concatenate([self._when, np.zeros(new)])

    def observe(
        self, x: NDArray[np.float32], slot: NDArray[np.int64], order: NDArray[np.float64]
    ) -> NDArray[np.float32]:
        """Return rows with their history, and remember them; each row's `slot` says which memory is its own."""
        in_order = np.lexsort((order, slot))
        past = np.empty((len(x), len(self._space.columns) - x.shape[1]), np.float32)
        past[in_order] = _remember(
            np.ascontiguousarray(x[in_order]),
            slot[in_order],
            order[in_order] / self._space.schema.step,
            *(self._space.remembered, self._space.events, np.array([math.log1p(-rate) for rate in RATES])),
            *(self._means, self._last, self._since, self._seen, self._when),
        )
        return np.concatenate([x, past], axis=1)


def streams_of(flows: Flows) -> NDArray[np.int32] | None:
    """Return each row's stream where the flows name their device and order, else None."""
    if flows.schema.device is None or flows.order is None or flows.devices == ("",):
        return None
    return flows.device


@kernel(nogil=True)
def _remember(  # type: ignore[no-untyped-def]  # pragma: no cover
    x, slot, order, remembered, events, log_keep, means, last, since, seen, when
):
    """Run the memories over rows sorted by stream and order; see `FeatureSpace.build` for what comes out."""
    rows, width = len(x), len(remembered)
    out = np.empty((rows, 7 * width + len(events)), np.float32)
    for i in range(rows):
        s = slot[i]
        gap = max(order[i] - when[s], 1.0) if seen[s] else 1.0
        when[s] = order[i]
        seen[s] += 1
        for k in range(width):
            value = x[i, remembered[k]]
            out[i, 3 * width + k] = value - means[s, 2, k]
            for r in range(3):
                if math.isnan(means[s, r, k]):
                    means[s, r, k] = value
                elif not math.isnan(value):
                    # The first rows are averaged evenly, so that the slow mean does not start as the first value.
                    rate = max(1.0 - math.exp(log_keep[r] * gap), 1.0 / seen[s])
                    means[s, r, k] += rate * (value - means[s, r, k])
                out[i, r * width + k] = means[s, r, k]
            out[i, 4 * width + k] = means[s, 0, k] - means[s, 2, k]
            out[i, 5 * width + k] = means[s, 1, k] - means[s, 2, k]
            out[i, 6 * width + k] = last[s, k]
            last[s, k] = value
        for k in range(len(events)):
            since[s, k] = 0.0 if x[i, events[k]] > 0 else min(since[s, k] + gap, FORGOTTEN)
            out[i, 7 * width + k] = since[s, k]
    return out
