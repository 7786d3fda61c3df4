"""A federation's past as an auditor rebuilds it from the ordered records: every round, and every refused record.

A round's last state keeps who said what in it; this keeps what the state forgets: earlier rounds, the blocks that its
beacons were drawn from, and who spoke against the rules. The rules are those that the members follow (rules.py).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from medward.federation import rules
from medward.federation.errors import RecordRefused
from medward.federation.records import Answer, BeginRound, Finish, Record, Respond, Show, Submit, commitment_to
from medward.federation.round.state import NextModel, Phase, Round
from medward.federation.rules import Agreement, FederationState, founded

#: Of these a member has one a round, fixed by what its journal keeps: two different ones are no accident.
_ONCE = (Submit, Show, Answer, Respond)


@dataclass
class PastRound:
    """A round.

    Args:
        now: its last state.
        first_height, last_height: the blocks of its first and its last record.
        key_ages: how many rounds before it the sealing key of each present holder was ordered.
        closing: the hash of the block that closed the commitments; empty if none did.
        auditing: the hash of the block from which on no answer counted; empty if no answers were audited.
        finishes: what members found, also those whose word came after the end.
        contradicting: (member, what it did) of records that contradict what their own author ordered in the round.
    """

    now: Round
    first_height: int
    last_height: int
    key_ages: Mapping[str, int] = field(default_factory=dict)
    closing: bytes = b""
    auditing: bytes = b""
    finishes: dict[str, NextModel] = field(default_factory=dict)
    contradicting: list[tuple[str, str]] = field(default_factory=list)


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
        refused: the records that broke a rule.
        taken: how many records were applied.
    """

    def __init__(self, agreement: Agreement) -> None:
        self.state: FederationState = founded(agreement)
        self.rounds: dict[int, PastRound] = {}
        self.refused: list[RefusedRecord] = []
        self.taken = 0
        self._once: dict[tuple[type[Record], int, str], Record] = {}

    def take(
        self, record: Record, account: bytes, time: float, block: bytes, height: int, epoch: int | None = None
    ) -> None:
        """Take an ordered record.

        Args:
            record: the record.
            account: the public key that signed it.
            time: its agreed time in seconds.
            block: the hash of the block that it is in (`FederationSnapshot.block`).
            height: that block's height.
            epoch: the ledger's epoch that ordered it, None where its members never change.
        """
        before = self.state
        author = before.author(account) or ""
        self._note_said(record, author)
        try:
            self.state = rules.apply(before, record, author, time, block, epoch)
        except RecordRefused as refused:
            self.refused.append(RefusedRecord(height, author, type(record).__name__, str(refused)))
            return
        self.taken += 1
        self._note_round(before, record, block, height)

    def models(self) -> Iterator[tuple[int, str]]:
        """Yield (round, model) of the rounds that led to one."""
        for number, past in self.rounds.items():
            if past.now.phase is Phase.FINAL and past.now.candidate is not None:
                yield number, past.now.candidate.model

    def _note_said(self, record: Record, author: str) -> None:
        """Note what its author may be held to, whether the rules take it or not: its first finish, contradictions."""
        if not isinstance(record, (*_ONCE, Finish)) or record.member != author or record.round not in self.rounds:
            return
        past, kind = self.rounds[record.round], type(record).__name__
        if isinstance(record, Finish):
            past.finishes.setdefault(author, NextModel(record.model, record.next))
            return
        first = self._once.setdefault((type(record), record.round, author), record)
        if first != record:
            past.contradicting.append((author, f"ordered two different {kind} records"))
        elif isinstance(record, Submit) and author in past.now.commitments:
            bound = commitment_to(past.now.terms.name, record.round, author, record.contribution)
            if bound != past.now.commitments[author]:
                past.contradicting.append((author, "wanted to show another contribution than it had committed to"))

    def _note_round(self, before: FederationState, record: Record, block: bytes, height: int) -> None:
        now = self.state.round
        if now is None or now == before.round:
            return
        if isinstance(record, BeginRound):
            held = self.state.sealing
            ages = {name: now.number - held[name].since for name in now.sealing_keys if name in held}
            self.rounds[now.number] = PastRound(now, height, height, ages)
        past = self.rounds[now.number]
        if now.beacon and not past.now.beacon:
            past.closing = block
        if now.audit is not None and past.now.audit is None:
            past.auditing = block
        past.now, past.last_height = now, height
