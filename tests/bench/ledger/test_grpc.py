"""gRPC's frames: what is sent is what RFC 9113 says, and whatever a server sends ends in an answer or an error."""

import asyncio
import struct
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from medward.bench.ledger.grpc import UnaryCalls
from medward.ledger.errors import LedgerError

DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
END_STREAM, ACK = 1, 1
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
ANSWER = b"\0\0\0\0\0"  # an empty message

Frame = tuple[int, int, int, bytes]


def frame(kind: int, flags: int, stream: int, content: bytes = b"") -> bytes:
    return len(content).to_bytes(3, "big") + struct.pack(">BBI", kind, flags, stream) + content


def frames(data: bytes) -> list[Frame]:
    found = []
    while data:
        length = int.from_bytes(data[:3], "big")
        found.append((*struct.unpack(">BBI", data[3:9]), data[9 : 9 + length]))
        data = data[9 + length :]
    return found


def streams(sent: list[Frame]) -> list[int]:
    """Return the streams that were ended."""
    return [stream for kind, flags, stream, _ in sent if kind == DATA and flags & END_STREAM]


class Wire(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.sent, self.aborted = b"", False

    def write(self, data: Any) -> None:
        self.sent += data

    def abort(self) -> None:
        self.aborted = True


class Server:
    """The other end of one connection."""

    def __init__(self) -> None:
        self.calls, self.wire = UnaryCalls("/a.B/C", "here:1", "https"), Wire()
        self.calls.connection_made(self.wire)
        self.greeting, self.wire.sent = self.wire.sent, b""
        self.begun: list[asyncio.Task[None]] = []

    async def ask(self, *messages: bytes) -> list[Frame]:
        """Let the client call with these, and return what it sent."""
        self.begun += [asyncio.create_task(self.calls.call(message)) for message in messages]
        return await self.heard()

    async def heard(self) -> list[Frame]:
        for _ in range(3):
            await asyncio.sleep(0)
        sent, self.wire.sent = self.wire.sent, b""
        return frames(sent)

    async def say(self, *sent: bytes) -> list[Frame]:
        self.calls.data_received(b"".join(sent))
        return await self.heard()

    async def outcomes(self) -> list[str]:
        await self.heard()
        return ["waits" if not one.done() else str(one.exception() or "answered") for one in self.begun]


Story = Callable[[Server], Coroutine[Any, Any, None]]


def tell(story: Story) -> None:
    async def run() -> None:
        server = Server()
        await asyncio.wait_for(story(server), 10)
        server.calls.connection_lost(None)
        await asyncio.gather(*server.begun, return_exceptions=True)

    asyncio.run(run())


def test_the_client_begins_with_the_preface_and_lets_the_server_send_as_much_as_it_likes() -> None:
    greeting = Server().greeting
    assert greeting.startswith(PREFACE)
    settings, update = frames(greeting.removeprefix(PREFACE))
    assert settings == (SETTINGS, 0, 0, struct.pack(">HI", 4, 2**30))
    assert update == (WINDOW_UPDATE, 0, 0, struct.pack(">I", 2**30))


def test_the_first_call_spells_its_headers_and_later_ones_name_their_places() -> None:
    async def story(server: Server) -> None:
        (first, message, second, _) = await server.ask(b"one", b"two")
        assert first[:3] == (HEADERS, 4, 1)
        assert all(text in first[3] for text in (b"/a.B/C", b"here:1", b"application/grpc", b"trailers"))
        assert message == (DATA, END_STREAM, 1, b"\0\0\0\0\x03one")
        # POST, https, then the four that the first call wrote into the server's table.
        assert second == (HEADERS, 4, 3, bytes([0x83, 0x87, 0xC1, 0xC0, 0xBF, 0xBE]))

    tell(story)


def test_answers_are_told_from_refusals_in_whatever_order_they_come() -> None:
    async def story(server: Server) -> None:
        await server.ask(b"a", b"b", b"c", b"d")
        await server.say(frame(HEADERS, 4, 7), frame(DATA, 0, 7, ANSWER), frame(HEADERS, 5, 7, b"status"))
        assert await server.outcomes() == ["waits", "waits", "waits", "answered"]
        await server.say(frame(DATA, END_STREAM, 1, ANSWER))
        await server.say(frame(HEADERS, 5, 3, b"status alone"))
        await server.say(frame(DATA, 0, 5, ANSWER), frame(RST_STREAM, 0, 5, bytes(4)))
        refused = "the server refused a call"
        assert await server.outcomes() == ["answered", refused, refused, "answered"]

    tell(story)


def test_frames_are_understood_in_whatever_pieces_they_arrive() -> None:
    async def story(server: Server) -> None:
        await server.ask(b"a")
        sent = frame(SETTINGS, 0, 0) + frame(HEADERS, 4, 1) + frame(DATA, 0, 1, ANSWER) + frame(HEADERS, 5, 1, b"x")
        for byte in sent:
            assert await server.outcomes() == ["waits"]
            server.calls.data_received(bytes([byte]))
        assert await server.outcomes() == ["answered"]

    tell(story)


def test_settings_and_pings_are_answered_once_and_answers_are_not_answered() -> None:
    async def story(server: Server) -> None:
        assert await server.say(frame(SETTINGS, 0, 0, bytes(6))) == [(SETTINGS, ACK, 0, b"")]
        assert await server.say(frame(PING, 0, 0, b"12345678")) == [(PING, ACK, 0, b"12345678")]
        assert await server.say(frame(SETTINGS, ACK, 0), frame(PING, ACK, 0, bytes(8))) == []

    tell(story)


@pytest.mark.parametrize("length", [0, 16_379, 16_380, 32_763, 32_764, 65_530])
def test_no_frame_is_longer_than_a_server_must_take(length: int) -> None:
    """16,384 bytes, where it names no other size (RFC 9113, 4.2); the message is whole at the last one's end."""

    async def story(server: Server) -> None:
        message = bytes(i % 251 for i in range(length))
        _, *sent = await server.ask(message)
        assert b"".join(one[3] for one in sent) == struct.pack(">BI", 0, length) + message
        assert [one[:3] for one in sent] == [*[(DATA, 0, 1)] * (len(sent) - 1), (DATA, END_STREAM, 1)]
        assert all(0 < len(one[3]) <= 16_384 for one in sent)

    tell(story)


def test_no_more_is_sent_than_the_server_has_room_for() -> None:
    async def story(server: Server) -> None:
        large = bytes(30_000)
        assert streams(await server.ask(large, large, large)) == [1, 3]
        # A stream's own window is not the connection's, and an update of a byte is not enough.
        assert await server.say(frame(WINDOW_UPDATE, 0, 1, struct.pack(">I", 2**20))) == []
        assert await server.say(frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", 1))) == []
        assert streams(await server.say(frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", 60_000)))) == [5]

    tell(story)


def test_a_message_that_no_window_holds_is_refused_at_once() -> None:
    async def story(server: Server) -> None:
        await server.ask(bytes(65_531), bytes(65_530))
        assert await server.outcomes() == ["a request of 65531 bytes is longer than this client sends", "waits"]

    tell(story)


def test_nobody_waits_for_a_server_that_hung_up() -> None:
    async def story(server: Server) -> None:
        await server.ask(bytes(60_000), bytes(60_000))  # the second waits for room
        server.begun[0].cancel()
        await server.heard()
        server.calls.connection_lost(ConnectionResetError("reset"))
        with pytest.raises(asyncio.CancelledError):
            await server.begun.pop(0)
        assert await server.outcomes() == ["the server hung up: ConnectionResetError('reset')"]
        with pytest.raises(LedgerError, match="the server hung up"):
            await server.calls.call(b"late")

    tell(story)


def test_what_belongs_to_no_call_changes_nothing() -> None:
    async def story(server: Server) -> None:
        await server.ask(b"a")
        strange = [frame(DATA, END_STREAM, 99, ANSWER), frame(RST_STREAM, 0, 2, bytes(4)), frame(0xFA, 0xFF, 1, b"?")]
        assert await server.say(*strange) == []
        assert await server.say(frame(DATA, 0, 1, ANSWER), *[frame(HEADERS, 5, 1)] * 3) == []
        assert await server.outcomes() == ["answered"]

    tell(story)


def test_a_server_that_says_goodbye_is_left() -> None:
    async def story(server: Server) -> None:
        await server.say(frame(GOAWAY, 0, 0, bytes(8)))
        assert server.wire.aborted

    tell(story)


def test_frames_that_lie_about_their_form_end_the_connection_and_the_waiting() -> None:
    """A window update of three bytes: asyncio closes the connection of a protocol that fails."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(len(PREFACE))
        writer.write(frame(WINDOW_UPDATE, 0, 0, bytes(3)))
        await reader.read()
        writer.close()

    async def run() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: failures.append(context["exception"]))
        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            loop = asyncio.get_running_loop()
            _, calls = await loop.create_connection(lambda: UnaryCalls("/a.B/C", "x", "http"), "127.0.0.1", port)
            with pytest.raises(LedgerError, match="hung up"):
                await asyncio.wait_for(calls.call(b"a"), 10)

    failures: list[Exception] = []
    asyncio.run(run())
    assert [type(one) for one in failures] == [struct.error]
