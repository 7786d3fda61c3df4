"""A hospital in a federation that trains: the pure participant (federation/participant.py), with hands.

One thread runs the participant, so that its journal and its machine see one thing after another; training, fetching
and trying models run beside it. What is asked for in order (blobs before the records that name them) is done in order.
What answers a beacon, or tells of a cohort, is shown only once the block that it was taken from is known to bear a
quorum's signatures, and no other of its height (forks.py).
"""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar, cast

from medward.agents.compilation import keep_compiled
from medward.federation.application import FederationSnapshot
from medward.federation.model.shared_model_format import MOST_BYTES
from medward.federation.participant import FederationMember
from medward.federation.records import (
    Answer,
    Complain,
    Record,
    Respond,
    Resume,
    Show,
    Submit,
    decode_record,
    encode_record,
)
from medward.federation.round.effects import (
    Advance,
    Fetch,
    Fetched,
    Judge,
    OrderRecord,
    RoundEffect,
    RoundEvent,
    Store,
    Work,
)
from medward.federation.round.state import Round
from medward.federation.rules import Agreement, FederationState, surveyed
from medward.federation.stopwatch import timed
from medward.federation.sums.encrypted import EncryptedSum
from medward.federation.sums.interface import SecureSum
from medward.federation.sums.journal import AnswerJournal
from medward.federation.sums.plain import PlainSum
from medward.ledger.errors import LedgerError, TransactionRefused
from medward.ledger.types import Block
from medward.node.errors import NodeError, NotCertified
from medward.node.interfaces import FINISHED, HOW_TO_RESUME, Host, Ordered, Participant, Restored
from medward.node.ledger.submitter import in_time
from medward.node.ledger.wishes import log_wishes, told
from medward.node.sealed_data.service import SealedDataService
from medward.node.training.data import read_settings
from medward.node.training.fetching import Fetching, Reading
from medward.node.training.files import TrainingFiles
from medward.node.training.journal_check import check_journal
from medward.node.training.outcomes import Outcomes
from medward.node.training.retention import MODELS, Retention
from medward.node.training.round_history import RoundHistory
from medward.node.training.round_log import RoundLog, summary
from medward.node.training.work import TrainingWork
from medward.store.errors import StoreError
from medward.store.limits import DagLimits, file_up_to

_LOG = logging.getLogger("medward.node")
_LOOK_SECONDS = 0.25
#: What tells a sum, or a part of one: it is shown only where a quorum agreed on what it answers.
_SHOWN = (Submit, Show, Answer, Respond, Complain)

