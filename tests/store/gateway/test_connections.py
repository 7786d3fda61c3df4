"""Connections to peers: what a peer does or leaves undone is an error that says which, and never waits without end."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import httpcore
import pytest

from medward.store.gateway.connections import open_pool
from tests.streams import Ends, reset

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def waiting(read: float) -> dict[str, dict[str, float]]:
    return {"timeout": {"connect": 5.0, "read": read, "write": 5.0, "pool": 5.0}}


def asked(answer: Answer, times: int = 1, wait: float = 0.2) -> tuple[list[bytes], int]:
    """Ask a peer some times over one pool; return what came, and how many connections that took."""
    connections = 0

    async def counted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        try:
            await answer(reader, writer)
        finally:
            writer.close()

    async def run() -> list[bytes]:
        server = await asyncio.start_server(counted, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with server, open_pool(None, 4) as pool:
            return [
                (await pool.request("GET", f"http://127.0.0.1:{port}/", extensions=waiting(wait))).content
                for _ in range(times)
            ]

    return asyncio.run(run()), connections


def sends(*parts: bytes, keep: bool = False) -> Answer:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readuntil(b"\r\n\r\n"):
            for part in parts:
                writer.write(part)
                await writer.drain()
            if not keep:
                return

    return answer


async def waits(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


def test_answers_come_over_one_connection_that_is_kept() -> None:
    body = bytes(range(256)) * 4096
    head = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError):
            await sends(head, body, keep=True)(reader, writer)

    found, connections = asked(answer, times=3)
    assert found == [body] * 3
    assert connections == 1


def test_peer_that_closed_an_idle_connection_is_called_anew() -> None:
    found, connections = asked(sends(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"), times=2)
    assert found == [b"ok", b"ok"]
    assert connections == 2


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (waits, httpcore.ReadTimeout),
        (sends(b""), httpcore.RemoteProtocolError),
        (sends(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nshort"), httpcore.RemoteProtocolError),
        (sends(b"\0" * 100), httpcore.RemoteProtocolError),
    ],
)
def test_what_a_peer_leaves_undone_is_told(answer: Answer, error: type[Exception]) -> None:
    with pytest.raises(error):
        asked(answer)


def test_place_where_nobody_listens_is_told() -> None:
    async def run() -> None:
        server = await asyncio.start_server(waits, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        server.close()
        await server.wait_closed()
        async with open_pool(None, 4) as pool:
            await pool.request("GET", f"http://127.0.0.1:{port}/", extensions=waiting(5.0))

    with pytest.raises(httpcore.ConnectError):
        asyncio.run(run())


def test_reset_is_told_once_and_not_by_asyncio_too() -> None:
    ends = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        ends.append(Ends())
        reset(writer)

    with pytest.raises(httpcore.ReadError, match="reset"):
        asked(answer, wait=10.0)
    assert [end.asked_for for end in ends] == [[True]]
