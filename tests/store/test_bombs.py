"""Bombs in blobs (threat T2): whoever meets one pays a few MiB and blocks, however much the bomb would unfold to."""

import gzip
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial

import httpx
import pytest

from medward.bench.store.memory_program import peak_beyond_now
from medward.node.training.retention import Retention
from medward.store import dagpb, records, unixfs
from medward.store.blocks import MemoryBlocks
from medward.store.car import CarReader, car_header, car_section_head
from medward.store.cid import DAG_PB, IDENTITY, RAW, Cid
from medward.store.dag import walk
from medward.store.errors import InvalidCar, InvalidDag, InvalidRecord, LimitExceeded
from medward.store.gateway import selection
from medward.store.gateway.exchange import PeerExchange
from medward.store.gateway.negotiation import CarRequest, read_request
from medward.store.gateway.peer import Peer
from medward.store.gateway.server import GatewayServer
from medward.store.limits import MAX_BLOCK_BYTES, DagLimits, file_of, file_up_to
from medward.store.local import LocalStore, in_memory
from medward.store.pins import PinTable
from medward.store.reader import limits_of_root, read_file, walk_file
from medward.store.records import decode_record
from medward.store.unixfs import decode_unixfs

from . import bombs
from .bombs import BOMBS, RIGHT_LENGTH, SIZE, Put, plant
from .exchanging import SMALL, cid_of, fetching, served
from .hostile import Exchange, hostile_peer
from .vectors import content

Bomb = Callable[[Put], Cid]
MOST_MIB = 64
LIMITS = file_of(SIZE)
#: What was read before there were these bounds, and more than any test waits for.
UNBOUNDED = DagLimits(max_bytes=2**62, max_blocks=2**62, max_depth=2**62)
MANY = 20_000

each_bomb = pytest.mark.parametrize("bomb", BOMBS, ids=lambda bomb: bomb.__name__)


class Enough(Exception):
    """More blocks were read than a test waits for."""


class CountingBlocks(MemoryBlocks):
    """Blocks in memory that count how often one is read, and end what reads too many."""

    def __init__(self, most: int = 10**6) -> None:
        super().__init__()
        self.reads, self._most = 0, most

    def get(self, cid: Cid) -> bytes:
        self.reads += 1
        if self.reads > self._most:
            raise Enough
        return super().get(cid)


class Planted:
    """A liar's store behind a real gateway, with a bomb in it."""

    def __init__(self, stack: ExitStack, bomb: Bomb) -> None:
        self.blocks = CountingBlocks()
        self.store = stack.enter_context(LocalStore(self.blocks, PinTable(None)))
        self.root = plant(bomb, self.blocks)
        self.gateway = stack.enter_context(GatewayServer(self.store))
        self.peer = Peer("liar", self.gateway.url)


@each_bomb
def test_bomb_is_refused_for_little_memory_and_few_blocks(stack: ExitStack, bomb: Bomb) -> None:
    liar = Planted(stack, bomb)
    blocks = CountingBlocks()
    store = stack.enter_context(LocalStore(blocks, PinTable(None), PeerExchange([liar.peer])))

    def work() -> None:
        with pytest.raises((InvalidDag, LimitExceeded)):
            Retention(store, 0).read(str(liar.root), "round/1", "liar", LIMITS)

    assert peak_beyond_now(work) < MOST_MIB
    assert store.pins() == []
    assert store.usage().bytes <= LIMITS.max_bytes + MAX_BLOCK_BYTES
    assert store.usage().blocks <= LIMITS.max_blocks
    assert blocks.reads + liar.blocks.reads <= 8 * LIMITS.max_blocks


@each_bomb
def test_bomb_that_lies_here_already_is_refused_too(stack: ExitStack, bomb: Bomb) -> None:
    blocks = CountingBlocks()
    store = stack.enter_context(LocalStore(blocks, PinTable(None)))
    root = plant(bomb, blocks)

    def work() -> None:
        with pytest.raises((InvalidDag, LimitExceeded)):
            Retention(store, 0).read(str(root), "round/1", None, LIMITS)

    assert peak_beyond_now(work) < MOST_MIB
    assert blocks.reads <= 4 * LIMITS.max_blocks
    assert store.pins() == []


def test_length_is_checked_before_anything_below_the_root_is_asked_for(stack: ExitStack) -> None:
    liar = Planted(stack, bombs.too_long)
    store = fetching(stack, [liar.peer])
    for limits in (LIMITS, file_up_to(SIZE)):
        with pytest.raises(LimitExceeded, match="80000000 bytes"):
            store.fetch(liar.root, limits)
    assert liar.blocks.reads == 1 + 1


def test_file_of_one_of_the_lengths_that_are_due_is_read(stack: ExitStack) -> None:
    store = stack.enter_context(in_memory())
    for size in (0, 1, 2**20, SIZE, 60_000_000):
        root = store.add(bytes(size), pin="x")
        assert len(store.read(root, file_of(7, size))) == size
        assert len(store.read(root, file_up_to(size))) == size
        for wrong in (file_of(size + 1), file_of(7, size + 1)):
            with pytest.raises(LimitExceeded):
                store.read(root, wrong)
        with pytest.raises(LimitExceeded):
            store.read(root, file_up_to(size - 1))


