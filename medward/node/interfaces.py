"""Interfaces between a node and a federation: the ledger's rules, and a participant that lives by them.

The node is a shell. It keeps a store, a ledger and their connections going and knows nothing of rounds: `Rules` gives
it the application, the payloads that change the members and what stands in the state; a `Participant` gets what was
ordered and hands in payloads. `medward.node.applications` names those that `node up` can run.

A participant sees the ledger as events, in this order:

    Restored(state)                  once at the start, and again whenever this node took over a later state
    Ordered(block, results, state)   for each block that was applied after it

A restarted participant begins with the present state. What it sent before may have been ordered or not; it finds out
from the state and from what comes.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import msgspec

from medward.ledger.encoding import decode
from medward.ledger.errors import NotCanonical
from medward.ledger.types import Application, Block, Member, MemberUpdate, Receipt, Snapshot, TxResult
from medward.node.errors import NodeError
from medward.node.home.cards import Contact
from medward.store.interface import BlobStore

#: What to do about a federation that has stopped.
HOW_TO_RESUME = "once the cause is mended, f + 1 members say `medward federation resume`"

#: How a node's `phase` is told once its participant is done; it still serves its peers and its API.
FINISHED = "finished"

StateReader = Callable[[str], bytes | None]
"""Gives the value at a path of the ledger's latest state here."""


class Ordered(msgspec.Struct, frozen=True):
    """A block was applied: each of its transactions counts once, with one result; `state` is the state after it."""

    block: Block
    results: tuple[TxResult, ...]
    state: Snapshot


class Restored(msgspec.Struct, frozen=True):
    """The state is now this one, whatever came before; blocks that led to it may never be seen here."""

    state: Snapshot


LedgerEvent = Ordered | Restored


class Ledger(ABC):
    """The ledger, as a participant sees it."""

    @abstractmethod
    def events(self) -> AsyncIterator[LedgerEvent]:
        """Yield what happens, from the present state on, until the node stops. One reader at a time."""

    @abstractmethod
    async def submit(self, payload: bytes) -> Receipt:
        """Sign a payload with this member's key, and return once it was ordered and applied here.

        A ledger that is busy or cannot go on is waited for; the task may be cancelled, and then nothing is known.

        Raises:
            Refused: the rules do not take it, now or ever; `code` is theirs.
        """

    @abstractmethod
    async def certify(self, block: Block | None) -> None:
        """Return once it is certain that a quorum of the members of its time agreed on a block that was applied here.

        A member calls it before it shows what derives from the block; it takes a fraction of a second at most.

        Args:
            block: None for the last one.

        Raises:
            NotCertified: nothing proves it.
            Forked: a quorum signed another block of this height, too; the node stops for good.
        """

    @abstractmethod
    def query(self, path: str) -> bytes | None:
        """Return the value at `path` of the latest state here."""

    @property
    @abstractmethod
    def members(self) -> Sequence[Member]:
        """The members that vote now."""


class Host(msgspec.Struct, frozen=True):
    """What a participant is given.

    Args:
        name: this member.
        member: its present incarnation.
        chain: the chain id, 32 bytes.
        folder: a private folder of its own, for a journal.
        data: a folder for sealed data, which outlives the member's other keys.
        settings: the `[participant]` table of node.toml.
        store: blocks while it works, so call it in a thread (`asyncio.to_thread`).
        ledger: see `Ledger`.
        stopping: set when the node is asked to stop; the participant then has some seconds to return.
        model: where a participant that trains keeps its model for use; None for nowhere.
    """

    name: str
    member: Member
    chain: bytes
    folder: Path
    data: Path
    settings: Mapping[str, Any]
    store: BlobStore
    ledger: Ledger
    stopping: asyncio.Event
    model: Path | None = None


class Participant(ABC):
    """What a member does about what is ordered.

    It is made anew after a crash, so everything that must not be forgotten is on disk before it is handed in.
    """

    @abstractmethod
    async def run(self) -> None:
        """Work until `stopping` is set."""

    async def check_journal(self) -> None:
        """Compare what this member answered, by its own journal, with its records on the ledger; called before `run`.

        The ledger here has by then caught up with the others. The node stops on the error and never calls `run`.

        Raises:
            Retired: the journal lacks something that the ledger shows this member has answered.
        """
        return

    def rounds(self) -> Sequence[Mapping[str, Any]]:
        """Return what `GET /rounds` shows: JSON values, the latest round first, no secrets."""
        return ()

    def models(self) -> Sequence[Mapping[str, Any]]:
        """Return what `GET /models` shows: JSON values, the model in use first, no secrets."""
        return ()

    def datasets(self) -> Sequence[Mapping[str, Any]]:
        """Return what `GET /datasets` shows: the sealed data sets that are on record."""
        return ()

    async def about_data(self, wanted: Mapping[str, str]) -> Mapping[str, Any]:
        """Do what `POST /datasets` asks, one thing; return what came of it as JSON values.

        Raises:
            MedwardError: it cannot be done, and why.
        """
        raise NodeError("this federation keeps no data sets")

    async def resume(self) -> Mapping[str, Any]:
        """Order, in this member's name, that a federation goes on that has stopped; return what came of it.

        Raises:
            MedwardError: it has not stopped, or the ledger does not take it.
        """
        raise NodeError("this federation never stops by itself; there is nothing to resume")

    def status(self) -> Mapping[str, Any]:
        """Return what `GET /status` shows under `participant`: JSON values, no secrets."""
        return {}


MakeParticipant = Callable[[Host], Participant]


class Rules(ABC):
    """What a federation's ledger agrees on, as far as the node must know it."""

    #: Whether only members may read the ledger and hand in transactions. Other callers are then told where the ledger
    #: stands and who the members are. If it is false, anyone may who reaches the ledger's port.
    members_only: ClassVar[bool] = True

    @abstractmethod
    def make_application(self) -> Application:
        """Return the application in its genesis state."""

    @abstractmethod
    def change_members(self, update: MemberUpdate, contact: Contact | None) -> Sequence[bytes]:
        """Return the payloads, to be handed in one after the other, that order a change of membership.

        Args:
            update: who comes, comes back with new keys, or goes.
            contact: where the store of one who comes is reached, None for one who goes.
        """

    def retract_wish(self, name: str) -> bytes | None:
        """Return the payload that takes back this member's wish about a name, None where the rules know no wishes."""
        return None

    @abstractmethod
    def announce(self, contact: Contact) -> bytes | None:
        """Return the payload by which a member says that its store has moved, None where the rules have none."""

    def contact(self, name: str, query: StateReader) -> Contact | None:
        """Return where a member's store is reached as the ledger has it, None where it says nothing that can be used.

        Applications keep under `contact/NAME` what a member announced, as it came; that may be anything.
        """
        said = query(f"contact/{name}")
        if said is None:
            return None
        try:
            found = decode(said, Contact)
        except NotCanonical:
            return None
        return found if found.name == name else None


class Program(msgspec.Struct, frozen=True):
    """One kind of federation that a node can run.

    Args:
        make_rules: gives the rules, from the parameters in the federation file.
        make_participant: gives the participant.
    """

    make_rules: Callable[[Mapping[str, str]], Rules]
    make_participant: MakeParticipant
