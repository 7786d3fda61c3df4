"""A federation's past as an auditor rebuilds it from the ordered records: every round, ceremony and refused record.

The state alone forgets (a round's verdicts, who spoke against the rules); this keeps it. The rules are those that the
members themselves follow (rules.py).
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from medward.federation import rules
from medward.federation.interfaces import Refused
from medward.federation.records import Attest, KeyBegin, Open, Record, Subject
from medward.federation.round import Phase, Round, Terms, Verdicts
from medward.federation.rules import Agreement, Epoch, Federation, Placed, founded


@dataclass
class PastCeremony:
    """A key ceremony.

    Args:
        terms: the members then.
        first_epoch: the epoch of its first attempt.
        began: when it began.
        height: the block in which it began.
        log: its records.
        epoch: what f+1 members reported of its end, None where it led to no keys.
    """

    terms: Terms
    first_epoch: int
    began: float
    height: int
    log: tuple[Placed, ...] = ()
    epoch: Epoch | None = None


@dataclass
class PastRound:
    """A round.

    Args:
        now: its last state.
        epoch: the key epoch that it summed under; None without keys.
        first_height, last_height: the blocks of its first and its last record.
        verdicts: all that was attested of contributions, of shares and of what was revealed, by the phase.
    """

    now: Round
    epoch: int | None
    first_height: int
    last_height: int
    verdicts: dict[Phase, dict[Subject, Verdicts]] = field(default_factory=dict)


@dataclass(frozen=True)
class RefusedRecord:
    """A record that broke a rule and changed nothing."""

    height: int
    author: str
    kind: str
    why: str


class History:
    """The federation's past; `take` every ordered record in turn.

    Args:
        agreement: what it agreed on before it began.

    Attributes:
        state: the present state.
        rounds: every round by its number.
        ceremonies: every ceremony, the first one first.
        refused: the records that broke a rule.
        taken: how many records were applied.
    """

    def __init__(self, agreement: Agreement) -> None:
        self.state: Federation = founded(agreement)
        self.rounds: dict[int, PastRound] = {}
        self.ceremonies: list[PastCeremony] = []
        self.refused: list[RefusedRecord] = []
        self.taken = 0

    def take(self, record: Record, account: bytes, time: float, block: bytes, height: int) -> None:
        """Take an ordered record.

        Args:
            record: the record.
            account: the public key that signed it.
            time: its agreed time in seconds.
            block: the hash of the block that it is in (`FederationSnapshot.block`).
            height: that block's height.
        """
        before = self.state
        author = before.author(account) or ""
        try:
            self.state = rules.apply(before, record, author, time, block)
        except Refused as refused:
            self.refused.append(RefusedRecord(height, author, type(record).__name__, str(refused)))
            return
        self.taken += 1
        self._note_round(before, record, height)
        self._note_ceremony(before, record, height)

    def models(self) -> Iterator[tuple[int, str]]:
        """Yield (round, model) of the rounds that led to one."""
        for number, past in self.rounds.items():
            if past.now.phase is Phase.FINAL and past.now.candidate is not None:
                yield number, past.now.candidate.model

    def _note_round(self, before: Federation, record: Record, height: int) -> None:
        now = self.state.round
        if now is None or now == before.round:
            return
        if isinstance(record, Open):
            epoch = None if self.state.epoch is None else self.state.epoch.epoch
            self.rounds[now.number] = PastRound(now, epoch, height, height)
        past = self.rounds[now.number]
        past.now, past.last_height = now, height
        if isinstance(record, Attest) and before.round is not None:
            said = past.verdicts.setdefault(before.round.phase, {})
            for about in (*record.good, *record.bad):
                found = said.get(about, Verdicts())
                if about in record.good:
                    said[about] = Verdicts(found.good | {record.member}, found.bad)
                else:
                    said[about] = Verdicts(found.good, found.bad | {record.member})

    def _note_ceremony(self, before: Federation, record: Record, height: int) -> None:
        now = self.state.ceremony
        if isinstance(record, KeyBegin) and now is not None:
            self.ceremonies.append(PastCeremony(self.state.terms, now.first_epoch, now.began, height))
        elif now is not None:
            self.ceremonies[-1].log = now.log
        elif before.ceremony is not None and self.state.epoch != before.epoch:
            self.ceremonies[-1].epoch = self.state.epoch
