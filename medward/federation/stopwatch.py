"""Where the time of a round goes, in the words that reports use.

train     learn from own rows, or count them in a survey; try the next model on own validation rows
encrypt   encrypt a contribution, deal its secret, respond to the beacon
check     check dealings, one's own shares, and what dealers show
share     answer for the cohort, or show what a holder complained of
combine   decrypt the sum; compute the next model
store     put blobs into the store and get them from it, from a peer's too
order     a record of one's own is on its way into the ledger
wait      nothing of the above: others are not ready yet
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal, cast

from medward.federation.sums.interface import SecureSum

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


_ACTIVITY_OF: Mapping[str, Activity] = {
    "sealing_key": "encrypt",
    "contribute": "encrypt",
    "respond": "encrypt",
    "examine": "check",
    "examine_shown": "check",
    "dealt": "check",
    "convicts": "check",
    "audit": "check",
    "show": "share",
    "answer": "share",
    "respond_to_audit": "share",
    "decrypt": "combine",
}


class _TimedSum:
    def __init__(self, inner: SecureSum, watch: Stopwatch) -> None:
        self._inner, self._watch = inner, watch

    def __getattr__(self, verb: str) -> Any:
        method = getattr(self._inner, verb)
        activity = _ACTIVITY_OF.get(verb)
        if activity is None:
            return method

        def timed_method(*arguments: object) -> Any:
            with self._watch.doing(activity):
                return method(*arguments)

        return timed_method


def timed(inner: SecureSum, watch: Stopwatch) -> SecureSum:
    """Return a part in sums that tells a stopwatch what it does."""
    return cast(SecureSum, _TimedSum(inner, watch))
