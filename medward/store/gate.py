"""Keeps garbage collection apart from what adds and fetches."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Gate:
    """Many may add and fetch at a time; a garbage collection waits for them and keeps them out.

    A block that has been written is under no pin until its whole DAG is; without the gate it could be collected.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._inside = 0

    @contextmanager
    def shared(self) -> Iterator[None]:
        """Enter beside others who share."""
        with self._changed:
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
        with self._changed:  # held to the end, so that nobody enters
            self._changed.wait_for(lambda: self._inside == 0)
            yield
