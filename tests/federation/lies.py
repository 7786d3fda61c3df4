"""Federations in which some lie, and what an auditor has of them afterwards: the ordered records and the blobs.

The rules, the members' machines and the sums are the real ones. A liar's part in sums does otherwise with some verbs,
or what it orders is changed on the way.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from medward.audit.findings import AuditResult
from medward.audit.history import History, PastRound
from medward.audit.rounds import audit_cohorts, audit_round, audit_sealing_keys, sums_of_auditor
from medward.federation.model.shared_model import SharedModel
from medward.federation.model.shared_model_format import encode_model
from medward.federation.records import Answer, Record
from medward.federation.round.effects import OrderRecord, RoundEffect
from medward.federation.round.state import Round
from medward.federation.simulation.training import FederatedTraining, Options
from medward.federation.sums.interface import DealingVerdict, IntVector, SumTerms
from medward.fhe import reconstruction
from medward.flows.prepared import PreparedData
from tests.agents.conftest import RECIPE

NAMES = ("hospital-1", "hospital-2", "hospital-3", "hospital-4")
Verb = Callable[..., Any]
#: Returns what a member orders instead of a record.
Change = Callable[[Record, Round], Iterator[Record]]


class Liar:
    """One member's part in sums with some verbs changed; everything else is the honest part's."""

    def __init__(self, honest: Any, **verbs: Verb) -> None:
        self._honest, self._verbs = honest, verbs

    def __getattr__(self, verb: str) -> Any:
        if verb in self._verbs:
            return partial(self._verbs[verb], self._honest)
        return getattr(self._honest, verb)


class Recorded:
    """A federation all of whose records and blobs are kept.

    Args:
        prepared: its data.
        options: as `Options` has them.
    """

    def __init__(self, prepared: PreparedData, **options: Any) -> None:
        self.training = FederatedTraining(
            prepared, RECIPE, replace(Options(sites=4, rounds=1, protect="aggregate", seed=1, bits=8), **options)
        )
        self.simulation = self.training._simulation
        self.plan = self.training.shared.plan
        self.blobs = {self.simulation.state.model: encode_model(self.simulation.shared)}
        self.changes: dict[str, Change] = {}
        self._put, self._carry_out = self.simulation._blobs.put, self.simulation._carry_out
        self.simulation._blobs.put = self._kept  # type: ignore[method-assign]
        self.simulation._carry_out = self._changed  # type: ignore[method-assign]
        for number, hospital in enumerate(self.simulation._hospitals.values()):
            # What is audited is the sum and not the learning.
            hospital._update = partial(_guessed, number)  # type: ignore[method-assign]

    def lies(self, member: str, **verbs: Verb) -> None:
        """Let a member's part in sums do otherwise: each verb gets the honest part before its arguments."""
        participant = self.simulation._participants[member]
        liar = Liar(participant._sums, **verbs)
        participant._sums = participant._member._sums = liar  # type: ignore[assignment]

    def orders(self, member: str, change: Change) -> None:
        """Let a member order something else."""
        self.changes[member] = change

    def order(self, member: str, record: Record) -> None:
        """Order a record of a member's, whatever its machine says."""
        self._carry_out(member, OrderRecord(record))

    def run(self, rounds: int = 1) -> None:
        """Run so many rounds."""
        for _ in range(rounds):
            self.simulation.run_round()

    def run_all(self) -> None:
        """Run until the plan is fulfilled."""
        while not self.simulation.shared.done:
            self.simulation.run_round()

    def history(self) -> History:
        """Return the past as an auditor replays it."""
        state = self.simulation.state
        history = History(state.agreement)
        for height, entry in enumerate(self.simulation._log.read(0), 1):
            history.take(entry.record, state.accounts[entry.author], entry.time, entry.block, height, entry.epoch)
        assert history.state == state
        return history

    def round(self, number: int = 0, **changes: Any) -> PastRound:
        """Return a round as its records say it was, with these changes to its last state."""
        past = self.history().rounds[number]
        return replace(past, now=replace(past.now, **changes))

    def audited(self, past: PastRound | int = 0, blobs: dict[str, bytes] | None = None) -> AuditResult:
        """Return what an audit finds in one round."""
        found, past = AuditResult(), self.round(past) if isinstance(past, int) else past
        sums = sums_of_auditor(self.simulation.state.agreement.protect)
        held = self.blobs if blobs is None else blobs
        audit_round(past, sums, lambda name, _: held.get(name), self.plan, found)
        return found

    def audited_all(self) -> AuditResult:
        """Return what an audit finds in all rounds and between them."""
        found, rounds = AuditResult(), self.history().rounds
        audit_cohorts(rounds, found)
        audit_sealing_keys(rounds, found)
        for past in rounds.values():
            found.take(self.audited(past))
        return found

    def _kept(self, content: bytes, label: str) -> str:
        name = self._put(content, label)
        self.blobs[name] = content
        return name

    def _changed(self, name: str, effect: RoundEffect) -> None:
        now = self.simulation._participants[name].state.round
        if not isinstance(effect, OrderRecord) or name not in self.changes or now is None:
            return self._carry_out(name, effect)
        for record in self.changes[name](effect.record, now):
            self._carry_out(name, OrderRecord(record))
        return None


