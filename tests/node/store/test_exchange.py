"""Blocks come from the present members alone, and fetches under way end well although members come and go."""

import contextlib
import threading
from pathlib import Path

import pytest

from medward.node.home.folder import Home
from medward.node.store.exchange import MembersExchange
from medward.node.store.gateway_keys import make_gateway_identity, write_trusted
from medward.store.cid import Cid
from medward.store.errors import BlockNotFound, StoreError
from medward.store.gateway.exchange import PeerExchange
from medward.store.gateway.peer import Peer
from medward.store.gateway.server import GatewayServer
from medward.store.gateway.tls import TlsIdentity
from medward.store.limits import DEFAULT_LIMITS, DagLimits
from medward.store.local import in_memory


def identity(home: Home, trusted: list[Home]) -> TlsIdentity:
    certificates = [other.card().member.certificate for other in trusted]
    return make_gateway_identity(home.gateway, home.ledger / "keys", "127.0.0.1:1", certificates)


def test_blocks_go_between_members_and_to_nobody_who_is_not_trusted_any_more(homes: dict[str, Home]) -> None:
    north, south = homes.values()
    both = [north, south]
    ours, theirs = identity(north, both), identity(south, both)
    with in_memory() as source:
        cid = source.add(b"for members only", pin="round/1")
        with GatewayServer(source, tls=theirs) as server:
            exchange = MembersExchange(ours)
            exchange.set_peers([Peer("south", server.url)], trust_anew=False)
            with in_memory(exchange=exchange) as store:
                assert store.read(cid, DEFAULT_LIMITS) == b"for members only"
        write_trusted(theirs, [south.card().member.certificate])
        with GatewayServer(source, tls=theirs) as server:
            exchange = MembersExchange(ours)
            exchange.set_peers([Peer("south", server.url)], trust_anew=True)
            with in_memory(exchange=exchange) as store, pytest.raises(BlockNotFound):
                store.read(cid, DEFAULT_LIMITS)


def test_a_fetch_under_way_ends_well_although_the_members_change(homes: dict[str, Home]) -> None:
    both = list(homes.values())
    ours, theirs = (identity(home, both) for home in both)
    content = bytes(range(256)) * 40_000
    with in_memory() as source:
        cid = source.add(content, pin="round/1")
        with GatewayServer(source, tls=theirs) as server:
            exchange = MembersExchange(ours)
            peers = [Peer("south", server.url)]
            exchange.set_peers(peers, trust_anew=True)
            failures: list[StoreError] = []

            def fetch() -> None:
                for _ in range(5):
                    try:
                        with in_memory() as empty:
                            exchange.fetch(cid, empty.blocks, limits=DagLimits())
                    except StoreError as error:
                        failures.append(error)

            workers = [threading.Thread(target=fetch) for _ in range(3)]
            for worker in workers:
                worker.start()
            while any(worker.is_alive() for worker in workers):
                exchange.set_peers(peers, trust_anew=True)
            for worker in workers:
                worker.join()
            exchange.close()
    assert failures == []


def test_a_gateway_certificate_is_good_for_its_host_only(homes: dict[str, Home], tmp_path: Path) -> None:
    north, south = homes.values()
    certificates = [home.card().member.certificate for home in (north, south)]
    elsewhere = make_gateway_identity(tmp_path / "gw", south.ledger / "keys", "gateway.example:7451", certificates)
    with in_memory() as source:
        cid = source.add(b"content", pin="round/1")
        with GatewayServer(source, tls=elsewhere) as server:
            exchange = MembersExchange(identity(north, [north, south]))
            exchange.set_peers([Peer("south", server.url)], trust_anew=False)
            with in_memory(exchange=exchange) as store, pytest.raises(BlockNotFound, match="IP address mismatch"):
                store.read(cid, DEFAULT_LIMITS)


class Slow:
    """A fetch that goes on until a test lets it end; it notes what was closed meanwhile."""

    def __init__(self, exchange: MembersExchange, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun, self.ends, self.closed = threading.Semaphore(0), threading.Event(), list[PeerExchange]()
        self.exchange = exchange

        def fetch_block(_: PeerExchange, cid: Cid) -> bytes:
            self.begun.release()
            assert self.ends.wait(20)
            if cid == ABSENT:
                raise BlockNotFound("nobody has it")
            return b"block"

        def close(closed: PeerExchange) -> None:
            self.closed.append(closed)

        monkeypatch.setattr(PeerExchange, "fetch_block", fetch_block)
        monkeypatch.setattr(PeerExchange, "close", close)

    def begin(self, cid: Cid) -> threading.Thread:
        def fetch() -> None:
            with contextlib.suppress(BlockNotFound):
                self.exchange.fetch_block(cid)

        thread = threading.Thread(target=fetch)
        thread.start()
        assert self.begun.acquire(timeout=20)
        return thread


with in_memory() as _store:
    THERE, ABSENT = _store.add(b"there", pin="a/1"), _store.add(b"absent", pin="a/2")


def test_former_exchange_is_closed_when_its_last_fetch_ends_however_it_ends(
    homes: dict[str, Home], monkeypatch: pytest.MonkeyPatch
) -> None:
    exchange = MembersExchange(identity(homes["north"], list(homes.values())))
    first, slow = exchange._present, Slow(exchange, monkeypatch)
    fetches = [slow.begin(cid) for cid in (THERE, ABSENT)]
    exchange.set_peers([], trust_anew=True)
    second = exchange._present
    assert slow.closed == []
    # One that nobody uses is closed at once.
    exchange.set_peers([], trust_anew=True)
    assert slow.closed == [second]
    slow.ends.set()
    for fetch in fetches:
        fetch.join(20)
    assert slow.closed == [second, first]
    assert exchange._users == {}
    exchange.close()
    assert slow.closed == [second, first, exchange._present]


def test_peers_that_moved_are_asked_by_the_same_exchange(homes: dict[str, Home]) -> None:
    exchange = MembersExchange(identity(homes["north"], list(homes.values())))
    present = exchange._present
    exchange.set_peers([Peer("south", "https://127.0.0.1:1")], trust_anew=False)
    assert exchange._present is present
    exchange.close()
