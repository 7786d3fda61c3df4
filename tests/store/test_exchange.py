"""Fetching from peers over real connections: honest ones, absent ones, and every kind of liar."""

import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from medward.cli.bench._store_memory import peak_beyond_now
from medward.cli.bench._store_rows import MEMORY_LIMIT_MIB
from medward.store.car import car_header, car_section_head, write_car
from medward.store.cid import DAG_PB, Cid
from medward.store.dag import walk
from medward.store.dagpb import PbLink, encode_node
from medward.store.errors import BlockNotFound, InvalidDag, LimitExceeded, StoreError, StoreFull
from medward.store.gateway.exchange import PeerExchange
from medward.store.gateway.peer import Patience, Peer
from medward.store.gateway.server import GatewayServer
from medward.store.importer import Profile, import_directory, import_file
from medward.store.limits import MAX_BLOCK_BYTES, DagLimits
from medward.store.local import LocalStore, in_memory, open_directory
from medward.store.records import encode_record, record_cid
from medward.store.unixfs import encode_file
from medward.store.varint import encode_varint

from . import vectors
from .certificates import Federation
from .hostile import Exchange, Misdeed, hostile_peer

CONTENT = vectors.content(5 * 1024 * 1024 + 321, "exchange")
HASTY = Patience(connect=5, block=5.0, hedge=0.2, fetch=60)  # enough for an honest peer on a busy machine
VERY_HASTY = Patience(connect=2, block=0.4, hedge=0.2, fetch=60)  # where nobody is honest, or what is late is repeated
SMALL = Profile("small", 1, 1024, 1024, True)


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


def served(stack: ExitStack, content: bytes | None = None, profile: Profile | None = None) -> tuple[LocalStore, Peer]:
    """A store with `content`, behind a gateway."""
    store = stack.enter_context(in_memory())
    if content is not None:
        store.add(content, pin="test", **({"profile": profile} if profile else {}))
    server = stack.enter_context(GatewayServer(store))
    return store, Peer(f"honest-{server.port}", server.url)


def fetching(stack: ExitStack, peers: list[Peer], patience: Patience = HASTY) -> LocalStore:
    return stack.enter_context(in_memory(exchange=PeerExchange(peers, patience=patience)))


def cid_of(content: bytes, profile: Profile | None = None) -> Cid:
    return import_file(content, lambda _cid, _block: None, **({"profile": profile} if profile else {})).cid


@pytest.mark.parametrize("size", [0, 1, 1024 * 1024, len(CONTENT)])
def test_a_blob_is_fetched_from_a_peer_and_can_be_read_and_pinned(stack: ExitStack, size: int) -> None:
    _, peer = served(stack, CONTENT[:size])
    store = fetching(stack, [peer])
    cid = cid_of(CONTENT[:size])
    assert not store.has(cid)
    assert store.read(cid) == CONTENT[:size]
    assert store.has(cid)
    store.pin(cid, "round/1")
    store.collect_garbage()
    assert store.read(cid) == CONTENT[:size]


def test_fifty_megabytes_go_from_one_member_to_another_over_mutual_tls(tmp_path: Path, stack: ExitStack) -> None:
    federation = Federation(tmp_path, "federation")
    content = vectors.content(50_000_000)
    alice = stack.enter_context(open_directory(tmp_path / "alice"))
    cid = alice.add(content, pin="round/1")
    server = stack.enter_context(GatewayServer(alice, tls=federation.member("alice")))
    exchange = PeerExchange([Peer("alice", server.url)], federation.member("bob"))
    bob = stack.enter_context(open_directory(tmp_path / "bob", exchange=exchange))
    bob.fetch(cid)
    server.stop()
    digest = hashlib.sha256()
    for piece in bob.stream(cid):
        digest.update(piece)
    assert digest.digest() == hashlib.sha256(content).digest()
    assert bob.verify().intact


