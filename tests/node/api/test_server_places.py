"""Threat T7: callers without the token, from the operator's own address, do not keep the operator out."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from medward.admission.rooms import Room
from medward.node.api.server import ApiRooms, ApiServer
from medward.node.home.configuration import ApiTable
from medward.node.trial.ports import free_ports
from tests.admission.world import LOOPS, Called, call, until, within

TOKEN = "the-one-that-is-right"
AUTHORIZED = f"Host: x\r\nAuthorization: Bearer {TOKEN}\r\n".encode()


class Shown:
    """A node that only says where it stands."""

    async def status(self) -> Mapping[str, Any]:
        return {"name": "north"}

    def health(self) -> str | None:
        return None

    def __getattr__(self, name: str) -> Any:
        return lambda *_: None


def served(
    tmp_path: Path, story: Callable[[int, ApiServer, list[str]], Awaitable[None]], rooms: ApiRooms | None = None
) -> None:
    async def whole() -> None:
        told: list[str] = []
        table = ApiTable(listen=f"127.0.0.1:{free_ports(1)[0]}", requests_per_second=1000)
        server = ApiServer(Shown(), table, tmp_path, TOKEN, lambda what, _: told.append(what), rooms)  # type: ignore[arg-type]
        serving = asyncio.create_task(server.run())
        port = int(table.listen.rpartition(":")[2])
        try:
            await asyncio.sleep(0.3)
            await story(port, server, told)
        finally:
            server.stop()
            await serving

    within(whole(), LOOPS["libuv"])


async def ask(caller: Called) -> float:
    """Ask for the status on a connection; return the seconds that it took."""
    begun, before = time.monotonic(), len(caller.heard)
    caller.writer.write(b"GET /status HTTP/1.1\r\n" + AUTHORIZED + b"\r\n")
    await until(
        lambda: caller.heard[before:].endswith(json.dumps({"name": "north"}, separators=(",", ":")).encode()),
        "it answers",
    )
    return time.monotonic() - begun


def rooms(strangers: int, holders: int) -> ApiRooms:
    return ApiRooms(Room(strangers, strangers, grace=0.05, life=2.0), Room(holders, holders, known=True))


def test_half_requests_without_the_token_never_keep_out_who_has_it(tmp_path: Path) -> None:
    async def story(port: int, _server: ApiServer, told: list[str]) -> None:
        crowd: list[Called] = []

        async def come() -> None:
            while True:
                one = await call(port)
                one.writer.write(b"GET /health HTTP/1.1\r\nHost: x\r\nX-a: ")
                crowd.append(one)

        coming = [asyncio.create_task(come()) for _ in range(10)]
        await until(lambda: len(crowd) > 200, "there is a crowd")
        holder = await call(port)
        try:
            for _ in range(6):
                await asyncio.sleep(0.1)
                await ask(holder)
        finally:
            for one in coming:
                one.cancel()
        assert not holder.ended
        assert len(places.strangers) == 8
        assert "a stranger made room for another" in told

    places = rooms(8, 8)
    served(tmp_path, story, places)


def test_who_has_the_token_is_hung_up_on_for_no_stranger(tmp_path: Path) -> None:
    async def story(port: int, _server: ApiServer, _told: list[str]) -> None:
        holders = [await call(port) for _ in range(4)]
        for holder in holders:
            await ask(holder)
        for _ in range(40):
            await call(port)
        assert not any(holder.ended for holder in holders)
        for holder in holders:
            await ask(holder)
        # Those who have the token replace each other.
        another = await call(port)
        await ask(another)
        await until(lambda: holders[0].ended, "the longest idle one goes")
        assert not any(holder.ended for holder in holders[1:])

    served(tmp_path, story, rooms(4, 4))


def test_stranger_has_a_few_seconds_whatever_it_asks(tmp_path: Path) -> None:
    async def story(port: int, _server: ApiServer, told: list[str]) -> None:
        asks = await call(port)
        begun = time.monotonic()
        while not asks.ended:
            asks.writer.write(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
            await asyncio.sleep(0.2)
            assert time.monotonic() - begun < 20
        assert b"healthy" in asks.heard
        assert told == ["a caller that showed nothing in time"]

    served(tmp_path, story, rooms(4, 4))


def test_each_guess_of_the_token_costs_a_connection(tmp_path: Path) -> None:
    async def story(port: int, server: ApiServer, _told: list[str]) -> None:
        guesses = await call(port)
        guesses.writer.write(b"GET /status HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer guess\r\n\r\n" * 50)
        await until(lambda: guesses.ended, "it is hung up on")
        assert guesses.heard.count(b"HTTP/1.1 401") == 1
        assert server.guard.refused == {401: 1}

    served(tmp_path, story)
