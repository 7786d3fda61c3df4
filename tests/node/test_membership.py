"""Who is trusted, who is asked, and who must stop: without processes."""

import threading
from pathlib import Path

import msgspec
import pytest

from medward.ledger.types import Member
from medward.node.errors import Retired
from medward.node.home.cards import Contact
from medward.node.home.folder import Home
from medward.node.ledger.pbft import check_not_replaced
from medward.node.membership import _can_be_called
from medward.node.store.blobs import NodeStore
from medward.node.store.exchange import MembersExchange
from medward.node.store.gateway_keys import make_gateway_identity, write_trusted
from medward.store.errors import BlockNotFound, StoreError
from medward.store.gateway.peer import Peer
from medward.store.gateway.server import GatewayServer
from medward.store.gateway.tls import TlsIdentity
from medward.store.limits import DEFAULT_LIMITS, DagLimits
from medward.store.local import in_memory


def members(homes: dict[str, Home]) -> tuple[Member, ...]:
    return tuple(home.card().member for home in homes.values())


def test_newer_keys_of_the_same_member_retire_these(homes: dict[str, Home]) -> None:
    mine = homes["north"].card().member
    others = members(homes)
    check_not_replaced(mine, others)
    check_not_replaced(mine, others[1:])
    newer = homes["north"].renew(1).member
    with pytest.raises(Retired, match="incarnation 1, and this home has others, of incarnation 0"):
        check_not_replaced(mine, (newer, others[1]))
    check_not_replaced(newer, others)  # one that is not admitted yet
    twin = msgspec.structs.replace(newer, incarnation=0)
    with pytest.raises(Retired):
        check_not_replaced(mine, (twin,))


@pytest.mark.parametrize("gateway", ["nowhere", "a/b:1", "user@host:1", "host:0", "a b:1", "host:1/x", "#:1"])
def test_a_contact_that_is_no_address_is_not_called(gateway: str) -> None:
    assert not _can_be_called(Contact("north", gateway))
    assert _can_be_called(Contact("north", "10.0.0.1:7451"))


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


def test_a_dead_gateway_is_started_again_and_one_that_restarts_meanwhile_is_left_alone(homes: dict[str, Home]) -> None:
    north, south = homes.values()
    table, both = north.configuration().store, members(homes)
    blobs = NodeStore(north, "north", table, both)
    try:
        blobs.serve()
        assert not blobs.keep_serving()
        assert blobs._gateway is not None
        blobs._gateway.stop()
        assert blobs.keep_serving()
        contacts = {home.card().name: home.card().contact for home in (north, south)}
        outcomes: list[bool] = []
        for number in range(6):  # members change while the watch knocks
            knock = threading.Thread(target=lambda: outcomes.append(blobs.keep_serving()))
            knock.start()
            blobs.set_members(both[: 1 + number % 2], contacts)
            knock.join()
        assert outcomes == [False] * 6
        assert not blobs.keep_serving()
    finally:
        blobs.close()


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
