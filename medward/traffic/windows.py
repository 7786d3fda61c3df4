"""The kernels that close a tick: sums and sketches of the devices seen in it become rows of columns."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from medward.traffic.columns import How
from medward.traffic.compilation import compiled
from medward.traffic.copies import is_copy
from medward.traffic.counting import count_packet, pass_over
from medward.traffic.sums import NUMBERS, SKETCH_WORDS, place
from medward.traffic.tables import NEVER, TICK_NANOSECONDS, TICKS, Tables

#: What identifies a row: the tick, the device, and the address that it last sent from.
IDENTITY = np.dtype(
    [
        ("tick", np.int64),
        ("high", np.uint64),
        ("low", np.uint64),
        ("address_high", np.uint64),
        ("address_low", np.uint64),
        ("kind", np.uint8),
        ("address_kind", np.uint8),
    ],
    align=True,
)

_SUM, _MEAN, _DEVIATION, _SPREAD = int(How.SUM), int(How.MEAN), int(How.DEVIATION), int(How.SPREAD)
_DISTINCT, _SEEN, _SEEN_DISTINCT, _SEEN_MEAN = (
    int(How.DISTINCT),
    int(How.SEEN),
    int(How.SEEN_DISTINCT),
    int(How.SEEN_MEAN),
)
_BITS = 64 * SKETCH_WORDS
_TTL_LOW, _TTL_HIGH, _INSPECTED = place("ttl_low"), place("ttl_high"), place("inspected")


@compiled
def step(
    tables: Tables,
    octets: NDArray[np.uint8],
    headers: NDArray[Any],
    begin: int,
    plan: NDArray[np.int64],
    identities: NDArray[Any],
    values: NDArray[np.float32],
    written: int,
) -> tuple[int, int]:
    """Count packets from `begin` on, and close the ticks that they end.

    Args:
        tables: the meter's state.
        octets: uint8, the batch's memory.
        headers: HEADERS [packets].
        begin: the first packet to count.
        plan: int64 [columns, 5], see `columns.plan`.
        identities: IDENTITY [rows], to be written.
        values: float32 [rows, columns], to be written.
        written: rows that are written already.

    Returns:
        The packet to go on with, which is not the last + 1 where there was no room for more rows, and rows written.
    """
    state = tables.state[0]
    for i in range(begin, len(headers)):
        tick = headers[i].time // TICK_NANOSECONDS
        if state.running == 0:
            state.running = 1
            state.tick = tick
        elif tick != state.tick:
            stepped = tick < state.tick - TICKS
            if tick > state.tick or stepped:
                if len(identities) - written < state.active:
                    return i, written
                written = close(tables, plan, identities, values, written)
                state.tick = tick
                if stepped:
                    # Sums of ticks that are to come again must not be taken for those of the new ones.
                    state.clock_steps += 1
                    _forget_ticks(tables.devices)
            else:
                state.late += 1
        if is_copy(state, tables.shown, octets, headers[i]):
            pass_over(state, headers[i])
        else:
            count_packet(tables, octets, headers[i])
    return len(headers), written


@compiled
def close(
    tables: Tables, plan: NDArray[np.int64], identities: NDArray[Any], values: NDArray[np.float32], written: int
) -> int:
    """Write a row for each device that was seen in the present tick, for which there must be room.

    Returns:
        How many rows are written then.
    """
    state = tables.state[0]
    tick = state.tick
    words, bits = tables.view_words, tables.view_bits
    for k in range(state.active):
        at = tables.active[k]
        device = tables.devices[at]
        device.listed = 0
        identity = identities[written]
        identity.tick = tick
        identity.kind = device.kind
        identity.high = device.high
        identity.low = device.low
        identity.address_kind = device.address_kind
        identity.address_high = device.address_high
        identity.address_low = device.address_low
        ticks = 0
        for column in range(len(plan)):
            # Columns stand by view, so the sums of a view are made once.
            if plan[column, 0] != ticks:
                ticks = plan[column, 0]
                _sum_view(device, tables.words[at], tables.bits[at], tick, ticks, words, bits)
            values[written, column] = _value(plan[column], words, bits)
        written += 1
    state.windows += state.active
    state.active = 0
    return written


@compiled
def _forget_ticks(devices: NDArray[Any]) -> None:
    for at in range(len(devices)):
        for row in range(TICKS):
            devices[at].stamps[row] = NEVER


@compiled
def _sum_view(
    device: Any,
    all_words: NDArray[np.float64],
    all_bits: NDArray[np.uint64],
    tick: int,
    ticks: int,
    words: NDArray[np.float64],
    bits: NDArray[np.uint64],
) -> None:
    """Sum the last `ticks` ticks of a device, whose records are `all_words` and `all_bits`; unite its sketches."""
    words[:NUMBERS] = 0.0
    bits[NUMBERS:] = 0
    low, high = np.inf, -np.inf
    for row in range(TICKS):
        stamp = device.stamps[row]
        if stamp > tick or stamp <= tick - ticks:
            continue
        low = min(low, all_words[row, _TTL_LOW])
        high = max(high, all_words[row, _TTL_HIGH])
        for k in range(NUMBERS):
            words[k] += all_words[row, k]
        for k in range(NUMBERS, len(bits)):
            bits[k] |= all_bits[row, k]
    words[_TTL_LOW] = low
    words[_TTL_HIGH] = high


@compiled
def _value(how: NDArray[np.int64], words: NDArray[np.float64], bits: NDArray[np.uint64]) -> Any:
    kind = how[1]
    if kind >= _SEEN and words[_INSPECTED] == 0:
        return np.nan
    if kind in (_SUM, _SEEN):
        return words[how[2]]
    if kind in (_MEAN, _SEEN_MEAN):
        return words[how[3]] / words[how[2]] if words[how[2]] > 0 else np.nan
    if kind == _DEVIATION:
        count, total, squares = words[how[2]], words[how[3]], words[how[4]]
        if count == 0:
            return np.nan
        return np.sqrt(max(0.0, count * squares - total * total)) / count
    if kind == _SPREAD:
        return words[how[3]] - words[how[2]] if words[how[3]] >= words[how[2]] else np.nan
    first = NUMBERS + SKETCH_WORDS * how[2]
    return _distinct(bits[first : first + SKETCH_WORDS])


@compiled
def _distinct(sketch: NDArray[np.uint64]) -> Any:
    """Estimate how many different things set the bits: -m ln(z / m), z of m bits being free.

    Whang, Vander-Zanden and Taylor, A Linear-Time Probabilistic Counting Algorithm (1990). A full sketch counts as one
    with half a bit free.
    """
    free = _BITS
    for word in sketch:
        rest = word
        for _ in range(64):
            if rest == 0:
                break
            rest &= rest - np.uint64(1)
            free -= 1
    return -_BITS * np.log(max(float(free), 0.5) / _BITS)
