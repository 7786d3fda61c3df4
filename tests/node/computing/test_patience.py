"""Blobs that are withheld cost a member less and less, and their batch is declined in the end."""

from medward.node.computing.patience import MOST_TRIES, Patience


def test_tries_come_less_and_less_often() -> None:
    patience, now, waits = Patience(), 100.0, []
    assert patience.ready("batch", now)
    for number in range(1, MOST_TRIES + 1):
        assert patience.failed("batch", now) == number
        began = now
        while not patience.ready("batch", now):
            now += 0.5
        waits.append(now - began)
    assert waits == sorted(waits)
    assert waits[:4] == [1, 2, 4, 8]
    assert max(waits) <= 3600
    assert sum(waits[:-1]) > 2000


def test_others_do_not_wait_for_it() -> None:
    patience = Patience()
    patience.failed("withheld", 0.0)
    assert not patience.ready("withheld", 0.5)
    assert patience.ready("other", 0.5)
    assert patience.tries("withheld") > patience.tries("other")


def test_what_came_at_last_is_forgotten() -> None:
    patience = Patience()
    patience.failed("late", 0.0)
    patience.done("late")
    assert patience.tries("late") == 0
    assert patience.ready("late", 0.0)


def test_what_nobody_asks_for_any_more_is_forgotten() -> None:
    """Otherwise whoever orders offers of blobs that nobody has would fill the memory of all others."""
    patience = Patience()
    for number in range(100):
        patience.failed(f"blob {number}", 0.0)
    patience.keep({"blob 7", "blob 8", "blob 1000"})
    assert [number for number in range(100) if patience.tries(f"blob {number}")] == [7, 8]
