"""Node processes with a tiny participant of the tests' own, over the ledger's bank.

The participant answers every note `task/NAME` once: it stores a blob and notes its CID. Everybody fetches all. Its
journal is a file of what it answered, and the ledger has the last task that each incarnation answered.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from medward.ledger.bank import Note
from medward.ledger.encoding import decode_form, encode
from medward.ledger.errors import NotCanonical
from medward.node.bank import BankRules
from medward.node.errors import Retired
from medward.node.interfaces import Host, Ordered, Participant, Program, Restored
from medward.node.process import run_node
from medward.store.cid import Cid
from medward.store.errors import BlockNotFound

COMMAND = (sys.executable, "-m", "tests.node.process")


def clock_file(home: Path) -> Path:
    """Where the seconds stand by which the clock of a home's node is ahead; nowhere for a clock that is right."""
    return home.with_suffix(".clock")


def _set_clock(home: Path) -> None:
    if clock_file(home).exists():
        ahead, right = float(clock_file(home).read_text()), time.time
        time.time = lambda: right() + ahead


class Sharer(Participant):
    """Answers every `task/NAME` note with a blob, and fetches everybody's."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.journal = host.folder / "answered"
        self.held: list[str] = []
        self._fetching: set[asyncio.Task[None]] = set()
        self._last = f"last/{host.name}.{host.member.incarnation}"

    async def check_journal(self) -> None:
        # The last task that the ledger shows as answered by this member must stand in the journal.
        last = self.host.ledger.query(self._last)
        if last is not None and last.decode() not in self._answered():
            raise Retired(f"the ledger has an answer of {self.host.name} to {last.decode()}, and its journal has none")

    async def run(self) -> None:
        first = self.host.settings.get("first")
        if first is not None and self.host.name == "h0" and self.host.ledger.query(f"task/{first}") is None:
            await self.host.ledger.submit(encode(Note(f"task/{first}", b"")))
        async for event in self.host.ledger.events():
            if isinstance(event, Restored) and first is not None:
                await self._make_up_for(first, event)
            for order in self._notes(event) if isinstance(event, Ordered) else ():
                await self._handle(order)

    def status(self) -> Mapping[str, Any]:
        return {"held": self.held}

    def rounds(self) -> Sequence[Mapping[str, Any]]:
        return [{"round": number + 1, "task": task} for number, task in enumerate(self._answered())][::-1]

    async def _handle(self, order: Note) -> None:
        kind, _, rest = order.name.partition("/")
        if kind == "crash" and rest == self.host.name:
            raise RuntimeError("the test asked for it")
        if kind == "task":
            content = f"{self.host.name} answers {rest}\n".encode() * 100_000
            with self.journal.open("a") as journal:
                journal.write(f"{rest}\n")
            cid = await asyncio.to_thread(self.host.store.add, content, pin=f"round/{rest}")
            for name, data in ((f"blob/{rest}/{self.host.name}", str(cid)), (self._last, rest)):
                await self.host.ledger.submit(encode(Note(name, data.encode())))
        if kind == "blob":
            # Its maker may be away, and is waited for while all else goes on.
            fetching = asyncio.create_task(self._hold(rest, Cid.parse(order.data.decode())))
            self._fetching.add(fetching)
            fetching.add_done_callback(self._fetching.discard)

    async def _hold(self, rest: str, cid: Cid) -> None:
        await self._fetch(cid, f"round/{rest.partition('/')[0]}")
        self.held.append(f"{rest} {cid}")

    async def _fetch(self, cid: Cid, label: str) -> None:
        """Get a blob; gateways are away for a moment while members change, so nobody may have it at once."""
        while True:
            try:
                return await asyncio.to_thread(self.host.store.fetch, cid, pin=label)
            except BlockNotFound:
                await asyncio.sleep(0.5)

    async def _make_up_for(self, task: str, event: Restored) -> None:
        """Do what was ordered before this participant began."""
        if event.state.prove(f"task/{task}")[0] is not None and task not in self._answered():
            await self._handle(Note(f"task/{task}", b""))
        for member in self.host.ledger.members:
            cid = event.state.prove(f"blob/{task}/{member.name}")[0]
            if cid is not None:
                await self._handle(Note(f"blob/{task}/{member.name}", cid))

    def _answered(self) -> list[str]:
        return self.journal.read_text().splitlines() if self.journal.exists() else []

    @staticmethod
    def _notes(event: Ordered) -> list[Note]:
        found = []
        for transaction in event.block.transactions:
            try:
                order = decode_form(transaction.payload, Note)
            except NotCanonical:
                continue
            found.append(order)
        return found


PROGRAMS = {"bank": Program(BankRules, Sharer)}

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("home", type=Path)
    parser.add_argument("--until-stdin-closes", action="store_true")
    given = parser.parse_args()
    _set_clock(given.home)
    sys.exit(run_node(given.home, PROGRAMS, until_stdin_closes=given.until_stdin_closes))
