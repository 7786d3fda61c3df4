"""Handing in transactions under this member's key: numbers that never repeat, and patience.

The ledger refuses a nonce that was used, or that lies 64 or more below the client's highest (`Execution`). So numbers
go up across restarts (a file says which may have been used; the clock keeps them above those that a lost file knew),
and no more are under way at once than the window holds.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from medward.ledger.errors import LedgerError, NotCanonical, TransactionRefused
from medward.ledger.execution import NONCE_WINDOW, REPLAYED
from medward.ledger.pbft.replica.requests import BUSY
from medward.ledger.signatures import Signer
from medward.ledger.transactions import sign_transaction
from medward.ledger.types import Engine, Receipt, Transaction
from medward.node.errors import NodeError
from medward.node.home.private_files import write_private

_LOG = logging.getLogger("medward.node")
_RESERVED = 1024
_AT_ONCE = NONCE_WINDOW // 2
_ASK_AGAIN_SECONDS = 10.0
_BUSY_SECONDS = (0.05, 2.0)
#: For so long whoever asked for an order is kept waiting: without a quorum nothing is ordered.
ORDER_SECONDS = 100.0


@asynccontextmanager
async def in_time(otherwise: str) -> AsyncIterator[None]:
    """Wait for the ledger in here for ORDER_SECONDS at most.

    Args:
        otherwise: the end of the sentence if that was not enough: what becomes of what was handed in.

    Raises:
        NodeError: it was not enough; what was waited for is cancelled, unless it is shielded.
    """
    try:
        async with asyncio.timeout(ORDER_SECONDS):
            yield
    except TimeoutError:
        raise NodeError(
            f"the ledger ordered nothing within {ORDER_SECONDS:.0f} s, see `medward federation status`; {otherwise}"
        ) from None


class Nonces:
    """Numbers from 1 that are never given twice, in one process or over restarts.

    Args:
        path: remembers up to where numbers may have been given.

    `next` is the number that `take` gives next.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        reserved = int.from_bytes(path.read_bytes(), "big") if path.exists() else 0
        self.next = max(reserved, time.time_ns() // 1000)
        self._end = self.next

    def take(self) -> int:
        """Return the next number."""
        if self.next >= self._end:
            self._end = self.next + _RESERVED
            write_private(self._path, self._end.to_bytes(8, "big"))
        self.next += 1
        return self.next - 1


class Submitter:
    """Signs payloads and sees them ordered.

    Args:
        engine: orders them.
        chain: the chain id, 32 bytes.
        signer: this member's key.
        nonces: its numbers.
        ask_again: seconds after which an unanswered transaction is handed in once more.
    """

    def __init__(
        self, engine: Engine, chain: bytes, signer: Signer, nonces: Nonces, ask_again: float = _ASK_AGAIN_SECONDS
    ) -> None:
        self._engine = engine
        self._chain = chain
        self._signer = signer
        self._nonces = nonces
        self._ask_again = ask_again
        self._under_way: set[int] = set()
        self._fewer = asyncio.Condition()

    async def submit(self, payload: bytes) -> Receipt:
        """Return the receipt of a payload that was ordered and that the rules took; see `Ledger.submit`."""
        async with self._fewer:
            await self._fewer.wait_for(self._there_is_room)
            nonce = self._nonces.take()
            self._under_way.add(nonce)
        try:
            receipt = await self._insist(sign_transaction(self._chain, self._signer, nonce, payload))
        finally:
            async with self._fewer:
                self._under_way.discard(nonce)
                self._fewer.notify_all()
        if receipt.result.code:
            why = receipt.result.data.decode("utf-8", "replace") or f"code {receipt.result.code}"
            raise TransactionRefused(f"the rules refused it at height {receipt.height}: {why}", receipt.result.code)
        return receipt

    def _there_is_room(self) -> bool:
        # The next number must not push the oldest one under way out of the client's window.
        oldest = min(self._under_way, default=None)
        return oldest is None or (len(self._under_way) < _AT_ONCE and self._nonces.next - oldest < NONCE_WINDOW - 1)

    async def _insist(self, transaction: Transaction) -> Receipt:
        pause = _BUSY_SECONDS[0]
        while True:
            try:
                async with asyncio.timeout(self._ask_again):
                    return await self._engine.submit(transaction)
            except TimeoutError:
                continue  # The reply may have been lost to a state transfer; asked again, the ledger repeats it.
            except NotCanonical:
                raise
            except TransactionRefused as error:
                if error.code == REPLAYED:
                    raise LedgerError(
                        f"transaction {transaction.nonce} was ordered, but its result is no longer known here"
                    ) from None
                if error.code != BUSY.code:
                    raise
            except LedgerError as error:
                _LOG.debug("the ledger cannot take a transaction now: %s", error)
            await asyncio.sleep(pause)
            pause = min(2 * pause, _BUSY_SECONDS[1])
