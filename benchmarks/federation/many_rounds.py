"""What all sums of a federation tell together: histories of 300 rounds under the real rules, solved as linear systems.

Run `python benchmarks/federation/many_rounds.py` with

    no option    50 histories under the rules; fails if one isolates or stands still
    --before     the same under the rules of before: pairs of cohorts, rows summed
    --time       what the rules cost a record after 10,000 rounds with 64 members

In a history members come and leave, are silent at any step, vote against models, and rounds are void after answers were
shown. Whoever keeps everything knows, of each round whose cohort was fixed, the sum over it: an equation
over (hospital, "survey") or (hospital, model). A group is isolated if some combination of equations with the same
unknowns is zero outside it; groups smaller than the least cohort must not be.
"""

import argparse
import json
import random
import sys
import time
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np

from medward.federation import rules
from medward.federation.application import decode_state, encode_state
from medward.federation.errors import RecordRefused
from medward.federation.records import (
    Answer,
    Attest,
    Change,
    Commitment,
    Finish,
    ModelVote,
    Next,
    Record,
    Resume,
    RoundTick,
    Submit,
    commitment_to,
)
from medward.federation.round import exposure
from medward.federation.round.state import Phase
from medward.federation.rules import SURVEY, Agreement, FederationState, founded
from medward.ledger.encoding import encode
from medward.ledger.signatures import AlgorithmBytes
from medward.ledger.types import Member

KEPT = Path(__file__).parent / "results" / "many-rounds.json"
SURVEYS, SURVEYED, WEIGHTS = 3, 100, 1000
DEADLINE = 10.0
#: A history stands still if so many last rounds led to no model; a hospital is lost for at most 30 at a time.
STILL = 60


def _agreement(members: int, sample: float) -> Agreement:
    names = tuple(f"h{number}" for number in range(members))
    accounts = {name: name.encode().ljust(32, b".") for name in names}
    first = Next("survey", SURVEYED, 0)
    return Agreement(
        "history", names, accounts, DEADLINE, protect="none", bits=16, plan="plan", model="model-0", first=first,
        sample=sample,
    )  # fmt: skip


