"""A hospital in a federation that trains: the pure participant (federation/participant.py), with hands.

One thread runs the participant, so that its journal and its machine see one thing after another; training, fetching
and trying models run beside it. What is asked for in order (blobs before the records that name them, keys before what
follows) is done in order.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from medward.agents.compilation import keep_compiled
from medward.federation.application import FederationSnapshot
from medward.federation.blobs import blob_name
from medward.federation.effects import (
    Advance,
    Advanced,
    Effect,
    Event,
    Fetch,
    Fetched,
    FetchKeyBlob,
    Judge,
    Judged,
    KeepKeys,
    KeyBlobFetched,
    Order,
    Produced,
    Store,
    Work,
)
from medward.federation.encrypted_sum import EncryptedSum, EpochMaterial
from medward.federation.hospital import trial_secret
from medward.federation.interfaces import FederationError, SecureSum
from medward.federation.journal import Journal
from medward.federation.participant import Participant as Machine
from medward.federation.plan import plan_digest
from medward.federation.records import Record, Resume, decode_record, encode_record
from medward.federation.round import Phase
from medward.federation.rules import Federation
from medward.federation.shared_model import SharedModel, first_model, from_bytes
from medward.federation.stopwatch import TimedSum
from medward.ledger.errors import LedgerError, Refused
from medward.node.data_desk import DataDesk
from medward.node.errors import InvalidConfiguration, NodeError
from medward.node.journal_check import check_journal
from medward.node.recent_models import RecentModels
from medward.node.retention import MODELS, Retention
from medward.node.round_log import RoundLog, summary
from medward.node.seam import HOW_TO_RESUME, Host, Ordered, Participant, Restored
from medward.node.training_data import OwnSide, own_side, read_settings
from medward.node.training_files import TrainingFiles
from medward.store.errors import StoreError, StoreFull

_LOG = logging.getLogger("medward.node")
_LOOK_SECONDS = 0.25
_RETRY_SECONDS = 0.5
_ORDER_SECONDS = 100.0
#: Blobs that are got at once: most of the time is a peer's and the disk's. Fewer than there are threads, so that peers
#: that take their time do not hold up training and votes.
_AT_ONCE = 3


class TrainingParticipant(Participant):
    """A member that trains.

    Args:
        host: what the node gives it.
    """

    def __init__(self, host: Host) -> None:
        keep_compiled()
        self._host = host
        self._settings = read_settings(host.settings)
        self._files = TrainingFiles(host.folder)
        self._desk = DataDesk(host)
        self._kept = Retention(host.store, self._settings.keep_rounds)
        self._own: OwnSide | None = None
        self._machine: Machine | None = None
        self._journal: Journal | None = None
        self._core = ThreadPoolExecutor(1, thread_name_prefix="participant")
        self._tasks: set[asyncio.Task[None]] = set()
        self._over = asyncio.Event()
        self._failure: BaseException | None = None
        self._models = RecentModels()
        self._rounds = RoundLog()
        self._turn, self._working = asyncio.Lock(), asyncio.Lock()
        self._reading, self._reading_models = asyncio.Semaphore(_AT_ONCE), asyncio.Semaphore(1)
        self._let_go_until = -1
        self._told_full = False

    async def run(self) -> None:
        """Take part until the node stops."""
        try:
            await self._prepare()
            for part in (self._follow(), self._watch_clock(), self._desk.finish()):
                self._start(part)
            # Whatever fails ends it at once: the next record may be as far away as the phase's deadline.
            await self._over.wait()
            if self._failure is not None:
                raise self._failure
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            self._core.submit(self._close).result()
            self._core.shutdown()

    async def check_journal(self) -> None:
        """See `medward.node.journal_check.check_journal`."""
        await asyncio.to_thread(check_journal, self._host, self._files.answers)

    def rounds(self) -> Sequence[Mapping[str, Any]]:
        """What became of the rounds, the latest first."""
        return self._rounds.told(self._host.ledger.query)

    def models(self) -> Sequence[Mapping[str, Any]]:
        """The shared models, the present one first."""
        final = [told for told in self.rounds() if told["outcome"] == "final"]
        return [{"model": told["model"], "round": told["round"], "task": told["task"]} for told in final]

    def datasets(self) -> Sequence[Mapping[str, Any]]:
        """The sealed data sets, the latest first."""
        return self._desk.listed()

    async def about_data(self, wanted: Mapping[str, str]) -> Mapping[str, Any]:
        """See `Participant.about_data`."""
        return await self._desk.do(wanted)

    async def resume(self) -> Mapping[str, Any]:
        """See `Participant.resume`."""
        if self._machine is None:
            raise NodeError("the node is reading its data; say it again once it has")
        state, name = self._machine.state, self._host.name
        if state.stopped is None:
            raise NodeError("the federation has not stopped; there is nothing to resume")
        if name in state.resuming:
            raise NodeError(f"{name} has said already that the federation goes on; other members must say it too")
        try:
            async with asyncio.timeout(_ORDER_SECONDS):
                receipt = await self._host.ledger.submit(encode_record(Resume()))
        except TimeoutError:
            raise NodeError(
                f"the ledger ordered nothing within {_ORDER_SECONDS:.0f} s, and may still do; look at "
                "`medward federation status`"
            ) from None
        return {"ordered": True, "height": receipt.height, "member": name, "needed": state.terms.faulty + 1}

    def status(self) -> Mapping[str, Any]:
        """Where the federation stands."""
        if self._machine is None:
            return {"doing": "reading its data"}
        state = self._machine.state
        now, ceremony = state.round, state.ceremony
        return {
            "doing": _doing(state),
            "round": None if now is None else now.number,
            "phase": None if now is None else now.phase.value,
            "failed_aggregators": 0 if now is None else now.attempt,
            "ceremony": None if ceremony is None else ceremony.first_epoch,
            "waits_for": list(self._machine.awaited),
            "left_out": self._machine.left_out,
            "epoch": None if state.epoch is None else state.epoch.epoch,
            "holders": [] if state.epoch is None else list(state.epoch.keys.holders),
            "holds_keys": self._machine.holds_keys,
            "model": state.model,
            "next": None if state.next is None else state.next.task,
            "done": state.next is None,
            "stopped": state.stopped,
            "training_rows": None if self._own is None else self._own.rows,
        }

    # Beginning.

    async def _prepare(self) -> None:
        """Read the data, and hold the first model."""
        settings, host = self._settings, self._host
        secret = trial_secret(settings.seed, settings.site) if settings.trial else self._files.secret()
        self._own = await asyncio.to_thread(own_side, settings, secret)
        self._own.hospital.carried = self._files.carried()
        first = first_model(self._own.plan)
        encoded = first.to_bytes()
        self._models.use(blob_name(encoded), first)
        await asyncio.to_thread(host.store.add, encoded, pin=MODELS)
        _LOG.info("%s has %d training rows of %s", host.name, self._own.rows, settings.data)

    def _check_plan(self, state: Federation) -> None:
        assert self._own is not None
        if plan_digest(self._own.plan) != state.agreement.plan:
            raise InvalidConfiguration(
                "node.toml, [participant]: data, rounds, bits, seed and courier do not give the plan that the "
                "federation agreed on; ask another member for its settings"
            )

    def _make_sums(self, material: EpochMaterial, least_cohort: int) -> SecureSum:
        sums = EncryptedSum(material, self._host.name, self._opened_journal(), least_cohort)
        return TimedSum(sums, self._rounds.watch)

    def _opened_journal(self) -> Journal:
        """Open the journal, in the thread that will use it."""
        if self._journal is None:
            self._journal = Journal(self._files.answers)
        return self._journal

    def _close(self) -> None:
        if self._journal is not None:
            self._journal.close()
            self._journal = None

    # What is ordered.

    async def _follow(self) -> None:
        async for event in self._host.ledger.events():
            await self._take(event)
        self._over.set()

    async def _take(self, event: Ordered | Restored) -> None:
        snapshot = event.state
        assert isinstance(snapshot, FederationSnapshot)
        if isinstance(event, Restored):
            self._check_plan(snapshot.federation)
            await self._in_turn(self._restored, snapshot.federation)
            return
        records = [
            (record, transaction.client)
            for transaction, result in zip(event.block.transactions, event.results, strict=True)
            if not result.code and (record := decode_record(transaction.payload)) is not None
        ]
        for record, account in records:
            await self._in_turn(self._ordered, record, account, event.block.time / 1000, snapshot.block)
        await self._in_turn(self._duties)
        await self._let_go()

    async def _let_go(self) -> None:
        """Let go of what the end of a round made superfluous, where not all is to be kept."""
        assert self._machine is not None
        state = self._machine.state
        now = state.round
        if self._settings.keep_rounds and now is not None and now.over and now.number > self._let_go_until:
            self._let_go_until = now.number
            tried = () if now.candidate is None else (now.candidate.model,)
            in_use = {state.model, now.model, *tried, *self._models}
            try:
                await asyncio.to_thread(self._kept.let_go, now.number, in_use)
            except StoreError as error:
                _LOG.warning("the store could not be tidied: %s", error)

    def _restored(self, state: Federation) -> list[Effect]:
        material = None if state.epoch is None else self._files.keys(state.epoch.epoch)
        self._machine = Machine(self._host.name, state, self._make_sums, material)
        if state.round is not None and not state.round.over:
            # What a node that comes back does for the round from here on is that round's time.
            self._rounds.entered(state.round.number, state.round.phase, time.time())
        return self._machine.begin()

    def _ordered(self, record: Record, account: bytes, now: float, block: bytes) -> list[Effect]:
        assert self._machine is not None
        before = self._machine.state
        author = before.author(account)
        effects = [] if author is None else self._machine.ordered(record, author, now, block)
        self._tell(before, self._machine.state)
        return effects

    def _duties(self) -> list[Effect]:
        return [] if self._machine is None else self._machine.duties(time.time())

    def _step(self, event: Event) -> list[Effect]:
        assert self._machine is not None
        return self._machine.step(event)

    def _tell(self, before: Federation, after: Federation) -> None:
        """Log what a person wants to know."""
        was, now = before.round, after.round
        if now is not None and (was is None or (was.number, was.phase) != (now.number, now.phase)):
            self._rounds.entered(now.number, now.phase, time.time())
            if now.over:
                told = summary(now)
                of = f"{len(told['cohort'])} in the sum"
                _LOG.info("round %d (%s): %s, %s", now.number, now.task, told["outcome"], of)
        if after.epoch is not None and (before.epoch is None or before.epoch.epoch != after.epoch.epoch):
            _LOG.info("key epoch %d is held by %s", after.epoch.epoch, ", ".join(after.epoch.keys.holders))
        if after.stopped is not None and before.stopped is None:
            _LOG.warning("the federation has stopped: %s; %s", after.stopped, HOW_TO_RESUME)
        if after.stopped is None and before.stopped is not None:
            _LOG.info("the federation goes on")
        if after.next is None and before.next is not None:
            _LOG.info("the plan is fulfilled; the model is %s", after.model)

    # What is to be done.

    async def _in_turn(self, call: Callable[..., list[Effect]], *arguments: object) -> None:
        """Run one step of the machine, and then what it asks for."""
        async with self._turn:
            loop = asyncio.get_running_loop()
            for effect in await loop.run_in_executor(self._core, call, *arguments):
                await self._carry_out(effect)

    async def _carry_out(self, effect: Effect) -> None:
        match effect:
            case Store():
                self._rounds.stored(effect.label, len(effect.content))
                with self._rounds.watch.doing("store"):
                    await asyncio.to_thread(self._host.store.add, effect.content, pin=effect.label)
            case KeepKeys():
                await asyncio.to_thread(self._files.keep_keys, effect.material)
            case Order():
                self._start(self._hand_in(effect.record))
            case Fetch():
                self._start(self._fetch(effect))
            case FetchKeyBlob():
                self._start(self._fetch_key_blob(effect))
            case Work():
                self._start(self._work(effect))
            case Advance():
                self._start(self._advance(effect))
            case Judge():
                self._start(self._judge(effect))

    async def _hand_in(self, record: Record) -> None:
        try:
            with self._rounds.watch.doing("order"):
                await self._host.ledger.submit(encode_record(record))
        except Refused as error:
            _LOG.debug("the ledger did not take a %s: %s", type(record).__name__, error)
        except LedgerError as error:
            _LOG.warning("a %s could not be handed in: %s", type(record).__name__, error)

    async def _fetch(self, fetch: Fetch) -> None:
        """Get a round's blobs; what comes late is given late, until the phase is over."""
        missing = set(fetch.names)
        blobs: dict[str, bytes] = {}
        while self._stands_at(fetch):
            names = sorted(missing)
            authors = self._authors()
            label = f"round/{fetch.round}"
            contents = await asyncio.gather(*(self._blob(name, label, authors.get(name)) for name in names))
            for name, content in zip(names, contents, strict=True):
                if content is not None:
                    blobs[name] = content
                    self._rounds.fetched(fetch.round, len(content))
            came = missing & blobs.keys()
            missing -= came
            if came and (not missing or fetch.why in (Phase.ATTESTING, Phase.OPENING)):
                given = blobs if not missing else {name: blobs[name] for name in came}
                await self._in_turn(self._step, Fetched(fetch, given))
            if not missing or (not came and not fetch.names):
                return
            await asyncio.sleep(_RETRY_SECONDS)

    def _stands_at(self, fetch: Fetch) -> bool:
        now = None if self._machine is None else self._machine.state.round
        return now is not None and (now.number, now.phase, now.attempt) == (fetch.round, fetch.why, fetch.attempt)

    async def _fetch_key_blob(self, fetch: FetchKeyBlob) -> None:
        """Get a ceremony's blob; a sealed share that does not come within a quarter of the deadline is missing."""
        assert self._machine is not None
        patience = time.monotonic() + self._machine.state.terms.deadline / 4
        while self._machine.still_needs(fetch):
            content = await self._blob(fetch.name, f"keys/{fetch.epoch}")
            if content is not None or (fetch.dealer is not None and time.monotonic() > patience):
                await self._in_turn(self._step, KeyBlobFetched(fetch, content))
                return
            await asyncio.sleep(_RETRY_SECONDS)

    def _authors(self) -> Mapping[str, str]:
        """Return who put each blob of the present round into its store."""
        now = None if self._machine is None else self._machine.state.round
        if now is None:
            return {}
        shown = (now.submissions, now.shares, *now.reveals.values())
        authors = {name: member for part in shown for member, name in part.items()}
        if now.aggregate is not None and now.aggregator is not None:
            authors[now.aggregate] = now.aggregator
        return authors

    async def _blob(self, name: str, label: str, author: str | None = None) -> bytes | None:
        try:
            # Without a model there is neither training nor a vote: it does not wait for peers that take their time.
            async with self._reading_models if label == MODELS else self._reading:
                with self._rounds.watch.doing("store"):
                    content = await asyncio.to_thread(self._kept.read, name, label, author)
        except StoreError as error:
            # Whoever must make room is told once, and again when it was not enough.
            level = logging.WARNING if isinstance(error, StoreFull) and not self._told_full else logging.DEBUG
            _LOG.log(level, "%s cannot be had yet: %s", name, error)
            self._told_full |= isinstance(error, StoreFull)
            return None
        self._told_full = False
        return content

    async def _work(self, effect: Work) -> None:
        assert self._own is not None
        shared = await self._shared(effect.model)
        # One round after the other, also for a member that was too late: what is carried from each to the next is one.
        async with self._working:
            with self._rounds.watch.doing("train"):
                values = await asyncio.to_thread(self._own.hospital.work, shared, effect.round)
                if self._own.hospital.carried is not None:
                    await asyncio.to_thread(self._files.carry, self._own.hospital.carried)
        await self._in_turn(self._step, Produced(effect.round, values))

    async def _advance(self, effect: Advance) -> None:
        shared = await self._shared(effect.model)
        try:
            with self._rounds.watch.doing("combine"):
                after = await asyncio.to_thread(shared.advance, effect.total, effect.refused)
        except FederationError as error:
            # Everybody opens the same sum and finds the same: the round ends as void at its deadline.
            _LOG.warning("round %d leads to no model: %s", effect.round, error)
            return
        encoded = after.to_bytes()
        name = blob_name(encoded)
        self._models.use(name, after)
        with self._rounds.watch.doing("store"):
            await asyncio.to_thread(self._host.store.add, encoded, pin=MODELS)
            await asyncio.to_thread(self._files.keep_model, name, encoded)
        await self._in_turn(self._step, Advanced(effect.round, encoded, after.next))

    async def _judge(self, effect: Judge) -> None:
        assert self._own is not None
        before, after = await self._shared(effect.before), await self._shared(effect.after)
        with self._rounds.watch.doing("train"):
            accept = await asyncio.to_thread(self._own.hospital.accepts, before, after)
        await self._in_turn(self._step, Judged(effect.round, accept))

    async def _shared(self, name: str) -> SharedModel:
        """Return a shared model by its name, from a peer where this member did not make it itself."""
        assert self._own is not None
        while name not in self._models:
            content = await self._blob(name, MODELS)
            if content is None:
                await asyncio.sleep(_RETRY_SECONDS)
                continue
            self._models[name] = await asyncio.to_thread(from_bytes, self._own.plan, content)
        return self._models.use(name, self._models[name])

    async def _watch_clock(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            if self._machine is not None and self._machine.wake() <= time.time():
                await self._in_turn(self._duties)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        failure = None if task.cancelled() else task.exception()
        if failure is not None:
            self._failure = self._failure or failure
            self._over.set()


def _doing(state: Federation) -> str:
    if state.stopped is not None:
        return "stopped"
    if state.next is None:
        return "done"
    if state.ceremony is not None:
        return "making keys"
    if state.round is not None and not state.round.over:
        return f"{state.round.task}: {state.round.phase.value}"
    return "between rounds"