def test_peers_that_hold_a_part_each_give_the_whole_together(stack: ExitStack) -> None:
    stores, peers = zip(*(served(stack, CONTENT) for _ in range(3)), strict=True)
    cid = cid_of(CONTENT)
    for number, (name, _) in enumerate(walk(cid, stores[0].get_block)):
        for other, holder in enumerate(stores):
            if other != number % 3:
                holder.blocks.delete(name)
    assert fetching(stack, list(peers)).read(cid) == CONTENT


@pytest.mark.parametrize(("known", "misses"), [(True, 0), (False, 1)])
def test_its_author_is_asked_first_and_who_had_one_block_for_the_others(
    stack: ExitStack, known: bool, misses: int
) -> None:
    content = CONTENT[: 3 * 1024 * 1024]
    (others, ways), (_, author) = zip(*(served(stack) for _ in range(2)), strict=True), served(stack, content)
    asked = {id(store): 0 for store in others}

    def count(store: LocalStore) -> None:
        get = store.get_block

        def counting(cid: Cid) -> bytes:
            asked[id(store)] += 1
            return get(cid)

        store.get_block = counting  # type: ignore[method-assign]

    for store in others:
        count(store)
    patient = Patience(connect=30, block=30.0, hedge=30.0, fetch=60)  # nobody else is asked for being late
    fetching(stack, [*ways, author], patient).fetch(cid_of(content), likely=author.name if known else None)
    assert list(asked.values()) == [misses, misses]


def test_many_small_blocks_come_in_one_request_and_a_hole_is_filled_by_another_peer(stack: ExitStack) -> None:
    content = CONTENT[: 700 * 1024]
    (partial, first), (_, second) = served(stack, content, SMALL), served(stack, content, SMALL)
    partial.blocks.delete(Cid.of(content[300 * 1024 : 301 * 1024]))
    assert fetching(stack, [first, second]).read(cid_of(content, SMALL)) == content


def test_a_directory_and_a_record_with_links_are_fetched_whole(stack: ExitStack) -> None:
    source, peer = served(stack)

    def build(put: Callable[[Cid, bytes | memoryview], None]) -> object:
        files = {f"{number}.bin": import_file(CONTENT[number:], put) for number in range(3)}
        return import_directory(files, put)

    folder = source.add_dag(build, pin="test")  # type: ignore[arg-type]
    record = source.put_record({"folder": folder, "again": [folder]}, pin="test")
    store = fetching(stack, [peer])
    assert store.get_record(record) == {"folder": folder, "again": [folder]}
    assert not store.has(record)  # a record is read without all that it links to
    store.fetch(record)
    assert store.has(record)
    assert store.has(folder)


def test_a_fetch_goes_on_where_the_last_one_ended(stack: ExitStack, tmp_path: Path) -> None:
    source, peer = served(stack, CONTENT)
    missing = Cid.of(CONTENT[3 * 1024 * 1024 : 4 * 1024 * 1024])
    block = source.get_block(missing)
    source.blocks.delete(missing)
    cid = cid_of(CONTENT)
    store = stack.enter_context(open_directory(tmp_path / "store", exchange=PeerExchange([peer], patience=HASTY)))
    with pytest.raises(BlockNotFound, match=f"no peer gives the block {missing}"):
        store.fetch(cid)
    assert store.usage().blocks == 6

    asked: list[str] = []
    with source.blocks.writer() as writer:
        writer.put(missing, block)
    get = source.get_block
    source.get_block = lambda wanted: (asked.append(str(wanted)), get(wanted))[1]  # type: ignore[method-assign]
    assert store.read(cid) == CONTENT
    assert asked == [str(missing)]


def test_a_block_damaged_on_our_disk_is_fetched_again(stack: ExitStack, tmp_path: Path) -> None:
    _, peer = served(stack, CONTENT)
    store = stack.enter_context(open_directory(tmp_path / "store", exchange=PeerExchange([peer], patience=HASTY)))
    cid = cid_of(CONTENT)
    store.fetch(cid)
    store.pin(cid, "model/current")
    for damaged in (cid, Cid.of(CONTENT[: 1024 * 1024])):
        path = tmp_path / "store" / "blocks" / damaged.key[-2] / damaged.key
        path.write_bytes(b"damaged")
    found = store.verify()
    assert len(found.corrupt) == 2
    assert not found.intact
    store.fetch(cid)
    assert store.verify().intact
    assert store.read(cid) == CONTENT


