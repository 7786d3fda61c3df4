"""Messages between a client and a replica, over a connection on which only the replica shows a certificate."""

from typing import Annotated

import msgspec

from medward.ledger.certificates import CertifiedAnswer, CertifiedBlock, Handover
from medward.ledger.encoding import Count, Hash, Structure
from medward.ledger.membership import Membership
from medward.ledger.pbft.messages import Evidence
from medward.ledger.transactions import MAX_TREE
from medward.ledger.types import Receipt, TxResult


class SubmitTransactions(Structure, frozen=True, tag="submit"):
    """Asks for transactions of one client to be ordered, and for this replica's answers."""

    transactions: Annotated[tuple[bytes, ...], msgspec.Meta(min_length=1, max_length=MAX_TREE)]


class WatchTransactions(Structure, frozen=True, tag="watch"):
    """Asks for this replica's answers about transactions that another replica was asked to have ordered.

    Args:
        client: whose.
        first: the lowest of their nonces.
        count: how many there are, with the nonces that follow.
    """

    client: Hash
    first: Count
    count: Annotated[int, msgspec.Meta(ge=1, le=MAX_TREE)]


class Receipts(Structure, frozen=True, tag="answer"):
    """Transactions of a client were applied; f+1 equal receipts from different replicas are to be believed.

    Args:
        client: whose.
        receipts: each with the nonces that it is about: most transactions of a block have equal ones.
    """

    client: bytes
    receipts: tuple[tuple[Receipt, tuple[Count, ...]], ...]


class Refusal(Structure, frozen=True, tag="refusal"):
    """This replica does not take the transaction."""

    client: bytes
    nonce: Count
    result: TxResult
    reason: Annotated[str, msgspec.Meta(max_length=500)]


class StateQuery(Structure, frozen=True, tag="query"):
    """Asks for a value at the last stable checkpoint, with its proof."""

    path: Annotated[str, msgspec.Meta(max_length=1024)]


class QueryAnswer(Structure, frozen=True, tag="query-answer"):
    """The value with its proof, None before the first checkpoint."""

    answer: CertifiedAnswer | None


class GetBlock(Structure, frozen=True, tag="get-block"):
    """Asks for a certified block."""

    height: Count


class BlockReply(Structure, frozen=True, tag="block-reply"):
    """The block, None where this replica has none."""

    block: CertifiedBlock | None


class GetStatus(Structure, frozen=True, tag="get-status"):
    """Asks where the replica stands."""


class NodeStatus(Structure, frozen=True, tag="node-status"):
    """Where the replica stands, who the members are and how that is proved, and what evidence it keeps."""

    height: Count
    epoch: Count
    view: Count
    state: bytes
    membership: Membership
    handovers: tuple[Handover, ...]
    evidence: tuple[Evidence, ...]
    halted: str | None


ClientMessage = SubmitTransactions | WatchTransactions | StateQuery | GetBlock | GetStatus
ServerMessage = Receipts | Refusal | QueryAnswer | BlockReply | NodeStatus