class History:
    """One federation under the rules, driven at random.

    Args:
        seed: of everything.
        members: how many found it.
        sample: the share of them that is invited.
    """

    def __init__(self, seed: int, members: int, sample: float) -> None:
        self.random = random.Random(seed)
        self.state: FederationState = founded(_agreement(members, sample))
        self.now = 1.0
        self.lost: dict[str, int] = {}
        self.least: dict[str, int] = {}
        #: What the sums are of -> the cohorts of all that may be known.
        self.equations: dict[str, list[frozenset[str]]] = {}
        self.rounds: dict[str, int] = {}
        self.models = self.came = self.ordered = 0
        #: The last round that led to a model.
        self.moved = -1

    def say(self, record: Record, author: str) -> None:
        """Order a record; one that breaks a rule changes nothing."""
        # No ledger's members follow: every record is of another epoch.
        self.ordered += 1
        try:
            self.state = rules.apply(self.state, record, author, self.now, b"block", self.ordered)
        except RecordRefused:
            return

    def _speaking(self, rate: float = 0.97) -> Iterator[str]:
        """Who says what is asked of it now; a hospital that is lost says nothing for some rounds."""
        for name in self.state.terms.members:
            if self.lost.get(name, 0) <= 0 and self.random.random() < rate:
                yield name

    def _tick(self) -> None:
        self.now += DEADLINE
        assert self.state.round is not None
        self.say(RoundTick(self.state.round.number), self.state.terms.members[0])

    def one_round(self) -> None:
        """Play a round, and note what may be known after it."""
        self._change_members()
        if self.random.random() < 0.05:
            self.state = decode_state(encode_state(self.state))  # every member restarts
        if self.state.stopped is not None:
            for name in self.state.terms.members:
                self.say(Resume(), name)
        if self.state.next is None:
            return
        self.say(self.state.expected(), self.state.terms.members[0])
        number = self.state.number - 1
        phases = (self._contribute, self._check, self._answer, self._finish, self._vote)
        for phase in phases:
            if self.state.round is not None and not self.state.round.over:
                phase(number)
        while self.state.round is not None and not self.state.round.over:
            self._tick()
        self._note()

    def _contribute(self, number: int) -> None:
        for name in self._speaking():
            self.say(Commitment(number, name, commitment_to("history", number, name, name)), name)
        self._until(Phase.COMMITTING)
        for name in self._speaking(0.99):
            self.say(Submit(number, name, name, name), name)
        self._until(Phase.SUBMITTING)

    def _until(self, phase: Phase) -> None:
        """Let the deadline pass if the phase has not ended."""
        if self.state.round is not None and self.state.round.phase is phase:
            self._tick()

    def _check(self, number: int) -> None:
        now = self.state.round
        assert now is not None
        for name in self._speaking(0.99):
            self.say(Attest(number, name, tuple(now.submissions)), name)
        self._until(Phase.CHECKING)

    def _answer(self, number: int) -> None:
        for name in self._speaking(0.9):
            self.say(Answer(number, name, name), name)

    def _finish(self, number: int) -> None:
        now = self.state.round
        assert now is not None
        self.models += 1
        then = Next("train", 0, WEIGHTS)
        if now.task == "survey" and number + 1 < SURVEYS:
            then = Next("survey", SURVEYED, 0)
        if now.exposed and len(now.answers) < now.terms.threshold:
            return
        for name in self._speaking(0.95):
            self.say(Finish(number, name, f"model-{self.models}", then), name)

    def _vote(self, number: int) -> None:
        against = self.random.random() < 0.1
        for name in self._speaking():
            self.say(ModelVote(number, name, accept=not against), name)

    def _change_members(self) -> None:
        chance, members = self.random.random(), self.state.terms.members
        self.lost = {name: left - 1 for name, left in self.lost.items() if left > 1}
        if chance < 0.08:
            self.lost[self.random.choice(members)] = self.random.choice((1, 2, 5, 30))
        elif chance < 0.10 and len(members) > 5:
            leaving = self.random.choice(members)
            self.say(Change(leaving, None, None), leaving)
        elif chance < 0.13 and len(members) < 12:
            self.came += 1
            account = f"key {self.came}".encode().ljust(32, b".")
            keys = (AlgorithmBytes("ed25519", account),)
            card = encode(Member(f"new{self.came}", 0, keys, b"", "127.0.0.1:1"))
            newcomer = Change(f"new{self.came}", account, card)
            for name in members:
                self.say(newcomer, name)

    def _note(self) -> None:
        now = self.state.round
        assert now is not None
        self.rounds[now.phase.value] = self.rounds.get(now.phase.value, 0) + 1
        if now.phase is Phase.FINAL:
            self.moved = now.number
        if now.exposed:
            of = SURVEY if now.task == "survey" else now.model
            self.equations.setdefault(of, []).append(frozenset(now.cohort))
            self.least[of] = min(self.least.get(of, 99), now.terms.least_cohort)
            if BEFORE and now.task == "train":
                self.equations.setdefault("rows", []).append(frozenset(now.cohort))
                self.least["rows"] = min(self.least.get("rows", 99), now.terms.least_cohort)

    def isolated(self) -> tuple[str, int] | None:
        """Return what is known of the smallest isolated group, and its size; None where all are large enough."""
        found = [(of, size) for of in self.equations if (size := _isolated(self.equations[of], self.least[of]))]
        return min(found, key=lambda one: one[1], default=None)


def _isolated(cohorts: list[frozenset[str]], least: int) -> int:
    """Return the size of the smallest group, below `least`, that a combination of the cohorts' sums tells of; or 0."""
    different = sorted(set(cohorts), key=sorted)
    hospitals = sorted(frozenset[str]().union(*different))
    rows = np.array([[float(h in cohort) for h in hospitals] for cohort in different])
    if np.linalg.matrix_rank(rows) == len(hospitals):
        return 1
    rank = np.linalg.matrix_rank(rows)
    for size in range(1, least):
        for group in combinations(range(len(hospitals)), size):
            if np.linalg.matrix_rank(np.delete(rows, group, axis=1)) < rank:
                return size
    return 0


def _pairs_only(known: tuple[frozenset[str], ...], cohort: AbstractSet[str], least: int) -> bool:
    """The rule of before: two cohorts at a time, and those of the same step alone."""
    return any(0 < len(apart) < least for before in known[-1:] for apart in (before - cohort, cohort - before))


BEFORE = False


