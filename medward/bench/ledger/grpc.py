"""As much of gRPC over HTTP/2 as a load generator needs: unary calls of one method, many at a time on one connection.

The usual library costs its caller more for a call than the server spends on it, and would then be what is measured.
RFC 9113 (HTTP/2), RFC 7541 (header compression), gRPC's "PROTOCOL-HTTP2".
"""

import asyncio
import struct
from collections import deque
from typing import Literal, cast

from medward.ledger.errors import LedgerError

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RST_STREAM, _SETTINGS, _PING, _GOAWAY, _WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
_END_STREAM, _ACK, _END_HEADERS = 0x1, 0x1, 0x4
_INITIAL_WINDOW_SIZE = 4
_FIRST_WINDOW = 65_535
_LARGE_WINDOW = 2**30
_MOST_OF_A_FRAME = 16_384
_HEAD = struct.Struct(">BHBBI")
_MESSAGE = struct.Struct(">BI")


def _frame(kind: int, flags: int, stream: int, content: bytes) -> bytes:
    return _HEAD.pack(len(content) >> 16, len(content) & 0xFFFF, kind, flags, stream) + content


def _text(value: str) -> bytes:
    raw = value.encode()
    return bytes([len(raw)]) + raw


class UnaryCalls(asyncio.Protocol):
    """One connection.

    Args:
        method: the path, as `/etcdserverpb.KV/Put`.
        authority: what the server is called.
        scheme: https where the connection is under TLS.
    """

    def __init__(self, method: str, authority: str, scheme: Literal["http", "https"]) -> None:
        # The first call writes its headers into the server's table; all later ones name them by their places there
        # (RFC 7541, 2.3 and 6.2.1): the newest is 62. Before them POST (3), and http (6) or https (7), of the static
        # table.
        request = bytes([0x80 | 3, 0x80 | {"http": 6, "https": 7}[scheme]])
        self._headers = b"".join(
            [request, b"\x44", _text(method), b"\x41", _text(authority),
             b"\x5f", _text("application/grpc"), b"\x40", _text("te"), _text("trailers")]
        )  # fmt: skip
        self._next_headers = request + bytes([0x80 | 65, 0x80 | 64, 0x80 | 63, 0x80 | 62])
        self._stream = 1
        self._window = _FIRST_WINDOW
        self._held: deque[tuple[bytes, asyncio.Future[None]]] = deque()
        self._waiting: dict[int, asyncio.Future[None]] = {}
        self._answered: set[int] = set()
        self._out: list[bytes] = []
        self._heard = b""
        self._transport: asyncio.Transport | None = None
        self._closed = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin: the server may send as much as it likes."""
        self._transport = transport = cast(asyncio.Transport, transport)
        settings = struct.pack(">HI", _INITIAL_WINDOW_SIZE, _LARGE_WINDOW)
        update = struct.pack(">I", _LARGE_WINDOW)
        transport.write(_PREFACE + _frame(_SETTINGS, 0, 0, settings) + _frame(_WINDOW_UPDATE, 0, 0, update))

    def connection_lost(self, error: Exception | None) -> None:
        """Nobody waits for an answer that cannot come."""
        self._closed = True
        for future in [*self._waiting.values(), *(future for _, future in self._held)]:
            if not future.done():
                future.set_exception(LedgerError(f"the server hung up: {error!r}"))

    async def call(self, message: bytes) -> None:
        """Send one encoded request and wait until it was answered.

        Raises:
            LedgerError: it was answered with an error, or not at all.
        """
        if self._closed:
            raise LedgerError("the server hung up")
        if _MESSAGE.size + len(message) > _FIRST_WINDOW:
            raise LedgerError(f"a request of {len(message)} bytes is longer than this client sends")
        answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._held.append((_MESSAGE.pack(0, len(message)) + message, answered))
        self._send_held()
        await answered

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.abort()

    def _send_held(self) -> None:
        """Start the calls that the server's window has room for."""
        while self._held and len(self._held[0][0]) <= self._window:
            content, answered = self._held.popleft()
            self._window -= len(content)
            self._waiting[self._stream] = answered
            last = (len(content) - 1) // _MOST_OF_A_FRAME * _MOST_OF_A_FRAME
            self._write(
                b"".join(
                    [
                        _frame(_HEADERS, _END_HEADERS, self._stream, self._headers),
                        *(
                            _frame(_DATA, 0, self._stream, content[at : at + _MOST_OF_A_FRAME])
                            for at in range(0, last, _MOST_OF_A_FRAME)
                        ),
                        _frame(_DATA, _END_STREAM, self._stream, content[last:]),
                    ]
                )
            )
            self._headers = self._next_headers
            self._stream += 2

    def _write(self, data: bytes) -> None:
        # What else this turn of the loop sends goes out with it.
        if not self._out:
            asyncio.get_running_loop().call_soon(self._flush)
        self._out.append(data)

    def _flush(self) -> None:
        out, self._out = self._out, []
        if self._transport is not None:
            self._transport.write(b"".join(out))

    def data_received(self, data: bytes) -> None:
        """Take the server's frames."""
        data = self._heard + data if self._heard else data
        at, size = 0, len(data)
        while at + _HEAD.size <= size:
            high, low, kind, flags, stream = _HEAD.unpack_from(data, at)
            end = at + _HEAD.size + (high << 16 | low)
            if end > size:
                break
            self._frame_received(kind, flags, stream, data[at + _HEAD.size : end])
            at = end
        self._heard = data[at:]

    def _frame_received(self, kind: int, flags: int, stream: int, content: bytes) -> None:
        if kind == _DATA:
            self._answered.add(stream)
        if kind == _RST_STREAM or (kind in {_DATA, _HEADERS} and flags & _END_STREAM):
            future = self._waiting.pop(stream, None)
            # A call that failed is answered with its status alone, without a message.
            if future is not None and not future.done():
                if stream in self._answered and kind != _RST_STREAM:
                    future.set_result(None)
                else:
                    future.set_exception(LedgerError("the server refused a call"))
            self._answered.discard(stream)
        elif kind in {_SETTINGS, _PING} and not flags & _ACK:
            self._write(_frame(kind, _ACK, 0, content if kind == _PING else b""))
        elif kind == _WINDOW_UPDATE and stream == 0:
            self._window += struct.unpack(">I", content)[0]
            self._send_held()
        elif kind == _GOAWAY:
            self.close()
