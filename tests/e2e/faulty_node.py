"""A node that misbehaves: the real one, with single functions of its participant replaced.

`faults.json` in its home says what it does, and in which rounds: {"silent at answer": [3]}. Without the file, the node
is honest.
"""

import argparse
import asyncio
import json
import os
import signal
import sys
from collections.abc import Collection, Sequence
from pathlib import Path

import msgspec
import numpy as np

from medward.agents.sentinel.recipe import RECIPES
from medward.federation.model.shared_model import SharedModel
from medward.federation.records import Answer, Commitment, ModelVote, Record, RoundRecord, Show, Submit
from medward.federation.round.effects import OrderRecord, Produced, RoundEffect, RoundEvent, Store, Work
from medward.federation.rules import Agreement
from medward.federation.sums.encrypted import EncryptedSum
from medward.federation.sums.interface import DealingVerdict, IntVector, SecureSum, SumTerms
from medward.federation.sums.journal import AnswerJournal
from medward.fhe.checking import read_response
from medward.fhe.ciphertexts import add_elements
from medward.fhe.contribution import read_contribution, write_contribution
from medward.fhe.encoding import EncodingKind, header, pack_residues
from medward.node.interfaces import Host, Program
from medward.node.process import end, run_node
from medward.node.training.participant import TrainingParticipant
from medward.node.training.rules import TrainingRules
from tests.e2e import clock

COMMAND = (sys.executable, "-m", "tests.e2e.faulty_node")
FILE = "faults.json"
#: What is not said by a member that is silent in this way.
UNSAID: dict[str, tuple[type[Record], ...]] = {
    "silent at commit": (Commitment,),
    "silent at submit": (Submit,),
    "does not show": (Show,),
    "silent at answer": (Answer,),
}
#: How the failure is called of one that fails once.
ASKED_FOR = "the test asked for it"
#: What is the last that a member wants to say.
_LAST: dict[str, type[Record]] = {"dies at commit": Commitment, "dies at submit": Submit, "dies at answer": Answer}


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
    """A part in encrypted sums that gives what is not what it should be.

    Args:
        member, journal, secret: as ever.
        faults: what is to go wrong.
        home: gets the marks that the test looks for.
    """

    def __init__(self, member: str, journal: AnswerJournal, secret: bytes, faults: Faults, home: Path) -> None:
        super().__init__(member, journal, secret)
        self._name, self._faults, self._home = member, faults, home
        self._poison = np.zeros(0, np.int64)
        self._examined: set[tuple[int, str]] = set()
        self.withheld: set[bytes] = set()

    def contribute(self, terms: SumTerms, values: IntVector) -> bytes:
        self._poison = values[terms.counts :]
        return self._spoilt(terms, super().contribute(terms, values))

    def contributed(self, terms: SumTerms) -> bytes | None:
        content = super().contributed(terms)
        return None if content is None else self._spoilt(terms, content)

    def _beyond_range(self, terms: SumTerms, content: bytes, values: IntVector) -> bytes:
        """Add the values to their ciphertexts again, nearly as often as the sum's lanes hold: no range is proved."""
        current = self._sum(terms)
        context, read = current.context, read_contribution(current.context, content)
        parameters, ring = context.parameters, context.ring
        blocks = add_elements(context, [read.blocks])
        again = np.rint((0.85 * len(terms.contributors) / terms.faulty - 1) * values).astype(np.int64)
        for block, more in zip(blocks, current.layout.split(np.zeros(terms.counts, np.int64), again), strict=True):
            message = sum(lane * parameters.radix**place for place, lane in enumerate(more))
            block[:] = ring.add(block[None], ring.forward(ring.embed(parameters.delta * message)))[0]
        packed = b"".join(pack_residues(block, parameters.prime) for block in blocks)
        return write_contribution(context, bytes(read.check_block), packed, read.digests, read.boxes)

    def respond(self, terms: SumTerms, beacon: bytes) -> bytes:
        response = super().respond(terms, beacon)
        if not self._faults.has("response that is too large", terms.round):
            return response
        context = self._sum(terms).context
        values = read_response(context, response)
        values[0] = (values[0] + 2.0**40) % context.parameters.prime
        return header(EncodingKind.RESPONSE, context.digest) + pack_residues(values, context.parameters.prime)

    def examine(
        self, terms: SumTerms, beacon: bytes, dealer: str, contribution: bytes, response: bytes
    ) -> DealingVerdict:
        found = super().examine(terms, beacon, dealer, contribution, response)
        self._examined.add((terms.round, dealer))
        examined = sum(number == terms.round for number, _ in self._examined)
        (self._home / f"examined.{terms.round}.{examined}").touch()
        accused = terms.contributors[terms.contributors.index(self._name) - 1]
        false = dealer == accused and self._faults.has("complains falsely", terms.round)
        return DealingVerdict.COMPLAINT if false else found

    def answer(self, terms: SumTerms, cohort: Sequence[str]) -> bytes:
        answer = super().answer(terms, cohort)
        if self._faults.has("withholds its answer", terms.round):
            self.withheld.add(answer)
        return flipped(answer) if self._faults.has("wrong answer", terms.round) else answer

    def _spoilt(self, terms: SumTerms, content: bytes) -> bytes:
        if self._faults.has("withholds its contribution", terms.round):
            self.withheld.add(content)
        if self._faults.has("malformed contribution", terms.round):
            return content[:-1]
        if self._faults.has("poisons", terms.round):
            return self._beyond_range(terms, content, self._poison)
        spoilt = self._badly_dealt_to(terms)
        if not spoilt:
            return content
        context = self._sum(terms).context
        parts = read_contribution(context, content)
        boxes = {holder: bytes(box) for holder, box in parts.boxes.items()}
        boxes |= {holder: flipped(boxes[holder]) for holder in spoilt}
        return write_contribution(context, bytes(parts.check_block), bytes(parts.blocks), parts.digests, boxes)

    def _badly_dealt_to(self, terms: SumTerms) -> Collection[int]:
        """The numbers of the holders whose shares this member spoils in a round, its own never."""
        others = [number for number, name in enumerate(terms.holders, 1) if name != self._name]
        if self._faults.has("spoils too many shares", terms.round):
            return others[: terms.most_shown + 1]
        return others[:1] if self._faults.has("spoils a share", terms.round) else ()


