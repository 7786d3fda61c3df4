"""Tables of bounded memory: flows, devices, addresses' owners, segments. Full tables forget; they never grow or fail.

A key has two candidate buckets of eight places, chosen by the two halves of its fingerprint (Azar, Broder, Karlin and
Upfal, Balanced Allocations, 1999): a table of 2^20 places that is given a million keys forgets 2 % of them.
Where both buckets are full, the entry that is worth least makes place; who calls says which that is.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from medward.traffic.compilation import compiled
from medward.traffic.copies import COPY_PLACES, SHOWN
from medward.traffic.hashing import KEY_WORDS
from medward.traffic.sums import OTHER_SERVICE, PORTS, SUMS

BUCKET = 8

#: Ticks of which a device's sums are kept: the longest view, 60 seconds.
TICKS = 30

#: Nanoseconds of a tick.
TICK_NANOSECONDS = 2_000_000_000

#: A flow of IP packets between two endpoints, whoever began it. Fields that end in `_0` are of packets from the lesser
#: endpoint to the greater, `_1` of the others: the sequence number that is to come next, the octets of an application's
#: message that are to come, the TCP flags, and a mark of the tick of the last packet. `payload` is the octets of both,
#: up to 65,535.
FLOW = np.dtype(
    [
        ("last", np.int64),
        ("next_0", np.uint32),
        ("next_1", np.uint32),
        ("left_0", np.int32),
        ("left_1", np.int32),
        ("payload", np.uint16),
        ("flags_0", np.uint8),
        ("flags_1", np.uint8),
        ("seen_0", np.uint8),
        ("seen_1", np.uint8),
        ("opener", np.uint8),
        ("closed", np.uint8),
    ],
    align=True,
)

#: A device: its identity (`kind` says of what, see medward.traffic.devices), when it sent and received last, the tick
#: in which it was last seen, in how many ticks it was seen, of which tick each of its `TICKS` records of sums is, and
#: where the owners of the address that it sent from were found.
DEVICE = np.dtype(
    [
        ("high", np.uint64),
        ("low", np.uint64),
        ("last_up", np.int64),
        ("last_down", np.int64),
        ("tick", np.int64),
        ("address_high", np.uint64),
        ("address_low", np.uint64),
        ("owner_high", np.uint64),
        ("owner_low", np.uint64),
        ("owner_tag", np.uint64),
        ("owner_place", np.int64),
        ("ticks", np.int32),
        ("listed", np.int32),
        ("kind", np.uint8),
        ("address_kind", np.uint8),
        ("owner_kind", np.uint8),
        ("stamps", np.int64, TICKS),
    ],
    align=True,
)

#: Who used an address last, the owners that stand, a newcomer and since when it comes (until then, since when the
#: address is known), each 0 for nobody; and the last use (medward/traffic/owners.py).
OWNER = np.dtype([(name, np.int64) for name in ("last", "first", "second", "newcomer", "since", "time")])
#: A TCP segment that was seen.
SEGMENT = np.dtype([("tag", np.uint64), ("content", np.uint64), ("time", np.int64), ("length", np.int64)])

#: What a meter counts, see medward.traffic.meter.MeterCounters.
COUNTERS = (
    "packets", "octets", "copies", "windows", "flows", "flows_evicted", "devices", "devices_evicted",
    "addresses_evicted", "no_device", "late", "clock_steps", "cut_short", "malformed", "unknown_links", "fragments",
    "joined",
)  # fmt: skip

#: The rest of a meter's state: the present tick, if there is one, and how many devices were seen in it; whether devices
#: are known by IP address, and whether payload is looked into; the key of the hash; the hash of the payload of the
#: packet at hand (medward/traffic/copies.py); the counters.
STATE = np.dtype(
    [
        ("running", np.int64),
        ("tick", np.int64),
        ("active", np.int64),
        ("by_address", np.int64),
        ("inspect", np.int64),
        ("key", np.uint64, KEY_WORDS),
        ("content", np.uint64),
        *((name, np.int64) for name in COUNTERS),
    ]
)

#: A tick that no packet has.
NEVER = -(1 << 63)


class Tables(NamedTuple):
    """All that a meter remembers, as arrays for the kernels.

    Args:
        state: STATE [1].
        flow_tags, flows: uint64 and FLOW [flow places].
        device_tags: uint64 [device places].
        places: int32 [a power of two], where devices with a MAC address were found last.
        devices: DEVICE [device places + 1]; the last is for packets of no device.
        sums: SUMS [device places + 2, TICKS]; the last is blank.
        words, bits: the same memory as float64 and as uint64 [device places + 2, TICKS, words of a record].
        active: int32 [device places + 1], the places of the devices of this tick.
        owner_tags, owners: uint64 and OWNER [address places].
        segments: SEGMENT [segment places].
        shown: SHOWN [COPY_PLACES], frames of the last milliseconds.
        services: uint8 [65536], the service of each port.
        histogram: int32 [256], scratch that is zero between packets.
        view_words, view_bits: float64 and uint64 [words of a record], one memory: scratch for one view.
    """

    state: NDArray[Any]
    flow_tags: NDArray[np.uint64]
    flows: NDArray[Any]
    device_tags: NDArray[np.uint64]
    places: NDArray[np.int32]
    devices: NDArray[Any]
    sums: NDArray[Any]
    words: NDArray[np.float64]
    bits: NDArray[np.uint64]
    active: NDArray[np.int32]
    owner_tags: NDArray[np.uint64]
    owners: NDArray[Any]
    segments: NDArray[Any]
    shown: NDArray[Any]
    services: NDArray[np.uint8]
    histogram: NDArray[np.int32]
    view_words: NDArray[np.float64]
    view_bits: NDArray[np.uint64]


def empty_tables(
    key: NDArray[np.uint64], flows: int, devices: int, addresses: int, segments: int, by_address: bool, inspect: bool
) -> Tables:
    """Return empty tables with so many places each, all powers of two of at least 16.

    Memory is taken from the system only as places are used.
    """
    services = np.full(65536, OTHER_SERVICE, np.uint8)
    for port, service in PORTS.items():
        services[port] = service
    state = np.zeros(1, STATE)
    state["key"], state["by_address"], state["inspect"] = key, by_address, inspect
    seen = np.zeros(devices + 1, DEVICE)
    seen["stamps"] = NEVER
    sums = np.zeros((devices + 2, TICKS), SUMS)
    sums["ttl_low"][-1], sums["ttl_high"][-1] = np.inf, -np.inf
    words = sums.view(np.float64).reshape(devices + 2, TICKS, -1)
    view = np.zeros(words.shape[2])
    return Tables(
        state=state,
        flow_tags=np.zeros(flows, np.uint64),
        flows=np.zeros(flows, FLOW),
        device_tags=np.zeros(devices, np.uint64),
        places=np.zeros(min(4 * devices, 1 << 16), np.int32),
        devices=seen,
        sums=sums,
        words=words,
        bits=words.view(np.uint64),
        active=np.zeros(devices + 1, np.int32),
        owner_tags=np.zeros(addresses, np.uint64),
        owners=np.zeros(addresses, OWNER),
        segments=np.zeros(segments, SEGMENT),
        shown=np.zeros(COPY_PLACES, SHOWN),
        services=services,
        histogram=np.zeros(256, np.int32),
        view_words=view,
        view_bits=view.view(np.uint64),
    )


@compiled
def first_bucket(tag: np.uint64, places: int) -> int:
    """Return the first place of the first bucket for `tag` in a table of so many places."""
    return int(np.int64(tag & np.uint64(places // BUCKET - 1))) * BUCKET


@compiled
def second_bucket(tag: np.uint64, places: int) -> int:
    """Return the first place of the second bucket."""
    return int(np.int64((tag >> np.uint64(32)) & np.uint64(places // BUCKET - 1))) * BUCKET


@compiled
def find(tags: NDArray[np.uint64], tag: np.uint64) -> int:
    """Return the place of `tag`, or -1."""
    place = first_bucket(tag, len(tags))
    for k in range(BUCKET):
        if tags[place + k] == tag:
            return place + k
    place = second_bucket(tag, len(tags))
    for k in range(BUCKET):
        if tags[place + k] == tag:
            return place + k
    return -1


@compiled
def free_place(tags: NDArray[np.uint64], tag: np.uint64) -> int:
    """Return a free place for `tag` in the emptier of its buckets, or -1 where both are full."""
    one, two = first_bucket(tag, len(tags)), second_bucket(tag, len(tags))
    # Places are taken in order and never freed one by one, so the first free place says how full a bucket is.
    used_one = BUCKET
    for k in range(BUCKET):
        if tags[one + k] == 0:
            used_one = k
            break
    used_two = BUCKET
    for k in range(BUCKET):
        if tags[two + k] == 0:
            used_two = k
            break
    if used_one == BUCKET and used_two == BUCKET:
        return -1
    return one + used_one if used_one <= used_two else two + used_two
