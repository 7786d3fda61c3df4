"""What reaches the API and what does not."""

import asyncio
import logging
from collections.abc import AsyncIterator

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from medward.node.api.guard import MAX_BODY, Allowance, Guard

TOKEN = "the-one-that-is-right"


async def count(request: Request) -> PlainTextResponse:
    return PlainTextResponse(str(len(await request.body())))


def guarded(per_second: float = 1000.0) -> Guard:
    return Guard(
        Starlette(routes=[Route("/open", count), Route("/shut", count, methods=["GET", "POST"])]),
        TOKEN,
        per_second,
        frozenset({"/open"}),
    )


def ask(guard: Guard, path: str, token: str | None = None, **options: object) -> httpx.Response:
    async def run() -> httpx.Response:
        headers = {} if token is None else {"Authorization": token}
        async with httpx.AsyncClient(transport=httpx.ASGITransport(guard), base_url="http://node") as client:
            return await client.request("POST" if options else "GET", path, headers=headers, **options)  # type: ignore[arg-type]

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("path", "token", "status"),
    [
        ("/open", None, 200),
        ("/open", "Bearer wrong", 200),
        ("/shut", f"Bearer {TOKEN}", 200),
        ("/shut", f"bearer  {TOKEN}", 200),
        ("/shut", None, 401),
        ("/shut", "", 401),
        ("/shut", "Bearer", 401),
        ("/shut", "Bearer wrong", 401),
        ("/shut", f"Bearer {TOKEN}x", 401),
        ("/shut", f"Bearer {TOKEN[:-1]}", 401),
        ("/shut", f"Basic {TOKEN}", 401),
        ("/shut", TOKEN, 401),
        ("/absent", None, 401),
    ],
)
def test_only_the_token_opens_what_is_not_open(path: str, token: str | None, status: int) -> None:
    assert ask(guarded(), path, token).status_code == status


def test_a_refusal_is_logged_without_the_token(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        ask(guarded(), "/shut", "Bearer guessed-by-somebody")
    assert "the token is wrong" in caplog.text
    assert "guessed" not in caplog.text
    assert TOKEN not in caplog.text


def test_a_path_cannot_write_lines_of_the_log(caplog: pytest.LogCaptureFixture) -> None:
    ask(guarded(), "/shut%0Ainfo%20all%20is%20well" + "x" * 500)
    [record] = caplog.records
    assert "\n" not in record.getMessage()
    assert len(record.getMessage()) < 200


def test_a_body_of_the_greatest_length_is_taken_and_one_byte_more_is_not() -> None:
    guard, token = guarded(), f"Bearer {TOKEN}"
    assert ask(guard, "/shut", token, content=bytes(MAX_BODY)).text == str(MAX_BODY)
    assert ask(guard, "/shut", token, content=bytes(MAX_BODY + 1)).status_code == 413


def test_a_body_that_hides_its_length_is_cut_off() -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(100):
            sent += 16 * 1024
            yield bytes(16 * 1024)

    with pytest.raises(ClientDisconnect):
        ask(guarded(), "/shut", f"Bearer {TOKEN}", content=endless())
    assert sent <= MAX_BODY + 2 * 16 * 1024


def test_a_caller_that_asks_too_often_waits() -> None:
    guard = guarded(per_second=1.0)
    statuses = [ask(guard, "/open").status_code for _ in range(8)]
    assert statuses[:5] == [200] * 5
    assert statuses[-1] == 429
    assert guard.refused[429] >= 1


def test_guessing_tokens_is_slowed_down_even_where_asking_is_not() -> None:
    guard = guarded()
    statuses = [ask(guard, "/shut", f"Bearer {number}").status_code for number in range(8)]
    assert statuses[:5] == [401] * 5
    assert statuses[-1] == 429
    assert ask(guard, "/open").status_code == 200
    assert ask(guard, "/shut", f"Bearer {TOKEN}").status_code == 200  # who has the token is not held up by it


def test_a_flood_without_the_token_does_not_hold_up_who_has_it() -> None:
    guard = guarded(per_second=1.0)
    while ask(guard, "/open").status_code == 200:
        pass
    assert ask(guard, "/shut", f"Bearer {TOKEN}").status_code == 200


def test_a_bucket_fills_again_and_callers_have_their_own() -> None:
    allowance = Allowance(2.0)
    assert [allowance.take("a", 0.0) for _ in range(6)] == [True] * 5 + [False]
    assert allowance.take("b", 0.0)
    assert not allowance.take("a", 0.4)
    assert allowance.take("a", 0.5)
    assert not allowance.take("a", 0.5)
    assert [allowance.take("a", 100.0) for _ in range(6)] == [True] * 5 + [False]


def test_the_callers_remembered_are_bounded() -> None:
    allowance = Allowance(1.0)
    for number in range(10_000):
        allowance.take(str(number), 0.0)
    assert len(allowance._buckets) <= 4096


def test_callers_from_many_addresses_do_not_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    guard = guarded()

    async def run() -> None:
        for number in range(200):
            transport = httpx.ASGITransport(guard, client=(f"127.0.{number // 100}.{number % 100}", 1))
            async with httpx.AsyncClient(transport=transport, base_url="http://node") as client:
                assert (await client.get("/shut")).status_code == 401

    asyncio.run(run())
    lines = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert 1 <= len(lines) <= 10
    assert guard.refused == {401: 200}
