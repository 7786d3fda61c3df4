"""The table of devices: kernels that find one and make place for a new one.

A flood of invented addresses fills a table of bounded size. A place is taken from the device that was seen in fewest
ticks, of those seen in equally few from the one seen longest ago; so devices that stay are not driven out by ones that
come and go. A device that was not seen for ten minutes counts as gone.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from medward.traffic.compilation import compiled
from medward.traffic.hashing import fingerprint3
from medward.traffic.tables import BUCKET, NEVER, TICKS, find, first_bucket, free_place, second_bucket

#: What identifies a device (field `kind`).
BY_MAC, BY_IPV4, BY_IPV6 = 1, 4, 6
#: What is looked up, above the kind of address.
_DEVICE, _SKETCH = np.uint64(1 << 8), np.uint64(3 << 8)
_GONE = 300  # ticks
#: Knuth's multiplicative hashing, of which the upper bits are taken.
_SPREAD, _SPREAD_BITS = np.uint64(0x9E3779B97F4A7C15), np.uint64(48)


@compiled
def find_device_of_mac(
    state: Any,
    places: NDArray[np.int32],
    tags: NDArray[np.uint64],
    devices: NDArray[Any],
    bits: NDArray[np.uint64],
    active: NDArray[np.int32],
    mac: int,
) -> int:
    """Return the place of the device with a MAC address as `find_device` does, sooner where it was found before.

    `places` says where; who aims at one entry of it, whose hash has no key, makes others be looked up as usual.
    """
    entry = np.int64((np.uint64(mac) * _SPREAD) >> _SPREAD_BITS) & (len(places) - 1)
    place = int(np.int64(places[entry]))
    if devices[place].kind == BY_MAC and devices[place].low == np.uint64(mac):
        begin_tick(state, devices, bits, active, place)
        return place
    # Here as above, a plain constant or 32 bits would be another type, for which the kernel is compiled once more.
    kind = int(np.int64(BY_MAC))
    place = find_device(state, tags, devices, bits, active, kind, np.uint64(0), np.uint64(mac))
    places[entry] = place
    return place


@compiled
def find_device(
    state: Any,
    tags: NDArray[np.uint64],
    devices: NDArray[Any],
    bits: NDArray[np.uint64],
    active: NDArray[np.int32],
    kind: int,
    high: np.uint64,
    low: np.uint64,
) -> int:
    """Return the place of a device, which is made where it has none, with its sums of this tick ready."""
    tag = fingerprint3(state, _DEVICE | np.uint64(kind), high, low)
    place = find(tags, tag)
    if place < 0:
        place = free_place(tags, tag)
        if place < 0:
            place = _least_device(state, tags, devices, tag)
            state.devices_evicted += 1
            for row in range(TICKS):
                devices[place].stamps[row] = NEVER
        tags[place] = tag
        device = devices[place]
        device.kind = kind
        device.high = high
        device.low = low
        device.last_up = NEVER
        device.last_down = NEVER
        device.ticks = 0
        device.address_kind = 0
        device.owner_kind = 0
        state.devices += 1
    begin_tick(state, devices, bits, active, place)
    return place


@compiled
def known_device(
    state: Any,
    tags: NDArray[np.uint64],
    devices: NDArray[Any],
    bits: NDArray[np.uint64],
    active: NDArray[np.int32],
    mac: int,
) -> int:
    """Return the place of the device with a MAC address, with its sums ready, or the place of no device."""
    place = find(tags, fingerprint3(state, _DEVICE | np.uint64(BY_MAC), np.uint64(0), np.uint64(mac)))
    if place < 0:
        return len(tags)
    begin_tick(state, devices, bits, active, place)
    return place


@compiled
def begin_tick(
    state: Any, devices: NDArray[Any], bits: NDArray[np.uint64], active: NDArray[np.int32], place: int
) -> None:
    """Make the sums of a device, whose words are `bits`, ready for this tick, where they are not."""
    device = devices[place]
    row = state.tick % TICKS
    if device.stamps[row] == state.tick:
        return
    device.stamps[row] = state.tick
    # Word by word: LLVM takes a record that is assigned as a whole apart into octets, which took up to 3 s in every
    # kernel that this one is compiled into.
    for k in range(bits.shape[2]):
        bits[place, row, k] = bits[len(bits) - 1, 0, k]
    device.tick = state.tick
    device.ticks += 1
    if device.listed == 0:
        device.listed = 1
        active[state.active] = place
        state.active += 1


@compiled
def _least_device(state: Any, tags: NDArray[np.uint64], devices: NDArray[Any], tag: np.uint64) -> int:
    least = -1
    fewest, oldest = np.int64(0), np.int64(0)
    for k in range(2 * BUCKET):
        place = first_bucket(tag, len(tags)) + k if k < BUCKET else second_bucket(tag, len(tags)) + k - BUCKET
        device = devices[place]
        ticks = np.int64(device.ticks) if state.tick - device.tick <= _GONE else np.int64(-1)
        last = max(device.last_up, device.last_down)
        if least < 0 or ticks < fewest or (ticks == fewest and last < oldest):
            least, fewest, oldest = place, ticks, last
    return least


@compiled
def add_to_sketch(state: Any, row: Any, sketch: int, high: np.uint64, low: np.uint64, more: np.uint64) -> None:
    """Add two words and 48 bits more to a sketch of distinct things: sets one bit of 256, chosen by the keyed hash."""
    bit = fingerprint3(state, _SKETCH | np.uint64(sketch) | (more << np.uint64(16)), high, low) >> np.uint64(56)
    row.sketches[sketch, np.int64(bit >> np.uint64(6))] |= np.uint64(1) << (bit & np.uint64(63))
