"""A small bank: the application of the ledger's own tests and benchmark, and an example of how to write one.

Accounts hold integers; money moves, never appears out of nothing but by `deposit`, and never vanishes. A note under the
name of an account takes its place. Its state is one `MerkleMap`, so snapshots share and every answer can be proved.
"""

from functools import lru_cache

from medward.ledger.encoding import Count, Name, Structure, decode_form
from medward.ledger.errors import NotCanonical
from medward.ledger.merkle import MerkleMap
from medward.ledger.snapshots import MapSnapshot, decode_map
from medward.ledger.types import Application, Applied, Block, MemberUpdate, Transaction, TxResult

UNREADABLE, OVERDRAWN, NOT_ALLOWED = 1, 2, 3
LARGEST = 2**60


class Deposit(Structure, frozen=True, tag="deposit"):
    """Put `amount` on `account`; the result is the new balance."""

    account: Name
    amount: Count


class Transfer(Structure, frozen=True, tag="transfer"):
    """Move `amount`; refused where the source has less, or the target cannot hold more.

    The result is the source's balance before it reaches the target.
    """

    source: Name
    target: Name
    amount: Count


class Balance(Structure, frozen=True, tag="balance"):
    """Read a balance in the agreed order."""

    account: Name


class Note(Structure, frozen=True, tag="note"):
    """Keep some bytes under a name: a payload of any size for the benchmark."""

    name: Name
    data: bytes


class ChangeMembers(Structure, frozen=True, tag="members"):
    """Change who votes; only the governor may."""

    updates: tuple[MemberUpdate, ...]


BankOrder = Deposit | Transfer | Balance | Note | ChangeMembers


class Bank(Application):
    """The bank.

    Args:
        governor: the client whose orders may change the members, None where nobody may.
    """

    def __init__(self, governor: bytes | None = None) -> None:
        self._governor = governor
        self._state = MerkleMap()
        self._changed: dict[bytes, bytes] = {}

    def check(self, transaction: Transaction) -> TxResult:
        """Refuse what cannot be read or is not allowed; balances may change before the turn comes."""
        return self._permit(transaction, _read(transaction.payload))

    def apply(self, block: Block) -> Applied:
        """Carry out the orders."""
        updates: list[MemberUpdate] = []
        results = []
        for transaction in block.transactions:
            order = _read(transaction.payload)
            result = self._permit(transaction, order)
            if isinstance(order, ChangeMembers) and not result.code:
                updates += order.updates
            elif order is not None and not result.code:
                result = self._carry_out(order)
            results.append(result)
        self._state, self._changed = self._state.update(self._changed), {}
        return Applied(tuple(results), self.snapshot(), tuple(updates))

    def query(self, path: str) -> bytes | None:
        """Return a balance (8 bytes, big-endian) or a note."""
        return self._state.get(path.encode())

    def snapshot(self) -> MapSnapshot:
        """Return the present accounts; they share with the past."""
        return MapSnapshot(self._state)

    def restore(self, data: bytes) -> bytes:
        """Take over a snapshot."""
        self._state = decode_map(data)
        return self._state.root

    def _permit(self, transaction: Transaction, order: BankOrder | None) -> TxResult:
        if order is None:
            return TxResult(UNREADABLE, b"")
        if isinstance(order, ChangeMembers) and transaction.client != self._governor:
            return TxResult(NOT_ALLOWED, b"")
        return TxResult(0, b"")

    def _carry_out(self, order: BankOrder) -> TxResult:
        if isinstance(order, Deposit):
            return self._put(order.account, self._balance(order.account) + order.amount)
        if isinstance(order, Transfer):
            return self._transfer(order)
        if isinstance(order, Note):
            self._changed[order.name.encode()] = order.data
            return TxResult(0, b"")
        assert isinstance(order, Balance)
        return TxResult(0, self._balance(order.account).to_bytes(8, "big"))

    def _transfer(self, order: Transfer) -> TxResult:
        left = self._balance(order.source) - order.amount
        if left < 0 or (order.source != order.target and self._balance(order.target) + order.amount > LARGEST):
            return TxResult(OVERDRAWN, b"")
        result = self._put(order.source, left)
        self._put(order.target, self._balance(order.target) + order.amount)
        return result

    def _balance(self, account: str) -> int:
        """Return what is on an account; what is there may also be a note of any length, which is no money."""
        key = account.encode()
        value = self._changed.get(key)
        found = int.from_bytes(self._state.get(key) or b"" if value is None else value, "big")
        return found if found <= LARGEST else 0

    def _put(self, account: str, balance: int) -> TxResult:
        if balance > LARGEST:
            return TxResult(OVERDRAWN, b"")
        value = balance.to_bytes(8, "big")
        self._changed[account.encode()] = value
        return TxResult(0, value)


@lru_cache(maxsize=1024)
def _read(payload: bytes) -> BankOrder | None:
    try:
        order: BankOrder = decode_form(payload, BankOrder, thinnest=16)
    except NotCanonical:
        return None
    return order
