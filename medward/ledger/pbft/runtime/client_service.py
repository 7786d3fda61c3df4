"""The side of a node that clients talk to: who waits for which transaction, and frames that answer many at once."""

import asyncio
import time
from collections import deque
from collections.abc import Callable

import msgspec

from medward.admission import RefusalListener, nobody
from medward.ledger.encoding import decode_form, encode
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
from medward.ledger.pbft.runtime.allotment import Allotment
from medward.ledger.pbft.runtime.listener import Caller
from medward.ledger.pbft.runtime.transport import frame, read_frame
from medward.ledger.transactions import decode_transaction
from medward.ledger.types import Receipt, Transaction

_MAX_WAITING = 4096
_MAX_ASKED = 256
_AT_ONCE = 64
_SHARE, _AT_ONCE_SECONDS = 0.1, 0.05
_REFUSED_SECONDS = 0.0002
"""What it takes to find that a transaction is to be refused, about: most of it is the signature."""
_STRANGERS_UNSENT = 16 * 2**20
_STATUS_SECONDS = 0.25
_UNREAD_SECONDS = 30.0
CLIENT_FRAME = 2**17
"""The longest frame in bytes that a client may send: one transaction of the largest size, or many small ones."""

ClientOutcome = Receipt | Refusal
_Key = tuple[bytes, int]


class Submission(msgspec.Struct, frozen=True, gc=False):
    """A transaction that a client of this node handed in."""

    encoded: bytes
    transaction: Transaction


ClientWish = Submission | WatchTransactions
"""What a client asks of the replica."""


class _Connection:
    """A client's connection, with what it asked and the replica has not taken yet, and the transactions whose outcome
    it waits for, the oldest first.
    """

    def __init__(self, writer: asyncio.StreamWriter, known: bool, allotment: Allotment) -> None:
        self.writer = writer
        self.known = known
        self.allotment = allotment
        self.asked: deque[ClientWish] = deque()
        self.room = asyncio.Event()
        self.waits: dict[_Key, None] = {}
        self.ready: dict[bytes, dict[Receipt, list[int]]] = {}

    @property
    def unsent(self) -> int:
        """Bytes that it has not read yet, as far as they are kept here."""
        return self.writer.transport.get_write_buffer_size()

    def tell(self, message: ServerMessage) -> None:
        self.send(frame(encode(message)))

    def send(self, framed: bytes) -> None:
        if not self.writer.is_closing():
            self.writer.write(framed)


