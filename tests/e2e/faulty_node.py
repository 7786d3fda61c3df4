"""A node that misbehaves: the real one, with single functions of its participant replaced.

`faults.json` in its home says what it does, and in which rounds: {"silent at share": [3]}. Without it, it is honest.
"""

import argparse
import json
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

import msgspec

from medward.federation.effects import Effect, Event, Order, Produced, Store
from medward.federation.encrypted_sum import EncryptedSum, EpochMaterial
from medward.federation.interfaces import IntVector, SecureSum, Slot
from medward.federation.records import Aggregate, Commit, RoundRecord, Share, ShareCommit, Vote
from medward.federation.round import Phase
from medward.node.process import run_node
from medward.node.seam import Host, Program
from medward.node.training_participant import TrainingParticipant
from medward.node.training_rules import TrainingRules

COMMAND = (sys.executable, "-m", "tests.e2e.faulty_node")
FILE = "faults.json"

#: What is not said by a member that is silent in this way.
_UNSAID: dict[str, tuple[type[RoundRecord], ...]] = {
    "silent at commit": (Commit,),
    "silent aggregator": (Aggregate,),
    "silent at share": (ShareCommit, Share),
}
#: What is the last that a member wants to say.
_LAST: dict[str, type[RoundRecord]] = {"dies at commit": Commit, "dies at share": ShareCommit}


class Faults:
    """What a node does wrong, and in which rounds."""

    def __init__(self, path: Path) -> None:
        self._rounds: dict[str, list[int]] = json.loads(path.read_text()) if path.exists() else {}

    def has(self, kind: str, number: int) -> bool:
        return number in self._rounds.get(kind, ())


class FaultySum(EncryptedSum):
    """A part in encrypted sums that gives what is not what it should be."""

    faults: Faults

    def seal(self, slot: Slot, values: IntVector) -> bytes:
        return self._flipped("malformed contribution", slot, super().seal(slot, values))

    def sealed(self, slot: Slot) -> bytes | None:
        content = super().sealed(slot)
        return None if content is None else self._flipped("malformed contribution", slot, content)

    def share(self, slot: Slot, aggregate: bytes) -> bytes:
        return self._flipped("wrong share", slot, super().share(slot, aggregate))

    def add(self, slot: Slot, contributions: Mapping[str, bytes]) -> bytes:
        if self.faults.has("wrong aggregator", slot.round):
            # One member's ciphertext as "the sum": who opened it would learn that member's update.
            contributions = dict(list(contributions.items())[:1])
        return super().add(slot, contributions)

    def _flipped(self, kind: str, slot: Slot, content: bytes) -> bytes:
        if not self.faults.has(kind, slot.round):
            return content
        middle = len(content) // 2
        return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


class FaultyParticipant(TrainingParticipant):
    """A member that says something else than it should, or nothing."""

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        self._faults = Faults(host.folder.parent / FILE)

    def _make_sums(self, material: EpochMaterial, least_cohort: int) -> SecureSum:
        sums = FaultySum(material, self._host.name, self._opened_journal(), least_cohort)
        sums.faults = self._faults
        return sums

    async def _carry_out(self, effect: Effect) -> None:
        if isinstance(effect, Store) and self._withholds():
            return
        if isinstance(effect, Order) and isinstance(effect.record, RoundRecord):
            record, number = effect.record, effect.record.round
            if any(self._faults.has(kind, number) and isinstance(record, last) for kind, last in _LAST.items()):
                os.kill(os.getpid(), signal.SIGKILL)
            if any(self._faults.has(kind, number) and isinstance(record, said) for kind, said in _UNSAID.items()):
                return
            if isinstance(record, Vote) and self._faults.has("votes against", number):
                effect = Order(msgspec.structs.replace(record, accept=False))
        await super()._carry_out(effect)

    def _withholds(self) -> bool:
        assert self._machine is not None
        now = self._machine.state.round
        return (
            now is not None and now.phase is Phase.AGGREGATING and self._faults.has("withholds aggregate", now.number)
        )

    def _step(self, event: Event) -> list[Effect]:
        if isinstance(event, Produced) and self._faults.has("poisons", event.round):
            # The worst that fits: every weight pushed as far down as an update can.
            values = event.values.copy()
            values[1:] = -(2 ** (self._settings.bits - 1) - 1)
            event = Produced(event.round, values)
        return super()._step(event)


PROGRAMS = {"training": Program(TrainingRules, FaultyParticipant)}

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("home", type=Path)
    parser.add_argument("--until-stdin-closes", action="store_true")
    given = parser.parse_args()
    sys.exit(run_node(given.home, PROGRAMS, until_stdin_closes=given.until_stdin_closes))
