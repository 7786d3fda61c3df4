"""Fetching from peers whose CARs have something wrong in them, over real connections."""

import asyncio
import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, aclosing, suppress

import pytest

from medward.bench.store.measures import MEMORY_LIMIT_MIB
from medward.bench.store.memory_program import peak_beyond_now
from medward.store.car import car_header, car_section_head, write_car
from medward.store.cid import Cid
from medward.store.dag import walk
from medward.store.errors import BlockNotFound, PeerFailure
from medward.store.gateway.connections import open_pool
from medward.store.gateway.peer import CarOrder, Peer, PeerTimeouts, ask_for_car
from medward.store.importer import import_file
from medward.store.limits import DEFAULT_LIMITS, MAX_BLOCK_BYTES, DagLimits
from medward.store.local import LocalStore
from medward.store.varint import encode_varint

from .exchanging import CONTENT, SMALL, cid_of, fetching, served, small_file_blocks
from .hostile import Exchange, Misdeed, hostile_peer


def car_peer(pieces: Callable[[list[tuple[Cid, bytes]]], Iterator[bytes]]) -> Misdeed:
    """A peer whose raw blocks are honest and whose CARs are what `pieces` makes of the right blocks."""
    blocks = small_file_blocks()
    by_name = {str(cid): block for cid, block in blocks}

    def answer(request: Exchange) -> None:
        name, _, query = request.path.removeprefix("/ipfs/").partition("?")
        request.begin()
        if "format=raw" in query:
            request.send(by_name[name])
            return
        for piece in pieces(blocks):
            if not request.send(piece):
                return

    return answer


def leaves_before_root(blocks: list[tuple[Cid, bytes]]) -> Iterator[bytes]:
    yield from write_car([blocks[0][0]], reversed(blocks))


def block_nobody_asked_for(blocks: list[tuple[Cid, bytes]]) -> Iterator[bytes]:
    foreign = b"nobody asked for this"
    yield from write_car([blocks[0][0]], [*blocks[:5], (Cid.of(foreign), foreign), *blocks[5:]])


def wrong_block_under_a_right_name(blocks: list[tuple[Cid, bytes]]) -> Iterator[bytes]:
    changed = [(cid, block if place != 7 else b"wrong") for place, (cid, block) in enumerate(blocks)]
    yield from write_car([blocks[0][0]], changed)


def missing_block(blocks: list[tuple[Cid, bytes]]) -> Iterator[bytes]:
    yield from write_car([blocks[0][0]], blocks[:9] + blocks[10:])


def cut_off(blocks: list[tuple[Cid, bytes]]) -> Iterator[bytes]:
    yield b"".join(write_car([blocks[0][0]], blocks))[:-500]


def endless_repeats(blocks: list[tuple[Cid, bytes]]) -> Iterator[bytes]:
    yield car_header([blocks[0][0]])
    while True:
        for cid, block in blocks[:2]:
            yield car_section_head(cid, len(block)) + block


def slow_repeats(blocks: list[tuple[Cid, bytes]]) -> Iterator[bytes]:
    for piece in endless_repeats(blocks):
        time.sleep(0.02)
        yield piece


def dripping_blocks(blocks: list[tuple[Cid, bytes]]) -> Iterator[bytes]:
    for piece in write_car([blocks[0][0]], blocks):
        time.sleep(0.05)
        yield piece


def huge_section(blocks: list[tuple[Cid, bytes]]) -> Iterator[bytes]:
    yield car_header([blocks[0][0]]) + encode_varint(MAX_BLOCK_BYTES * 100)
    while True:
        yield bytes(65536)


def huge_header(blocks: list[tuple[Cid, bytes]]) -> Iterator[bytes]:
    yield encode_varint(1 << 40)
    while True:
        yield bytes(65536)


def other_hash_function(blocks: list[tuple[Cid, bytes]]) -> Iterator[bytes]:
    name = b"\x01\x55\x13\x40" + hashlib.sha512(b"block").digest()
    yield car_header([blocks[0][0]]) + encode_varint(len(name) + 5) + name + b"block"


def nothing(blocks: list[tuple[Cid, bytes]]) -> Iterator[bytes]:
    yield from ()


