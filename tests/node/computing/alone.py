"""A member that computes, in this process: its host, and a ledger that orders what it says at once."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar

from medward.ledger.errors import TransactionRefused
from medward.ledger.types import Application, Block, Member, Receipt, TxResult
from medward.node.computing.participant import ComputingParticipant
from medward.node.interfaces import Host, Ledger, LedgerEvent, Restored
from medward.store.interface import BlobStore
from medward.store.local import in_memory
from tests.federation.computing.ledger import ComputingLedger

CHAIN = b"c" * 32


class OwnLedger(Ledger):
    """A ledger as one member sees it.

    Args:
        ledger: orders for all members.
        name: this member.
    """

    def __init__(self, ledger: ComputingLedger, name: str) -> None:
        self.ledger, self.name = ledger, name

    async def events(self) -> AsyncIterator[LedgerEvent]:
        seen = -1
        while True:
            if self.ledger.height != seen:
                seen = self.ledger.height
                yield Restored(self.ledger.application.snapshot())
            await asyncio.sleep(0.002)

    async def submit(self, payload: bytes) -> Receipt:
        code, data = self.ledger.order(self.name, payload)
        if code:
            raise TransactionRefused(data.decode(), code)
        return Receipt(self.ledger.height, TxResult(0, data))

    async def certify(self, block: Block | None) -> None:
        pass

    def query(self, path: str) -> bytes | None:
        return self.ledger.application.query(path)

    @property
    def members(self) -> Sequence[Member]:
        return ()


def host_of(folder: Path, ledger: ComputingLedger, name: str, store: BlobStore | None = None, **settings: Any) -> Host:
    member = Member(name, 0, ledger.signers[name].public_keys, b"", "nowhere:1")
    seen = OwnLedger(ledger, name)
    for needed in (folder / "participant", folder / "data"):
        needed.mkdir(mode=0o700, exist_ok=True)
    return Host(
        *(name, member, CHAIN, folder / "participant", folder / "data", settings, store or in_memory(), seen),
        asyncio.Event(),
    )


P = TypeVar("P", bound=ComputingParticipant[Any])


class AloneMember(Generic[P]):
    """One member with its participant, in a folder, and the ledger of all; to be closed.

    Args:
        folder: of the member.
        name: the member.
        make: makes the ledger's application.
        participant: the kind of participant.
        members: all.
        settings: of the participant.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        make: Callable[[Mapping[str, bytes]], Application],
        participant: Callable[[Host], P],
        members: Sequence[str],
        **settings: Any,
    ) -> None:
        self.ledger = ComputingLedger(make, members)
        self.host = host_of(folder, self.ledger, name, **settings)
        self.participant = participant(self.host)
        self._runner = asyncio.Runner()

    def tell(self, *said: tuple[str, Any]) -> None:
        """Order members' records, all of which are taken."""
        assert [data for code, data in self.ledger.tell(said) if code] == []

    def until(self, holds: Callable[[], bool]) -> None:
        """Let the member work until something holds."""

        async def story() -> None:
            self.participant._state = None  # what was ordered since is seen before anything is done
            running = asyncio.create_task(self.participant.run())
            async with asyncio.timeout(10):
                while not holds():
                    assert not running.done(), running.exception()
                    await asyncio.sleep(0.002)
            self.host.stopping.set()
            await running
            self.host.stopping.clear()

        self._runner.run(story())

    def refused(self, order: Path) -> str:
        """Let the member put an order aside, and return why it did."""
        refusal = self.participant._own / f"{order.stem}.refused"
        self.until(lambda: refusal.exists() and not order.exists())
        said = refusal.read_text().strip()
        refusal.unlink()
        return said

    def close(self) -> None:
        self._runner.close()
