"""One member of a federation as a whole: it follows the rules, takes part in rounds, and moves them on.

A pure machine: ordered records, answers to effects and the time come in, effects come out. The same object runs in a
node on a ledger of real replicas and, with others, in one process (simulation.py).

    ordered(record)  -> rules.apply -> Member.follow
    duties(now)      -> what this member hands in because nobody has: whether it observes, its next sealing key, the
                        next round, a tick that ends a phase or makes a change of membership that waited

Whose turn it is goes round; the others wait a while longer each, so that one silent member stops nothing.
"""

from medward.federation import rules
from medward.federation.errors import RecordRefused
from medward.federation.records import BeginRound, Observe, Record, RoundRecord, RoundTick, SealingKey
from medward.federation.round.effects import OrderRecord, RoundEffect, RoundEvent
from medward.federation.round.member import RoundMember
from medward.federation.round.naming import sizes_of
from medward.federation.round.telling import awaited
from medward.federation.rules import FederationState
from medward.federation.sums.interface import SecureSum

#: Which part of a deadline each next member waits before it does what is another's turn.
PATIENCE = 1 / 16


class FederationMember:
    """One member.

    Args:
        name: its name.
        state: the federation's state now.
        sums: its part in sums.
        observes: whether it has nothing to contribute, and says so.
    """

    def __init__(self, name: str, state: FederationState, sums: SecureSum, *, observes: bool = False) -> None:
        self.name, self.state, self.observes = name, state, observes
        self._sums = sums
        self._member = RoundMember(name, sums)
        self._next_key: SealingKey | None = None
        self._handed_in: dict[Record, float] = {}

    @property
    def awaited(self) -> tuple[str, ...]:
        """Whose word the present phase of the round waits for until its deadline."""
        return () if self.state.round is None else awaited(self.state.round)

    def sizes(self) -> dict[str, tuple[int, ...]]:
        """Return how long each blob is that was named in the present round (`naming.sizes_of`)."""
        return {} if self.state.round is None else sizes_of(self.state.round, self._sums)

    def begin(self) -> list[RoundEffect]:
        """Return what is to be done at the start, also in the middle of a round."""
        now = self.state.round
        return [] if now is None or now.over else self._member.follow(now, None)

    def ordered(
        self, record: Record, author: str, time: float, block: bytes, epoch: int | None = None
    ) -> list[RoundEffect]:
        """Take an ordered record; one that breaks a rule changes nothing.

        Args:
            record: the record.
            author: the member that signed it.
            time: its agreed time in seconds.
            block: the hash of the block that it is in.
            epoch: the ledger's epoch that ordered it, None where its members never change.
        """
        before = self.state
        try:
            self.state = rules.apply(before, record, author, time, block, epoch)
        except RecordRefused:
            return []
        # A tick that came before the ledger's time had passed the deadline is no refusal, and has done nothing.
        if not isinstance(record, RoundTick):
            self._handed_in.pop(record, None)
        if isinstance(record, RoundRecord) and self.state.round is not None and self.state.round is not before.round:
            effects = self._member.follow(self.state.round, record)
            if self.state.round.over:
                self._erase_keys()
            if isinstance(record, BeginRound) and self.state.needs_sealing_key(self.name):
                effects.append(self._hand_in(self._sealing_key(), time))
            return effects
        return []

    def step(self, event: RoundEvent) -> list[RoundEffect]:
        """Take what an effect led to."""
        return self._member.step(event)

    def wake(self) -> float:
        """Return the time at which `duties` may have something to hand in."""
        return min((time for _, time in self._duties()), default=float("inf"), key=float)

    def duties(self, now: float) -> list[RoundEffect]:
        """Return what is to be handed in at a time because nobody else has."""
        effects: list[RoundEffect] = []
        # What was handed in while the clock was ahead is waited for no longer once it is right.
        latest = now + self.state.terms.deadline
        self._handed_in = {record: min(until, latest) for record, until in self._handed_in.items()}
        if self._member.hastens_at <= now:
            effects += self._member.hasten()
        for record, time in self._duties():
            if record is not None and time <= now:
                effects.append(self._hand_in(record, now))
        return effects

    def _hand_in(self, record: Record, now: float) -> OrderRecord:
        """Hand a record in; what is lost on the way is handed in again after a deadline.

        A tick that this member's clock led it to too early is repeated once the others have had their turn: the
        ledger's time may be a little behind, and a member whose clock is hours ahead must not fill the ledger.
        """
        waiting = {other: until for other, until in self._handed_in.items() if until > now}
        turns = min(1.0, PATIENCE * len(self.state.terms.members)) if isinstance(record, RoundTick) else 1.0
        self._handed_in = {**waiting, record: now + turns * self.state.terms.deadline}
        return OrderRecord(record)

    def _duties(self) -> list[tuple[Record | None, float]]:
        """What is to be handed in next, and from when on; None stands for what the round's machine says itself."""
        state = self.state
        if self.name not in state.terms.members:
            return []
        due: list[tuple[Record | None, float]] = []
        wait = self._place() * PATIENCE * state.terms.deadline
        if not state.busy and state.membership.agreed:
            # It waits for the ledger to follow the change before, and for a record to be made by.
            due.append((RoundTick(state.number), state.idle_since + PATIENCE * state.terms.deadline + wait))
        if state.stopped is not None or state.next is None:
            return self._not_yet_handed_in(due)
        if state.round is not None and not state.round.over:
            due += [(RoundTick(state.round.number), state.round.due + wait), (None, self._member.hastens_at)]
        elif (begins := state.begins_at) is not None:
            due.append((state.expected(), begins + wait))
        if state.may_say(self.name, observes=self.observes):
            # The first round waits for the keys: before its own, it is known who will not be asked.
            due.append((Observe(self.observes), 0.0))
        elif state.needs_sealing_key(self.name):
            due.append((self._sealing_key(), 0.0))
        return self._not_yet_handed_in(due)

    def _not_yet_handed_in(self, due: list[tuple[Record | None, float]]) -> list[tuple[Record | None, float]]:
        return [(record, max(time, self._handed_in.get(record, 0.0) if record else time)) for record, time in due]

    def _sealing_key(self) -> SealingKey:
        """Return this member's next sealing key, drawn once until it is ordered."""
        if self._next_key is None or self.state.sealing_key(self.name) == self._next_key.key:
            self._next_key = SealingKey(self.name, self._sums.sealing_key())
        return self._next_key

    def _erase_keys(self) -> None:
        """Erase the secrets of sealing keys that no round needs any more."""
        kept = [self.state.sealing_key(self.name), b"" if self._next_key is None else self._next_key.key]
        self._sums.keep_sealing_keys([key for key in kept if key])

    def _place(self) -> int:
        """How many members' turn it is before this one's."""
        members = self.state.terms.members
        return (members.index(self.name) - self.state.number) % len(members)
