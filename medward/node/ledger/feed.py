"""The feed of what the application was shown, kept in order for one participant.

The application stands between the engine and the participant: `Observed` passes every call on and notes what was
applied. What an engine shows an application is agreed on by a quorum, and each transaction is in it once, whatever the
engine.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable

from medward.ledger.types import Application, Applied, Block, Snapshot, Transaction, TxResult
from medward.node.interfaces import LedgerEvent, Ordered, Restored

_MOST_WAITING = 4096


class Feed:
    """Events that wait for the participant. One that is thousands of blocks behind goes on from the present state.

    Args:
        most_waiting: events kept before they are replaced by the present state.
    """

    def __init__(self, most_waiting: int = _MOST_WAITING) -> None:
        self._waiting: deque[LedgerEvent] = deque()
        self._most = most_waiting
        self._wake = asyncio.Event()
        self._state: Snapshot | None = None
        self._ended = False
        self.application: Application | None = None

    @property
    def waiting(self) -> int:
        """How many events the participant has not seen yet."""
        return len(self._waiting)

    def query(self, path: str) -> bytes | None:
        """Return the value at `path` of the latest state."""
        return None if self.application is None else self.application.query(path)

    def put(self, event: LedgerEvent) -> None:
        """Add an event."""
        self._state = event.state
        if isinstance(event, Restored) or len(self._waiting) >= self._most:
            self._waiting.clear()
            event = Restored(event.state)
        self._waiting.append(event)
        self._wake.set()

    async def events(self) -> AsyncIterator[LedgerEvent]:
        """Yield the present state, and then what happens until `end`."""
        self._waiting.clear()
        if self._state is not None:
            self._waiting.append(Restored(self._state))
        while not self._ended:
            while self._waiting and not self._ended:
                yield self._waiting.popleft()
            self._wake.clear()
            if not self._ended:
                await self._wake.wait()

    def end(self) -> None:
        """End `events`, now and for ever."""
        self._ended = True
        self._wake.set()


class Observed(Application):
    """An application whose blocks are noted in a feed.

    Args:
        inner: the rules.
        feed: gets an event for every block.
    """

    def __init__(self, inner: Application, feed: Feed) -> None:
        self._inner = inner
        self._feed = feed
        feed.application = inner
        feed.put(Restored(inner.snapshot()))

    def check(self, transaction: Transaction) -> TxResult:
        """See `Application.check`."""
        return self._inner.check(transaction)

    def apply(self, block: Block) -> Applied:
        """See `Application.apply`."""
        applied = self._inner.apply(block)
        self._feed.put(Ordered(block, applied.results, applied.state))
        return applied

    def query(self, path: str) -> bytes | None:
        """See `Application.query`."""
        return self._inner.query(path)

    def snapshot(self) -> Snapshot:
        """See `Application.snapshot`."""
        return self._inner.snapshot()

    def restore(self, data: bytes) -> bytes:
        """See `Application.restore`."""
        root = self._inner.restore(data)
        self._feed.put(Restored(self._inner.snapshot()))
        return root


def observed(make_application: Callable[[], Application], feed: Feed) -> Callable[[], Application]:
    """Return a maker of observed applications, for an engine that may ask for a new one."""
    return lambda: Observed(make_application(), feed)
