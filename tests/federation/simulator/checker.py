"""The checker of what a federation promises whoever lies, run at every record that honest members take.

Membership, cohorts, models and what is opened are followed here from what honest members said, did and found, and from
what every blob really is; the rules' own notes of these are not asked.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from medward.federation.application import FederationApplication, FederationSnapshot, encode_state
from medward.federation.records import Change, Next, Record
from medward.federation.round.state import Phase, Round
from medward.federation.rules import FederationState, founded
from medward.federation.sums.interface import SumTerms
from tests.federation.simulator.sums import Dealt, Response, convicts, read
from tests.ledger.simulator.checker import Violation

if TYPE_CHECKING:
    from tests.federation.simulator.world import FederationWorld, SimMember

#: A federation's state takes at most so many bytes a member, whatever its members order.
STATE_BYTES = 64 * 1024
#: Deadlines that a round may take: ten phases, each with the wait for who orders the tick, and twice that.
ROUND_DEADLINES = 24
#: Milliseconds that the ledger may take besides, with views to change.
ROUND_SLACK = 20_000

Place = tuple[int, int]


def tolerated(members: int) -> int:
    return (members - 1) // 3


def least_cohort(members: int) -> int:
    """Return the least cohort of spec/round.md: max(3, f + 2, t), where all members hold shares."""
    f = tolerated(members)
    return min(max(3, f + 2, members - f), members)


class FederationChecker:
    """Follows one federation.

    Args:
        world: where it is.
    """

    def __init__(self, world: FederationWorld) -> None:
        self.world = world
        self._latest: FederationState | None = None
        self._place: Place = (0, -1)
        self._states: dict[int, bytes] = {}
        #: A wish -> who had it ordered, by name and account; and the wishes that honest members meant.
        self._wishes: defaultdict[Change, set[tuple[str, bytes]]] = defaultdict(set)
        self._meant: defaultdict[Change, set[tuple[str, bytes]]] = defaultdict(set)
        self._found: defaultdict[int, set[tuple[str, Next | None]]] = defaultdict(set)
        #: A round -> the cohort that honest holders answered for, and which of them.
        self._opened: dict[int, tuple[tuple[str, ...], set[str]]] = {}
        self._questions: dict[int, tuple[str, int, int]] = {}
        self._begun: dict[int, Round] = {}
        self.began: dict[int, int] = {}
        self.ended: dict[int, tuple[Phase, int]] = {}
        self.changes = self.audits = self.shows = self.largest = 0

    @property
    def latest(self) -> FederationState:
        """The newest state that an honest member has reached."""
        return self._latest or founded(self.world.agreement)

    # What honest members say, do and find.

    def said(self, member: SimMember, record: Record) -> None:
        if isinstance(record, Change):
            self._meant[record].add((member.name, member.account))

    def advanced(self, number: int, model: str, then: Next | None) -> None:
        """A member's machine made the next model from the sum that it decrypted."""
        self._found[number].add((model, then))

    def answered(self, member: SimMember, terms: SumTerms, cohort: tuple[str, ...]) -> None:
        """An honest holder shows its answer, the sum of its shares over a cohort."""
        if not member.honest:
            return
        state = member.state
        assert state is not None
        assert state.round is not None
        opened, holders = self._opened.setdefault(terms.round, (cohort, set()))
        if opened != cohort:
            raise Violation(f"two cohorts of round {terms.round} were answered for: {opened} and {cohort}")
        if len(set(cohort)) < least_cohort(len(terms.holders)):
            raise Violation(f"{member.name} answered for {len(set(cohort))} of {len(terms.holders)} hospitals")
        holders.add(member.name)
        question = "survey" if state.round.task == "survey" else state.round.model
        self._questions[terms.round] = (question, terms.threshold, least_cohort(len(terms.holders)))

    # What was ordered.

    @property
    def height(self) -> int:
        """The height of the latest state."""
        return self._place[0]

    def ordered(
        self,
        member: SimMember,
        place: Place,
        before: FederationState,
        record: Record,
        author: str,
        after: FederationState,
    ) -> None:
        """Check one record that the rules took, the first time that an honest member takes it."""
        if isinstance(record, Change):
            # Whoever takes it: a member that comes back from its disk goes on where nobody else has been.
            self._wishes[record].add((author, before.accounts[author]))
        if place <= self._place:
            return
        self._place, self._latest = place, after
        if after.accounts != before.accounts or after.terms.members != before.terms.members:
            self._changed(member, place[0], before, after)
        if after.round is not None and after.round is not before.round:
            self._in_round(before, after, after.round)
        if place[1] == 0 and place[0] % 4 == 0:
            self._bounded(after)

    def agree(self, member: SimMember, snapshot: FederationSnapshot) -> None:
        """Compare a member's state with the replica's, and with those of others at this height."""
        assert member.state is not None
        if snapshot.federation != member.state:
            raise Violation(f"{member.name} has another state than its replica at height {member.height}")
        own = encode_state(member.state)
        if self._states.setdefault(member.height, own) != own:
            raise Violation(f"{member.name} has another state than others at height {member.height}")

    def _bounded(self, state: FederationState) -> None:
        size = len(encode_state(state))
        self.largest = max(self.largest, size // len(state.terms.members))
        if size > STATE_BYTES * len(state.terms.members):
            raise Violation(f"the state of {len(state.terms.members)} members has grown to {size} bytes")

    def _changed(self, member: SimMember, height: int, before: FederationState, after: FederationState) -> None:
        """Check a change of membership: one at a time, f+1 present members want it, or the one who leaves."""
        names = set(before.accounts) | set(after.accounts)
        changed = [name for name in sorted(names) if before.accounts.get(name) != after.accounts.get(name)]
        if len(changed) != 1:
            raise Violation(f"members changed several at once: {changed}")
        name, account = changed[0], after.accounts.get(changed[0])
        present = set(before.accounts.items())
        wishes = {c: by & present for c, by in self._wishes.items() if (c.name, c.account) == (name, account)}
        left = account is None and any((name, before.accounts.get(name)) in by for by in wishes.values())
        f = tolerated(len(before.accounts))
        what = f"{name} {'was put out' if account is None else 'came, or got new keys'}"
        if not left and max(map(len, wishes.values()), default=0) <= f:
            raise Violation(f"{what} although no {f + 1} present members wanted it")
        if not left and not any(self._meant[change] & by for change, by in wishes.items()):
            raise Violation(f"{what} although no honest member wanted it")
        self._follows(member, height, before, what)
        self.changes += 1

    def _follows(self, member: SimMember, height: int, before: FederationState, what: str) -> None:
        """The ledger's members are the federation's before the next change settles, so that both bear f liars."""
        replica = member.node.replica
        assert replica is not None
        voting = [m for m in replica.memberships if m.first_height <= height][-1]
        keys = {one.name: one.keys[0].data for one in voting.members}
        if keys != dict(before.accounts):
            raise Violation(f"{what} at height {height}, before the ledger had taken the change before that")

    def _in_round(self, before: FederationState, after: FederationState, now: Round) -> None:
        known = self._begun.setdefault(now.number, now)
        self.began.setdefault(now.number, self.world.now)
        if known is now and now.terms.members != before.terms.members:
            raise Violation(f"round {now.number} began with other members than there were")
        frozen = (known.terms, known.sealing_keys, known.invited, known.model, known.task)
        if frozen != (now.terms, now.sealing_keys, now.invited, now.model, now.task):
            raise Violation(f"what round {now.number} began with has changed")
        was = before.round if before.round is not None and before.round.number == now.number else None
        if now.cohort and (was is None or not was.cohort):
            self._fixed(now)
        if was is not None and was.cohort and was.cohort != now.cohort:
            raise Violation(f"the cohort of round {now.number} changed")
        if now.over and (was is None or not was.over):
            self._over(now, after)

    def _fixed(self, now: Round) -> None:
        """Check a cohort: large enough, of dealings that an honest holder can have found good, and of no fewer."""
        n = len(now.terms.members)
        if len(now.cohort) < least_cohort(n):
            raise Violation(f"the cohort of round {now.number} has {len(now.cohort)} of {n} members")
        honest, f = {member.name for member in self.world.honest()}, tolerated(n)
        for dealer in now.cohort:
            if not self._dealt_well(now, dealer):
                raise Violation(f"round {now.number} sums what {dealer} dealt wrongly for everybody")
        for dealer in honest & set(now.submissions):
            good = {h for h in honest & set(now.verdicts) if dealer in now.verdicts[h].good}
            blamed = {
                h for h in honest & set(now.verdicts) if dealer in now.verdicts[h].at_fault + now.verdicts[h].complaints
            }
            if blamed:
                raise Violation(f"{sorted(blamed)} blame {dealer} in round {now.number}, which dealt well")
            judged = {h for h in honest & set(now.judgements) if dealer in now.judgements[h].good}
            accused = any(dealer in verdict.complaints for verdict in now.verdicts.values())
            stays = len(good) > f and (not accused or len(judged) > f)
            if stays and dealer not in now.cohort and frozenset(now.cohort) not in now.known:
                raise Violation(f"round {now.number} leaves {dealer} out, which honest holders found good")

    def _dealt_well(self, now: Round, dealer: str) -> bool:
        names = now.submissions[dealer]
        blobs = [self.world.blobs.get(name) for name in (names.contribution, names.response)]
        if None in blobs:
            return False
        dealt, said = read(blobs[0].content, Dealt), read(blobs[1].content, Response)  # type: ignore[union-attr]
        right = Response(now.terms.name, now.number, dealer, now.beacon)
        return dealt is not None and not dealt.malformed and dealt.dealer == dealer and said == right

    def _over(self, now: Round, after: FederationState) -> None:
        self.ended[now.number] = (now.phase, self.world.now)
        self.audits += now.audit is not None
        self.shows += len(now.shown)
        f, honest = tolerated(len(now.terms.members)), {member.name for member in self.world.honest()}
        if now.phase is Phase.FINAL:
            model, then = after.model, after.next
            equal = [found for found in now.finishes.values() if (found.model, found.next) == (model, then)]
            if len(equal) <= f:
                raise Violation(f"the model of round {now.number} rests on {len(equal)} members' word")
            if (model, then) not in self._found[now.number]:
                raise Violation(f"the model of round {now.number} is none that the sum leads to")
            self._exact(now, model)
        for dealer in honest & set(now.submissions):
            blamed = sum(dealer in verdict.at_fault for verdict in now.verdicts.values())
            if blamed > f or self._convicted(now, dealer):
                raise Violation(f"{dealer}, which is honest, is at fault in round {now.number}")

    def _exact(self, now: Round, model: str) -> None:
        """The final model is made from the exact sum over the cohort."""
        if now.task == "skip":
            return
        names = [now.submissions[dealer].contribution for dealer in now.cohort]
        dealt = [read(self.world.blobs[name].content, Dealt) for name in names]
        total = sum(one.value for one in dealt if one is not None)
        if self.world.models[model].total != total:
            raise Violation(f"round {now.number} summed to {self.world.models[model].total} instead of {total}")

    def _convicted(self, now: Round, dealer: str) -> bool:
        audit = None if now.audit is None else (now.audit.beacon, now.audit.responses.get(dealer, b""))
        if audit is not None and not audit[1]:
            audit = None
        contribution = self.world.blobs[now.submissions[dealer].contribution].content
        shares = {h: self.world.blobs.get(name) for h, name in now.accusations.get(dealer, {}).items()}
        return any(
            blob is not None and convicts(now.sum_terms, dealer, holder, contribution, blob.content, audit)
            for holder, blob in shares.items()
        )

    # In the end.

    def overdue(self, healed: int) -> None:
        """Check that a round ends, and the next begins, within a bound of time after the network healed."""
        state, now = self.latest, self.world.now
        since = max([healed, *self.began.values(), *(time for _, time in self.ended.values())])
        bound = ROUND_DEADLINES * int(1000 * self.world.terms.deadline) + ROUND_SLACK
        if state.next is not None and now - since > bound:
            number, what = state.number, "stopped" if state.stopped is not None else "between rounds"
            if state.busy and state.round is not None:
                number, what = state.round.number, state.round.phase.value
            raise Violation(f"deadlines: round {number} is {what} {now - since} ms after healing")

    def finish(self) -> None:
        """Check what holds in the end: one state everywhere, and what all opened sums tell together."""
        latest = encode_state(self.latest)
        for member in self.world.honest():
            if member.state is not None and encode_state(member.state) != latest:
                raise Violation(f"{member.name} ends in another state")
            replica = member.node.replica
            if replica is not None:
                application = replica.execution.application
                assert isinstance(application, FederationApplication)
                if encode_state(application.federation) != latest:
                    raise Violation(f"the replica of {member.name} ends in another state")
        self._bounded(self.latest)
        liars = sum(node.behaviour is not None for node in self.world.nodes.values())
        told: defaultdict[str, set[frozenset[str]]] = defaultdict(set)
        least: dict[str, int] = {}
        for number, (cohort, holders) in self._opened.items():
            question, threshold, fewest = self._questions[number]
            if len(holders) + liars >= threshold:
                told[question].add(frozenset(cohort))
                least[question] = min(least.get(question, fewest), fewest)
        for question, cohorts in told.items():
            if size := isolated(cohorts, least[question]):
                raise Violation(
                    f"what was opened of {question} tells of {size} hospitals: {sorted(map(sorted, cohorts))}"
                )


def isolated(cohorts: set[frozenset[str]], least: int) -> int:
    """Return the size of the smallest group, below `least`, that a combination of the cohorts' sums tells of; or 0."""
    if len(cohorts) < 2:
        return 0
    hospitals = sorted(frozenset[str]().union(*cohorts))
    rows = np.array([[float(h in cohort) for h in hospitals] for cohort in sorted(cohorts, key=sorted)])
    rank = np.linalg.matrix_rank(rows)
    for size in range(1, least):
        for group in combinations(range(len(hospitals)), size):
            if size == len(hospitals) or np.linalg.matrix_rank(np.delete(rows, group, axis=1)) < rank:
                return size
    return 0
