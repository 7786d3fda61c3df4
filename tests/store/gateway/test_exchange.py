"""Fetching from honest and absent peers over real connections."""

import hashlib
import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from medward.store.cid import DAG_PB, Cid
from medward.store.dag import walk
from medward.store.dagpb import PbLink, encode_node
from medward.store.errors import BlockNotFound, InvalidDag, LimitExceeded, StoreError, StoreFull
from medward.store.gateway.exchange import PeerExchange
from medward.store.gateway.peer import Peer, PeerTimeouts
from medward.store.gateway.server import GatewayServer
from medward.store.importer import import_directory, import_file
from medward.store.limits import DEFAULT_LIMITS, DagLimits
from medward.store.local import LocalStore, in_memory, open_directory
from medward.store.records import encode_record, record_cid
from medward.store.unixfs import encode_file
from tests.store import vectors
from tests.store.certificates import Federation
from tests.store.exchanging import CONTENT, HASTY, SMALL, cid_of, fetching, served


@pytest.mark.parametrize("size", [0, 1, 1024 * 1024, len(CONTENT)])
def test_a_blob_is_fetched_from_a_peer_and_can_be_read_and_pinned(stack: ExitStack, size: int) -> None:
    _, peer = served(stack, CONTENT[:size])
    store = fetching(stack, [peer])
    cid = cid_of(CONTENT[:size])
    assert not store.has(cid)
    assert store.read(cid, DEFAULT_LIMITS) == CONTENT[:size]
    assert store.has(cid)
    store.pin(cid, "round/1")
    store.collect_garbage()
    assert store.read(cid, DEFAULT_LIMITS) == CONTENT[:size]


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
    assert fetching(stack, list(peers)).read(cid, DEFAULT_LIMITS) == CONTENT


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
    patient = PeerTimeouts(connect=30, block=30.0, hedge=30.0, fetch=60)  # nobody else is asked for being late
    fetching(stack, [*ways, author], patient).fetch(cid_of(content), likely=author.name if known else None)
    assert list(asked.values()) == [misses, misses]


def test_many_small_blocks_come_in_one_request_and_a_hole_is_filled_by_another_peer(stack: ExitStack) -> None:
    content = CONTENT[: 700 * 1024]
    (partial, first), (_, second) = served(stack, content, SMALL), served(stack, content, SMALL)
    partial.blocks.delete(Cid.of(content[300 * 1024 : 301 * 1024]))
    assert fetching(stack, [first, second]).read(cid_of(content, SMALL), DEFAULT_LIMITS) == content


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
    assert store.read(cid, DEFAULT_LIMITS) == CONTENT
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
    assert store.read(cid, DEFAULT_LIMITS) == CONTENT


def test_nobody_to_ask_and_nobody_who_knows_are_said_clearly(stack: ExitStack) -> None:
    absent = Cid.of(b"absent")
    with pytest.raises(BlockNotFound, match="there are no peers to ask"):
        fetching(stack, []).read(absent, DEFAULT_LIMITS)
    _, peer = served(stack)
    with pytest.raises(BlockNotFound, match=f"{peer.name} does not have"):
        fetching(stack, [peer]).fetch_block(absent)
    with pytest.raises(BlockNotFound, match="could not be asked"):
        fetching(stack, [Peer("gone", "http://127.0.0.1:9")]).read(absent, DEFAULT_LIMITS)


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
    assert store.read(kept, DEFAULT_LIMITS) == CONTENT[::-1][:1_500_000]


# --- peers that do wrong


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
    exchange = PeerExchange([peer], patience=PeerTimeouts())
    store = stack.enter_context(open_directory(tmp_path / "store", exchange=exchange))
    results: list[bytes] = []
    wanted = [cid_of(CONTENT), other, cid_of(CONTENT), other]
    threads = [
        threading.Thread(target=lambda cid=cid: results.append(store.read(cid, DEFAULT_LIMITS))) for cid in wanted
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == sorted([CONTENT, CONTENT, CONTENT[::-1], CONTENT[::-1]])
    assert store.verify().intact