def test_file_as_long_as_its_root_says_is_read_at_a_bounded_price_at_every_point(stack: ExitStack) -> None:
    """A sealed data set may be long: a bomb in it must not use up all the visits that its length allows at once."""
    blocks = CountingBlocks()
    store = stack.enter_context(LocalStore(blocks, PinTable(None)))

    def slow_start(put: Put) -> Cid:
        crumbs, rest = bombs.tower(put, b"z", 5000), bombs.tower(put, b"z" * 2**20, 1024)
        return put(bombs.file_node([(crumbs, 5000), (rest, 2**30)]), DAG_PB)

    root = plant(slow_start, blocks)
    limits = limits_of_root(root, blocks.get(root))
    assert limits.max_blocks > 16_000
    blocks.reads = 0
    with pytest.raises(LimitExceeded, match="small parts"):
        for _ in store.stream(root, limits=limits):
            pass
    assert blocks.reads < 30
    honest = store.add(bytes(200 * 2**20), pin="x")
    assert sum(map(len, store.stream(honest, limits=limits_of_root(honest, blocks.get(honest))))) == 200 * 2**20


def test_parts_without_a_byte_are_passed_over(stack: ExitStack) -> None:
    blocks = CountingBlocks()
    store = stack.enter_context(LocalStore(blocks, PinTable(None)))
    root = plant(bombs.empty_parts, blocks)
    assert len(store.read(root, LIMITS)) == SIZE
    assert blocks.reads < 40


# The same bombs where a bound is left out.


def test_swelling_bomb_fills_the_memory_where_no_length_is_due() -> None:
    blocks = MemoryBlocks()
    root, size = plant(bombs.swelling, blocks), 0
    for piece in read_file(root, blocks.get, limits=DagLimits(max_blocks=2**62)):
        size += len(piece)
        if size > 100 * 2**20:
            break
    assert size > 100 * 2**20
    assert blocks.usage().bytes < 50_000


@pytest.mark.parametrize("bomb", [bombs.tiny_leaf, bombs.tiny_leaf_deep], ids=lambda bomb: bomb.__name__)
def test_visits_without_a_bound_are_as_many_as_a_liar_wants(bomb: Bomb) -> None:
    blocks = CountingBlocks(most=MANY)
    root = plant(bomb, blocks)
    right_length = DagLimits(max_bytes=LIMITS.max_bytes, max_blocks=2**62)
    with pytest.raises(Enough):
        for _ in walk_file(root, blocks.get, limits=right_length):
            pass


def test_visits_are_bounded_where_any_length_is_accepted_too() -> None:
    blocks = CountingBlocks(most=MANY)
    root = plant(bombs.tiny_leaf, blocks)
    with pytest.raises(LimitExceeded, match="more than 5000 parts"):
        for _ in walk_file(root, blocks.get, limits=DagLimits(max_blocks=5000)):
            pass
    assert blocks.reads <= 5000


@pytest.mark.slow
def test_links_fields_and_items_without_a_bound_are_all_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    def block_of(bomb: Bomb) -> bytes:
        blocks = MemoryBlocks()
        return blocks.get(plant(bomb, blocks))

    crowd, unknown, lengths = map(block_of, (bombs.inline_crowd, bombs.unknown_fields, bombs.sizes_without_links))
    record, renamed = block_of(bombs.record), block_of(bombs.renamed_link)
    with pytest.raises(InvalidDag, match="more fields"):
        dagpb.decode_node(crowd)
    with pytest.raises(InvalidDag, match="stands twice"):
        dagpb.decode_node(renamed)
    for block in (unknown, lengths):
        with pytest.raises(InvalidDag, match="more fields"):
            decode_unixfs(dagpb.decode_node(block))
    with pytest.raises(InvalidRecord, match="65536 items"):
        decode_record(record)
    with pytest.raises(InvalidRecord, match="1024 links"):
        decode_record(block_of(bombs.record_of_links))
    monkeypatch.setattr(dagpb, "MAX_LINKS", 2**62)
    monkeypatch.setattr(unixfs, "MAX_LINKS", 2**62)
    monkeypatch.setattr(records, "MAX_ITEMS", 2**62)
    monkeypatch.setattr(records, "MAX_RECORD_LINKS", 2**62)
    assert len(dagpb.decode_node(crowd).links) > 200_000
    with pytest.raises(InvalidDag, match="but its parts have"):
        decode_unixfs(dagpb.decode_node(lengths))
    few = b"\x99" + (2000).to_bytes(2, "big")
    links = block_of(bombs.record_of_links)[3:][: 41 * 2000]
    assert len(decode_record(few + links)) == 2000  # type: ignore[arg-type]
    assert decode_record(b"\x9a" + (100_000).to_bytes(4, "big") + b"\x80" * 100_000) == [[]] * 100_000


# What a peer makes a gateway do.

