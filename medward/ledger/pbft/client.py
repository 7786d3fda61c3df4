"""A client of the ledger: sends to all replicas, and believes f+1 equal answers.

Transactions that are handed in together, or while others are under way, travel together under one signature. See
spec/ledger.md, "Requests"; OSDI'99, 4.1.
"""

import asyncio
import contextlib
import ssl
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from medward.ledger.certificates import CertifiedAnswer, follow_handovers
from medward.ledger.encoding import decode_form, encode
from medward.ledger.errors import InvalidCertificate, InvalidProof, LedgerError, NotCanonical, TransactionRefused
from medward.ledger.execution import NONCE_WINDOW
from medward.ledger.membership import Genesis, Membership
from medward.ledger.pbft.client_protocol import (
    BlockReply,
    ClientMessage,
    GetBlock,
    GetStatus,
    NodeStatus,
    QueryAnswer,
    Receipts,
    Refusal,
    ServerMessage,
    StateQuery,
    SubmitTransactions,
    WatchTransactions,
)
from medward.ledger.pbft.identity import pinned_context
from medward.ledger.pbft.runtime.client_service import CLIENT_FRAME
from medward.ledger.pbft.runtime.transport import frame, note_end, read_frame
from medward.ledger.signatures import MemberVerifier, Signer
from medward.ledger.transactions import MAX_TREE, encode_transaction, sign_transactions
from medward.ledger.types import Member, Receipt

_GATHER_SECONDS = 0.02
_UNDER_WAY = 2
_GROUP_BYTES = CLIENT_FRAME // 2


@dataclass(eq=False)
class _Waiting:
    """A payload and what became of it."""

    payload: bytes
    answered: "asyncio.Future[Receipt | Refusal]"
    deadline: float
    nonce: int = 0
    group: "_Group | None" = None
    answers: dict[str, Receipt | Refusal] = field(default_factory=dict)

    def give_up(self, until: str) -> None:
        """Tell whoever waits that nothing is known."""
        if not self.answered.done():
            unknown = f"no f+1 equal answers about transaction {self.nonce} came {until}"
            self.answered.set_exception(LedgerError(f"{unknown}; it may still be ordered"))


class _Group:
    """Payloads that go under one signature, and whether there is anything to do about them.

    One replica is asked to have them ordered and the others for their answers; `everywhere` says that all were asked.
    """

    def __init__(self, members: list[_Waiting]) -> None:
        self.members = members
        self.everywhere = False
        self._left = len(members)
        self._news = asyncio.Event()
        for waiting in members:
            waiting.group = self

    @property
    def open(self) -> bool:
        """Whether any of them still waits for its answers."""
        return self._left > 0

    async def wait(self, seconds: float) -> None:
        """Return when none waits any more, when the one that was asked refused, or when the time is up."""
        with contextlib.suppress(TimeoutError):
            # Not `asyncio.wait_for`, which can swallow a cancellation in Python 3.11.
            async with asyncio.timeout(seconds):
                await self._news.wait()
        self._news.clear()

    def refused(self) -> None:
        """One replica took something not: f+1 must say so, and the others were not asked yet."""
        if not self.everywhere:
            self._news.set()

    def settled(self) -> None:
        """One of them waits no more."""
        self._left -= 1
        if not self._left:
            self._news.set()