@pytest.mark.parametrize(
    "pieces",
    [
        leaves_before_root,
        block_nobody_asked_for,
        wrong_block_under_a_right_name,
        missing_block,
        cut_off,
        endless_repeats,
        slow_repeats,
        dripping_blocks,
        huge_section,
        huge_header,
        other_hash_function,
        nothing,
    ],
    ids=lambda pieces: pieces.__name__,
)
def test_a_car_with_something_wrong_in_it_never_gives_a_wrong_byte(
    stack: ExitStack, pieces: Callable[[list[tuple[Cid, bytes]]], Iterator[bytes]]
) -> None:
    content = CONTENT[: 100 * 1024]
    hostile = stack.enter_context(hostile_peer(car_peer(pieces)))
    _, honest = served(stack, content, SMALL)
    store = fetched_from(stack, [hostile.peer, honest], cid_of(content, SMALL))
    assert store.read(cid_of(content, SMALL), DEFAULT_LIMITS) == content
    assert store.usage().blocks == len(small_file_blocks())


def fetched_from(stack: ExitStack, peers: list[Peer], cid: Cid) -> LocalStore:
    """Fetch with little patience, so that who drips on purpose is found soon; with more where the machine is slow.

    A CAR that is slow on purpose has no end: no patience is enough for it, only to hang up on it is.
    """
    limits = DagLimits(max_bytes=20_000_000, max_blocks=1000)
    for block in (1.5, 6.0):
        store = fetching(stack, peers, PeerTimeouts(connect=5, block=block, hedge=0.2, fetch=60))
        with suppress(BlockNotFound):
            store.fetch(cid, limits)
            return store
    store = fetching(stack, peers, PeerTimeouts(connect=30, block=25.0, hedge=0.2, fetch=300))
    store.fetch(cid, limits)
    return store


def test_who_is_slow_with_what_it_got_is_not_interrupted_and_blames_no_peer(stack: ExitStack) -> None:
    """A disk that is slow just when a peer's time is over: what is being written is written, and all of it comes."""
    patience = PeerTimeouts(block=2.0)
    slow = 1.25 * patience.block

    def pausing(blocks: list[tuple[Cid, bytes]]) -> Iterator[bytes]:
        whole = b"".join(write_car([blocks[0][0]], blocks))
        yield whole[: len(whole) // 2]
        time.sleep(slow + 0.5)
        yield whole[len(whole) // 2 :]

    peer = stack.enter_context(hostile_peer(car_peer(pausing))).peer
    order = CarOrder(cid_of(CONTENT[: 100 * 1024], SMALL), patience, 20_000_000, 1000, lambda _cid: True)

    async def read() -> int:
        count = 0
        async with open_pool(None, 4) as pool, aclosing(ask_for_car(pool, peer, order)) as car:
            async for _ in car:
                count += 1
                if count == 1:
                    await asyncio.sleep(slow)
        return count

    assert asyncio.run(read()) == len(small_file_blocks())


@pytest.mark.parametrize("of_use", [True, False])
def test_a_long_car_gets_time_for_what_is_of_use_and_for_nothing_else(stack: ExitStack, of_use: bool) -> None:
    blocks: dict[Cid, bytes] = {}
    root = import_file(CONTENT, lambda cid, block: blocks.update({cid: bytes(block)})).cid
    pieces = list(write_car([root], walk(root, blocks.__getitem__)))

    def steady(request: Exchange) -> None:
        request.begin()
        for piece in pieces:
            time.sleep(2.5 / len(pieces))
            if not request.send(piece):
                return

    peer = stack.enter_context(hostile_peer(steady)).peer
    order = CarOrder(root, PeerTimeouts(block=1.5), 20_000_000, 1000, lambda _cid: of_use)

    async def read() -> int:
        async with open_pool(None, 4) as pool, aclosing(ask_for_car(pool, peer, order)) as car:
            return len([cid async for cid, _ in car])

    if of_use:
        assert asyncio.run(read()) == len(blocks)
    else:
        with pytest.raises(PeerFailure, match="took longer"):
            asyncio.run(read())


@pytest.mark.parametrize("pieces", [endless_repeats, huge_section, huge_header], ids=lambda pieces: pieces.__name__)
def test_a_car_without_end_does_not_fill_the_memory(
    stack: ExitStack, pieces: Callable[[list[tuple[Cid, bytes]]], Iterator[bytes]]
) -> None:
    hostile = stack.enter_context(hostile_peer(car_peer(pieces)))
    _, honest = served(stack, CONTENT[: 100 * 1024], SMALL)
    store = fetching(stack, [hostile.peer, honest])
    root = cid_of(CONTENT[: 100 * 1024], SMALL)
    assert peak_beyond_now(lambda: store.fetch(root)) < MEMORY_LIMIT_MIB
    assert store.read(root, DEFAULT_LIMITS) == CONTENT[: 100 * 1024]