class FaultyParticipant(TrainingParticipant):
    """A member that says something else than it should, or nothing."""

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        self._home = host.folder.parent
        self._faults = Faults(self._home)

    def _make_sums(self, agreement: Agreement) -> SecureSum:
        self._journal = AnswerJournal(self._files.answers)
        self._faulty = FaultySum(
            *(self._host.name, self._journal, self._files.secret()),
            *(self._faults, self._home),
        )
        return self._faulty

    async def _carry_out(self, effect: RoundEffect) -> None:
        if isinstance(effect, Store) and effect.content in self._faulty.withheld:
            return
        if isinstance(effect, OrderRecord):
            record = effect.record
            number = record.round if isinstance(record, RoundRecord) else -1
            if any(self._faults.has(kind, number) and isinstance(record, last) for kind, last in _LAST.items()):
                os.kill(os.getpid(), signal.SIGKILL)
            if any(self._faults.has(kind, number) and isinstance(record, said) for kind, said in UNSAID.items()):
                (self._home / unsaid(number, type(record))).touch()
                return
            if isinstance(record, ModelVote) and self._faults.has("poisons", number):
                effect = OrderRecord(msgspec.structs.replace(record, accept=True))
        await super()._carry_out(effect)

    async def _work(self, effect: Work) -> None:
        failed = self._home / f"failed.{effect.round}"
        if self._faults.has("fails once", effect.round) and not failed.exists():
            failed.touch()
            # Once all others have spoken nothing is ordered any more that would have the node look.
            while self._machine is None or self._machine.awaited != (self._host.name,):
                await asyncio.sleep(0.05)
            raise RuntimeError(ASKED_FOR)
        self._last_shared = await self._bench.shared(effect.model)
        await super()._work(effect)

    def _step(self, event: RoundEvent) -> list[RoundEffect]:
        if isinstance(event, Produced) and self._faults.has("poisons", event.round):
            assert self._bench.own is not None
            event = Produced(event.round, poisoned(self._last_shared, event.values))
        return super()._step(event)


def unsaid(number: int, record: type[Record]) -> str:
    """Return the file in a silent member's home that tells that it would have said this by now."""
    return f"unsaid.{number}.{record.__name__}"


def flipped(content: bytes) -> bytes:
    """Return the content with one bit in its middle changed."""
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


def poisoned(shared: SharedModel, values: IntVector) -> IntVector:
    """Return an update that pushes every weight against its own sign, as far as it goes: the model forgets and errs."""
    largest = 2 ** (shared.plan.bits - 1) - 1
    against = -np.sign(shared.weights[shared.picked()]).astype(np.int64)
    return np.concatenate([values[: shared.counts], largest * against])


PROGRAMS = {"training": Program(TrainingRules, FaultyParticipant)}

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("home", type=Path)
    parser.add_argument("--local-steps", type=int, required=True, help="updates that it makes in a round")
    parser.add_argument("--until-stdin-closes", action="store_true")
    given = parser.parse_args()
    RECIPES["ward"] = RECIPES["ward"].change(local_steps=given.local_steps)
    clock.follow(given.home.parent)
    end(run_node(given.home, PROGRAMS, until_stdin_closes=given.until_stdin_closes))