class _Connection:
    """One replica, called when needed and again when it hangs up."""

    def __init__(
        self, member: Member, hear: Callable[[str, bytes], None], context: Callable[[Member], ssl.SSLContext]
    ) -> None:
        self.member = member
        self._hear = hear
        self._context = context
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None
        self._calling = asyncio.Lock()

    async def send(self, data: bytes) -> bool:
        try:
            writer = await self._called()
            writer.write(data)
            await writer.drain()
        except (OSError, TimeoutError):
            return False
        return True

    async def _called(self) -> asyncio.StreamWriter:
        async with self._calling:
            if self._writer is None or self._writer.is_closing():
                host, _, port = self.member.address.rpartition(":")
                calling = asyncio.open_connection(host.strip("[]"), int(port), ssl=self._context(self.member))
                reader, writer = await asyncio.wait_for(calling, 5)
                self._writer = writer
                self._reading = asyncio.create_task(self._read(reader, writer))
            return self._writer

    async def close(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)
        if self._writer is not None:
            self._writer.close()

    async def _read(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                self._hear(self.member.name, await read_frame(reader))
        except OSError:
            await note_end(writer)
        except (asyncio.IncompleteReadError, NotCanonical):
            pass
        finally:
            writer.close()


class PbftClient:
    """Submits transactions and reads certified answers.

    Args:
        genesis: what the client trusts; everything else is proved to it.
        signer: the client's key.
        first_nonce: the first number that this client has not used yet.
        members: whom to call, the genesis members where empty.
        patience: seconds to wait for answers before asking all again.
        together: how many transactions may go under one signature, 1 to `MAX_TREE`.
        context: gives the TLS context for calling a member; `NodeIdentity.asking_context` for one that is a member
            itself, which replicas serve before clients that nobody knows.
    """

    def __init__(
        self,
        genesis: Genesis,
        signer: Signer,
        *,
        first_nonce: int = 1,
        members: tuple[Member, ...] = (),
        patience: float = 1.0,
        together: int = MAX_TREE,
        context: Callable[[Member], ssl.SSLContext] = pinned_context,
    ) -> None:
        self._genesis = genesis
        self._chain = genesis.chain
        self._signer = signer
        self._client = signer.public_keys[0].data
        self._nonce = first_nonce
        self._patience = patience
        self._together = min(max(together, 1), MAX_TREE)
        self._membership = genesis.membership
        self._queue: deque[_Waiting] = deque()
        self._waiting: dict[int, _Waiting] = {}
        self._groups: set[asyncio.Task[None]] = set()
        self._flushing: asyncio.Handle | None = None
        self._alarm: asyncio.TimerHandle | None = None
        self._heard: dict[bytes, ServerMessage] = {}
        self._asked: dict[str, asyncio.Future[ServerMessage]] = {}
        self._context = context
        self._connections = {m.name: self._connection(m) for m in members or genesis.members}
        self._preferred = 0
        self._closing: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        """Hang up; who still waits is told that nothing is known."""
        for waiting in (*self._queue, *self._waiting.values()):
            waiting.give_up("before this client hung up")
        if self._alarm is not None:
            self._alarm.cancel()
        for group in self._groups:
            group.cancel()
        await asyncio.gather(*self._groups, return_exceptions=True)
        await asyncio.gather(*(connection.close() for connection in self._connections.values()))

    async def submit(self, payload: bytes, give_up: float = 60.0) -> Receipt:
        """Return the receipt that f+1 replicas agree on.

        Args:
            payload: what the application reads.
            give_up: seconds after which nothing is known: it may still be ordered.

        Raises:
            Refused: f+1 replicas do not take it; where others took it, it may still be ordered, once.
            LedgerError: no f+1 equal answers came in time.
        """
        loop = asyncio.get_running_loop()
        waiting = _Waiting(payload, loop.create_future(), loop.time() + give_up)
        self._queue.append(waiting)
        if self._alarm is None or waiting.deadline < self._alarm.when():
            self._set_alarm(waiting.deadline)
        # What else is handed in during this turn of the loop goes along.
        self._flush_after(0)
        try:
            outcome = await waiting.answered
        finally:
            self._waiting.pop(waiting.nonce, None)
            if waiting.group is not None:
                waiting.group.settled()
        if isinstance(outcome, Refusal):
            raise TransactionRefused(
                f"the ledger does not take transaction {waiting.nonce}: {outcome.reason}", outcome.result.code
            )
        return outcome

    async def query(self, path: str) -> CertifiedAnswer:
        """Return the value at `path` at a stable checkpoint, verified from the genesis on.

        Raises:
            LedgerError: no replica gave an answer that proves itself.
        """
        verifier = MemberVerifier()
        for name in self._connections:
            status = await self._ask(name, GetStatus())
            answer = await self._ask(name, StateQuery(path))
            if isinstance(status, NodeStatus) and isinstance(answer, QueryAnswer) and answer.answer is not None:
                try:
                    epochs = follow_handovers(self._genesis.membership, status.handovers, self._chain, verifier)
                    answer.answer.verify(epochs[answer.answer.certificate.body.epoch], self._chain, verifier)
                except (InvalidCertificate, InvalidProof, IndexError):
                    continue
                if answer.answer.key == path.encode():
                    return answer.answer
        raise LedgerError(f"no replica gave an answer about {path} that proves itself; is there a checkpoint yet?")

    async def status(self, name: str) -> NodeStatus | None:
        """Return where one replica says it stands, None where it does not answer."""
        status = await self._ask(name, GetStatus())
        return status if isinstance(status, NodeStatus) else None

    async def block(self, name: str, height: int) -> BlockReply | None:
        """Return one replica's block at `height`; its certificate proves it."""
        reply = await self._ask(name, GetBlock(height))
        return reply if isinstance(reply, BlockReply) else None

    def follow(self, membership: Membership) -> None:
        """Call the members of a later epoch, which the caller has verified, and believe nobody else any more."""
        self._membership = membership
        for name in [name for name, known in self._connections.items() if membership.member(name) != known.member]:
            left = self._connections.pop(name)
            self._closing.add(task := asyncio.create_task(left.close()))
            task.add_done_callback(self._closing.discard)
        for member in membership.members:
            if member.name not in self._connections:
                self._connections[member.name] = self._connection(member)
        for waiting in self._waiting.values():
            waiting.answers = {name: said for name, said in waiting.answers.items() if name in self._connections}

    def _connection(self, member: Member) -> _Connection:
        return _Connection(member, self._hear, self._context)

    # Giving up: one timer for all that wait, since nearly all are answered long before.

    def _set_alarm(self, when: float) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = asyncio.get_running_loop().call_at(when, self._give_up)

    def _give_up(self) -> None:
        self._alarm = None
        now = asyncio.get_running_loop().time()
        open_ones = [waiting for waiting in (*self._queue, *self._waiting.values()) if not waiting.answered.done()]
        for waiting in open_ones:
            if waiting.deadline <= now:
                waiting.give_up("in time")
        later = [waiting.deadline for waiting in open_ones if waiting.deadline > now]
        if later:
            self._set_alarm(min(later))

    # Sending.

    def _flush_after(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        if self._flushing is None:
            self._flushing = loop.call_later(seconds, self._flush) if seconds else loop.call_soon(self._flush)

    def _flush(self, overdue: bool = False) -> None:
        """Send what waits: at once while little is under way, else when enough has gathered or it waited a little."""
        self._flushing = None
        while self._queue:
            few = len(self._queue) < self._together and not overdue
            if few and len(self._groups) >= _UNDER_WAY:
                self._flushing = asyncio.get_running_loop().call_later(_GATHER_SECONDS, self._flush, True)
                return
            group = self._next_group()
            if not group:
                # The replay window is full: `_deliver` flushes again when answers have come.
                return
            self._groups.add(task := asyncio.create_task(self._deliver(_Group(group))))
            task.add_done_callback(self._delivered)

    def _next_group(self) -> list[_Waiting]:
        """Give the next payloads their nonces: never more than the ledger's replay window above one not answered."""
        group: list[_Waiting] = []
        size = 0
        last = min(self._waiting, default=self._nonce) + NONCE_WINDOW - 1
        while self._queue and len(group) < self._together and self._nonce <= last:
            waiting = self._queue[0]
            if group and size + len(waiting.payload) > _GROUP_BYTES:
                break
            self._queue.popleft()
            if waiting.answered.done():
                continue
            size += len(waiting.payload) + 512
            waiting.nonce, self._nonce = self._nonce, self._nonce + 1
            self._waiting[waiting.nonce] = waiting
            group.append(waiting)
        return group

    def _delivered(self, task: "asyncio.Task[None]") -> None:
        self._groups.discard(task)
        if self._flushing is not None:
            self._flushing.cancel()
            self._flushing = None
        if self._queue:
            self._flush_after(0)

    async def _deliver(self, group: _Group) -> None:
        # All are asked for their answers, since f+1 must give them; one gets the requests, and all do when no answers
        # come.
        members = group.members
        numbered = [(waiting.nonce, waiting.payload) for waiting in members]
        encoded: list[bytes] = []
        for waiting, transaction in zip(members, sign_transactions(self._chain, self._signer, numbered), strict=True):
            try:
                encoded.append(encode_transaction(transaction))
            except NotCanonical as error:
                waiting.answered.set_exception(error)
        if not encoded:
            return
        submit = frame(encode(SubmitTransactions(tuple(encoded))))
        watch = frame(encode(WatchTransactions(self._client, members[0].nonce, len(members))))
        while group.open:
            names = sorted(self._connections)
            one = names[self._preferred % len(names)]
            asked = names if group.everywhere else [one]
            sends = (self._connections[name].send(submit if name in asked else watch) for name in names)
            sent = dict(zip(names, await asyncio.gather(*sends), strict=True))
            if group.open:
                await group.wait(self._patience if sent[one] else 0.01)
            group.everywhere = True
            self._preferred += not sent[one]

    # Hearing.

    def _hear(self, name: str, data: bytes) -> None:
        # Replicas answer for the same block with the same bytes, most of the time.
        message = self._heard.get(data)
        if message is None:
            message = decode_form(data, ServerMessage, thinnest=4)
            if len(self._heard) >= 16:
                self._heard.pop(next(iter(self._heard)))
            self._heard[data] = message
        if isinstance(message, Receipts):
            if message.client == self._client:
                for receipt, nonces in message.receipts:
                    for nonce in nonces:
                        self._count(name, nonce, receipt)
        elif isinstance(message, Refusal):
            if message.client == self._client:
                self._count(name, message.nonce, message)
        else:
            asked = self._asked.pop(name, None)
            if asked is not None and not asked.done():
                asked.set_result(message)

    def _count(self, name: str, nonce: int, outcome: Receipt | Refusal) -> None:
        waiting = self._waiting.get(nonce)
        if waiting is None or waiting.answered.done() or name not in self._connections:
            return
        waiting.answers[name] = outcome
        if isinstance(outcome, Refusal) and waiting.group is not None:
            waiting.group.refused()
        if list(waiting.answers.values()).count(outcome) > self._membership.faults:
            waiting.answered.set_result(outcome)
            del self._waiting[nonce]

    async def _ask(self, name: str, message: ClientMessage) -> ServerMessage | None:
        asked: asyncio.Future[ServerMessage] = asyncio.get_running_loop().create_future()
        self._asked[name] = asked
        if not await self._connections[name].send(frame(encode(message))):
            return None
        done, _ = await asyncio.wait([asked], timeout=self._patience * 5)
        return asked.result() if done else None
