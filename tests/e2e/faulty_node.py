"""A node that misbehaves: the real one, with single functions of its participant replaced.

`faults.json` in its home says what it does, and in which rounds: {"silent at share": [3]}. A fault in a ceremony
belongs to the round that comes after it. Without the file, the node is honest.
"""

import argparse
import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from medward.federation.blobs import blob_name
from medward.federation.effects import Effect, Event, Order, Produced, Store, Work
from medward.federation.encrypted_sum import EncryptedSum, EpochMaterial
from medward.federation.hospital import Hospital
from medward.federation.interfaces import IntVector, SecureSum, Slot
from medward.federation.records import (
    Aggregate,
    Commit,
    KeyCommit,
    Record,
    RoundRecord,
    Share,
    ShareCommit,
    Submit,
    Vote,
)
from medward.federation.round import Phase
from medward.federation.shared_model import SharedModel
from medward.fhe import epoch, sealing
from medward.node.process import run_node
from medward.node.seam import Host, Program
from medward.node.training_data import read_data
from medward.node.training_participant import TrainingParticipant
from medward.node.training_rules import TrainingRules
from tests.e2e import clock

COMMAND = (sys.executable, "-m", "tests.e2e.faulty_node")
FILE = "faults.json"
#: In the home of one that named a wrong aggregate: the aggregate's name.
EVIDENCE = "wrong-aggregate"

#: What is not said by a member that is silent in this way.
UNSAID: dict[str, tuple[type[Record], ...]] = {
    "silent at commit": (Commit,),
    "silent at submit": (Submit,),
    "silent aggregator": (Aggregate,),
    "silent at share": (ShareCommit, Share),
    "commits to a share and does not show it": (Share,),
    "silent in the ceremony": (KeyCommit,),
}
#: How the failure is called of one that fails once.
ASKED_FOR = "the test asked for it"
#: What is the last that a member wants to say.
_LAST: dict[str, type[Record]] = {"dies at commit": Commit, "dies at share": ShareCommit}


class Faults:
    """What a node does wrong, and in which rounds.

    Args:
        home: of the node; what its file says counts from then on.
    """

    def __init__(self, home: Path) -> None:
        self._path = home / FILE

    def has(self, kind: str, number: int) -> bool:
        try:
            rounds: dict[str, list[int]] = json.loads(self._path.read_text())
        except FileNotFoundError:
            return False
        return number in rounds.get(kind, ())


class FaultySum(EncryptedSum):
    """A part in encrypted sums that gives what is not what it should be."""

    faults: Faults
    home: Path
    #: How many rows all the others have together.
    others: Callable[[], int]

    def seal(self, slot: Slot, values: IntVector) -> bytes:
        if self.faults.has("claims fewer rows than none", slot.round):
            # No range is proved: with nearly no rows in the sum, its mean is far larger than any update.
            blocks = self._layout(slot).split(np.zeros(slot.counts, np.int64), values[slot.counts :])
            blocks[0, 0, 0] = 10 - self.others()
            sealed = [self._part(slot).seal(slot.round, chunk, block) for chunk, block in enumerate(blocks)]
            return b"".join(submission.ciphertext + submission.proof for submission in sealed)
        return self._flipped("malformed contribution", slot, super().seal(slot, values))

    def sealed(self, slot: Slot) -> bytes | None:
        content = super().sealed(slot)
        return None if content is None else self._flipped("malformed contribution", slot, content)

    def share(self, slot: Slot, aggregate: bytes) -> bytes:
        return self._flipped("wrong share", slot, super().share(slot, aggregate))

    def add(self, slot: Slot, contributions: Mapping[str, bytes]) -> bytes:
        if not self.faults.has("wrong aggregator", slot.round):
            return super().add(slot, contributions)
        # One member's ciphertext as "the sum": who opened it would learn that member's update.
        wrong = super().add(slot, dict(list(contributions.items())[:1]))
        (self.home / EVIDENCE).write_text(blob_name(wrong))
        return wrong

    def _flipped(self, kind: str, slot: Slot, content: bytes) -> bytes:
        return flipped(content) if self.faults.has(kind, slot.round) else content


