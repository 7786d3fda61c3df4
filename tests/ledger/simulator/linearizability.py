"""Is there an order of the operations, within their times, in which a bank gives exactly these answers?

The search is Wing and Gong's (1993) with Lowe's memory (2017) of configurations seen, over the bank's real state
machine: it knows nothing of the ledger's own order, so it checks that too.
"""

from collections.abc import Sequence
from typing import Protocol

from medward.ledger.bank import LARGEST, OVERDRAWN, Balance, BankOrder, Deposit, Transfer
from medward.ledger.types import Receipt
from tests.ledger.simulator.checker import Violation


class Timed(Protocol):
    order: BankOrder
    invoked: int
    returned: int | None
    receipt: Receipt | None


Accounts = tuple[tuple[str, int], ...]


def check_history(history: Sequence[Timed]) -> None:
    """Check that the completed operations are linearizable; an unanswered one may have happened or not.

    Raises:
        Violation: they are not.
    """
    operations = [op for op in history if isinstance(op.order, Deposit | Transfer | Balance)]
    infinite = 2**62
    ends = [op.returned if op.returned is not None else infinite for op in operations]
    starts = [op.invoked for op in operations]
    completed = {i for i, op in enumerate(operations) if op.returned is not None}
    order = sorted(range(len(operations)), key=lambda i: _hint(operations[i]))
    seen: set[tuple[int, Accounts]] = set()
    stack: list[tuple[int, Accounts]] = [(0, ())]
    goal = sum(1 << i for i in completed)
    while stack:
        done, accounts = stack.pop()
        if done & goal == goal:
            return
        horizon = min(ends[i] for i in range(len(operations)) if not done >> i & 1)
        # The ledger's own order is tried first; it is only a hint for the search.
        for i in reversed(order):
            if done >> i & 1 or starts[i] > horizon:
                continue
            after = _apply(accounts, operations[i])
            if after is None:
                continue
            following = (done | 1 << i, after)
            if following not in seen:
                seen.add(following)
                stack.append(following)
    raise Violation(f"the history of {len(completed)} answered operations is not linearizable")


def _hint(operation: Timed) -> tuple[int, int]:
    height = 2**62 if operation.receipt is None else operation.receipt.height
    return height, operation.invoked


def _apply(accounts: Accounts, operation: Timed) -> Accounts | None:
    """Return the accounts after the operation, or None where the bank would have answered otherwise."""
    balances = dict(accounts)
    order = operation.order
    code, data = 0, b""
    if isinstance(order, Balance):
        data = balances.get(order.account, 0).to_bytes(8, "big")
    elif isinstance(order, Deposit):
        balance = balances.get(order.account, 0) + order.amount
        assert balance <= LARGEST
        balances[order.account] = balance
        data = balance.to_bytes(8, "big")
    elif isinstance(order, Transfer):
        left = balances.get(order.source, 0) - order.amount
        if left < 0:
            code = OVERDRAWN
        else:
            balances[order.source] = left
            balances[order.target] = balances.get(order.target, 0) + order.amount
            data = left.to_bytes(8, "big")
    if operation.receipt is not None and (operation.receipt.result.code, operation.receipt.result.data) != (code, data):
        return None
    return tuple(sorted(balances.items()))
