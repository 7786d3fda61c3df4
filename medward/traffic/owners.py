"""The table of who owns which address: kernels that tell when an address changes hands.

Where a capture shows both sides of a router, each packet comes twice, from its sender's MAC address and from the
router's, with one IP address. So an address may have two owners that stand: its first, and a second that came in its
first seconds or has used it for a minute. They take turns unnoticed. Whoever else uses the address is a newcomer, and
an address changes hands as often as it goes to or from a newcomer, as it does when somebody puts himself between two
others. Where there is no place, the address that was used longest ago makes way.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from medward.traffic.compilation import compiled
from medward.traffic.hashing import fingerprint3
from medward.traffic.tables import BUCKET, find, first_bucket, free_place, second_bucket

#: Nanoseconds after an address was first seen in which a second owner stands at once, and after which a newcomer does.
BEGINNING = 5 * 1_000_000_000
STANDS = 60 * 1_000_000_000
#: What `change_owner` returns where no address changed hands: nothing else, or the second owner that stands sent what
#: may be a copy of the first one's packet.
SAME, SECOND_HAND = -1, -2
#: What is looked up, above the kind of address.
_OWNER = np.uint64(2 << 8)


@compiled
def change_owner(
    state: Any,
    tags: NDArray[np.uint64],
    owners: NDArray[Any],
    device: Any,
    kind: int,
    high: np.uint64,
    low: np.uint64,
    mac: int,
    time: int,
) -> int:
    """Note that a MAC address used an IP address.

    Args:
        state: STATE, whose key and counters are used.
        tags, owners: the table.
        device: the DEVICE that sent the packet, which remembers the place of its address.
        kind, high, low: the address.
        mac: who used it.
        time: when.

    Returns:
        Who used it before, where the address changed hands with this packet; else SAME or SECOND_HAND.
    """
    if device.owner_kind == kind and device.owner_low == low and device.owner_high == high:
        place = device.owner_place
        if tags[place] == device.owner_tag:
            return _used(owners[place], mac, time)
    tag = fingerprint3(state, _OWNER | np.uint64(kind), high, low)
    place = find(tags, tag)
    known = place >= 0
    if not known:
        place = free_place(tags, tag)
        if place < 0:
            place = _oldest_owner(tags, owners, tag)
            state.addresses_evicted += 1
        tags[place] = tag
    device.owner_kind = kind
    device.owner_high = high
    device.owner_low = low
    device.owner_tag = tag
    device.owner_place = place
    owner = owners[place]
    if known:
        return _used(owner, mac, time)
    owner.last = mac
    owner.first = mac
    owner.second = 0
    owner.newcomer = 0
    owner.since = time
    owner.time = time
    return SAME


@compiled
def _used(owner: Any, mac: int, time: int) -> int:
    """Note that somebody used an address that is known; return what `change_owner` does."""
    before = owner.last
    owner.last = mac
    owner.time = time
    if mac == owner.first:
        return SAME if before in (mac, owner.second) else int(before)
    if mac == owner.second:
        return SECOND_HAND if before in (mac, owner.first) else int(before)
    # A clock that was set back makes nobody newer than new.
    age = max(time - owner.since, 0)
    if owner.newcomer == 0 and owner.second == 0 and age <= BEGINNING:
        owner.second = mac
        return SECOND_HAND
    if mac != owner.newcomer:
        owner.newcomer = mac
        owner.since = time
    elif age > STANDS:
        owner.second = mac
        owner.newcomer = 0
        return SECOND_HAND
    return SAME if before == mac else int(before)


@compiled
def _oldest_owner(tags: NDArray[np.uint64], owners: NDArray[Any], tag: np.uint64) -> int:
    oldest = first_bucket(tag, len(tags))
    for k in range(2 * BUCKET):
        place = first_bucket(tag, len(tags)) + k if k < BUCKET else second_bucket(tag, len(tags)) + k - BUCKET
        if owners[place].time < owners[oldest].time:
            oldest = place
    return oldest
