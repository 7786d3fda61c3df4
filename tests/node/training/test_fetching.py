"""A round's blobs are got side by side and told of as they come (threat M16)."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from medward.federation.records import Submit
from medward.federation.round.effects import Fetch
from medward.federation.round.naming import authors_of
from medward.federation.round.state import Phase, Round
from medward.federation.stopwatch import Stopwatch
from medward.federation.terms import Terms
from medward.node.training import fetching
from medward.node.training.fetching import Fetching, Reading
from medward.node.training.retention import Retention
from medward.store.cid import Cid
from medward.store.errors import LimitExceeded
from medward.store.gateway.exchange import PeerExchange
from medward.store.gateway.peer import Peer
from medward.store.gateway.server import GatewayServer
from medward.store.limits import DagLimits, file_of
from medward.store.local import LocalStore, in_memory
from tests.store import bombs

NAMES = ("a", "b", "c", "d")
AT_ONCE = 0.2


def checking() -> Round:
    terms = Terms("test", NAMES)
    begun = Round(terms, 3, "train", "m", NAMES, 1, 1, Phase.CHECKING, 0.0, bytes(32), dict.fromkeys(NAMES, b""))
    return replace(begun, submissions={name: Submit(3, name, f"{name}1", f"{name}2") for name in NAMES})


class Peers:
    """Members from whom blobs come at once, after a while, or never.

    Args:
        late: how long who takes its time takes, in seconds.
        withheld: what nobody has.
    """

    def __init__(self, late: dict[str, float] | None = None, withheld: tuple[str, ...] = ()) -> None:
        self.late, self.withheld = late or {}, withheld
        self.now: Round | None = checking()
        self.told: dict[str, float] = {}
        self.asked: list[str] = []
        self.tasks: list[asyncio.Task[None]] = []
        self._begun = time.monotonic()

    async def get(self, name: str, number: int, author: str | None, limits: DagLimits) -> bytes | None:
        assert (number, author) == (3, name[0])
        self.asked.append(name)
        await asyncio.sleep(self.late.get(name, 0.0))
        return None if name in self.withheld else name.encode()

    async def tell(self, number: int, name: str, content: bytes) -> None:
        assert content == name.encode()
        self.told[name] = time.monotonic() - self._begun

    def fetching(self) -> Fetching:
        return Fetching(
            lambda: self.now,
            self.get,
            self.tell,
            lambda work: self.tasks.append(asyncio.get_running_loop().create_task(work)),
        )


ALL = tuple(f"{name}{part}" for name in NAMES for part in (1, 2))
FETCH = Fetch(3, Phase.CHECKING, ALL)
SIZES = dict.fromkeys(ALL, (2,))


def lived(peers: Peers, story: Callable[[Fetching], None], seconds: float) -> None:
    async def run() -> None:
        story(peers.fetching())
        await asyncio.sleep(seconds)
        for task in peers.tasks:
            task.cancel()
        await asyncio.gather(*peers.tasks, return_exceptions=True)

    asyncio.run(run())


def test_withheld_and_slow_blobs_delay_no_other_members(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "_RETRY_SECONDS", 0.01)
    peers = Peers({"a1": 0.8}, ("b1",))
    lived(peers, lambda one: one.fetch(FETCH, SIZES), 1.2)
    assert set(peers.told) == set(ALL) - {"b1"}
    assert max(peers.told[name] for name in ALL if name[0] not in "ab") < AT_ONCE
    assert peers.told["b2"] < AT_ONCE
    assert peers.told["a1"] >= 0.8


def test_blobs_of_all_but_one_member_come_at_once_however_many_it_delays() -> None:
    peers = Peers(dict.fromkeys(["a1", "a2"], 5.0))
    lived(peers, lambda one: one.fetch(FETCH, SIZES), 0.5)
    assert {name for name, when in peers.told.items() if when < AT_ONCE} == {name for name in ALL if name[0] != "a"}


def test_nothing_is_asked_for_once_the_phase_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "_RETRY_SECONDS", 0.01)
    peers = Peers(withheld=("b1",))

    async def run() -> None:
        peers.fetching().fetch(FETCH, SIZES)
        await asyncio.sleep(0.1)
        assert peers.now is not None
        peers.now = replace(peers.now, phase=Phase.ANSWERING)
        await asyncio.sleep(0.05)
        asked = len(peers.asked)
        await asyncio.sleep(0.1)
        assert len(peers.asked) == asked
        assert all(task.done() for task in peers.tasks)

    asyncio.run(run())


def test_blob_that_is_on_its_way_is_not_asked_for_twice_and_serves_the_next_phase() -> None:
    peers = Peers({"a1": 0.2})

    async def run() -> None:
        one = peers.fetching()
        one.fetch(FETCH, SIZES)
        assert peers.now is not None
        peers.now = replace(peers.now, phase=Phase.ANSWERING)
        one.fetch(Fetch(3, Phase.ANSWERING, ("a1",)), SIZES)
        await asyncio.sleep(0.4)

    asyncio.run(run())
    assert peers.asked.count("a1") == 1
    assert "a1" in peers.told


def test_author_of_every_named_blob_is_known() -> None:
    now = replace(checking(), shown={"b": "shown"}, answers={"c": "answer"})
    assert authors_of(now) == {**{name: (name[0],) for name in ALL}, "shown": ("b",), "answer": ("c",)}


def test_blob_that_is_longer_than_any_may_be_is_not_read() -> None:
    store = in_memory()
    kept = Retention(store, 0)
    fits, bomb = (str(store.add(bytes(size), pin="x")) for size in (2_000_000, 4_000_000))
    assert len(kept.read(fits, "round/3", "a", file_of(2_000_000))) == 2_000_000
    with pytest.raises(LimitExceeded):
        kept.read(bomb, "round/3", "a", file_of(2_000_000))


# Bombs (threat T2), through real gateways.


@bombs.all_but_two(pytest.mark.slow)
def test_bomb_is_told_of_as_nothing_at_once_and_holds_up_nobody(bomb: Callable[[bombs.Put], Cid]) -> None:
    """Nothing (b"") is no dealing: a holder says that its author is at fault, and waits for no deadline."""
    with in_memory() as theirs, GatewayServer(theirs) as gateway:
        name = str(bombs.plant(bomb, theirs.blocks))
        good = str(theirs.add(bytes(bombs.SIZE), pin="x"))
        now = replace(checking(), submissions={"a": Submit(3, "a", name, good)})
        told: dict[str, bytes] = {}

        async def run(store: LocalStore) -> None:
            reading, tasks = Reading(Retention(store, 0), Stopwatch()), list[asyncio.Task[None]]()

            async def get(one: str, number: int, author: str | None, limits: DagLimits) -> bytes | None:
                return await reading.read(one, f"round/{number}", author, limits)

            async def tell(_: int, one: str, content: bytes) -> None:
                told[one] = content

            fetching = Fetching(lambda: now, get, tell, lambda work: tasks.append(asyncio.create_task(work)))
            fetching.fetch(Fetch(3, Phase.CHECKING, (name, good)), dict.fromkeys((name, good), (bombs.SIZE,)))
            async with asyncio.timeout(30):
                await asyncio.gather(*tasks)
            reading.close()

        with in_memory(exchange=PeerExchange([Peer("a", gateway.url)])) as store:
            asyncio.run(run(store))
            assert told == {name: b"", good: bytes(bombs.SIZE)}
            assert [str(pin.cid) for pin in store.pins()] == [good]


def test_blob_that_a_liar_named_too_is_not_waited_for_in_the_liars_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "_RETRY_SECONDS", 0.01)
    submissions = {**checking().submissions, "b": Submit(3, "b", "b1", "a1")}
    for order in (NAMES, NAMES[::-1]):
        peers = Peers()
        peers.now = replace(checking(), submissions={member: submissions[member] for member in order})

        async def get(name: str, number: int, author: str | None, limits: DagLimits) -> bytes | None:
            await asyncio.sleep(5.0 if author == "b" else 0.0)
            return name.encode()

        monkeypatch.setattr(peers, "get", get)
        lived(peers, lambda one: one.fetch(FETCH, SIZES), 0.3)
        assert set(peers.told) == set(ALL) - {"b1"}
