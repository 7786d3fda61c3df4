"""Doors on real sockets, with callers from several addresses of this machine."""

import asyncio
import socket
from collections.abc import Callable, Coroutine
from typing import Any

import uvloop

from medward.admission.rooms import Place

LOOPS = {"asyncio": asyncio.new_event_loop, "libuv": uvloop.new_event_loop}


def within(story: Coroutine[Any, Any, None], loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(asyncio.wait_for(story, 60))


def bound() -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", 0))
    return listener


class Greeting(asyncio.Protocol):
    """Says hello to whoever is let in."""

    def __init__(self, place: Place, met: Callable[[Place], None] = lambda _: None) -> None:
        self.place, self.met = place, met

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.met(self.place)
        transport.write(b"hello")

    def connection_lost(self, exc: Exception | None) -> None:
        self.place.leave()


class Called:
    """One who called."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.heard = b""
        self.ended = False
        self._task = asyncio.ensure_future(self._listen())

    async def _listen(self) -> None:
        try:
            while data := await self.reader.read(65_536):
                self.heard += data
        except OSError:
            pass
        self.ended = True

    def close(self) -> None:
        self._task.cancel()
        self.writer.transport.abort()


async def call(port: int, source: str = "127.0.0.1", **options: Any) -> Called:
    return Called(*await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0), **options))


async def until(holds: Callable[[], bool], what: str, seconds: float = 20) -> None:
    try:
        async with asyncio.timeout(seconds):
            while not holds():
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise AssertionError(f"waited in vain until {what}") from None