def test_nobody_to_ask_and_nobody_who_knows_are_said_clearly(stack: ExitStack) -> None:
    absent = Cid.of(b"absent")
    with pytest.raises(BlockNotFound, match="there are no peers to ask"):
        fetching(stack, []).read(absent)
    _, peer = served(stack)
    with pytest.raises(BlockNotFound, match=f"{peer.name} does not have"):
        fetching(stack, [peer]).fetch_block(absent)
    with pytest.raises(BlockNotFound, match="could not be asked"):
        fetching(stack, [Peer("gone", "http://127.0.0.1:9")]).read(absent)


def test_a_peer_in_the_clear_is_refused_unless_it_is_this_machine() -> None:
    for url in ("http://192.0.2.1:80", "ftp://127.0.0.1", "127.0.0.1:80"):
        with pytest.raises(StoreError, match="https://"):
            Peer("clear", url)


def test_limits_stop_a_fetch_before_more_is_taken(stack: ExitStack) -> None:
    source, peer = served(stack, CONTENT)
    cid = cid_of(CONTENT)
    store = fetching(stack, [peer])
    for limits in (DagLimits(max_bytes=2_000_000), DagLimits(max_blocks=3), DagLimits(max_depth=0)):
        with pytest.raises(LimitExceeded):
            store.fetch(cid, limits)
    small = stack.enter_context(in_memory(limit=2_500_000, exchange=PeerExchange([peer], patience=HASTY)))
    with pytest.raises(StoreFull):
        small.fetch(cid)
    assert small.usage().bytes <= 2_500_000
    assert source.has(cid)


def test_a_disk_that_fills_up_during_a_fetch_is_said_clearly_and_loses_nothing(
    small_disk: Path, stack: ExitStack
) -> None:
    _, peer = served(stack, CONTENT)
    exchange = PeerExchange([peer], patience=HASTY)
    store = stack.enter_context(open_directory(small_disk / "store", exchange=exchange))
    kept = store.add(CONTENT[::-1][:1_500_000], pin="round/1")
    with pytest.raises(StoreFull):
        store.fetch(cid_of(CONTENT), pin="round/2")
    assert [pin.cid for pin in store.pins()] == [kept]
    assert list((small_disk / "store" / "incoming").iterdir()) == []
    assert store.verify().intact
    store.collect_garbage()
    assert store.read(kept) == CONTENT[::-1][:1_500_000]


# --- peers that do wrong


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
    assert fetching(stack, [hostile.peer, honest]).read(cid_of(CONTENT)) == CONTENT
    assert hostile.asked > 0


@pytest.mark.parametrize("misdeed", MISDEEDS, ids=lambda misdeed: misdeed.__name__)
def test_a_hostile_peer_alone_ends_in_a_clear_error_and_no_byte(stack: ExitStack, misdeed: Misdeed) -> None:
    hostile = stack.enter_context(hostile_peer(misdeed))
    store = fetching(stack, [hostile.peer], VERY_HASTY)
    with pytest.raises(BlockNotFound, match="mallory"):
        store.read(cid_of(CONTENT))
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
    assert fetching(stack, [hostile.peer, honest]).read(cid_of(CONTENT)) == CONTENT
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
    patience = Patience(block=1.0, hedge=0.2, fetch=2.0)
    with pytest.raises(BlockNotFound, match="took longer than 2 s"):
        fetching(stack, [hostile.peer], patience).fetch(next(iter(blocks)))


def small_file_blocks() -> list[tuple[Cid, bytes]]:
    blocks: dict[Cid, bytes] = {}
    root = import_file(CONTENT[: 100 * 1024], lambda cid, block: blocks.update({cid: bytes(block)}), SMALL).cid
    return list(walk(root, blocks.__getitem__))


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
    assert store.read(cid_of(content, SMALL)) == content
    assert store.usage().blocks == len(small_file_blocks())