Result = TypeVar("Result")


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
        self._sealed_data = SealedDataService(host)
        self._retention = Retention(host.store, self._settings.keep_rounds)
        self._machine: FederationMember | None = None
        self._sums: SecureSum | None = None
        self._journal: AnswerJournal | None = None
        self._led_here: Block | None = None
        self._core = ThreadPoolExecutor(1, thread_name_prefix="participant")
        self._fetching = Fetching(self._now, self._get, self._came, self._start)
        self._tasks: set[asyncio.Task[None]] = set()
        self._over = asyncio.Event()
        self._failure: BaseException | None = None
        self._rounds = RoundLog()
        self._reading = Reading(self._retention, self._rounds.watch)
        read_model = partial(self._reading.read, label=MODELS, author=None, limits=file_up_to(MOST_BYTES))
        self._bench = TrainingWork(host.name, self._settings, self._files, host.store, self._rounds.watch, read_model)
        self._outcomes = Outcomes(self._bench, RoundHistory(host.folder), host.model)
        self._turn = asyncio.Lock()
        self._let_go_until = -1

    async def run(self) -> None:
        """Take part until the node stops."""
        try:
            await self._bench.prepare()
            for part in (self._follow(), self._watch_clock(), self._sealed_data.finish()):
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
            self._reading.close()

    async def check_journal(self) -> None:
        """See `medward.node.training.journal_check.check_journal`."""
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
        return self._sealed_data.listed()

    async def about_data(self, wanted: Mapping[str, str]) -> Mapping[str, Any]:
        """See `Participant.about_data`."""
        return await self._sealed_data.do(wanted)

    async def resume(self) -> Mapping[str, Any]:
        """See `Participant.resume`."""
        if self._machine is None:
            raise NodeError("the node is reading its data; say it again once it has")
        state, name = self._machine.state, self._host.name
        if state.stopped is None:
            raise NodeError("the federation has not stopped; there is nothing to resume")
        if name in state.resuming:
            raise NodeError(f"{name} has said already that the federation goes on; other members must say it too")
        async with in_time("the record that the federation goes on may still be ordered"):
            receipt = await self._host.ledger.submit(encode_record(Resume()))
        return {"ordered": True, "height": receipt.height, "member": name, "needed": state.terms.faulty + 1}

    def status(self) -> Mapping[str, Any]:
        """Where the federation stands."""
        if self._machine is None:
            return {"doing": "reading its data"}
        state, now = self._machine.state, self._machine.state.round
        holders, present = state.terms.holders, state.present
        own = self._bench.own
        return {
            "doing": FINISHED if self._finished_plan(state) else _doing(state),
            "round": None if now is None else now.number,
            "phase": None if now is None else now.phase.value,
            "waits_for": list(self._machine.awaited),
            "surveyed": sorted(surveyed(state)),
            "sealing_keys": len(present),
            "observers": sorted(state.observers),
            "absent_holders": [name for name in holders if name not in present],
            "wishes": told(state.membership, time.time()),
            "model": state.model,
            "next": None if state.next is None else state.next.task,
            "done": self._finished_plan(state),
            "stopped": state.stopped,
            "training_rows": None if own is None else own.rows,
            "labels": None if own is None else own.own.labels,
            "labels_mean": None if own is None else own.own.meaning,
            **self._outcomes.told(time.time()),
        }

    def _finished_plan(self, state: FederationState) -> bool:
        """Whether the plan is fulfilled, and its model is where this hospital finds it."""
        return state.next is None and not self._outcomes.lack(state)

    # Beginning.

    def _build_sums(self, agreement: Agreement) -> SecureSum:
        """Open this member's part in sums, and its journal, in the thread that will use them."""
        if self._sums is None:
            self._sums = timed(self._make_sums(agreement), self._rounds.watch)
        return self._sums

    def _make_sums(self, agreement: Agreement) -> SecureSum:
        if agreement.protect == "none":
            return PlainSum(self._host.name)
        self._journal = AnswerJournal(self._files.answers)
        return EncryptedSum(self._host.name, self._journal, self._files.secret())

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
            self._bench.check_plan(snapshot.federation)
            await self._in_turn(self._restore, snapshot.federation)
            self._keep_outcomes()
            return
        records = [
            (record, transaction.client)
            for transaction, result in zip(event.block.transactions, event.results, strict=True)
            if not result.code and (record := decode_record(transaction.payload)) is not None
        ]
        for record, account in records:
            await self._in_turn(self._take_record, record, account, event.block, snapshot.block)
        await self._in_turn(self._duties)
        self._keep_outcomes()
        await self._let_go()

    def _keep_outcomes(self) -> None:
        """Begin to keep what rounds led to, unless that is under way."""
        assert self._machine is not None
        if not self._outcomes.busy and self._outcomes.lack(self._machine.state):
            self._start(self._outcomes.keep(lambda: cast(FederationMember, self._machine).state, self.rounds))

    async def _let_go(self) -> None:
        """Let go of what the end of a round made superfluous, where not all is to be kept."""
        assert self._machine is not None
        state = self._machine.state
        now = state.round
        over = now is not None and now.over and now.number > self._let_go_until
        # What collects garbage waits for all that is read, and all that is to be read waits for it: so it comes when
        # nothing is, lest a peer that takes its time hold up both.
        if self._settings.keep_rounds and now is not None and over and not self._reading.busy:
            self._let_go_until = now.number
            tried = () if now.candidate is None else (now.candidate.model,)
            in_use = {state.model, now.model, *tried, *self._bench.models}
            try:
                await asyncio.to_thread(self._retention.let_go, now.number, in_use)
            except StoreError as error:
                _LOG.warning("the store could not be tidied: %s", error)

    def _restore(self, state: FederationState) -> list[RoundEffect]:
        sums = self._build_sums(state.agreement)
        self._machine = FederationMember(self._host.name, state, sums, observes=self._bench.observes)
        self._led_here = None
        self._forget(state)
        if state.round is not None and not state.round.over:
            # What a node that comes back does for the round from here on is that round's time.
            self._rounds.entered(state.round.number, state.round.phase, time.time())
        return self._machine.begin()

    def _take_record(self, record: Record, account: bytes, block: Block, block_hash: bytes) -> list[RoundEffect]:
        assert self._machine is not None
        before = self._machine.state
        author = before.author(account)
        if author is None:
            return []
        effects = self._machine.ordered(record, author, block.time / 1000, block_hash, block.epoch)
        self._note(before, self._machine.state, block)
        return effects

    def _duties(self) -> list[RoundEffect]:
        return [] if self._machine is None else self._machine.duties(time.time())

    def _step(self, event: RoundEvent) -> list[RoundEffect]:
        assert self._machine is not None
        return self._machine.step(event)

    def _note(self, before: FederationState, after: FederationState, block: Block) -> None:
        """Note where the round stands; log what a person wants to know; forget what no round needs any more."""
        log_wishes(before.membership, after.membership, block.time / 1000)
        was, now = before.round, after.round
        if now is not None and (was is None or (was.number, was.phase) != (now.number, now.phase)):
            self._led_here = block
            self._rounds.entered(now.number, now.phase, time.time(), block.time / 1000)
            if now.over:
                told = summary(now)
                of = f"{len(told['cohort'])} in the sum"
                _LOG.info("round %d (%s): %s, %s", now.number, now.task, told["outcome"], of)
                self._forget(after)
        if after.stopped is not None and before.stopped is None:
            _LOG.warning("the federation has stopped: %s; %s", after.stopped, HOW_TO_RESUME)
        if after.stopped is None and before.stopped is not None:
            _LOG.info("the federation goes on")
        if after.next is None and before.next is not None:
            _LOG.info("the plan is fulfilled; the model is %s", after.model)

    def _forget(self, state: FederationState) -> None:
        """Erase what no round needs any more; that it was given stays on record."""
        if self._journal is not None:
            now = state.round
            self._journal.forget(state.agreement.name, state.number if now is None or now.over else now.number)

    # What is to be done.

    async def _in_turn(self, call: Callable[..., list[RoundEffect]], *arguments: object) -> None:
        """Run one step of the machine, and then what it asks for."""
        async with self._turn:
            effects = await self._in_core(call, *arguments)
            if any(isinstance(effect, OrderRecord) and isinstance(effect.record, _SHOWN) for effect in effects):
                self._start(self._show(effects, self._led_here))
                return
            for effect in effects:
                await self._carry_out(effect)

    async def _in_core(self, call: Callable[..., Result], *arguments: object) -> Result:
        """Run something in the one thread that the machine, the sums and the journal live in."""
        return await asyncio.get_running_loop().run_in_executor(self._core, call, *arguments)

    async def _show(self, effects: Sequence[RoundEffect], block: Block | None) -> None:
        """Do what shows something, once a quorum is known to have agreed on what it answers (threat M7)."""
        try:
            await self._host.ledger.certify(block)
        except NotCertified as error:
            _LOG.warning("%s shows nothing of this round: %s", self._host.name, error)
            return
        for effect in effects:
            await self._carry_out(effect)

    async def _carry_out(self, effect: RoundEffect) -> None:
        match effect:
            case Store():
                self._rounds.stored(effect.label, len(effect.content))
                with self._rounds.watch.doing("store"):
                    await asyncio.to_thread(self._host.store.add, effect.content, pin=effect.label)
            case OrderRecord():
                self._start(self._hand_in(effect.record))
            case Fetch():
                await self._fetch(effect)
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
        except TransactionRefused as error:
            _LOG.debug("the ledger did not take a %s: %s", type(record).__name__, error)
        except LedgerError as error:
            _LOG.warning("a %s could not be handed in: %s", type(record).__name__, error)

    async def _fetch(self, fetch: Fetch) -> None:
        if self._machine is not None:
            self._fetching.fetch(fetch, await self._in_core(self._machine.sizes))

    def _now(self) -> Round | None:
        return None if self._machine is None else self._machine.state.round

    async def _get(self, name: str, number: int, author: str | None, limits: DagLimits) -> bytes | None:
        content = await self._reading.read(name, f"round/{number}", author, limits)
        if content is not None:
            self._rounds.fetched(number, len(content))
        return content

    async def _came(self, number: int, name: str, content: bytes) -> None:
        await self._in_turn(self._step, Fetched(number, {name: content}))

    async def _work(self, effect: Work) -> None:
        produced = await self._bench.work(effect)
        if produced is not None:
            await self._in_turn(self._step, produced)
        elif self._machine is not None:
            self._machine.observes = self._bench.observes

    async def _advance(self, effect: Advance) -> None:
        advanced = await self._bench.advance(effect)
        if advanced is not None:
            await self._in_turn(self._step, advanced)

    async def _judge(self, effect: Judge) -> None:
        await self._in_turn(self._step, await self._bench.judge(effect))

    async def _watch_clock(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            if self._machine is not None and await self._in_core(self._machine.wake) <= time.time():
                await self._in_turn(self._duties)
            if self._machine is not None:
                await self._let_go()

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._end_task)

    def _end_task(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        failure = None if task.cancelled() else task.exception()
        if failure is not None:
            self._failure = self._failure or failure
            self._over.set()


def _doing(state: FederationState) -> str:
    if state.stopped is not None:
        return "stopped"
    if state.next is None:
        return "keeping the model"
    if state.round is not None and not state.round.over:
        return f"{state.round.task}: {state.round.phase.value}"
    if lack := state.contributors_lack:
        return f"waiting until {lack} more {'hospitals train' if lack > 1 else 'hospital trains'}: too few have labels"
    return "between rounds" if state.begins_at is not None else "waiting for sealing keys"
