"""The side of a node that clients talk to: who waits for which transaction, and frames that answer many at once."""

import asyncio
from collections import deque
from collections.abc import Callable

import msgspec

from medward.handshakes import Refused, nobody
from medward.ledger.encoding import decode_form, encode
from medward.ledger.pbft.client_protocol import (
    Answer,
    BlockReply,
    ClientMessage,
    GetBlock,
    GetStatus,
    NodeStatus,
    Query,
    QueryAnswer,
    Refusal,
    ServerMessage,
    Submit,
    Watch,
)
from medward.ledger.pbft.transport import frame, read_frame
from medward.ledger.transactions import decode_transaction
from medward.ledger.types import Receipt, Transaction

_MAX_CLIENTS = 256
_MAX_WAITING = 4096
_MAX_ASKED = 256
_AT_ONCE = 64
CLIENT_FRAME = 2**17
"""The longest frame in bytes that a client may send: one transaction of the largest size, or many small ones."""

Outcome = Receipt | Refusal
_Key = tuple[bytes, int]


class Submission(msgspec.Struct, frozen=True, gc=False):
    """A transaction that a client of this node handed in."""

    encoded: bytes
    transaction: Transaction


Wish = Submission | Watch
"""What a client asks of the replica."""


class _Caller:
    """One client's connection, with what it asked and the replica has not taken yet, and the transactions whose outcome
    it waits for, the oldest first.
    """

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        self.asked: deque[Wish] = deque()
        self.room = asyncio.Event()
        self.waits: dict[_Key, None] = {}
        self.ready: dict[bytes, dict[Receipt, list[int]]] = {}

    def tell(self, message: ServerMessage) -> None:
        if not self.writer.is_closing():
            self.writer.write(frame(encode(message)))


class ClientDesk:
    """Takes what clients send, and gives out answers, gathered per client until `flush`.

    Args:
        wake: called when there is something to `take`.
        answer: answers everything that is not a transaction.
        refused: told of transactions from outside that are not taken.
    """

    def __init__(
        self,
        wake: Callable[[], None],
        answer: Callable[[Query | GetBlock | GetStatus], QueryAnswer | BlockReply | NodeStatus],
        refused: Refused = nobody,
    ) -> None:
        self._wake = wake
        self._refused = refused
        self._answer = answer
        self._own: deque[Submission] = deque()
        self._turns: deque[_Caller] = deque()
        self._waiting: dict[_Key, list[_Caller | asyncio.Future[Outcome]]] = {}
        self._touched: dict[_Caller, None] = {}
        self._callers = 0

    def __bool__(self) -> bool:
        return bool(self._own or self._turns)

    def hand_in(self, submission: Submission) -> "asyncio.Future[Outcome]":
        """Take a transaction of this node itself; return what will hold its outcome."""
        answered: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        transaction = submission.transaction
        self._waiting.setdefault((transaction.client, transaction.nonce), []).append(answered)
        self._own.append(submission)
        self._wake()
        return answered

    def take(self, most: int) -> list[Wish]:
        """Return up to `most` wishes: this node's own submissions first, then a few of each client's in turn."""
        taken: list[Wish] = []
        while self._own and len(taken) < most:
            taken.append(self._own.popleft())
        while self._turns and len(taken) < most:
            caller = self._turns.popleft()
            for _ in range(min(_AT_ONCE, len(caller.asked), most - len(taken))):
                taken.append(caller.asked.popleft())
            if caller.asked:
                self._turns.append(caller)
            caller.room.set()
        return taken

    def settle(self, client: bytes, nonce: int, outcome: Outcome) -> None:
        """Note what became of a transaction, for whoever waits for it."""
        key = (client, nonce)
        for waiter in self._waiting.pop(key, ()):
            if isinstance(waiter, _Caller):
                waiter.waits.pop(key, None)
                if isinstance(outcome, Refusal):
                    waiter.tell(outcome)
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
        for caller in touched:
            ready, caller.ready = caller.ready, {}
            for client, receipts in ready.items():
                caller.tell(Answer(client, tuple((receipt, tuple(nonces)) for receipt, nonces in receipts.items())))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one client until it hangs up.

        Raises:
            NotCanonical: it sent what no client sends.
        """
        if self._callers >= _MAX_CLIENTS:
            return
        self._callers += 1
        caller = _Caller(writer)
        try:
            while True:
                data = await read_frame(reader, CLIENT_FRAME)
                message: ClientMessage = decode_form(data, ClientMessage, thinnest=16)
                if isinstance(message, Submit | Watch):
                    self._take(caller, message)
                    # Who asks faster than the replica takes is not read until it has caught up.
                    while len(caller.asked) >= _MAX_ASKED:
                        caller.room.clear()
                        await caller.room.wait()
                else:
                    caller.tell(self._answer(message))
                    # What it sent in one piece is answered piece by piece: others have their turns between.
                    await asyncio.sleep(0)
                await writer.drain()
        finally:
            self._callers -= 1
            if caller in self._turns:
                self._turns.remove(caller)
            for key in caller.waits:
                self._forget(key, caller)

    def _take(self, caller: _Caller, message: Submit | Watch) -> None:
        if not caller.asked:
            self._turns.append(caller)
        if isinstance(message, Watch):
            for nonce in range(message.first, message.first + message.count):
                self._wait(caller, (message.client, nonce))
            caller.asked.append(message)
        else:
            for encoded in message.transactions:
                transaction = decode_transaction(encoded)
                self._wait(caller, (transaction.client, transaction.nonce))
                caller.asked.append(Submission(encoded, transaction))
        self._wake()

    def _wait(self, caller: _Caller, key: _Key) -> None:
        """Note that this caller waits for the outcome; of too many it forgets the oldest."""
        if key in caller.waits:
            return
        if len(caller.waits) >= _MAX_WAITING:
            oldest = next(iter(caller.waits))
            del caller.waits[oldest]
            self._forget(oldest, caller)
        caller.waits[key] = None
        self._waiting.setdefault(key, []).append(caller)

    def _forget(self, key: _Key, caller: _Caller) -> None:
        waiting = self._waiting.get(key, [])
        if caller in waiting:
            waiting.remove(caller)
        if not waiting:
            self._waiting.pop(key, None)