def fetched_from(stack: ExitStack, peers: list[Peer], cid: Cid) -> LocalStore:
    """Fetch with little patience, so that who drips on purpose is found soon; with more where the machine is slow.

    A CAR that is slow on purpose has no end: no patience is enough for it, only to hang up on it is.
    """
    limits = DagLimits(max_bytes=20_000_000, max_blocks=1000)
    for block in (1.5, 6.0):
        store = fetching(stack, peers, Patience(connect=5, block=block, hedge=0.2, fetch=60))
        with suppress(BlockNotFound):
            store.fetch(cid, limits)
            return store
    store = fetching(stack, peers, Patience(connect=30, block=25.0, hedge=0.2, fetch=300))
    store.fetch(cid, limits)
    return store


@pytest.mark.parametrize("pieces", [endless_repeats, huge_section, huge_header], ids=lambda pieces: pieces.__name__)
def test_a_car_without_end_does_not_fill_the_memory(
    stack: ExitStack, pieces: Callable[[list[tuple[Cid, bytes]]], Iterator[bytes]]
) -> None:
    hostile = stack.enter_context(hostile_peer(car_peer(pieces)))
    _, honest = served(stack, CONTENT[: 100 * 1024], SMALL)
    store = fetching(stack, [hostile.peer, honest])
    root = cid_of(CONTENT[: 100 * 1024], SMALL)
    assert peak_beyond_now(lambda: store.fetch(root)) < MEMORY_LIMIT_MIB
    assert store.read(root) == CONTENT[: 100 * 1024]


def test_a_dag_that_is_too_deep_is_given_up_at_the_limit(stack: ExitStack) -> None:
    source, peer = served(stack)
    cid = Cid.of(b"x")
    with source.blocks.writer() as writer:
        writer.put(cid, b"x")
        for _ in range(100):
            block = encode_node([PbLink(cid, "", 1)], encode_file([1], None, 1))
            cid = Cid.of(block, DAG_PB)
            writer.put(cid, block)
    store = fetching(stack, [peer])
    with pytest.raises(LimitExceeded, match="deeper than 32"):
        store.fetch(cid)
    assert store.usage().blocks <= 33


def test_a_dag_of_another_hash_function_is_refused(stack: ExitStack) -> None:
    source, peer = served(stack)
    foreign = b"\x01\x55\x13\x40" + hashlib.sha512(b"block").digest()
    link = b"\x0a" + bytes([len(foreign)]) + foreign
    block = b"\x12" + bytes([len(link)]) + link + b"\x0a\x02\x08\x01"
    cid = Cid.of(block, DAG_PB)
    with source.blocks.writer() as writer:
        writer.put(cid, block)
    with pytest.raises(InvalidDag, match="unsupported"):
        fetching(stack, [peer]).fetch(cid)


def test_a_malformed_block_under_its_right_name_ends_the_fetch(stack: ExitStack) -> None:
    source, peer = served(stack)
    bad = b"\x18\x17"
    inner = record_cid(bad)
    outer = encode_record({"inner": inner})
    with source.blocks.writer() as writer:
        writer.put(inner, bad)
        writer.put(record_cid(outer), outer)
    with pytest.raises(StoreError, match="canonical"):
        fetching(stack, [peer]).fetch(record_cid(outer))


def test_several_fetches_at_once_do_not_disturb_each_other(stack: ExitStack, tmp_path: Path) -> None:
    source, peer = served(stack, CONTENT)
    other = source.add(CONTENT[::-1], pin="test")
    exchange = PeerExchange([peer], patience=Patience())
    store = stack.enter_context(open_directory(tmp_path / "store", exchange=exchange))
    results: list[bytes] = []
    wanted = [cid_of(CONTENT), other, cid_of(CONTENT), other]
    threads = [threading.Thread(target=lambda cid=cid: results.append(store.read(cid))) for cid in wanted]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == sorted([CONTENT, CONTENT, CONTENT[::-1], CONTENT[::-1]])
    assert store.verify().intact
