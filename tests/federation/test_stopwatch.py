"""Each instant of a round counts for exactly one activity."""

import contextlib
import threading

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from medward.federation.stopwatch import ACTIVITIES, Activity, Stopwatch, timed
from medward.federation.sums.interface import DealingVerdict, SumTerms
from medward.federation.sums.plain import PlainSum


class Clock:
    """A clock that goes when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_computing_is_never_counted_as_waiting_for_the_ledger() -> None:
    clock, work = Clock(), Clock()
    watch = Stopwatch(clock, work)
    clock.now = 100.0  # before the first round: nobody's
    watch.turn(0)
    clock.now += 1
    with watch.doing("order"):
        clock.now += 2
        with watch.doing("check"):
            clock.now += 4
            work.now += 3
        clock.now += 8
        work.now += 5
    watch.turn(1)
    clock.now += 16
    watch.turn(None)
    clock.now += 32
    assert watch.seconds(0) == {"check": 4, "order": 10, "wait": 1}
    assert watch.processor(0) == {"check": 3, "order": 5, "wait": 0}
    assert watch.seconds(1) == {"wait": 16}
    assert watch.seconds(2) == {}


@given(st.lists(st.tuples(st.sampled_from(ACTIVITIES), st.booleans(), st.integers(0, 9)), max_size=40))
def test_seconds_of_a_round_add_up_to_the_clock(steps: list[tuple[Activity, bool, int]]) -> None:
    clock = Clock()
    watch = Stopwatch(clock)
    watch.turn(3)
    inside: list[object] = []
    for activity, begins, seconds in steps:
        if begins:
            manager = watch.doing(activity)
            manager.__enter__()
            inside.append(manager)
        elif inside:
            inside.pop(0).__exit__(None, None, None)  # type: ignore[attr-defined]
        clock.now += seconds
    assert sum(watch.seconds(3).values()) == clock.now


def test_an_error_ends_an_activity_and_threads_share_a_watch() -> None:
    clock = Clock()
    watch = Stopwatch(clock)
    watch.turn(0)

    def work() -> None:
        with watch.doing("store"):
            clock.now += 1
            raise OSError

    thread = threading.Thread(target=lambda: _swallowed(work))
    thread.start()
    thread.join()
    clock.now += 2
    assert watch.seconds(0) == {"store": 1, "wait": 2}


def _swallowed(call: object) -> None:
    with contextlib.suppress(OSError):
        call()  # type: ignore[operator]


def test_timed_sum_does_what_the_sum_inside_does() -> None:
    watch = Stopwatch()
    watch.turn(0)
    terms = SumTerms("ward", 0, 1, 2, 8, ("a",), ("a",), (b"",), faulty=0, threshold=1, recent=b"")
    watched, plain = timed(PlainSum("a"), watch), PlainSum("a")
    values = np.array([3, -1, 5])
    contribution = watched.contribute(terms, values)
    assert contribution == plain.contribute(terms, values) == watched.contributed(terms)
    assert watched.examine(terms, b"", "a", contribution, watched.respond(terms, b"")) is DealingVerdict.GOOD
    answer = watched.answer(terms, ("a",))
    found = watched.decrypt(terms, ("a",), {"a": contribution}, {"a": answer})
    assert found is not None
    assert list(found.total) == list(values)
    assert watched.name == "none"
    assert watch.seconds(0).keys() == {"encrypt", "check", "share", "combine", "wait"}
