"""Frames and the connection to one peer: lengths are bounded, nobody's address or silence costs more than its own."""

import asyncio
import ssl
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medward.ledger.pbft.identity import NodeIdentity
from medward.ledger.pbft.messages import MAX_FRAME
from medward.ledger.pbft.runtime.transport import BadFrame, Outgoing, end_task, frame, read_frame
from tests.streams import Ends, reset


def fed(data: bytes) -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    reader.feed_data(data)
    reader.feed_eof()
    return reader


@given(st.lists(st.binary(max_size=60), max_size=5))
def test_frames_come_back_one_by_one(contents: list[bytes]) -> None:
    async def read() -> list[bytes]:
        reader = fed(b"".join(map(frame, contents)))
        return [await read_frame(reader) for _ in contents]

    assert asyncio.run(read()) == contents


@pytest.mark.parametrize(("length", "limit"), [(MAX_FRAME + 1, MAX_FRAME), (2**32 - 1, MAX_FRAME), (11, 10)])
def test_frame_that_says_it_is_too_long_is_refused_before_a_byte_of_it(length: int, limit: int) -> None:
    async def read() -> None:
        reader = asyncio.StreamReader()
        reader.feed_data(length.to_bytes(4, "big"))
        await read_frame(reader, limit)

    with pytest.raises(BadFrame, match=f"{length} bytes is over the limit of {limit}"):
        asyncio.run(read())


@given(st.integers(0, 13))
def test_frame_that_is_cut_off_is_no_frame(at: int) -> None:
    async def read() -> None:
        await read_frame(fed(frame(b"0123456789")[:at]))

    with pytest.raises(asyncio.IncompleteReadError):
        asyncio.run(read())


def outgoing(folder: Path, address: str) -> Outgoing:
    identity = NodeIdentity.create(folder / "keys") if not (folder / "keys").exists() else NodeIdentity(folder / "keys")
    peer = identity.member("peer", 0, address)
    return Outgoing(peer, identity.client_context(peer))


@pytest.mark.parametrize(
    "address",
    ["", "x", "host:", "host:abc", "a..b:5", "a" * 70 + ".x:1", "127.0.0.1:99999", "127.0.0.1:-1", "\0:5", ":1"],
)
def test_address_that_cannot_be_called_ends_no_task_and_is_called_again(tmp_path: Path, address: str) -> None:
    async def call() -> bool:
        connection = outgoing(tmp_path, address)
        connection.send(b"waits")
        for _ in range(50):
            await asyncio.sleep(0)
        ended = connection._task.done()
        await connection.close()
        return ended

    assert not asyncio.run(call())


def test_what_a_peer_does_not_read_takes_bounded_memory_and_the_newest_is_kept(tmp_path: Path) -> None:
    async def fill() -> None:
        connection = outgoing(tmp_path, "127.0.0.1:1")
        assert not connection.congested
        for number in range(40):
            connection.send(bytes([number]) * 2**20)
        assert connection.congested
        assert sum(map(len, connection._frames)) == connection._size <= 32 * 2**20
        assert connection._frames[-1] == frame(bytes([39]) * 2**20)
        for _ in range(10_000):
            connection.send(b"small")
        assert len(connection._frames) <= 4096
        await connection.close()

    asyncio.run(fill())


def test_task_that_swallows_a_cancellation_is_ended_all_the_same() -> None:
    async def stubborn() -> None:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            await asyncio.sleep(3600)

    async def end() -> bool:
        task = asyncio.create_task(stubborn())
        await asyncio.sleep(0)
        await end_task(task)
        return task.done()

    assert asyncio.run(end())


def test_peer_that_resets_the_connection_is_called_again_without_a_traceback(tmp_path: Path) -> None:
    async def story() -> list[bool]:
        calls: asyncio.Queue[asyncio.StreamWriter] = asyncio.Queue()

        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await read_frame(reader)
            await calls.put(writer)

        context = NodeIdentity.create(tmp_path / "keys").server_context()
        context.verify_mode = ssl.CERT_NONE
        server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=context)
        connection = outgoing(tmp_path, f"127.0.0.1:{server.sockets[0].getsockname()[1]}")
        connection.send(b"first")
        called = await calls.get()
        ends = Ends()
        reset(called)
        connection.send(b"second")
        async with server, asyncio.timeout(20):
            while calls.empty():
                connection.send(b"again")
                await asyncio.sleep(0.05)
        await connection.close()
        return ends.asked_for

    assert asyncio.run(story()) == [True]
