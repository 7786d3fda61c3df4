"""A share of a replica's time for some callers: they get no more of it, however many they are and however they ask."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable


class Allotment:
    """Time that is spent for some callers, one at a time and in the order in which they came.

    Args:
        share: of the time that passes, above 0 and below 1.
        at_once: seconds that may be spent at once after a quiet while.
        clock: gives the seconds that pass.
    """

    def __init__(self, share: float, at_once: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._share = share
        self._at_once = at_once
        self._clock = clock
        self._left = at_once
        self._since = clock()
        self._turn = asyncio.Lock()

    def spend(self, seconds: float) -> None:
        """Count seconds of the processor that were spent already."""
        self._left -= seconds

    @contextlib.asynccontextmanager
    async def turn(self, counted: bool = True) -> AsyncIterator[None]:
        """Wait for this caller's turn, and until there is time for it.

        Args:
            counted: whether what is done inside is time spent.
        """
        async with self._turn:
            while (lacking := self._lacking()) > 0:
                await asyncio.sleep(lacking)
            # Of the processor: on a busy machine the clock would count what other programs took.
            begun = time.thread_time()
            try:
                yield
            finally:
                self.spend(time.thread_time() - begun if counted else 0.0)

    def _lacking(self) -> float:
        """Return the seconds until some time is left."""
        now = self._clock()
        self._left = min(self._at_once, self._left + (now - self._since) * self._share)
        self._since = now
        return -self._left / self._share
