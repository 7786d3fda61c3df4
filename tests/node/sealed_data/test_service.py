"""A member's sealed data between its folder, its store and the ledger, with the federation's real rules."""

import asyncio
import io
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from medward.federation.application import FederationApplication
from medward.federation.records import Change, encode_record
from medward.federation.sealed_data.format import Origin, open_data, seal_data
from medward.fhe.hybrid import HybridKey
from medward.flows.datasets import DATASETS
from medward.ledger.errors import TransactionRefused
from medward.ledger.signatures import AlgorithmBytes
from medward.ledger.types import Block, Member, Receipt
from medward.node import interfaces
from medward.node.errors import NodeError
from medward.node.interfaces import Host, LedgerEvent
from medward.node.sealed_data.folder import DataFolder
from medward.node.sealed_data.service import LABEL, SealedDataService
from medward.store.cid import Cid
from medward.store.limits import file_up_to
from medward.store.local import LocalStore, in_memory
from tests.federation.ledger import AGREEMENT, Ledger

SCHEMA = DATASETS["ward"].schema.digest


class Seen(interfaces.Ledger):
    """A member's view of a log that orders at once; it may stop to answer, as a node does that is killed."""

    def __init__(self, log: Ledger, name: str) -> None:
        self.log, self.name = log, name
        self.dead = False

    async def submit(self, payload: bytes) -> Receipt:
        if self.dead:
            raise ConnectionError("killed")
        [result] = self.log.order((self.name, payload)).results
        if result.code:
            raise TransactionRefused(result.data.decode(), result.code)
        return Receipt(self.log.height, result)

    def query(self, path: str) -> bytes | None:
        return self.log.application.query(path)

    async def certify(self, block: Block | None) -> None:
        raise NotImplementedError

    def events(self) -> AsyncIterator[LedgerEvent]:
        raise NotImplementedError

    @property
    def members(self) -> Sequence[Member]:
        return ()


class World:
    """Members a and b of a federation of four."""

    def __init__(self, folder: Path, store: LocalStore) -> None:
        self.log = Ledger(FederationApplication(AGREEMENT))
        self.store = store
        self.seen = {name: Seen(self.log, name) for name in "ab"}
        self.folders = {name: DataFolder(folder / name) for name in "ab"}

    def service(self, name: str) -> SealedDataService:
        """A service as a node makes it anew at each start."""
        member = Member(name, 0, (AlgorithmBytes("ed25519", name.encode() * 32),), b"", "127.0.0.1:1")
        folder = self.folders[name].folder
        stopping = asyncio.Event()
        return SealedDataService(
            Host(name, member, bytes(32), folder, folder, {}, self.store, self.seen[name], stopping)
        )

    def do(self, name: str, **wanted: str) -> Mapping[str, Any]:
        return asyncio.run(self.service(name).do(wanted))

    def write(self, name: str, content: bytes = b"rows", federation: str = "test", sealer: str | None = None) -> str:
        own = self.folders[name].key().public
        origin = Origin(federation, sealer or name, SCHEMA, 3)
        return self.folders[name].write_unsent(seal_data(io.BytesIO(content), origin, {sealer or name: own}))


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with in_memory() as store:
        yield World(tmp_path, store)


def test_sealed_data_are_kept_and_on_record_and_their_file_is_gone(world: World) -> None:
    waiting = world.write("a", b"patients")
    cid = world.do("a", take=waiting)["data"]
    assert world.folders["a"].all_unsent() == []
    sealed = io.BytesIO(world.store.read(Cid.parse(cid), file_up_to(10_000)))
    assert b"".join(open_data(sealed, "a", world.folders["a"].key())) == b"patients"
    world.store.collect_garbage()
    assert world.store.has(Cid.parse(cid))
    [one] = world.service("b").listed()
    assert (one["data"], one["member"], one["data_set"], one["rows"], one["readers"]) == (cid, "a", "ward", 3, ["a"])


def test_what_was_under_way_when_the_node_died_is_finished_once(world: World) -> None:
    waiting = world.write("a")
    world.seen["a"].dead = True
    with pytest.raises(ConnectionError):
        world.do("a", take=waiting)
    assert list(world.service("a").listed()) == []
    world.seen["a"].dead = False
    asyncio.run(world.service("a").finish())
    asyncio.run(world.service("a").finish())
    assert len(world.service("a").listed()) == 1
    assert world.folders["a"].all_unsent() == []


def test_what_was_ordered_but_not_tidied_is_not_ordered_again(world: World) -> None:
    waiting = world.write("a")
    content = world.folders["a"].unsent(waiting).read_bytes()
    cid = world.do("a", take=waiting)["data"]
    again = world.folders["a"].write_unsent([content])
    height = world.log.height
    assert world.do("a", take=again)["data"] == cid
    assert world.log.height == height
    assert world.folders["a"].all_unsent() == []


def test_data_of_another_member_or_federation_are_not_put_on_record(world: World) -> None:
    for federation, sealer in (("other", "a"), ("test", "b")):
        waiting = world.write("a", federation=federation, sealer=sealer)
        with pytest.raises(NodeError, match="not by a of test"):
            world.do("a", take=waiting)
    assert list(world.service("a").listed()) == []
    assert world.store.pins(LABEL) == []


def test_refused_record_leaves_neither_blob_nor_file(world: World) -> None:
    own = world.folders["a"].key().public
    origin = Origin("test", "a", SCHEMA, 3)
    readers = {"a": own, "stranger": HybridKey().public}
    waiting = world.folders["a"].write_unsent(seal_data(io.BytesIO(b"rows"), origin, readers))
    with pytest.raises(NodeError, match="readers are its owner and other members"):
        world.do("a", take=waiting)
    assert world.folders["a"].all_unsent() == []
    assert world.store.usage().blocks == 0


def test_damaged_file_is_told_and_does_not_hold_up_the_others(world: World) -> None:
    world.folders["a"].write_unsent([b"no sealed data"])
    world.write("a")
    asyncio.run(world.service("a").finish())
    assert len(world.service("a").listed()) == 1
    assert len(world.folders["a"].all_unsent()) == 1


def test_withdrawn_data_leave_the_record_and_the_disk(world: World) -> None:
    cid = world.do("a", take=world.write("a"))["data"]
    with pytest.raises(NodeError, match="b keeps no data set"):
        world.do("b", withdraw=cid)
    world.do("a", withdraw=cid)
    assert list(world.service("a").listed()) == []
    assert world.store.usage().blocks == 0
    with pytest.raises(NodeError, match="is on record"):
        world.do("a", withdraw=cid)


def test_published_key_is_the_one_that_opens(world: World) -> None:
    with pytest.raises(NodeError, match="b has published no key"):
        world.do("a", key_of="b")
    first = world.do("b", publish="key")
    height = world.log.height
    assert world.do("b", publish="key") == first
    assert world.log.height == height
    assert bytes.fromhex(world.do("a", key_of="b")["key"]) == world.folders["b"].key().public
    world.log.order(("b", encode_record(Change("b", None, None))))
    with pytest.raises(NodeError, match="b has published no key"):
        world.do("a", key_of="b")


def test_only_what_is_on_record_is_fetched(world: World) -> None:
    with pytest.raises(NodeError, match="is on record"):
        world.do("a", fetch=str(Cid.of(b"anything")))
    cid = world.do("a", take=world.write("a"))["data"]
    assert world.do("b", fetch=cid) == {"data": cid}
