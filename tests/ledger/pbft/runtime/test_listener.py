"""Threats T5 and T9: callers at the ledger's port that nobody knows have few places, and a member has its own."""

import asyncio
from pathlib import Path

from medward.ledger.encoding import encode
from medward.ledger.pbft.client_protocol import (
    QueryAnswer,
    StateQuery,
)
from tests.ledger.pbft.runtime.port import Port, asked, live, rooms
from tests.streams import Ends, reset


def test_anonymous_clients_have_few_places_and_a_member_has_its_own(tmp_path: Path) -> None:
    places = rooms()
    port = Port(tmp_path, lambda _: QueryAnswer(None), places)

    async def story() -> None:
        port.listener.expect([port.north])
        assert await port.come(30, source="127.0.0.2") > 4
        assert len(places.anonymous) <= 4
        asking, voting = await port.call_as_member(asking=True), await port.call_as_member(asking=False)
        assert await asked(asking, StateQuery("a")) == encode(QueryAnswer(None))
        voting[1].write(b"x")
        await asyncio.sleep(0.3)
        assert [caller.name for caller in port.replicas] == ["north"]
        await port.come(30, source="127.0.0.2")
        assert await asked(asking, StateQuery("a")) == encode(QueryAnswer(None))
        # As a client it has places apart from the one that it votes on.
        more = [await port.call_as_member(asking=True) for _ in range(5)]
        await asyncio.sleep(0.3)
        assert sum(reader.at_eof() for reader, _ in more) == 3
        assert not port.replicas[0].reader.at_eof()
        assert len(places.members) == 3

    live(port, story)


def test_anonymous_client_that_says_nothing_is_hung_up_on(tmp_path: Path) -> None:
    port = Port(tmp_path, lambda _: QueryAnswer(None), rooms(life=1.0))

    async def story() -> None:
        idle, half, useful = [await port.call() for _ in range(3)]
        half[1].write((100).to_bytes(4, "big"))
        for _ in range(8):
            half[1].write(b"z")  # a frame that drips
            await asked(useful, StateQuery("a"))
            await asyncio.sleep(0.25)
        assert idle[0].at_eof() or await idle[0].read() == b""
        assert half[0].at_eof() or await half[0].read() == b""
        await asked(useful, StateQuery("a"))

    live(port, story)


def test_caller_that_resets_its_connection_leaves_no_traceback(tmp_path: Path) -> None:
    port = Port(tmp_path, lambda _: QueryAnswer(None), rooms())

    async def story() -> None:
        _, asking = called = await port.call_as_member(asking=True)
        await asked(called, StateQuery("a"))
        _, voting = await port.call_as_member(asking=False)
        while not port.replicas:
            await asyncio.sleep(0.01)
        ends = Ends()
        reset(asking)
        reset(voting)
        await asyncio.sleep(0.3)
        assert ends.asked_for == [True, True]

    live(port, story)
