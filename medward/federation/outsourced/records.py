"""The records of training on encrypted rows, and the state that follows from them (rules.py).

    KeyPublished      an owner's evaluation key
    PlanProposed      what owners encrypt: the terms, and the public part that rows are prepared with
    TableEncrypted    an owner's encrypted rows for a plan
    TaskAsked         a plan's author asks for the moments of some owners' rows together, by a deadline
    ProductsComputed  what a member computed for a task
    SharesCommitted   an owner's shares of the result, by the name of a blob that it does not show yet
    SharesRevealed    the blob of an owner's shares is shown
    TaskDeclined      why a member does not compute a task, or an owner does not open it
    TaskEnded         a task's time is over

A result stands once f + 1 members, other than who asked, computed the same. Shares are shown once all owners are bound
to theirs, so that nobody chooses its own after it has seen others'. From then on the cohort counts as summed, whoever
withholds a share: an owner that does knows the sum.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import msgspec

from medward.federation.computing.records import ContactSaid, KeyOnRecord, KeyPublished, Number, Sentence, faulty_of
from medward.federation.outsourced.terms import OutsourcedTerms
from medward.federation.records import BlobName
from medward.fhe.computing.inner_product_terms import MOST_OWNERS
from medward.ledger.encoding import Count, Name, Structure, decode_form
from medward.ledger.errors import NotCanonical

#: How long owners may take to commit, and again to reveal, in milliseconds of the ledger's time.
LEAST_DEADLINE, MOST_DEADLINE = 1000, 90 * 24 * 3600 * 1000


class PlanProposed(Structure, frozen=True, tag="plan"):
    """What owners encrypt.

    Args:
        preparation: the blob of a model without weights, which says how rows are prepared.
        terms: of all that is computed with them.
    """

    preparation: BlobName
    terms: OutsourcedTerms


class TableEncrypted(Structure, frozen=True, tag="table"):
    """An owner's encrypted rows.

    Args:
        plan: the plan's number.
        table: the blob of the columns.
        rows: how many rows it has.
    """

    plan: Number
    table: BlobName
    rows: Count


class TaskAsked(Structure, frozen=True, tag="ask"):
    """The moments of some owners' rows together are asked for.

    Args:
        plan: the plan's number.
        owners: the cohort, in alphabetical order.
        deadline: how long owners may take to commit, and then to reveal, in milliseconds.
    """

    plan: Number
    owners: Annotated[tuple[Name, ...], msgspec.Meta(max_length=MOST_OWNERS)]
    deadline: Annotated[int, msgspec.Meta(ge=LEAST_DEADLINE, le=MOST_DEADLINE)]


class ProductsComputed(Structure, frozen=True, tag="result"):
    """What a member computed for a task: the blob of a list of inner products."""

    task: Number
    result: BlobName


class SharesCommitted(Structure, frozen=True, tag="commit"):
    """An owner is bound to its shares of a result: the name of their blob, which it shows later."""

    task: Number
    result: BlobName
    shares: BlobName


class SharesRevealed(Structure, frozen=True, tag="reveal"):
    """The blob that an owner committed to is in its store."""

    task: Number


class TaskDeclined(Structure, frozen=True, tag="decline"):
    """Why a member does not compute a task or, once a result stands, why an owner does not open it."""

    task: Number
    reason: Sentence


class TaskEnded(Structure, frozen=True, tag="end"):
    """A task's deadline has passed."""

    task: Number


OutsourcedRecord = (
    KeyPublished
    | PlanProposed
    | TableEncrypted
    | TaskAsked
    | ProductsComputed
    | SharesCommitted
    | SharesRevealed
    | TaskDeclined
    | TaskEnded
    | ContactSaid
)


def decode_outsourced_record(payload: bytes) -> OutsourcedRecord | None:
    """Return the record that a payload holds, None where it holds none."""
    try:
        record: OutsourcedRecord = decode_form(payload, OutsourcedRecord, thinnest=16)
    except NotCanonical:
        return None
    return record


class OutsourcedPlan(Structure, frozen=True):
    """A plan, and what was summed of its rows.

    Args:
        author: who proposed it; it alone asks for tasks.
        proposed: what.
        cohorts: whose sums are known, or may be; as `exposure.added` keeps them.
    """

    author: str
    proposed: PlanProposed
    cohorts: tuple[tuple[str, ...], ...] = ()

    @property
    def summed(self) -> tuple[frozenset[str], ...]:
        """The cohorts whose sums are known, or may be."""
        return tuple(map(frozenset, self.cohorts))


class OutsourcedTask(Structure, frozen=True):
    """A task and what became of it.

    Args:
        asker: the plan's author.
        asked: what.
        time: of the block in which it was asked for, in milliseconds.
        tables: each owner's, as they were then.
        results: what each member computed, in the order of the ledger.
        agreed: what f + 1 members computed alike; empty before.
        commitments: who is bound to which shares.
        committed: the time at which all owners were, 0 before.
        revealed: whose shares are shown.
        declined: who does not compute it, and why.
        ended: why it came to nothing; empty otherwise.
    """

    asker: str
    asked: TaskAsked
    time: Count
    tables: tuple[TableEncrypted, ...]
    results: tuple[tuple[str, str], ...] = ()
    agreed: str = ""
    commitments: tuple[tuple[str, str], ...] = ()
    committed: Count = 0
    revealed: tuple[str, ...] = ()
    declined: tuple[tuple[str, str], ...] = ()
    ended: str = ""

    @property
    def owners(self) -> tuple[str, ...]:
        """The cohort."""
        return self.asked.owners

    @property
    def opened(self) -> bool:
        """Whether all shares are shown."""
        return len(self.revealed) == len(self.owners)

    @property
    def closed(self) -> bool:
        """Whether nothing is done for it any more."""
        return bool(self.ended) or self.opened

    @property
    def deadline(self) -> int:
        """The time, in milliseconds of the ledger, at which it ends where it has not come further."""
        return (self.committed or self.time) + self.asked.deadline

    def missing(self) -> str:
        """Return, as a sentence, what it waits for."""
        if self.committed:
            late = [owner for owner in self.owners if owner not in self.revealed]
            return f"{', '.join(late)} withheld the shares that all owners had committed to"
        if self.agreed:
            late = [owner for owner in self.owners if owner not in dict(self.commitments)]
            return f"{', '.join(late)} did not commit to shares"
        return "too few members computed the same result"


@dataclass(frozen=True)
class OutsourcedState:
    """All that is on record.

    Args:
        members: who may speak, by name.
        keys: by member.
        plans: by number.
        tables: by owner.
        tasks: by number.
        proposed, asked: how many plans and tasks there were; no number comes twice.
    """

    members: tuple[str, ...]
    keys: Mapping[str, KeyOnRecord]
    plans: Mapping[str, OutsourcedPlan]
    tables: Mapping[str, TableEncrypted]
    tasks: Mapping[str, OutsourcedTask]
    proposed: int = 0
    asked: int = 0

    @property
    def faulty(self) -> int:
        """How many members may lie: f."""
        return faulty_of(self.members)

    @property
    def least_owners(self) -> int:
        """The least cohort: more than f, so that nobody's rows are all that is honest in a sum, and at least 3."""
        return max(3, self.faulty + 2)

    def counted(self, owner: str) -> bool:
        """Whether an owner's table stands in a sum that is known, or in a task that is open."""
        return any(owner in cohort for plan in self.plans.values() for cohort in plan.cohorts) or any(
            owner in task.owners for task in self.tasks.values() if not task.closed
        )