class ClientService:
    """Takes what clients send, and gives out answers, gathered per client until `flush`.

    Args:
        wake: called when there is something to `take`.
        answer: answers everything that is not a transaction.
        refused: told of transactions from outside that are not taken, and of questions that are not answered.
        members_only: whether callers without a member's certificate are told where the replica stands, and nothing
            else.
    """

    def __init__(
        self,
        wake: Callable[[], None],
        answer: Callable[[StateQuery | GetBlock | GetStatus], QueryAnswer | BlockReply | NodeStatus],
        refused: RefusalListener = nobody,
        members_only: bool = False,
    ) -> None:
        self._wake = wake
        self._members_only = members_only
        self._refused = refused
        self._answer = answer
        self._own: deque[Submission] = deque()
        self._turns: deque[_Connection] = deque()
        self._waiting: dict[_Key, list[_Connection | asyncio.Future[ClientOutcome]]] = {}
        self._touched: dict[_Connection, None] = {}
        self._strangers: set[_Connection] = set()
        self._allotments: dict[str | None, Allotment] = {}
        self._known_status, self._known_until = b"", 0.0

    def __bool__(self) -> bool:
        return bool(self._own or self._turns)

    def hand_in(self, submission: Submission) -> "asyncio.Future[ClientOutcome]":
        """Take a transaction of this node itself; return what will hold its outcome."""
        answered: asyncio.Future[ClientOutcome] = asyncio.get_running_loop().create_future()
        transaction = submission.transaction
        self._waiting.setdefault((transaction.client, transaction.nonce), []).append(answered)
        self._own.append(submission)
        self._wake()
        return answered

    def take(self, most: int) -> list[ClientWish]:
        """Return up to `most` wishes: this node's own submissions first, then a few of each client's in turn."""
        taken: list[ClientWish] = []
        while self._own and len(taken) < most:
            taken.append(self._own.popleft())
        while self._turns and len(taken) < most:
            connection = self._turns.popleft()
            for _ in range(min(_AT_ONCE, len(connection.asked), most - len(taken))):
                taken.append(connection.asked.popleft())
            if connection.asked:
                self._turns.append(connection)
            connection.room.set()
        return taken

    def settle(self, client: bytes, nonce: int, outcome: ClientOutcome) -> None:
        """Note what became of a transaction, for whoever waits for it."""
        key = (client, nonce)
        for waiter in self._waiting.pop(key, ()):
            if isinstance(waiter, _Connection):
                waiter.waits.pop(key, None)
                if isinstance(outcome, Refusal):
                    waiter.tell(outcome)
                    waiter.allotment.spend(_REFUSED_SECONDS)
                    self._refused(
                        "a client's transaction", f"{nonce} under the key {client.hex()[:16]}: {outcome.reason}"
                    )
                else:
                    waiter.ready.setdefault(client, {}).setdefault(outcome, []).append(nonce)
                    self._touched[waiter] = None
            elif not waiter.done():
                waiter.set_result(outcome)

    def flush(self) -> None:
        """Send the receipts that `settle` gathered, one frame for each client."""
        touched, self._touched = self._touched, {}
        for connection in touched:
            ready, connection.ready = connection.ready, {}
            for client, receipts in ready.items():
                connection.tell(
                    Receipts(client, tuple((receipt, tuple(nonces)) for receipt, nonces in receipts.items()))
                )

    async def serve(self, caller: Caller) -> None:
        """Serve one client until it hangs up.

        What strangers ask, but for having good transactions ordered, takes a tenth of the replica's time at most,
        whoever and however many they are. Each member that asks has as much for itself. Where only members are served,
        a stranger that asks for more than the status is hung up on.

        Raises:
            NotCanonical: it sent what no client sends.
            TimeoutError: it does not read what it is told.
        """
        allotment = self._allotments.setdefault(caller.name, Allotment(_SHARE, _AT_ONCE_SECONDS))
        connection = _Connection(caller.writer, caller.name is not None, allotment)
        try:
            if not connection.known:
                self._strangers.add(connection)
            while True:
                data = await read_frame(caller.reader, CLIENT_FRAME)
                caller.place.touch()
                begun = time.thread_time()
                message: ClientMessage = decode_form(data, ClientMessage, thinnest=16)
                if self._members_only and not connection.known and not isinstance(message, GetStatus):
                    connection.allotment.spend(time.thread_time() - begun)
                    self._refused("a caller without a member's certificate asked for records", caller.place.address)
                    return
                # Transactions that are taken are what a ledger is for; those that are refused cost their share.
                counted = not isinstance(message, SubmitTransactions)
                connection.allotment.spend(time.thread_time() - begun if counted else 0.0)
                async with connection.allotment.turn(counted):
                    if not caller.writer.is_closing():  # else it went while it waited
                        self._handle(connection, message)
                # Who asks faster than the replica takes is not read until it has caught up.
                while len(connection.asked) >= _MAX_ASKED:
                    connection.room.clear()
                    await connection.room.wait()
                # What it sent in one piece is answered piece by piece: others have their turns between.
                await asyncio.sleep(0)
                async with asyncio.timeout(_UNREAD_SECONDS):
                    await caller.writer.drain()
        finally:
            self._strangers.discard(connection)
            if connection in self._turns:
                self._turns.remove(connection)
            for key in connection.waits:
                self._forget(key, connection)

    def _handle(self, connection: _Connection, message: ClientMessage) -> None:
        if isinstance(message, SubmitTransactions | WatchTransactions):
            self._take(connection, message)
        elif connection.known:
            connection.tell(self._answer(message))
        else:
            connection.send(self._status() if isinstance(message, GetStatus) else frame(encode(self._answer(message))))
            self._bound_unsent()

    def _status(self) -> bytes:
        """Return where the replica stands, as it was a moment ago: it takes long to put together."""
        now = time.monotonic()
        if now >= self._known_until:
            status = self._answer(GetStatus())
            if self._members_only and isinstance(status, NodeStatus):
                # Newcomers and members that left need the members and how they are proved, and nothing else.
                status = msgspec.structs.replace(status, evidence=(), halted=None)
            self._known_status, self._known_until = frame(encode(status)), now + _STATUS_SECONDS
        return self._known_status

    def _bound_unsent(self) -> None:
        """Hang up on strangers that ask for much and do not read it, those with most first."""
        unsent = {connection: connection.unsent for connection in self._strangers}
        while sum(unsent.values()) > _STRANGERS_UNSENT:
            slowest = max(unsent, key=unsent.__getitem__)
            del unsent[slowest]
            slowest.writer.transport.abort()

    def _take(self, connection: _Connection, message: SubmitTransactions | WatchTransactions) -> None:
        if not connection.asked:
            self._turns.append(connection)
        if isinstance(message, WatchTransactions):
            for nonce in range(message.first, message.first + message.count):
                self._wait(connection, (message.client, nonce))
            connection.asked.append(message)
        else:
            for encoded in message.transactions:
                transaction = decode_transaction(encoded)
                self._wait(connection, (transaction.client, transaction.nonce))
                connection.asked.append(Submission(encoded, transaction))
        self._wake()

    def _wait(self, connection: _Connection, key: _Key) -> None:
        """Note that this connection waits for the outcome; of too many it forgets the oldest."""
        if key in connection.waits:
            return
        if len(connection.waits) >= _MAX_WAITING:
            oldest = next(iter(connection.waits))
            del connection.waits[oldest]
            self._forget(oldest, connection)
        connection.waits[key] = None
        self._waiting.setdefault(key, []).append(connection)

    def _forget(self, key: _Key, connection: _Connection) -> None:
        waiting = self._waiting.get(key, [])
        if connection in waiting:
            waiting.remove(connection)
        if not waiting:
            self._waiting.pop(key, None)
