"""One member of a federation as a whole: it follows the rules, takes part in ceremonies and rounds, and moves them on.

A pure machine: ordered records, answers to effects and the time come in, effects come out. The same object runs in a
node on a ledger of real replicas and, with others, in one process (simulation.py).

    ordered(record)  -> rules.apply -> Member.follow (rounds), KeyCeremony.ordered (keys)
    duties(now)      -> what this member hands in because nobody has: the next round or ceremony, or a tick

Whose turn it is goes round; the others wait a while longer each, so that one silent member stops nothing.
"""

from collections.abc import Callable, Mapping

from medward.federation import rules
from medward.federation.ceremony import Setup
from medward.federation.effects import Effect, Event, FetchKeyBlob, KeepKeys, KeyBlobFetched, Order
from medward.federation.encrypted_sum import EpochMaterial
from medward.federation.interfaces import Refused, SecureSum
from medward.federation.key_ceremony import KeyCeremony, keys_digest
from medward.federation.member import Member
from medward.federation.memory import PlainSum
from medward.federation.records import KeyBegin, KeyCommit, KeyRecord, KeyTick, KeyWish, Record, RoundRecord, Tick
from medward.federation.round import Terms
from medward.federation.rules import Agreement, Federation, Gathering
from medward.fhe.parameters import capacity

#: Makes a member's part in encrypted sums from an epoch's material, given the least cohort.
MakeSums = Callable[[EpochMaterial, int], SecureSum]
#: Which part of a deadline each next member waits before it does what is another's turn.
PATIENCE = 1 / 16