def _weaken() -> None:
    global BEFORE  # noqa: PLW0603
    BEFORE = True
    exposure.isolates = _pairs_only
    known_of = rules._begin

    def begin(state: FederationState, record: Record, now: float, block: bytes) -> FederationState:
        # Surveys that led to a model were forgotten.
        forgetful = {of: cohorts for of, cohorts in state.exposed.items() if of != SURVEY}
        return known_of(replace(state, exposed=forgetful), record, now, block)  # type: ignore[arg-type]

    rules._begin = begin  # type: ignore[assignment]


def campaign(seeds: int, rounds: int) -> dict[str, object]:
    """Play the histories and solve them."""
    isolated: list[dict[str, object]] = []
    outcomes: dict[str, int] = {}
    still = 0
    for seed in range(seeds):
        members, sample = (4, 7, 8, 10)[seed % 4], (1.0, 0.8)[seed // 4 % 2]
        if sample < 1 and members == 4:
            sample = 1.0
        history = History(seed, members, sample)
        for _ in range(rounds):
            history.one_round()
        for outcome, count in history.rounds.items():
            outcomes[outcome] = outcomes.get(outcome, 0) + count
        still += history.state.number - 1 - history.moved > STILL
        if (found := history.isolated()) is not None:
            isolated.append({"seed": seed, "members": members, "of": found[0], "group": found[1]})
        print(f"seed {seed}: {members} members, {history.rounds}, isolated: {found}", flush=True)
    return {"seeds": seeds, "rounds": rounds, "outcomes": outcomes, "stood_still": still, "isolated": isolated}


def cost(rounds: int, members: int) -> dict[str, object]:
    """Measure the processor time that the rules take for a record, in the last hundred of many rounds."""
    history = History(0, members, 1.0)
    worst = total = 0.0
    records = 0
    say = history.say

    def timed(record: Record, author: str) -> None:
        nonlocal worst, total, records
        began = time.process_time()
        say(record, author)
        spent = time.process_time() - began
        if history.state.number > rounds - 100:
            worst, total, records = max(worst, spent), total + spent, records + 1

    history.say = timed  # type: ignore[method-assign]
    history._change_members = lambda: None  # type: ignore[method-assign]
    while history.state.number < rounds:
        history.one_round()
    means = {"mean_ms": 1e3 * total / records, "largest_ms": 1e3 * worst}
    return {"rounds": rounds, "members": members, **means, "cohort_ms": 1e3 * _slowest_cohort(members)}


def _slowest_cohort(members: int) -> float:
    """Return the processor seconds that the slowest of many random cohorts takes, with up to four known before it."""
    drawn, slowest = random.Random(1), 0.0
    hospitals = [str(number) for number in range(members)]
    for known_cohorts in (1, 2, 3, 4):
        for _ in range(50):
            known: tuple[frozenset[str], ...] = ()
            while len(known) < known_cohorts:
                known = exposure.added(known, frozenset(h for h in hospitals if drawn.random() < 0.6))
            cohort = frozenset(h for h in hospitals if drawn.random() < 0.6)
            # The least of three: a collection of the history's garbage is no part of the rule.
            slowest = max(slowest, min(_seconds(known, cohort, members) for _ in range(3)))
    return slowest


def _seconds(known: tuple[frozenset[str], ...], cohort: frozenset[str], members: int) -> float:
    began = time.process_time()
    exposure.allowed(known, cohort, members // 3 + 2)
    return time.process_time() - began


def main() -> int:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", action="store_true", help="Play under the rules of before.")
    parser.add_argument("--time", action="store_true", help="Measure the rules instead.")
    parser.add_argument("--seeds", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--keep", action="store_true", help=f"Write what was found to {KEPT.name}.")
    chosen = parser.parse_args()
    if chosen.time:
        found, name = cost(10_000 if chosen.rounds == 300 else chosen.rounds, 64), "time"
    else:
        if chosen.before:
            _weaken()
        found, name = campaign(chosen.seeds, chosen.rounds), "before" if chosen.before else "rules"
    print(json.dumps(found))
    if chosen.keep:
        kept = json.loads(KEPT.read_text()) if KEPT.exists() else {}
        KEPT.write_text(json.dumps(kept | {name: found}, indent=1) + "\n")
    return int(name == "rules" and bool(found["isolated"] or found["stood_still"]))


if __name__ == "__main__":
    sys.exit(main())
