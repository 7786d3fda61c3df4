"""The state of one round: who said what so far, and where it stands. The rules that change it: round_rules.py."""

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum

from medward.federation.records import AT_ONCE, Dispatch, Next, Subject, Task, subject


class Phase(Enum):
    """Where a round stands."""

    COMMITTING = "committing"
    SUBMITTING = "submitting"
    ATTESTING = "attesting"
    AGGREGATING = "aggregating"
    CHECKING = "checking"
    SHARING = "sharing"
    VERIFYING = "verifying"
    OPENING = "opening"
    FINISHING = "finishing"
    VOTING = "voting"
    FINAL = "final"
    ROLLED_BACK = "rolled back"
    VOID = "void"


OVER = (Phase.FINAL, Phase.ROLLED_BACK, Phase.VOID)


@dataclass(frozen=True)
class Terms:
    """What a federation agreed on before its first round.

    Args:
        name: the federation's name.
        members: all members, in an agreed order.
        deadline: the seconds that each phase of a round may take.
    """

    name: str
    members: tuple[str, ...]
    deadline: float = 600.0

    @property
    def faulty(self) -> int:
        """How many members may lie: f = floor((n - 1) / 3)."""
        return (len(self.members) - 1) // 3

    @property
    def least_cohort(self) -> int:
        """How many contributions a sum needs, so that f colluders cannot isolate one: max(3, f + 2)."""
        return min(max(3, self.faulty + 2), len(self.members))


@dataclass(frozen=True)
class Keys:
    """Who holds the joint key, as far as the rules of a round need to know.

    Args:
        holders: the members whose shares open a sum.
        openings: how many silent holders may still be opened under these keys.
    """

    holders: tuple[str, ...]
    openings: int

    @property
    def threshold(self) -> int:
        """How many dealt shares open a holder: t = n - f of the holders."""
        return len(self.holders) - (len(self.holders) - 1) // 3


@dataclass(frozen=True)
class Verdicts:
    """Who found a blob good and who found it bad."""

    good: frozenset[str] = frozenset()
    bad: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Found:
    """What a member found behind an opened sum: the next shared model, and what the sum after it is for."""

    model: str
    next: Next | None