QUERIES = (
    "",
    "&dag-scope=entity",
    "&entity-bytes=0:*",
    "&entity-bytes=1:*",
    "&entity-bytes=1:*&car-dups=y",
    "&car-dups=y",
    "&dag-scope=entity&car-dups=y",
)


@bombs.all_but_two(pytest.mark.slow)
def test_gateway_answers_requests_for_a_bomb_with_few_blocks(stack: ExitStack, bomb: Bomb) -> None:
    here = Planted(stack, bomb)
    client = stack.enter_context(httpx.Client(base_url=here.gateway.url, timeout=60))
    stored = here.store.usage()
    given = 0

    def ask(query: str) -> None:
        nonlocal given
        try:
            with client.stream("GET", f"/ipfs/{here.root}?format=car{query}") as answer:
                for piece in answer.iter_raw():
                    given += len(piece)
        except httpx.HTTPError:
            return  # it was cut off

    for query in QUERIES:
        here.blocks.reads = given = 0
        assert peak_beyond_now(partial(ask, query)) < MOST_MIB
        repeats = selection._MOST_WITH_REPEATS if "dups=y" in query else 0
        assert here.blocks.reads <= 2 * stored.blocks + repeats + 10
        assert repeats or given <= stored.bytes + 200 * stored.blocks + 200


@pytest.mark.parametrize("words", [{"car-dups": "y"}, {"entity-bytes": "1:*"}])
def test_repeats_without_a_bound_keep_a_gateway_busy(monkeypatch: pytest.MonkeyPatch, words: dict[str, str]) -> None:
    blocks = CountingBlocks(most=MANY)
    root = plant(bombs.tiny_leaf, blocks)
    request = read_request(str(root), {"format": "car", **words}, None)
    assert isinstance(request, CarRequest)
    found = selection.follow_path(request, blocks.get)
    monkeypatch.setattr(selection, "_MOST_WITH_REPEATS", 2**62)
    monkeypatch.setattr(selection, "walk_file", lambda *words, once: walk_file(*words, once=False))
    with pytest.raises(Enough):
        for _ in selection.select_blocks(request, found, blocks.get, UNBOUNDED):
            pass


# CARs.


def test_peer_that_fills_a_car_with_blocks_of_no_use_is_hung_up_on(stack: ExitStack) -> None:
    data = content(100 * 1024, "car")
    inline = Cid(1, RAW, IDENTITY, b"")
    sections = car_section_head(inline, 0) * 10_000
    sent = 0

    def flood(request: Exchange) -> None:
        nonlocal sent
        if "format=car" not in request.path:
            request.begin(status=404, length=0)
            return
        request.begin()
        alive = request.send(car_header([cid_of(data, SMALL)]))
        while alive:
            alive = request.send(sections)
            sent += 10_000

    liar = stack.enter_context(hostile_peer(flood))
    _, honest = served(stack, data, SMALL)
    store = fetching(stack, [liar.peer, honest])
    store.fetch(cid_of(data, SMALL), DagLimits(max_bytes=2**40, max_blocks=1000))
    assert store.read(cid_of(data, SMALL), DagLimits()) == data
    assert sent < 5_000_000  # what the sockets took in before the client hung up


def test_car_of_more_blocks_than_are_read_is_refused() -> None:
    inline = Cid(1, RAW, IDENTITY, b"")
    pieces = [car_header([inline]), car_section_head(inline, 0) * 1001]
    assert list(CarReader(pieces, 1001)) == []
    with pytest.raises(InvalidCar, match="more than 1000 blocks"):
        list(CarReader(pieces, 1000))


def test_compressed_answer_is_not_unpacked(stack: ExitStack) -> None:
    data = bytes(2_000_000)
    packed = gzip.compress(data)

    def compressed(request: Exchange) -> None:
        request.close_connection = True
        head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(packed)}\r\n\r\n"
        request.send(head.encode() + packed)

    liar = stack.enter_context(hostile_peer(compressed))
    _, honest = served(stack, data)
    store = fetching(stack, [liar.peer, honest])
    assert store.read(cid_of(data), file_of(len(data))) == data


# Walks of whole DAGs, which garbage collection, pins and exports take.


@pytest.mark.parametrize(
    "bomb", [bombs.tiny_leaf, bombs.shards, bombs.swelling, bombs.folder], ids=lambda b: b.__name__
)
def test_walk_reads_each_block_once_and_holds_few_links(bomb: Bomb) -> None:
    blocks = CountingBlocks()
    root = plant(bomb, blocks)

    def work() -> None:
        try:
            for _ in walk(root, blocks.get):
                pass
        except InvalidDag:
            assert bomb is bombs.folder

    assert peak_beyond_now(work) < MOST_MIB
    assert blocks.reads <= blocks.usage().blocks


def test_right_length_is_not_what_gives_a_bomb_away() -> None:
    for bomb in RIGHT_LENGTH:
        blocks = MemoryBlocks()
        root = plant(bomb, blocks)
        wide = DagLimits(max_bytes=2**62, max_blocks=2**62, max_depth=2**62, sizes=LIMITS.sizes)
        assert next(walk_file(root, blocks.get, limits=wide)).node.size == SIZE
