"""Fetching from peers that do wrong, over real connections: every kind of liar, block by block."""

import time
from contextlib import ExitStack, suppress

import pytest

from medward.bench.store.measures import MEMORY_LIMIT_MIB
from medward.bench.store.memory_program import peak_beyond_now
from medward.store.cid import Cid
from medward.store.errors import BlockNotFound
from medward.store.gateway.peer import PeerTimeouts
from medward.store.limits import DEFAULT_LIMITS

from .exchanging import CONTENT, VERY_HASTY, cid_of, fetching, served, small_file_blocks
from .hostile import Exchange, Misdeed, hostile_peer


def wrong_block(request: Exchange) -> None:
    request.begin()
    request.send(b"not what was asked for")


def flipped_bit(request: Exchange) -> None:
    content = bytearray(CONTENT[: 1024 * 1024])
    content[5] ^= 1
    request.begin(length=len(content))
    request.send(content)


def endless_body(request: Exchange) -> None:
    request.begin()
    while request.send(bytes(65536)):
        pass


def endless_headers(request: Exchange) -> None:
    request.close_connection = True
    alive = request.send(b"HTTP/1.1 200 OK\r\n")
    while alive:
        alive = request.send(b"X-Padding: " + b"x" * 1000 + b"\r\n")


def slow_drip(request: Exchange) -> None:
    request.begin(length=1024 * 1024)
    while request.send(b"x"):
        time.sleep(0.05)


def slow_headers(request: Exchange) -> None:
    request.close_connection = True
    alive = request.send(b"HTTP/1.1 200 OK\r\nX: ")
    while alive:
        time.sleep(0.05)
        alive = request.send(b"x")


def silence(request: Exchange) -> None:
    request.close_connection = True
    request.connection.settimeout(10)
    with suppress(OSError):
        request.rfile.read(1)  # returns when the client gives up


def truncated(request: Exchange) -> None:
    request.begin(length=1024 * 1024)
    request.send(CONTENT[:1000])


def hang_up(request: Exchange) -> None:
    request.close_connection = True


def server_error(request: Exchange) -> None:
    request.begin(status=500, length=0)


def endless_redirect(request: Exchange) -> None:
    request.close_connection = True
    request.send(b"HTTP/1.1 302 Found\r\nLocation: /ipfs/again\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")


def no_http(request: Exchange) -> None:
    request.close_connection = True
    request.send(b"\x16\x03\x01\x02\x00 hello\r\n\r\n")


def zip_bomb(request: Exchange) -> None:
    request.close_connection = True
    request.send(
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 10\r\nConnection: close\r\n\r\n1234567890"
    )


MISDEEDS: list[Misdeed] = [
    wrong_block,
    flipped_bit,
    endless_body,
    endless_headers,
    slow_drip,
    slow_headers,
    silence,
    truncated,
    hang_up,
    server_error,
    endless_redirect,
    no_http,
    zip_bomb,
]


@pytest.mark.parametrize("misdeed", MISDEEDS, ids=lambda misdeed: misdeed.__name__)
def test_a_hostile_peer_beside_an_honest_one_costs_a_request_elsewhere(stack: ExitStack, misdeed: Misdeed) -> None:
    hostile = stack.enter_context(hostile_peer(misdeed))
    _, honest = served(stack, CONTENT)
    assert fetching(stack, [hostile.peer, honest]).read(cid_of(CONTENT), DEFAULT_LIMITS) == CONTENT
    assert hostile.asked > 0


@pytest.mark.parametrize("misdeed", MISDEEDS, ids=lambda misdeed: misdeed.__name__)
def test_a_hostile_peer_alone_ends_in_a_clear_error_and_no_byte(stack: ExitStack, misdeed: Misdeed) -> None:
    hostile = stack.enter_context(hostile_peer(misdeed))
    store = fetching(stack, [hostile.peer], VERY_HASTY)
    with pytest.raises(BlockNotFound, match="mallory"):
        store.read(cid_of(CONTENT), DEFAULT_LIMITS)
    with pytest.raises(BlockNotFound, match="mallory"):
        store.fetch_block(cid_of(CONTENT))
    assert store.usage().blocks == 0
    assert hostile.asked <= 8  # it is not asked for ever


@pytest.mark.parametrize("misdeed", [endless_body, endless_headers, zip_bomb], ids=lambda misdeed: misdeed.__name__)
def test_what_a_hostile_peer_sends_without_end_does_not_fill_the_memory(stack: ExitStack, misdeed: Misdeed) -> None:
    hostile = stack.enter_context(hostile_peer(misdeed))
    store = fetching(stack, [hostile.peer], VERY_HASTY)

    def ask() -> None:
        with pytest.raises(BlockNotFound, match="mallory"):
            store.fetch(cid_of(CONTENT))

    assert peak_beyond_now(ask) < MEMORY_LIMIT_MIB


def test_a_liar_is_not_asked_again_in_the_same_fetch(stack: ExitStack) -> None:
    hostile = stack.enter_context(hostile_peer(wrong_block))
    _, honest = served(stack, CONTENT)
    assert fetching(stack, [hostile.peer, honest]).read(cid_of(CONTENT), DEFAULT_LIMITS) == CONTENT
    assert hostile.asked == 1


def test_a_fetch_as_a_whole_ends_however_slowly_honest_looking_blocks_drip_in(stack: ExitStack) -> None:
    blocks = dict(small_file_blocks())

    def just_in_time(request: Exchange) -> None:
        if "format=car" in request.path:
            request.begin(status=404, length=0)
            return
        time.sleep(0.3)
        block = blocks[Cid.parse(request.path.removeprefix("/ipfs/").partition("?")[0])]
        request.begin(length=len(block))
        request.send(block)

    hostile = stack.enter_context(hostile_peer(just_in_time))
    patience = PeerTimeouts(block=1.0, hedge=0.2, fetch=2.0)
    with pytest.raises(BlockNotFound, match="took longer than 2 s"):
        fetching(stack, [hostile.peer], patience).fetch(next(iter(blocks)))