@dataclass(frozen=True)
class Round:
    """The state of one round.

    Args:
        terms: the federation's terms.
        keys: who holds the joint key.
        number: the round's number.
        task: what is summed.
        model: the shared model that members work from.
        invited: who was asked to contribute.
        counts, values: the shape of a contribution.
        phase: where the round stands.
        since: when that phase began.
        dispatch: how contributions are sent.
        earlier: cohorts of this step whose sum may be known although it led to no model.
        refused: how many next models of this step a majority has refused.
        commitments: each contributor's commitment.
        submissions: each contributor's blob.
        verdicts: what members found about what others showed in the present phase.
        cohort: whose contributions are summed, once that is fixed.
        attempt: how many aggregators failed.
        aggregate: the aggregate's blob, once there is one.
        rejects: who rejected it.
        share_commitments: each holder's commitment to its share.
        shares: each holder's share.
        good_shares: the holders whose share was found good, once that is settled.
        silent: the holders without a good share, once that is settled.
        reveals: for a silent holder, who showed which dealt share.
        finishes: what each member found.
        candidate: what f+1 members have found.
        votes: who accepts it and who does not.
        exposed: whether shares of the sum may have been shown.
        outcome: the next model, once final; otherwise why there is none.
    """

    terms: Terms
    keys: Keys
    number: int
    task: Task
    model: str
    invited: tuple[str, ...]
    counts: int
    values: int
    phase: Phase
    since: float
    dispatch: Dispatch = AT_ONCE
    earlier: tuple[frozenset[str], ...] = ()
    refused: int = 0
    commitments: Mapping[str, bytes] = field(default_factory=dict)
    submissions: Mapping[str, str] = field(default_factory=dict)
    verdicts: Mapping[Subject, Verdicts] = field(default_factory=dict)
    cohort: tuple[str, ...] = ()
    attempt: int = 0
    aggregate: str | None = None
    rejects: frozenset[str] = frozenset()
    share_commitments: Mapping[str, bytes] = field(default_factory=dict)
    shares: Mapping[str, str] = field(default_factory=dict)
    good_shares: tuple[str, ...] = ()
    silent: tuple[str, ...] = ()
    reveals: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    finishes: Mapping[str, Found] = field(default_factory=dict)
    candidate: Found | None = None
    votes: Mapping[str, bool] = field(default_factory=dict)
    exposed: bool = False
    outcome: str | None = None

    @property
    def aggregator(self) -> str | None:
        """Whose turn it is to add, once the cohort is fixed: it goes round with rounds and failed attempts."""
        return self.cohort[(self.number + self.attempt) % len(self.cohort)] if self.cohort else None

    @property
    def checks(self) -> dict[str, int]:
        """How much was shown and how much of it was found good, as reports tell it once the round is over.

        `contributions`, `shares` and `reveals` were shown; of them `proved_...` were found good by f+1 members.
        `added_anew` members added the cohort's contributions themselves and got the aggregate, `rejected` did not.
        """
        revealed = [(holder, member) for holder, shown in self.reveals.items() for member in shown]
        return {
            "contributions": len(self.submissions),
            "proved_contributions": len(self.cohort),
            "added_anew": len(self.share_commitments),
            "rejected": len(self.rejects),
            "shares": len(self.shares),
            "proved_shares": len(self.good_shares),
            "reveals": len(revealed),
            "proved_reveals": sum(self.good(*names) for names in revealed),
        }

    @property
    def over(self) -> bool:
        """Whether nothing can change any more."""
        return self.phase in OVER

    @property
    def due(self) -> float:
        """When the present phase's deadline passes."""
        return self.since + self.terms.deadline

    @property
    def awaited(self) -> tuple[str, ...]:
        """Whose word the present phase waits for until its deadline; some phases end before all have spoken."""
        members, holders = self.terms.members, self.keys.holders
        match self.phase:
            case Phase.COMMITTING:
                return _without(self.invited, self.commitments)
            case Phase.SUBMITTING:
                return _without(self.commitments, self.submissions)
            case Phase.ATTESTING:
                return tuple(m for m in members if not self._judged(m, map(subject, self.submissions)))
            case Phase.AGGREGATING if self.aggregator is not None:
                return (self.aggregator,)
            case Phase.CHECKING:
                return _without(holders, {*self.share_commitments, *self.rejects})
            case Phase.SHARING:
                return _without(self.share_commitments, self.shares)
            case Phase.VERIFYING:
                return tuple(m for m in members if not self._judged(m, map(subject, self.shares)))
            case Phase.OPENING:
                shown = {holder: self.reveals.get(holder, {}) for holder in self.silent}
                return tuple(h for h in holders if any(h not in by for silent, by in shown.items() if silent != h))
            case Phase.FINISHING:
                return _without(members, self.finishes)
            case Phase.VOTING:
                return _without(members, self.votes)
        return ()

    def _judged(self, member: str, shown: Iterable[Subject]) -> bool:
        """Whether a member has given its verdict on all of this."""
        found = (self.verdicts.get(about, Verdicts()) for about in shown)
        return all(member in one.good | one.bad for one in found)

    def good(self, *names: str) -> bool:
        """Whether f+1 members hold what a member showed, or revealed of a holder, and found it good."""
        found = self.verdicts.get(subject(*names))
        return found is not None and len(found.good) > self.terms.faulty

    def settled(self, members: Iterable[str]) -> bool:
        """Whether f+1 members agree on what each of these members showed."""
        bad = {about for about, found in self.verdicts.items() if len(found.bad) > self.terms.faulty}
        return all(self.good(member) or subject(member) in bad for member in members)


def _without(names: Iterable[str], spoken: Container[str]) -> tuple[str, ...]:
    return tuple(name for name in names if name not in spoken)
