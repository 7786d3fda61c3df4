"""The state of one round: who said what so far, and where it stands. The rules that change it: rules.py."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from medward.federation.records import AT_ONCE, Attest, Dispatch, Next, Submit, Task
from medward.federation.round.exposure import Cohort
from medward.federation.sums.interface import SumTerms
from medward.federation.terms import Terms


class Phase(Enum):
    """Where a round stands."""

    COMMITTING = "committing"
    SUBMITTING = "submitting"
    CHECKING = "checking"
    SHOWING = "showing"
    JUDGING = "judging"
    ANSWERING = "answering"
    FINISHING = "finishing"
    AUDITING = "auditing"
    VOTING = "voting"
    FINAL = "final"
    ROLLED_BACK = "rolled back"
    VOID = "void"


OVER = (Phase.FINAL, Phase.ROLLED_BACK, Phase.VOID)


@dataclass(frozen=True)
class NextModel:
    """What a member found behind a decrypted sum: the next shared model, and what the sum after it is for."""

    model: str
    next: Next | None


@dataclass(frozen=True)
class AnswerAudit:
    """An audit of answers, of which no set fitted: its beacon, the answers that count, the dealers' responses."""

    beacon: bytes
    answers: Mapping[str, str]
    responses: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class Round:
    """The state of one round.

    Args:
        terms: the federation's terms when it began; who leaves is silent in it, and who comes waits.
        number, task, model, invited, counts, values, dispatch: as its `BeginRound` has them.
        phase, since, recent: where it stands, when that phase began, the hash of the block in which the round did.
        sealing_keys: the keys that shares are sealed to, of the holders that are present; empty ones in the open.
        known: cohorts whose sums may be known of the same unknowns (exposure.py).
        refused: how many next models of this step a majority has refused.
        commitments, submissions: each contributor's commitment, and its blobs.
        beacon: what challenges the dealings, once the commitments are closed.
        verdicts, judgements: what each holder found of the dealings, and of what dealers showed.
        shown: what dealers showed, of whom some holders complained.
        cohort: whose contributions are summed, once that is fixed.
        answers, unfitting: each holder's answer; who found that no set of them fits, and which it held.
        audit: the audit of answers, where there was one.
        accusations: dealer -> holder -> the share that is to prove the dealer at fault.
        finishes, candidate: what each member found, and what f+1 members have found.
        votes, outcome: who accepts it and who does not; the next model, once final, otherwise why there is none.
    """

    terms: Terms
    number: int
    task: Task
    model: str
    invited: tuple[str, ...]
    counts: int
    values: int
    phase: Phase
    since: float
    recent: bytes
    sealing_keys: Mapping[str, bytes]
    dispatch: Dispatch = AT_ONCE
    known: tuple[Cohort, ...] = ()
    refused: int = 0
    commitments: Mapping[str, bytes] = field(default_factory=dict)
    beacon: bytes = b""
    submissions: Mapping[str, Submit] = field(default_factory=dict)
    verdicts: Mapping[str, Attest] = field(default_factory=dict)
    shown: Mapping[str, str] = field(default_factory=dict)
    judgements: Mapping[str, Attest] = field(default_factory=dict)
    cohort: tuple[str, ...] = ()
    answers: Mapping[str, str] = field(default_factory=dict)
    unfitting: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    audit: AnswerAudit | None = None
    accusations: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    finishes: Mapping[str, NextModel] = field(default_factory=dict)
    candidate: NextModel | None = None
    votes: Mapping[str, bool] = field(default_factory=dict)
    outcome: str | None = None

    @property
    def sum_terms(self) -> SumTerms:
        """What the members' parts in the sum need to know of it."""
        terms = self.terms
        keys = tuple(self.sealing_keys.get(holder, b"") for holder in terms.holders)
        shape = (self.counts, self.values, self.dispatch.bits)
        return SumTerms(
            terms.name, self.number, *shape, self.invited, terms.holders, keys,
            faulty=terms.faulty, threshold=terms.threshold, recent=self.recent,
        )  # fmt: skip

    @property
    def exposed(self) -> bool:
        """Whether somebody may know the cohort's sum: once it is fixed, holders show answers, ordered or not."""
        return bool(self.cohort)

    @property
    def over(self) -> bool:
        """Whether nothing can change any more."""
        return self.phase in OVER

    @property
    def due(self) -> float:
        """When the present phase's deadline passes."""
        return self.since + self.terms.deadline

    def complainers(self, dealer: str) -> tuple[str, ...]:
        """Return the holders that complained of what a dealer dealt to them, in the order of the holders."""
        return tuple(h for h in self.terms.holders if h in self.verdicts and dealer in self.verdicts[h].complaints)

    @property
    def staying(self) -> tuple[str, ...]:
        """The dealers that f+1 holders found good, so that an honest one did, and of whom few enough complained."""
        f, most = self.terms.faulty_holders, self.sum_terms.most_shown
        finders = Counter(dealer for verdict in self.verdicts.values() for dealer in verdict.good)
        complaints = Counter(dealer for verdict in self.verdicts.values() for dealer in verdict.complaints)
        return tuple(d for d in self.invited if finders[d] > f and complaints[d] <= most)

    @property
    def must_show(self) -> tuple[str, ...]:
        """The dealers that stay only if they show, and show rightly, what they dealt to who complained."""
        return tuple(d for d in self.staying if any(d in verdict.complaints for verdict in self.verdicts.values()))

    @property
    def acquitted(self) -> tuple[str, ...]:
        """The dealers that showed what f+1 holders, so an honest one, found good."""
        found, f = self.judgements.values(), self.terms.faulty_holders
        return tuple(d for d in self.shown if sum(d in verdict.good for verdict in found) > f)
