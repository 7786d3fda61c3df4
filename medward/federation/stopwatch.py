"""Where the time of a round goes, in the words that reports use.

train     learn from own rows, or count them in a survey; try the next model on own validation rows
encrypt   seal a contribution and prove it
check     verify proofs of contributions and shares, add everything anew
share     answer for the checked sum, or reveal what a silent holder dealt
combine   add, as the aggregator; open the sum; compute the next model
store     put blobs into the store and get them from it, from a peer's too
order     a record of one's own is on its way into the ledger
wait      nothing of the above: others are not ready yet
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Literal

from medward.federation.interfaces import IntVector, SecureSum, Slot

Activity = Literal["train", "encrypt", "check", "share", "combine", "store", "order", "wait"]
#: In the order in which an instant is counted: what is under way first in this list takes it.
ACTIVITIES: tuple[Activity, ...] = ("train", "encrypt", "check", "share", "combine", "store", "order", "wait")


class Stopwatch:
    """Counts each instant of a round for exactly one activity, so that the seconds of a round add up to the clock's.

    Several activities may be under way at once, in several threads; the first of them in the order of `ACTIVITIES`
    takes the time. What a member computes is thereby never counted as waiting for its ledger.

    Beside the seconds, it counts the processor time that the whole process takes meanwhile, whichever part of it works.

    Args:
        clock: seconds, never going back.
        work: seconds of processor time that this process has had.
    """

    def __init__(
        self, clock: Callable[[], float] = time.perf_counter, work: Callable[[], float] = time.process_time
    ) -> None:
        self._clock, self._work = clock, work
        self._lock = threading.Lock()
        self._under_way = dict.fromkeys(ACTIVITIES, 0)
        self._round: int | None = None
        self._since, self._worked = clock(), work()
        self._seconds: dict[int, dict[str, float]] = {}
        self._processor: dict[int, dict[str, float]] = {}

    def turn(self, number: int | None) -> None:
        """From now on time belongs to round `number`; to none, where it is None."""
        with self._lock:
            self._count()
            self._round = number

    @contextmanager
    def doing(self, activity: Activity) -> Iterator[None]:
        """Count what is done inside for an activity."""
        self._change(activity, 1)
        try:
            yield
        finally:
            self._change(activity, -1)

    def seconds(self, number: int) -> Mapping[str, float]:
        """Return a round's seconds by activity, those with any."""
        with self._lock:
            self._count()
            return _in_order(self._seconds.get(number, {}))

    def processor(self, number: int) -> Mapping[str, float]:
        """Return the processor time of this process during a round, by activity."""
        with self._lock:
            self._count()
            return _in_order(self._processor.get(number, {}))

    def _change(self, activity: Activity, by: int) -> None:
        with self._lock:
            self._count()
            self._under_way[activity] += by

    def _count(self) -> None:
        now, worked = self._clock(), self._work()
        if self._round is not None:
            activity = next((a for a in ACTIVITIES if self._under_way[a]), "wait")
            for counted, more in ((self._seconds, now - self._since), (self._processor, worked - self._worked)):
                own = counted.setdefault(self._round, {})
                own[activity] = own.get(activity, 0.0) + more
        self._since, self._worked = now, worked


def _in_order(counted: Mapping[str, float]) -> Mapping[str, float]:
    return {activity: counted[activity] for activity in ACTIVITIES if activity in counted}


class TimedSum:
    """A `SecureSum` that tells a stopwatch what it does.

    Args:
        inner: does it.
        watch: is told.
    """

    def __init__(self, inner: SecureSum, watch: Stopwatch) -> None:
        self.name = inner.name
        self._inner, self._watch = inner, watch

    def seal(self, slot: Slot, values: IntVector) -> bytes:
        """See `SecureSum.seal`."""
        with self._watch.doing("encrypt"):
            return self._inner.seal(slot, values)

    def sealed(self, slot: Slot) -> bytes | None:
        """See `SecureSum.sealed`."""
        return self._inner.sealed(slot)

    def examine(self, slot: Slot, member: str, contribution: bytes) -> None:
        """See `SecureSum.examine`."""
        with self._watch.doing("check"):
            self._inner.examine(slot, member, contribution)

    def add(self, slot: Slot, contributions: Mapping[str, bytes]) -> bytes:
        """See `SecureSum.add`."""
        with self._watch.doing("combine"):
            return self._inner.add(slot, contributions)

    def check(self, slot: Slot, contributions: Mapping[str, bytes], aggregate: bytes) -> None:
        """See `SecureSum.check`."""
        with self._watch.doing("check"):
            self._inner.check(slot, contributions, aggregate)

    def share(self, slot: Slot, aggregate: bytes) -> bytes:
        """See `SecureSum.share`."""
        with self._watch.doing("share"):
            return self._inner.share(slot, aggregate)

    def examine_share(self, slot: Slot, aggregate: bytes, holder: str, share: bytes) -> None:
        """See `SecureSum.examine_share`."""
        with self._watch.doing("check"):
            self._inner.examine_share(slot, aggregate, holder, share)

    def reveal(self, slot: Slot, holder: str) -> bytes:
        """See `SecureSum.reveal`."""
        with self._watch.doing("share"):
            return self._inner.reveal(slot, holder)

    def examine_reveal(self, slot: Slot, holder: str, member: str, revealed: bytes) -> None:
        """See `SecureSum.examine_reveal`."""
        with self._watch.doing("check"):
            self._inner.examine_reveal(slot, holder, member, revealed)

    def open(
        self,
        slot: Slot,
        aggregate: bytes,
        shares: Mapping[str, bytes],
        revealed: Mapping[str, Mapping[str, bytes]],
    ) -> IntVector:
        """See `SecureSum.open`."""
        with self._watch.doing("combine"):
            return self._inner.open(slot, aggregate, shares, revealed)
