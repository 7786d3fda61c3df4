"""Messages of one peer that the replica has not taken yet: bounded, and fair to the others.

A correct member never sends what does not decode, so one that does loses its connection, and is not listened to again
for a while that grows with what its frame cost. One that floods fills its own inbox, and then its connection is not
read; of each of the replica's turns it gets the same share of time as everybody else (`Share`). One connection counts
for each member, the newest. Nothing that a peer does reaches the others' inboxes.
"""

import asyncio
import time
from collections import deque

from medward.ledger.errors import NotCanonical
from medward.ledger.pbft.messages import Message, decode_message
from medward.ledger.pbft.runtime.transport import read_frame

_MESSAGES = 1024
_BYTES = 32 * 2**20
_LARGE = 2**16
"""A frame shorter than this is decoded in less than a few milliseconds, and its cost is not looked at."""
_COSTLY_SECONDS = 0.02
_REST = 4
_PENANCE = 20
_LEAST_PENANCE_SECONDS = 1.0

SHARE_SECONDS = 0.02
SHARE_MESSAGES = 64


class Share:
    """How much of one turn a peer may still use: so many messages, and so much time."""

    def __init__(self) -> None:
        self._messages = SHARE_MESSAGES
        self._end = time.perf_counter() + SHARE_SECONDS

    def take(self) -> bool:
        """Use up one message; return False where nothing is left."""
        self._messages -= 1
        return self._messages >= 0 and time.perf_counter() < self._end


class Inbox:
    """One peer's messages that wait for the replica."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[Message, int]] = deque()
        self._size = 0
        self._room = asyncio.Event()
        self._listening: asyncio.StreamWriter | None = None
        self._deaf_until = 0.0

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def next(self) -> Message | None:
        """Return the oldest message, None where none waits."""
        if not self._waiting:
            return None
        message, size = self._waiting.popleft()
        self._size -= size
        self._room.set()
        return message

    async def listen(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, wake: asyncio.Event) -> None:
        """Queue what comes over a connection, until it ends or another one of the same member takes its place.

        Raises:
            NotCanonical: the peer sent what no correct member sends.
            asyncio.IncompleteReadError: it hung up.
        """
        if time.monotonic() < self._deaf_until:
            return
        if self._listening is not None:
            self._listening.transport.abort()
        self._listening = writer
        while True:
            data = await read_frame(reader)
            await self._take_in(data)
            wake.set()

    def close(self) -> None:
        """Hang up, and forget what waits."""
        self._waiting.clear()
        self._size = 0
        self._room.set()
        if self._listening is not None:
            self._listening.transport.abort()

    async def _take_in(self, data: bytes) -> None:
        started = time.thread_time() if len(data) >= _LARGE else 0.0
        try:
            message = decode_message(data)
        except NotCanonical:
            penance = max(_LEAST_PENANCE_SECONDS, _PENANCE * (time.thread_time() - started) if started else 0.0)
            self._deaf_until = time.monotonic() + penance
            raise
        if started and (spent := time.thread_time() - started) > _COSTLY_SECONDS:
            await asyncio.sleep(_REST * spent)
        while self._waiting and (len(self._waiting) >= _MESSAGES or self._size + len(data) > _BYTES):
            self._room.clear()
            await self._room.wait()
        self._waiting.append((message, len(data)))
        self._size += len(data)
