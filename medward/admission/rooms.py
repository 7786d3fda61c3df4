"""Rooms: how many connections of one kind may be open, from one caller and together, and whom to hang up on for others.

A full room gives a newcomer the place that was idle for longest, of whoever has most places; but nobody loses a place
within its first moments (`grace`), so that an honest caller has time to show who it is. Places of strangers who hang up
early are not given away before that either: so a room of p places lets in at most p / grace strangers a second.
"""

import ipaddress
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator


def network(address: str) -> str:
    """Return what counts as one caller's address: an IPv4 address, or the /64 that an IPv6 address is in."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.IPv6Network((found, 64), strict=False))


class Place:
    """One connection's place in a room.

    Args:
        address: where the caller is.
        cut: hangs up on it at once; called at most once.
        introduce: told a member's name and address when the caller turns out to be one.
    """

    def __init__(
        self, address: str, cut: Callable[[], None], introduce: Callable[[str, str], None] = lambda *_: None
    ) -> None:
        self.address = address
        self.key = ""
        self.since = 0.0
        self.room: Room | None = None
        self._ended = False
        self._cut = cut
        self._introduce = introduce

    def move(self, room: "Room", key: str) -> bool:
        """Go to another room; return False, and hang up, where that has no place, or the connection has ended.

        Args:
            room: where to.
            key: whose connection it is there.
        """
        if self._ended:
            return False
        if self.room is not None:
            self.room.leave(self, cooling=not room.known)
        if not room.enter(self, key):
            self.hang_up()
            return False
        if room.known:
            self._introduce(key, self.address)
        return True

    def touch(self) -> None:
        """Say that the connection is of use now: it is the last of its room to be hung up on."""
        if self.room is not None:
            self.room.touch(self)

    def leave(self) -> None:
        """Say that the connection has ended."""
        self._ended = True
        if self.room is not None:
            self.room.leave(self, cooling=True)

    def hang_up(self) -> None:
        """End the connection."""
        self.leave()
        self._cut()


class Room:
    """Connections of one kind.

    Args:
        places: how many there may be.
        each: how many of them one caller may have.
        grace: seconds for which nobody loses a place.
        life: seconds after which a connection that was not touched is hung up on; None for no such limit.
        known: whether those inside have shown who they are.
        clock: gives seconds.
    """

    def __init__(
        self,
        places: int,
        each: int,
        *,
        grace: float = 0.0,
        life: float | None = None,
        known: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.places, self.each = places, min(each, places)
        self.grace, self.life, self.known = grace, life, known
        self.displaced = 0
        self._clock = clock
        # The longest untouched first.
        self._inside: dict[Place, None] = {}
        self._cooling: deque[tuple[float, str]] = deque()

    def __len__(self) -> int:
        return len(self._inside)

    def __iter__(self) -> Iterator[Place]:
        return iter(self._inside)

    def enter(self, place: Place, key: str) -> bool:
        """Give a connection a place, if need be that of another, which is hung up on; return False if there is none.

        Args:
            place: which is in no room.
            key: whose it is.
        """
        now = self._clock()
        while self._cooling and now - self._cooling[0][0] >= self.grace:
            self._cooling.popleft()
        taken = Counter(other.key for other in self._inside)
        taken.update(kept for _, kept in self._cooling)
        rival = None
        if taken[key] >= self.each:
            rival = key
        elif taken.total() >= self.places:
            rival = max(taken, key=taken.__getitem__)
        if rival is not None:
            oldest = next((other for other in self._inside if other.key == rival), None)
            if oldest is None or now - oldest.since < self.grace:
                return False
            # Its place is the newcomer's, and not kept until its grace is over.
            self.leave(oldest, cooling=False)
            oldest.hang_up()
            self.displaced += 1
        place.room, place.key, place.since = self, key, now
        self._inside[place] = None
        return True

    def touch(self, place: Place) -> None:
        """See `Place.touch`."""
        if self._inside.pop(place, self) is None:
            place.since = self._clock()
            self._inside[place] = None

    def leave(self, place: Place, cooling: bool) -> None:
        """Take a connection out.

        Args:
            place: which.
            cooling: whether its place stays taken until its grace is over, as after a stranger.
        """
        if self._inside.pop(place, self) is not None:
            return
        place.room = None
        now = self._clock()
        if cooling and not self.known and now - place.since < self.grace:
            self._cooling.append((place.since, place.key))

    def sweep(self) -> list[str]:
        """Hang up on those whose life is over; return their addresses."""
        if self.life is None:
            return []
        end = self._clock() - self.life
        over = [place for place in self._inside if place.since <= end]
        for place in over:
            place.hang_up()
        return [place.address for place in over]

    def shed(self) -> bool:
        """Hang up on whoever was idle for longest; return whether there was anybody."""
        oldest = next(iter(self._inside), None)
        if oldest is not None:
            oldest.hang_up()
        return oldest is not None