class Participant:
    """One member.

    Args:
        name: its name.
        state: the federation's state now.
        make_sums: makes its part in encrypted sums.
        material: what it kept of the present key epoch, if it did.
    """

    def __init__(
        self, name: str, state: Federation, make_sums: MakeSums, material: EpochMaterial | None = None
    ) -> None:
        self.name, self.state = name, state
        self._make_sums = make_sums
        self._material = material
        self._ceremony: KeyCeremony | None = None
        self._member = Member(name, self._sums())
        self._handed_in: dict[Record, float] = {}

    @property
    def ceremony(self) -> KeyCeremony | None:
        """The last ceremony that this member took part in or watched."""
        return self._ceremony

    @property
    def holds_keys(self) -> bool:
        """Whether this member can take part in sums as things are."""
        return self._member.takes_part

    @property
    def awaited(self) -> tuple[str, ...]:
        """Whose word the present phase of the round, or of the key ceremony, waits for until its deadline."""
        if self.state.ceremony is not None:
            return () if self._ceremony is None else self._ceremony.awaited
        return () if self.state.round is None else self.state.round.awaited

    @property
    def left_out(self) -> Mapping[str, str]:
        """Who was left out of the keys in the last ceremony that this member followed, and why."""
        return {} if self._ceremony is None else self._ceremony.left_out

    def still_needs(self, fetch: FetchKeyBlob) -> bool:
        """Whether a ceremony's blob is needed: f+1 others may have ended the ceremony before this member has."""
        ceremony = self._ceremony
        return ceremony is not None and not ceremony.over and fetch.epoch >= ceremony.first_epoch

    def begin(self) -> list[Effect]:
        """Return what is to be done at the start, also in the middle of a round or a ceremony."""
        effects: list[Effect] = []
        if self.state.ceremony is not None:
            effects += self._joined(self.state.ceremony)
        return [*effects, *self._in_the_middle()]

    def ordered(self, record: Record, author: str, time: float, block: bytes) -> list[Effect]:
        """Take an ordered record; one that breaks a rule changes nothing.

        Args:
            record: the record.
            author: the member that signed it.
            time: its agreed time in seconds.
            block: the hash of the block that it is in.
        """
        before = self.state
        try:
            self.state = rules.apply(before, record, author, time, block)
        except Refused:
            return []
        self._handed_in.pop(record, None)
        effects: list[Effect] = []
        if isinstance(record, KeyBegin):
            effects += self._gathered(record, time)
        elif isinstance(record, KeyRecord) and self._ceremony is not None:
            effects += self._kept(self._ceremony.ordered(record, time, block))
        if self.state.epoch != before.epoch:
            self._member.rekeyed(self._sums())
        if isinstance(record, RoundRecord) and self.state.round is not None:
            effects += self._member.follow(self.state.round, record)
        return effects

    def step(self, event: Event) -> list[Effect]:
        """Take what an effect led to."""
        if isinstance(event, KeyBlobFetched):
            return [] if self._ceremony is None else self._kept(self._ceremony.fetched(event))
        return self._member.step(event)

    def wake(self) -> float:
        """Return the time at which `duties` may have something to hand in."""
        return min((time for _, time in self._duties()), default=float("inf"))

    def duties(self, now: float) -> list[Effect]:
        """Return what is to be handed in at a time because nobody else has."""
        effects: list[Effect] = []
        for record, time in self._duties():
            if time <= now:
                # What is lost on the way is handed in again after a deadline.
                waiting = {other: until for other, until in self._handed_in.items() if until > now}
                self._handed_in = {**waiting, record: now + self.state.terms.deadline}
                effects.append(Order(record))
        return effects

    def _duties(self) -> list[tuple[Record, float]]:
        """What is to be handed in next, and from when on."""
        state = self.state
        if self.name not in state.terms.members:
            return []
        due: list[tuple[Record, float]] = []
        if state.round is not None and not state.round.over:
            due.append((Tick(state.round.number), state.round.due))
        elif state.ceremony is not None:
            if self._ceremony is not None and not self._ceremony.over:
                due.append((KeyTick(self._ceremony.state.epoch, self.name), self._ceremony.due))
            again = state.ceremony.began + rules.CEREMONY_DEADLINES * state.terms.deadline
            due.append((KeyBegin(state.last_epoch + 1, self.name), again))
        elif state.next is not None and state.stopped is None:
            begin: Record = KeyBegin(state.last_epoch + 1, self.name) if state.keys_due else state.expected()
            due.append((begin, state.idle_since))
        wait = self._place() * PATIENCE * state.terms.deadline
        due = [(record, time + wait) for record, time in due]
        if state.epoch is not None and state.ceremony is None and state.next is not None and state.stopped is None:
            wish = KeyWish(state.epoch.epoch, self.name)
            due += [(wish, state.idle_since)] if state.may_wish(self.name) else []
        return [(record, max(time, self._handed_in.get(record, 0.0))) for record, time in due]

    def _place(self) -> int:
        """How many members' turn it is before this one's."""
        members = self.state.terms.members
        return (members.index(self.name) - self.state.number) % len(members)

    def _sums(self) -> SecureSum | None:
        """Return this member's part in sums, or None while its keys are not those that were agreed on."""
        state = self.state
        if state.agreement.protect == "none":
            return PlainSum(self.name)
        material, epoch = self._material, state.epoch
        if material is None or epoch is None or keys_digest(material.keys) != epoch.digest:
            return None
        return self._make_sums(material, state.terms.least_cohort)

    def _setup(self) -> Setup:
        return setup_of(self.state.agreement, self.state.terms)

    def _gathered(self, record: KeyBegin, time: float) -> list[Effect]:
        if self.name not in self.state.terms.members:
            return []
        self._ceremony = KeyCeremony(self.name, self.state.terms, self._setup(), record.epoch)
        return self._kept(self._ceremony.begin(time))

    def _joined(self, now: Gathering) -> list[Effect]:
        """Follow a ceremony from its middle; who has spoken in it and lost its secrets only looks on."""
        if self.name not in self.state.terms.members:
            return []
        spoken = any(isinstance(p.record, KeyCommit) and p.record.member == self.name for p in now.log)
        self._ceremony = KeyCeremony(self.name, self.state.terms, self._setup(), now.first_epoch, looks_on=spoken)
        effects = self._ceremony.begin(now.began)
        for placed in now.log:
            effects += self._ceremony.ordered(placed.record, placed.time, placed.block)
        return self._kept(effects)

    def _kept(self, effects: list[Effect]) -> list[Effect]:
        """Take the keys that a ceremony made; they may come when a round under them is under way already."""
        late: list[Effect] = []
        for effect in effects:
            if isinstance(effect, KeepKeys):
                self._material = effect.material
                if (sums := self._sums()) is not None:
                    self._member.rekeyed(sums)
                    late = self._in_the_middle()
        return [*effects, *late]

    def _in_the_middle(self) -> list[Effect]:
        """Return what is to be done in the round that is under way, if one is."""
        now = self.state.round
        return [] if now is None or now.over else self._member.follow(now, None)


def setup_of(agreement: Agreement, terms: Terms) -> Setup:
    """Return what a ceremony makes keys for, under an agreement and with these members."""
    name = agreement.name.encode()
    return Setup(name, agreement.key_set, agreement.bits, capacity(len(terms.members)), "malicious")