def flipped(content: bytes, at: int) -> bytes:
    """Return the content with one bit other than it was."""
    at %= len(content)
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


def silent(*kinds: type[Record]) -> Change:
    """Return a change that leaves out records of these kinds."""

    def change(record: Record, _: Round) -> Iterator[Record]:
        if not isinstance(record, kinds):
            yield record

    return change


def told(found: AuditResult) -> str:
    return "\n".join(map(str, (*found.problems, *found.remarks)))


def named(recorded: Recorded, *liars: str, says: str = "", number: int = 0) -> AuditResult:
    """Run one round and check that its audit names these, nobody else, and has no problem; return what it found."""
    recorded.run()
    found = recorded.audited(number)
    assert found.problems == [], told(found)
    assert found.guilty == set(liars), told(found)
    assert says in told(found), told(found)
    return found


def spoiled(at: int) -> dict[str, Callable[..., Any]]:
    """Return the verbs of a dealer whose contribution has one bit other than it should."""

    def altered(honest: Any, terms: SumTerms, *values: IntVector) -> bytes | None:
        content = honest.contribute(terms, *values) if values else honest.contributed(terms)
        return None if content is None else flipped(content, at)

    return {"contribute": altered, "contributed": altered}


class WrongShare:
    """A dealer that deals a wrong share, under its right digest, to the holders of these numbers."""

    def __init__(self, *numbers: int) -> None:
        self._numbers = numbers
        self._contributed: dict[SumTerms, bytes] = {}

    @property
    def verbs(self) -> dict[str, Callable[..., Any]]:
        return {"contribute": self._contribute, "contributed": lambda _, terms: self._contributed.get(terms)}

    def _contribute(self, honest: Any, terms: SumTerms, values: IntVector) -> bytes:
        honest.contribute(terms, values)
        current = honest._sum(terms)
        right = current.dealing.shares

        def shares(holders: Any) -> dict[int, bytes]:
            return {j: flipped(share, 3) if j in self._numbers else share for j, share in right(holders).items()}

        current.dealing.shares = shares
        blocks = current.layout.split(values[: terms.counts], values[terms.counts :])
        self._contributed[terms] = current.dealing.contribute(blocks, current.keys)
        return self._contributed[terms]


def finds(verdict: DealingVerdict, *dealers: str) -> Callable[..., DealingVerdict]:
    """Return the verb of a holder that finds so of these dealers, whatever is so."""

    def examine(honest: Any, terms: SumTerms, beacon: bytes, dealer: str, *blobs: bytes) -> DealingVerdict:
        found: DealingVerdict = honest.examine(terms, beacon, dealer, *blobs)
        return verdict if dealer in dealers else found

    return examine


def shifted(by: int) -> Callable[..., bytes]:
    """Return the verb of a holder that adds so much to the first residue of its answer."""

    def answer(honest: Any, terms: SumTerms, cohort: tuple[str, ...]) -> bytes:
        context = honest._sum(terms).context
        right = reconstruction.read_answer(context, honest.answer(terms, cohort))
        added = np.zeros_like(right)
        added[0] = by
        return reconstruction.answer(context, [right, added])

    return answer


def unfitting(four: Recorded) -> None:
    """Let one of three answers be wrong, so that none fit."""
    four.orders(NAMES[3], silent(Answer))
    four.lies(NAMES[0], answer=shifted(1))


def _guessed(number: int, shared: SharedModel, _: int) -> IntVector:
    return np.random.default_rng(number).integers(-100, 101, shared.values)
