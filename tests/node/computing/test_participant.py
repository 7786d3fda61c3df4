"""What a member that computes does about work that fails: it waits, declines or stops, each where it should."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from medward.federation.computing.evaluation_keys import WrongKey
from medward.federation.computing.records import (
    MOST_REASON,
    ContactSaid,
    KeyOnRecord,
    KeyPublished,
)
from medward.federation.computing.work import ComputingWork
from medward.federation.scoring.application import ScoringApplication, scoring_state
from medward.fhe.computing.formats.keys import write_evaluation_key
from medward.fhe.computing.keys import SecretKey
from medward.fhe.errors import BudgetSpent, FheError, MalformedEncoding
from medward.ledger.encoding import Structure
from medward.ledger.errors import TransactionRefused
from medward.node.computing import participant
from medward.node.computing.blobs import ComputingBlobs
from medward.node.computing.key import OUTPUTS, ComputingKey
from medward.node.computing.participant import ComputingParticipant
from medward.node.computing.patience import MOST_TRIES
from medward.node.errors import InvalidConfiguration, NodeError, Retired
from medward.store.errors import BlockNotFound, InvalidCid, KuboUnavailable, LimitExceeded
from tests.federation.computing.ledger import ComputingLedger
from tests.fhe.computing.world import small
from tests.node.computing.alone import CHAIN, host_of

SET = small(levels=1, degree=64)
MEMBERS = ("east", "north", "south", "west")


@dataclass
class State:
    """What the ledger is said to hold."""

    members: tuple[str, ...] = MEMBERS
    keys: dict[str, KeyOnRecord] = field(default_factory=dict)
    works: tuple[ComputingWork, ...] = ()


class Worker(ComputingParticipant[Any]):
    """Does what a test says for each kind of work."""

    _unit, _last_step = "task", "last"

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.ledger = ComputingLedger(ScoringApplication, MEMBERS)
        self.said: list[Structure] = []
        host = host_of(folder, self.ledger, "north", **settings)
        self.key, self.blobs = ComputingKey(host.folder / "key"), ComputingBlobs(host.store, host.folder, "scoring/")
        super().__init__(host, host.folder, self.key, self.blobs)
        self.state, self.done = State(), list[str]()
        self.steps: dict[str, Callable[[], None]] = {}

    def _state_at(self, snapshot: Any) -> Any:
        return self.state

    async def _work_on(self, state: Any) -> None:
        await self._do_all(state, state.works)

    def _step_of(self, kind: str) -> Callable[[Any, str], Awaitable[None]]:
        async def step(state: Any, number: str) -> None:
            self.done.append(f"{kind} {number}")
            self.steps.get(number, lambda: None)()

        return step

    def _is_over(self, number: str) -> bool:
        return self._refusal(number).exists()

    def _refusal(self, number: str) -> Path:
        return self._own / f"{number}.refused"

    def _declined(self, number: str, reason: str) -> Structure:
        return ContactSaid(f"{number}: {reason}".encode())

    @property
    def declined(self) -> str | None:
        """What it said on the ledger of work that it does not do."""
        found = self.ledger.application.query("contact/north")
        return None if found is None else found.decode()

    def work(self, *works: str, times: int = 1) -> None:
        """Let it look at the ledger so many times, while this is to be done."""
        self.state = State(keys=self.state.keys, works=tuple(ComputingWork(*work.split()) for work in works))
        self._state = self.state

        async def looks() -> None:
            for _ in range(times):
                await self._work_on(self.state)

        asyncio.run(looks())


@pytest.fixture
def worker(tmp_path: Path) -> Worker:
    return Worker(tmp_path)


def failing(error: Exception) -> Callable[[], None]:
    def fail() -> None:
        raise error

    return fail


def test_blob_that_nobody_has_is_waited_for_behind_everybody_else(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr(participant, "time", SimpleNamespace(monotonic=lambda: now[0]))
    worker.steps["1"] = failing(BlockNotFound("nobody has it"))
    worker.work("answer 1", "answer 2", times=2)
    assert worker.done == ["answer 1", "answer 2", "answer 2"]
    assert worker._problem == "task 1 waits: nobody has it"
    now[0] = 10.0
    worker.work("answer 1", "answer 2")
    assert worker.done[3:] == ["answer 2", "answer 1"]
    assert worker.declined is None


def test_computing_is_declined_after_many_tries_and_answering_never(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr(participant, "time", SimpleNamespace(monotonic=lambda: now[0]))
    for number in "12":
        worker.steps[number] = failing(KuboUnavailable("the disk is away"))
    for tried in range(1, MOST_TRIES + 1):
        assert worker.declined is None
        now[0] += 10_000
        worker.work("compute 1", "answer 2")
        assert worker.done.count("answer 2") == tried
    assert worker.declined == f"1: after {MOST_TRIES} tries: the disk is away"


@pytest.mark.parametrize(
    "error",
    [InvalidCid("no name"), LimitExceeded("too long"), MalformedEncoding("no ciphertext"), WrongKey("another's")],
)
def test_work_on_what_is_none_is_declined_on_the_ledger(worker: Worker, error: Exception) -> None:
    worker.steps["1"] = failing(error)
    worker.work("compute 1", "compute 2")
    assert worker.declined is not None
    assert worker.declined.startswith("1: ")
    assert str(error) in worker.declined
    assert worker.done == ["compute 1", "compute 2"]


def test_reason_is_no_longer_than_a_record_may_be(worker: Worker) -> None:
    worker.steps["1"] = failing(FheError("x" * 10_000))
    worker.work("compute 1")
    assert worker.declined == "1: " + "x" * MOST_REASON


def test_last_step_that_fails_is_told_here_and_tried_no_more(worker: Worker) -> None:
    worker.steps["1"] = failing(BudgetSpent("the key is spent"))
    worker.work("last 1", times=3)
    assert worker.done == ["last 1"]
    assert worker._refusal("1").read_text() == "the key is spent\n"
    assert worker.declined is None


def test_refusal_of_the_ledger_is_no_reason_to_decline(worker: Worker) -> None:
    worker.steps["1"] = failing(TransactionRefused("somebody else was first"))
    worker.work("compute 1", "compute 2", times=2)
    assert worker.done == ["compute 1", "compute 2", "compute 2"]
    assert worker.declined is None
    assert not worker._refusal("1").exists()


def test_what_was_ordered_meanwhile_is_looked_at_before_what_is_left(worker: Worker) -> None:
    worker.steps["1"] = lambda: setattr(worker, "_state", State())
    worker.work("compute 1", "compute 2")
    assert worker.done == ["compute 1"]


def test_order_is_put_aside_with_a_sentence_or_waits_for_a_blob(worker: Worker, tmp_path: Path) -> None:
    async def fails(error: Exception) -> None:
        raise error

    async def good() -> None:
        pass

    async def story() -> None:
        order = tmp_path / "flows.npz"
        assert not await worker._tried(fails(BlockNotFound("nobody has it")), order)
        assert worker._problem == "flows.npz waits: nobody has it"
        assert not list(worker._own.glob("*.refused"))
        assert await worker._tried(good(), order)
        assert await worker._tried(fails(NodeError("there is no offer 7")), order)
        assert (worker._own / "flows.refused").read_text() == "there is no offer 7\n"

    asyncio.run(story())


# The key.


def on_record(worker: Worker, opened: int, name: str = "north") -> None:
    worker.state.keys[name] = KeyOnRecord(KeyPublished("b" * 59, f"{name}/0", OUTPUTS), opened)


def test_member_without_a_key_on_record_may_begin(worker: Worker) -> None:
    on_record(worker, 5, name="south")
    asyncio.run(worker.check_journal())


def test_journal_that_counts_fewer_than_the_ledger_shows_stops_the_node(worker: Worker) -> None:
    worker.key.secret("north", SET, CHAIN)
    on_record(worker, 0)
    asyncio.run(worker.check_journal())
    with worker.key.journal() as journal:
        journal.spend()
    for opened in (0, 1):
        on_record(worker, opened)
        asyncio.run(worker.check_journal())
    on_record(worker, 2)
    with pytest.raises(Retired, match=r"shows 2 ciphertexts .* of north opened, and its journal counts 1: .*restored"):
        asyncio.run(worker.check_journal())


def test_key_on_record_whose_journal_is_gone_stops_the_node(worker: Worker) -> None:
    on_record(worker, 0)
    with pytest.raises(Retired):
        asyncio.run(worker.check_journal())
    assert worker._outputs_left() is None


def test_new_key_is_published_once(worker: Worker) -> None:
    async def story() -> None:
        first = await worker._secret_of(worker.state, SET)
        state = scoring_state(worker.ledger.application.snapshot())
        published = state.keys["north"].published
        assert (published.holder, published.outputs) == (first.owner, OUTPUTS)
        height = worker.ledger.height
        again = await worker._secret_of(state, SET)
        assert (again.seed, worker.ledger.height) == (first.seed, height)
        # The state may be older than the ledger is: a second record is refused, and harms nothing.
        assert (await worker._secret_of(worker.state, SET)).seed == first.seed
        assert scoring_state(worker.ledger.application.snapshot()).keys["north"].published == published
        assert worker._outputs_left() == OUTPUTS

    asyncio.run(story())


def published(worker: Worker, name: str, secret: SecretKey, holder: str | None = None) -> None:
    blob = worker.blobs.put(write_evaluation_key(secret.evaluation_key()), "key")
    worker.state.keys[name] = KeyOnRecord(KeyPublished(blob, holder or secret.owner, OUTPUTS))


def test_evaluation_key_of_another_owner_federation_or_shape_is_none(worker: Worker) -> None:
    south = SecretKey("south", SET, CHAIN, b"s" * 32)
    published(worker, "south", south)
    assert worker._evaluation_key(worker.state, "south", SET).owner == south.owner
    published(worker, "west", south, holder="west/0")
    published(worker, "east", SecretKey("east", SET, b"another", b"e" * 32))
    for name in ("west", "east"):
        with pytest.raises(WrongKey, match=f"the evaluation key of {name} is of another owner or federation"):
            worker._evaluation_key(worker.state, name, SET)
    worker.state.keys["west"] = KeyOnRecord(KeyPublished(worker.blobs.put(b"garbage", "key"), "west/0", OUTPUTS))
    with pytest.raises(FheError):
        worker._evaluation_key(worker.state, "west", SET)


def test_only_a_few_evaluation_keys_are_kept_in_memory(worker: Worker) -> None:
    for number in range(8):
        published(worker, "south", SecretKey("south", SET, CHAIN, bytes([number]) * 32))
        worker._evaluation_key(worker.state, "south", SET)
    assert len(worker._keys) == 4


def test_member_works_until_it_is_stopped_and_says_why_it_cannot_follow(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(participant, "_LOOK_SECONDS", 0.005)
    worker.state.works = (ComputingWork("compute", "1"),)

    async def story() -> None:
        running = asyncio.create_task(worker.run())
        while not worker.done:
            await asyncio.sleep(0.002)
        worker._host.stopping.set()
        await asyncio.wait_for(running, 5)
        worker._host.stopping.clear()

        def broken(_: object) -> Any:
            raise NodeError("the state is not one of scoring")

        monkeypatch.setattr(worker, "_state_at", broken)
        with pytest.raises(NodeError, match="the state is not one of scoring"):
            await asyncio.wait_for(worker.run(), 5)

    asyncio.run(story())


def test_settings_that_it_does_not_have_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfiguration, match="unknown field `computes`"):
        Worker(tmp_path, computes=True)
