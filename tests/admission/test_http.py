"""Threat T7: half-sent requests, and callers that do not read their answers."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from medward.admission.http import CallerTimeouts, HttpServer
from medward.admission.rooms import Room
from tests.admission.world import LOOPS, Called, bound, call, until, within

PATIENCE = CallerTimeouts(head=1.0, body=1.0, idle=1.0, stalled=2.0)
HALF, SLOW, DEAF = "half a request", "a slow answer", "a caller that did not read its answer"


async def _plain(_: Request) -> Response:
    return PlainTextResponse("well")


async def _slow(_: Request) -> Response:
    await asyncio.sleep(4)
    return PlainTextResponse("at last")


async def _endless(_: Request) -> Response:
    async def pieces():
        while True:
            await asyncio.sleep(0)
            yield bytes(65_536)

    return StreamingResponse(pieces())


async def _takes(request: Request) -> Response:
    return PlainTextResponse(str(len(await request.body())))


APPLICATION = Starlette(
    routes=[
        Route("/plain", _plain),
        Route("/slow", _slow),
        Route("/endless", _endless),
        Route("/takes", _takes, methods=["POST"]),
    ]
)


def served(story: Callable[[int, list[str]], Awaitable[None]], loop: str = "libuv") -> None:
    """Live through a story with a server."""

    async def whole() -> None:
        told: list[str] = []
        server = HttpServer(APPLICATION, Room(50, 50), refused=lambda what, _: told.append(what), patience=PATIENCE)
        listener = bound()
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        await until(lambda: server.started, "it serves")
        try:
            await story(listener.getsockname()[1], told)
        finally:
            server.should_exit = True
            await serving

    within(whole(), LOOPS[loop])


@pytest.mark.parametrize("loop", LOOPS)
def test_half_a_head_is_waited_for_no_longer_than_said(loop: str) -> None:
    halves = (b"", b"GET /pl", b"GET /plain HTTP/1.1\r\nX: ", b"GET /plain HTTP/1.1\r\nHost: x\r\n")

    async def story(port: int, told: list[str]) -> None:
        called = [await call(port) for _ in halves]
        for one, sent in zip(called, halves, strict=True):
            one.writer.write(sent)
        await until(lambda: all(one.ended for one in called), "they are hung up on")
        assert told == [HALF] * len(halves)

    served(story, loop)


def test_a_head_that_drips_is_waited_for_no_longer() -> None:
    async def story(port: int, told: list[str]) -> None:
        half = await call(port)
        half.writer.write(b"GET /plain HTTP/1.1\r\nX-a: ")
        begun = time.monotonic()
        while not half.ended:
            half.writer.write(b"a")
            await asyncio.sleep(0.1)
            assert time.monotonic() - begun < 20
        assert told == [HALF]

    served(story)


def test_a_body_that_drips_is_waited_for_no_longer_than_said() -> None:
    async def story(port: int, told: list[str]) -> None:
        half = await call(port)
        half.writer.write(b"POST /takes HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n")
        begun = time.monotonic()
        while not half.ended:
            half.writer.write(b"a")
            await asyncio.sleep(0.1)
            assert time.monotonic() - begun < 20
        assert told == [HALF]

    served(story)


def test_the_second_request_of_a_connection_is_waited_for_no_longer() -> None:
    async def story(port: int, told: list[str]) -> None:
        half = await call(port)
        half.writer.write(b"GET /plain HTTP/1.1\r\nHost: x\r\n\r\n")
        await until(lambda: half.heard.endswith(b"well"), "the first is answered")
        half.writer.write(b"GET /pl")
        await until(lambda: half.ended, "it is hung up on")
        assert told == [HALF]

    served(story)


def test_who_does_not_read_the_answer_is_hung_up_on() -> None:
    async def story(port: int, told: list[str]) -> None:
        deaf = await call(port)
        deaf.writer.transport.pause_reading()  # type: ignore[attr-defined]
        deaf.writer.write(b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n")
        await until(lambda: told == [DEAF], "it is hung up on")

    served(story)


def test_who_is_slow_but_reads_on_is_not() -> None:
    async def story(port: int, told: list[str]) -> None:
        slow = await call(port)
        transport = slow.writer.transport
        slow.writer.write(b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n")
        end = time.monotonic() + 6
        while time.monotonic() < end:
            transport.pause_reading()  # type: ignore[attr-defined]
            await asyncio.sleep(0.5)
            transport.resume_reading()  # type: ignore[attr-defined]
            await asyncio.sleep(0.05)
        assert told == []
        assert not slow.ended
        slow.close()

    served(story)


def test_a_whole_request_is_answered_however_long_that_takes() -> None:
    async def story(port: int, told: list[str]) -> None:
        patient = await call(port)
        patient.writer.write(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        await until(lambda: patient.heard.endswith(b"at last"), "it is answered")
        assert told == []

    served(story)


def test_what_is_no_request_is_told_of_and_its_connection_ends(caplog: pytest.LogCaptureFixture) -> None:
    async def story(port: int, told: list[str]) -> None:
        noise: list[Called] = [await call(port) for _ in range(5)]
        for one in noise:
            one.writer.write(bytes(range(128, 256)) + b"\r\n\r\n")
        head = await call(port)
        head.writer.write(b"GET /plain HTTP/1.1\r\nX: " + b"a" * 40_000)
        await until(lambda: all(one.ended for one in (*noise, head)), "they are hung up on")
        assert told == ["what is no HTTP request"] * 6

    served(story)
    assert "Invalid HTTP request" not in caplog.text
