"""Authenticated channels to other members: TLS 1.3 both ways, pinned certificates, length-prefixed frames, limits.

Each member calls every other and sends on the connection it made; it reads on those that others made (`listener`).
Losing messages is allowed: PBFT sends again what matters. What waits to be read is in `inbox`.
"""

import asyncio
import contextlib
import socket
import ssl
import struct
from collections import deque

from medward.ledger.errors import NotCanonical
from medward.ledger.pbft.messages import MAX_FRAME
from medward.ledger.types import Member

_LENGTH = struct.Struct(">I")
_QUEUE_BYTES = 32 * 2**20
_QUEUED_FRAMES = 1024
_BUFFERED = 2**20
_BACKLOG_BYTES = 8 * 2**20
_RETRY = (0.05, 1.0)
_SILENCE_MILLISECONDS = 10_000
_NOTING = 0.1  # seconds; an end is known before its error is raised


class BadFrame(NotCanonical):
    """A frame that no correct peer sends."""


def frame(data: bytes) -> bytes:
    """Return `data` with its length before it."""
    return _LENGTH.pack(len(data)) + data


async def read_frame(reader: asyncio.StreamReader, limit: int = MAX_FRAME) -> bytes:
    """Return the next frame.

    Raises:
        BadFrame: it is longer than `limit`.
        asyncio.IncompleteReadError: the connection ended.
    """
    (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
    if length > limit:
        raise BadFrame(f"a frame of {length} bytes is over the limit of {limit}")
    return await reader.readexactly(length)


async def note_end(writer: asyncio.StreamWriter) -> None:
    """Ask how a connection ended whose error was told; where nobody asks, asyncio logs it again, with a traceback.

    One that is still open is left as it is, after a moment.
    """
    with contextlib.suppress(OSError):
        async with asyncio.timeout(_NOTING):
            await writer.wait_closed()


class Outgoing:
    """The connection to one peer, called again whenever it breaks.

    Args:
        peer: whom to call.
        context: a TLS context that trusts exactly this peer's certificate.
    """

    def __init__(self, peer: Member, context: ssl.SSLContext) -> None:
        self.peer = peer
        self._context = context
        self._frames: deque[bytes] = deque()
        self._size = 0
        self._writer: asyncio.StreamWriter | None = None
        self._flushing = False
        self._backlog = asyncio.Event()
        self._task = asyncio.create_task(self._run())

    def send(self, data: bytes) -> None:
        """Queue a frame; the oldest fall out where the peer does not read."""
        self._frames.append(frame(data))
        self._size += len(data) + _LENGTH.size
        while self._size > _QUEUE_BYTES or len(self._frames) > _QUEUED_FRAMES * 4:
            self._size -= len(self._frames.popleft())
        if not self._flushing and self._writer is not None:
            # What else this turn sends goes out with it.
            self._flushing = True
            asyncio.get_running_loop().call_soon(self._flush)

    @property
    def congested(self) -> bool:
        """Whether so much waits for this peer to read it that bulk it asked for is better not read from the disk."""
        return self._size > _BACKLOG_BYTES

    async def close(self) -> None:
        """Hang up."""
        await end_task(self._task)

    def _flush(self) -> None:
        self._flushing = False
        writer = self._writer
        if writer is None or writer.is_closing():
            return
        if writer.transport.get_write_buffer_size() < _BUFFERED:
            self._write(writer)
        else:
            self._backlog.set()

    def _write(self, writer: asyncio.StreamWriter) -> None:
        frames, self._frames, self._size = self._frames, deque(), 0
        writer.write(b"".join(frames))

    async def _run(self) -> None:
        host, _, port = self.peer.address.rpartition(":")
        delay = _RETRY[0]
        while True:
            writer = None
            try:
                calling = asyncio.open_connection(host.strip("[]"), int(port), ssl=self._context)
                reader, writer = await asyncio.wait_for(calling, 5)
                _notice_silence(writer)
                delay = _RETRY[0]
                self._writer = writer
                await self._keep(reader, writer)
            except (OSError, TimeoutError, ValueError, OverflowError):
                # An address that cannot be called, such as one without a port, is the peer's own harm.
                if writer is not None:
                    await note_end(writer)
                await asyncio.sleep(delay)
                delay = min(delay * 2, _RETRY[1])
            finally:
                self._writer = None
                if writer is not None:
                    writer.close()

    async def _keep(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Write what gathered while the peer did not read, until it hangs up: it says nothing on this connection."""
        ended = asyncio.create_task(reader.read(1))
        try:
            self._write(writer)
            while not ended.done():
                backlog = asyncio.create_task(self._backlog.wait())
                await asyncio.wait([ended, backlog], return_when=asyncio.FIRST_COMPLETED)
                backlog.cancel()
                self._backlog.clear()
                while self._frames and not ended.done():
                    self._write(writer)
                    await asyncio.wait_for(writer.drain(), 30)
            raise ConnectionResetError
        finally:
            ended.cancel()
            await asyncio.gather(ended, return_exceptions=True)


def _notice_silence(writer: asyncio.StreamWriter) -> None:
    """Give a connection up when nothing it sent was acknowledged for so long; else TCP waits for up to minutes."""
    connection = writer.get_extra_info("socket")
    if connection is None:  # hung up on already, as a member does that does not know this one yet
        raise ConnectionResetError
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _SILENCE_MILLISECONDS)


async def end_task(task: asyncio.Task[None]) -> None:
    """Cancel a task until it is over: `asyncio.wait_for` of Python 3.11 can swallow a cancellation."""
    while not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=0.1)
