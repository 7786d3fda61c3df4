"""Keeps garbage collection apart from what adds and fetches."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Gate:
    """Many may add and fetch at a time; a garbage collection waits for those who are inside and keeps others out.

    A block that has been written is under no pin until its whole DAG is; without the gate it could be collected. Who
    is inside must not enter again.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._inside = 0
        self._exclusive = 0

    @contextmanager
    def shared(self) -> Iterator[None]:
        """Enter beside others who share."""
        with self._changed:
            self._changed.wait_for(lambda: self._exclusive == 0)
            self._inside += 1
        try:
            yield
        finally:
            with self._changed:
                self._inside -= 1
                self._changed.notify_all()

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Wait until nobody is inside, and let nobody in until the end."""
        with self._changed:
            self._exclusive += 1
            try:
                self._changed.wait_for(lambda: self._inside == 0)
                yield  # the lock is held, so that nobody else is exclusive
            finally:
                self._exclusive -= 1
                self._changed.notify_all()
