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
    """A member's view of a log that orders at once; it may stop to answer, as a node does that is killed.

    Without a quorum it orders nothing until there is one.
    """

    def __init__(self, log: Ledger, name: str) -> None:
        self.log, self.name = log, name
        self.dead = False
        self.quorum: asyncio.Event | None = None

    async def submit(self, payload: bytes) -> Receipt:
        if self.dead:
            raise ConnectionError("killed")
        if self.quorum is not None:
            await self.quorum.wait()
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


def do_without_a_quorum(world: World, monkeypatch: pytest.MonkeyPatch, **wanted: str) -> str:
    """Have something done by a while no quorum is in reach, and then bring it back; return what was said."""
    monkeypatch.setattr("medward.node.ledger.submitter.ORDER_SECONDS", 0.01)

    async def run() -> str:
        quorum = world.seen["a"].quorum = asyncio.Event()
        height = world.log.height
        with pytest.raises(NodeError) as refusal:
            async with asyncio.timeout(20):
                await world.service("a").do(wanted)
        assert world.log.height == height
        quorum.set()
        # What was begun goes on by itself, in a task of the service.
        await asyncio.gather(*asyncio.all_tasks() - {asyncio.current_task()})
        return str(refusal.value)

    said = asyncio.run(run())
    assert said.startswith("the ledger ordered nothing within ")
    assert "nothing is lost" in said
    return said


def test_data_sealed_without_a_quorum_are_kept_and_go_on_record_once_it_is_back(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The record may be with other members when the command ends: without its blob it would name nothing."""
    said = do_without_a_quorum(world, monkeypatch, take=world.write("a", b"patients"))
    assert "do not seal them a second time" in said
    [one] = world.service("a").listed()
    assert world.store.has(Cid.parse(one["data"]))
    assert world.folders["a"].all_unsent() == []


def test_data_withdrawn_without_a_quorum_leave_once_it_is_back(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    cid = world.do("a", take=world.write("a"))["data"]
    assert "run the same command again" in do_without_a_quorum(world, monkeypatch, withdraw=cid)
    assert list(world.service("a").listed()) == []
    assert world.store.usage().blocks == 0


def test_key_published_without_a_quorum_is_known_once_it_is_back(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "run the same command again" in do_without_a_quorum(world, monkeypatch, publish="key")
    assert bytes.fromhex(world.do("b", key_of="a")["key"]) == world.folders["a"].key().public


def test_data_that_two_attempts_put_on_record_are_kept(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A participant that is made anew takes what another attempt has handed in, and one of both is refused."""
    monkeypatch.setattr("medward.node.ledger.submitter.ORDER_SECONDS", 20.0)
    waiting = world.write("a", b"patients")

    async def run() -> None:
        quorum = world.seen["a"].quorum = asyncio.Event()
        attempts = [asyncio.create_task(world.service("a").take(waiting)) for _ in range(2)]
        await asyncio.sleep(0.2)
        quorum.set()
        assert len({*await asyncio.gather(*attempts)}) == 1

    asyncio.run(run())
    [one] = world.service("a").listed()
    assert world.store.has(Cid.parse(one["data"]))
    assert [str(pin.cid) for pin in world.store.pins(LABEL)] == [one["data"]]


def test_data_that_are_withdrawn_twice_at_once_are_gone(world: World) -> None:
    cid = world.do("a", take=world.write("a"))["data"]

    async def run() -> None:
        quorum = world.seen["a"].quorum = asyncio.Event()
        attempts = [asyncio.create_task(world.service("a").do({"withdraw": cid})) for _ in range(2)]
        await asyncio.sleep(0.2)
        quorum.set()
        assert await asyncio.gather(*attempts) == [{"data": cid}] * 2

    asyncio.run(run())
    assert list(world.service("a").listed()) == []
    assert world.store.usage().blocks == 0