class FaultyParticipant(TrainingParticipant):
    """A member that says something else than it should, or nothing."""

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        self._home = host.folder.parent
        self._faults = Faults(self._home)
        self._spoil_keys()

    def _make_sums(self, material: EpochMaterial, least_cohort: int) -> SecureSum:
        sums = FaultySum(material, self._host.name, self._opened_journal(), least_cohort)
        sums.faults, sums.home, sums.others = self._faults, self._home, self._others_rows
        return sums

    def _others_rows(self) -> int:
        # Counted in the data: a sum that the others opened first is one that this node never sees.
        assert self._own is not None
        return len(read_data(self._settings).split.train) - self._own.rows

    async def _carry_out(self, effect: Effect) -> None:
        if isinstance(effect, Store) and self._withholds():
            return
        if isinstance(effect, Order):
            record = effect.record
            number = record.round if isinstance(record, RoundRecord) else self._next
            if any(self._faults.has(kind, number) and isinstance(record, last) for kind, last in _LAST.items()):
                os.kill(os.getpid(), signal.SIGKILL)
            if any(self._faults.has(kind, number) and isinstance(record, said) for kind, said in UNSAID.items()):
                (self._home / unsaid(number, type(record))).touch()
                return
            if isinstance(record, Vote) and self._faults.has("poisons", number):
                effect = Order(msgspec.structs.replace(record, accept=True))
            if isinstance(record, Aggregate) and self._faults.has("slow aggregator", number):
                self._start(self._too_late(record))
                return
        await super()._carry_out(effect)

    async def _work(self, effect: Work) -> None:
        failed = self._home / f"failed.{effect.round}"
        if self._faults.has("fails once", effect.round) and not failed.exists():
            failed.touch()
            # Once all others have spoken nothing is ordered any more that would have the node look.
            while self._machine is None or self._machine.awaited != (self._host.name,):
                await asyncio.sleep(0.05)
            raise RuntimeError(ASKED_FOR)
        await super()._work(effect)

    async def _too_late(self, record: Aggregate) -> None:
        """Name the aggregate when it is another's turn already."""
        assert self._machine is not None
        begun = self._machine.state.round
        assert begun is not None
        while (now := self._machine.state.round) is not None and now.attempt == begun.attempt and not now.over:
            await asyncio.sleep(0.05)
        await self._hand_in(record)

    @property
    def _next(self) -> int:
        """The number of the next round, to which a ceremony belongs."""
        assert self._machine is not None
        return self._machine.state.number

    def _withholds(self) -> bool:
        assert self._machine is not None
        now = self._machine.state.round
        return (
            now is not None and now.phase is Phase.AGGREGATING and self._faults.has("withholds aggregate", now.number)
        )

    def _step(self, event: Event) -> list[Effect]:
        if isinstance(event, Produced) and self._faults.has("poisons", event.round):
            assert self._own is not None
            assert self._machine is not None
            shared = self._models[self._machine.state.model]
            event = Produced(event.round, poisoned(self._own.hospital, shared, event.values))
        return super()._step(event)

    def _spoil_keys(self) -> None:
        """Spoil what a ceremony makes: a key's proof, all dealt shares that are sent, or one of them."""
        contribute, seal = epoch.contribute, sealing.seal

        def contributed(*arguments: Any) -> Any:
            secret, made = contribute(*arguments)
            if self._faults.has("malformed key", self._next):
                made = replace(made, proof=flipped(made.proof))
            return secret, made

        def sealed(context: Any, holder: int, *arguments: Any) -> bytes:
            content = seal(context, holder, *arguments)
            one = self._faults.has("spoils one dealt share", self._next) and holder == max(context.holders)
            return flipped(content) if one or self._faults.has("spoils all dealt shares", self._next) else content

        epoch.contribute, sealing.seal = contributed, sealed


def unsaid(number: int, record: type[Record]) -> str:
    """Return the file in a silent member's home that tells that it would have said this by now."""
    return f"unsaid.{number}.{record.__name__}"


def flipped(content: bytes) -> bytes:
    """Return the content with one bit in its middle changed."""
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


def poisoned(hospital: Hospital, shared: SharedModel, values: IntVector) -> IntVector:
    """Return the worst update that fits, as far as a hospital can tell by its own rows.

    Every weight is pushed as far as it goes: against what training wants, or anyhow; the most costly way is taken.
    """
    largest = 2 ** (shared.plan.bits - 1) - 1
    random = np.random.default_rng(0)
    ways = [-np.sign(values), *(random.choice([-1, 1], values.shape) for _ in range(11))]
    worst, most = values, -1.0
    for way in ways:
        pushed = (largest * np.where(way == 0, 1, way)).astype(np.int64)
        pushed[: shared.counts] = 1
        cost = float(hospital._costs(shared.advance(pushed)).mean())
        if cost > most:
            worst, most = pushed, cost
    return np.concatenate([values[: shared.counts], worst[shared.counts :]])


PROGRAMS = {"training": Program(TrainingRules, FaultyParticipant)}

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("home", type=Path)
    parser.add_argument("--until-stdin-closes", action="store_true")
    given = parser.parse_args()
    clock.follow(given.home.parent)
    sys.exit(run_node(given.home, PROGRAMS, until_stdin_closes=given.until_stdin_closes))
