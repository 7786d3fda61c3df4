"""The rules of a whole federation: a pure function from ordered records to its state.

    BeginRound -> round (round/rules.py) -> FINAL: the next model
                                         -> VOID: the same model again
                                         -> ROLLED_BACK: the same model again, and half the step
    cohorts that would tell too much -> a round that sums nothing: the model goes on by what is public
    three rounds in a row without a result -> stopped, until f+1 want to go on
    f+1 equal Changes -> the members change (membership.py), between rounds
    Observe -> its author is not asked to contribute from the next round on, until it says the contrary

A round seals shares to the keys that its holders ordered before it began (`SealingKey`); one whose key is missing or
old is absent from it.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

import msgspec

from medward.federation.errors import RecordRefused
from medward.federation.membership import Members, retracted, settled, wished, without
from medward.federation.records import (
    Announce,
    BeginRound,
    Change,
    DataRecord,
    Next,
    Observe,
    Record,
    Resume,
    Retract,
    RoundRecord,
    RoundTick,
    SealingKey,
)
from medward.federation.round.exposure import Cohort, added
from medward.federation.round.rules import TOO_CLOSE, apply_to_round, begin_round
from medward.federation.round.state import Phase, Round
from medward.federation.sealed_data.rules import DataSets, apply_to_data, without_member
from medward.federation.terms import Terms
from medward.fhe.hybrid import check_public

MAX_FRUITLESS_ROUNDS = 3
#: Nobody seals to a key that so many rounds have passed since; whoever does not renew it is absent.
OLDEST_KEY = 8
#: Which part of a deadline a round waits for holders that are not present.
WAIT_FOR_KEYS = 1 / 2


#: Under which name the cohorts of surveys are kept.
SURVEY = "survey"
#: What members of a federation that has no model yet can do when its surveyed cohort does not come back.
WAY_OUT = (
    "the first survey waits for the same hospitals as before: bring them back and order `medward federation resume`; "
    "without them it goes on without a survey"
)


class Agreement(msgspec.Struct, frozen=True):
    """What a federation agrees on before it begins; it never changes.

    Args:
        name: the federation's name; no other federation has it.
        members: the first members, in the order of their numbers.
        accounts: each first member's public key, 32 bytes, under which its records come.
        deadline: the seconds that each phase may take.
        protect: "aggregate" for encrypted sums, "none" for sums in the open.
        bits: the width of a value of an update, where a sum's dispatch names no other.
        plan: the digest of the plan, which says what is trained and how.
        sample: the share of members invited to a training round.
        model: the first shared model's name.
        first: what the first sum is for.
    """

    name: str
    members: tuple[str, ...]
    accounts: Mapping[str, bytes]
    deadline: float
    protect: Literal["none", "aggregate"]
    bits: int
    plan: str
    model: str
    first: Next
    sample: float = 1.0


class HeldKey(msgspec.Struct, frozen=True):
    """A member's sealing key.

    Args:
        key: its public part.
        since: the number of the first round that could use it.
    """

    key: bytes
    since: int


class Standing(msgspec.Struct, frozen=True):
    """What a member said last of its taking part.

    Args:
        observes: whether it is asked for no contribution.
        since: the number of the first round that this held for.
    """

    observes: bool
    since: int


@dataclass(frozen=True)
class FederationState:
    """The state of a federation.

    Args:
        agreement: what never changes.
        membership: the members now, and what they wish of it.
        number: the next round's number.
        model: the shared model.
        next: what the next sum is for; None once the plan is fulfilled.
        idle_since: when the last round ended.
        sealing: the keys that shares for members are sealed to.
        round: the last round, under way or over.
        fruitless: how many rounds in a row led to no model.
        exposed: cohorts whose sums may be known, by what they are of: "survey", or the model that was trained from.
        refused: how many next models a majority has refused since there is this one.
        contacts: where members' stores are reached, as they said.
        standing: what members said of their taking part; whoever said nothing takes part.
        stopped: why nothing goes on, or None.
        resuming: members who want to go on after that.
        data: the sealed data sets that members keep.
    """

    agreement: Agreement
    membership: Members
    number: int
    model: str
    next: Next | None
    idle_since: float = 0.0
    sealing: Mapping[str, HeldKey] = field(default_factory=dict)
    round: Round | None = None
    fruitless: int = 0
    exposed: Mapping[str, tuple[Cohort, ...]] = field(default_factory=dict)
    refused: int = 0
    contacts: Mapping[str, bytes] = field(default_factory=dict)
    standing: Mapping[str, Standing] = field(default_factory=dict)
    stopped: str | None = None
    resuming: frozenset[str] = frozenset()
    data: DataSets = field(default_factory=DataSets)

    @cached_property
    def terms(self) -> Terms:
        """The members now, and what follows from how many they are."""
        return Terms(self.agreement.name, self.membership.names, self.agreement.deadline)

    @property
    def accounts(self) -> Mapping[str, bytes]:
        """Each member's public key now."""
        return self.membership.accounts

    @property
    def busy(self) -> bool:
        """Whether a round is under way."""
        return self.round is not None and not self.round.over

    @property
    def present(self) -> dict[str, bytes]:
        """The holders that the next round can seal shares to, with their keys; in the open everybody, with none."""
        if self.agreement.protect == "none":
            return dict.fromkeys(self.terms.holders, b"")
        held = ((name, self.sealing.get(name)) for name in self.terms.holders)
        fresh = ((name, one) for name, one in held if one is not None and self.number - one.since <= OLDEST_KEY)
        return {name: one.key for name, one in fresh}

    @property
    def observers(self) -> frozenset[str]:
        """The members that are asked for no contribution."""
        return frozenset(name for name, standing in self.standing.items() if standing.observes)

    @property
    def contributors_lack(self) -> int:
        """How many more members would have to take part for a round to be held."""
        return max(0, self.terms.least_cohort - (len(self.terms.members) - len(self.observers)))

    def may_say(self, member: str, *, observes: bool) -> bool:
        """Whether a member may say now that it observes, or takes part: it is news, and the first of this round."""
        standing = self.standing.get(member, Standing(observes=False, since=-1))
        return standing.observes != observes and standing.since != self.number

    @property
    def begins_at(self) -> float | None:
        """When the next round may begin: at once, or later where a holder gave no key yet; None with too few."""
        if self.busy or len(self.present) < self.terms.threshold or self.contributors_lack:
            return None
        # Who has been here for long and gave no key is waited for no more.
        late = (name for name in self.terms.holders if name not in self.present and name not in self.sealing)
        waits = any(self.number - self.membership.joined.get(name, 0) <= OLDEST_KEY for name in late)
        return self.idle_since + (self.terms.deadline * WAIT_FOR_KEYS if waits else 0.0)

    def sealing_key(self, member: str) -> bytes:
        """Return a member's present sealing key, or nothing."""
        held = self.sealing.get(member)
        return b"" if held is None else held.key

    def needs_sealing_key(self, member: str) -> bool:
        """Whether a member should order a new sealing key: it has none, or a round was begun with the present one."""
        if self.agreement.protect == "none" or member not in self.terms.holders:
            return False
        held = self.sealing.get(member)
        return held is None or held.since < self.number

    def author(self, account: bytes) -> str | None:
        """Return the member whose public key this is, or None."""
        return next((name for name, key in self.accounts.items() if key == account), None)

    def expected(self) -> BeginRound:
        """Return the record that begins the next round; any member may hand it in.

        Raises:
            Refused: the plan is fulfilled.
        """
        if self.next is None:
            raise RecordRefused("The plan is fulfilled: there is no next round.")
        then = self.next
        shape = (then.counts, then.values, then.dispatch)
        return BeginRound(self.number, then.task, self.model, self.invited(), *shape)

    def invited(self) -> tuple[str, ...]:
        """Return who is asked to contribute to the next round: all who take part, or a share drawn for the model."""
        observers, share = self.observers, self.agreement.sample
        members = tuple(name for name in self.terms.members if name not in observers)
        if share >= 1 or self.next is None or self.next.task != "train":
            return members
        wanted = max(self.terms.least_cohort, round(share * len(members)))
        drawn = sorted(members, key=self._draw)[:wanted]
        return tuple(name for name in members if name in drawn)

    def _draw(self, member: str) -> bytes:
        # A step that is repeated invites the same again: another cohort's sum would tell too much beside the first.
        text = f"medward invitation 2\n{self.agreement.plan}\n{self.model}\n{member}"
        return hashlib.sha256(text.encode()).digest()


def founded(agreement: Agreement) -> FederationState:
    """Return a federation's first state."""
    members = Members(agreement.members, agreement.accounts)
    return FederationState(agreement, members, 0, agreement.model, agreement.first)


def apply(
    state: FederationState, record: Record, author: str, time: float, block: bytes, epoch: int | None = None
) -> FederationState:
    """Return the federation's state after one more ordered record.

    Args:
        state: the state before it.
        record: the record.
        author: the member that signed it.
        time: its agreed time in seconds, never smaller than an earlier record's.
        block: the hash of the block that it is in; nobody knows it before the block is ordered.
        epoch: the ledger's epoch that ordered it, which tells whether its members have followed the last change; None
            where they never change, and no change is taken.

    Raises:
        Refused: the record breaks a rule; `state` stays as it is.
    """
    if author not in state.terms.members or getattr(record, "member", author) != author:
        raise RecordRefused(f"{author} cannot say this for {getattr(record, 'member', 'the federation')}.")
    if isinstance(record, RoundTick) and not state.busy:
        if (after := _settle(state, time, epoch)) is not state:
            return after
        raise RecordRefused("No round is under way, and no change of the members waits that could be made now.")
    return _settle(_apply(state, record, author, time, block, epoch), time, epoch)


def _apply(
    state: FederationState, record: Record, author: str, time: float, block: bytes, epoch: int | None
) -> FederationState:
    match record:
        case Announce():
            return replace(state, contacts={**state.contacts, author: record.contact})
        case Change():
            if epoch is None:
                raise RecordRefused(
                    "This ledger's members never change: begin another federation, or use the engine pbft."
                )
            return replace(state, membership=wished(state.membership, record, author, time))
        case Retract():
            return replace(state, membership=retracted(state.membership, record.name, author, time))
        case SealingKey():
            return _renew(state, record, time)
        case Observe():
            return _observe(state, author, observes=record.observes)
    if isinstance(record, DataRecord):
        return replace(state, data=apply_to_data(state.data, record, author, state.terms.members, time))
    if isinstance(record, Resume):
        return _resume(state, author)
    if state.stopped is not None:
        raise RecordRefused(f"The federation has stopped: {state.stopped}.")
    if isinstance(record, BeginRound):
        return _begin(state, record, time, block)
    return _in_round(state, record, time, block)


def _resume(state: FederationState, author: str) -> FederationState:
    if state.stopped is None or author in state.resuming:
        raise RecordRefused("There is nothing to resume.")
    resuming = state.resuming | {author}
    if len(resuming) <= state.terms.faulty:
        return replace(state, resuming=resuming)
    fruitless = state.fruitless if state.stopped.endswith(WAY_OUT) else 0
    return replace(state, stopped=None, fruitless=fruitless, resuming=frozenset())


def _renew(state: FederationState, record: SealingKey, time: float) -> FederationState:
    """Take a member's next sealing key, once it is known that something can be sealed to it."""
    try:
        check_public(record.key)
    except ValueError as error:
        raise RecordRefused(f"The sealing key of {record.member} is no key that can be sealed to: {error}.") from None
    if any(held.key == record.key for held in state.sealing.values()):
        raise RecordRefused(f"The sealing key of {record.member} is in use already.")
    # The first round waits for all holders' keys from the first of them on.
    since = state.idle_since if state.sealing else max(state.idle_since, time)
    held = {**state.sealing, record.member: HeldKey(record.key, state.number)}
    return replace(state, sealing=held, idle_since=since)


def _observe(state: FederationState, author: str, *, observes: bool) -> FederationState:
    # Once a round: who changes its mind all the time would keep others from saying how the next round begins.
    if not state.may_say(author, observes=observes):
        raise RecordRefused(f"{author} has said so already, or has said the contrary since the last round began.")
    return replace(state, standing={**state.standing, author: Standing(observes, state.number)})


def _begin(state: FederationState, record: BeginRound, time: float, block: bytes) -> FederationState:
    if state.busy:
        raise RecordRefused("A round is under way.")
    if record != state.expected():
        raise RecordRefused(f"This is not how round {state.number} begins.")
    if state.contributors_lack:
        raise RecordRefused(f"Round {state.number} waits until {state.contributors_lack} more members take part.")
    if state.begins_at is None or time < state.begins_at:
        raise RecordRefused(f"Round {state.number} waits for the sealing keys of more holders.")
    begun = begin_round(state.terms, state.present, record, time, block)
    begun = replace(begun, known=state.exposed.get(unknowns(record), ()), refused=state.refused)
    return replace(state, round=begun, number=state.number + 1)


def _in_round(state: FederationState, record: RoundRecord, time: float, block: bytes) -> FederationState:
    if state.round is None:
        raise RecordRefused("No round is under way.")
    now = apply_to_round(state.round, record, time, block)
    state = replace(state, round=now)
    return _close(state, now, time) if now.over else state


def _close(state: FederationState, now: Round, time: float) -> FederationState:
    """Take a round's end: its model, and what it may have shown."""
    state = replace(state, idle_since=time)
    state = replace(state, exposed=_expose(state, now))
    if now.phase is Phase.FINAL:
        assert now.candidate is not None
        model, then = now.candidate.model, now.candidate.next
        # Updates of a model that training has left are not asked for again.
        exposed = {of: cohorts for of, cohorts in state.exposed.items() if of in (SURVEY, model)}
        return replace(state, model=model, next=then, fruitless=0, exposed=exposed, refused=0)
    fruitless = state.fruitless + 1
    refused = state.refused + (now.phase is Phase.ROLLED_BACK)
    stopped, then = None, state.next
    refused_cohort = str(now.outcome).startswith(TOO_CLOSE)
    # Nothing is as good as a first survey: the members decide, by resuming, to go on without it.
    waits = MAX_FRUITLESS_ROUNDS if state.model == state.agreement.model else 1
    if refused_cohort and fruitless > waits and then is not None:
        then = msgspec.structs.replace(then, task="skip", counts=0, values=0)
    elif fruitless >= MAX_FRUITLESS_ROUNDS:
        stopped = f"round {now.number} and the {MAX_FRUITLESS_ROUNDS - 1} before it led to no model ({now.outcome})"
        if refused_cohort:
            stopped += f"; {WAY_OUT}"
    return replace(state, next=then, fruitless=fruitless, refused=refused, stopped=stopped)


def unknowns(round: BeginRound | Round) -> str:
    """Return what a round's sum is an equation of.

    All surveys ask for the same, and sums of moments hold the counts of classes once more. Updates of one model are
    alike.
    """
    return SURVEY if round.task in ("survey", "gram") else round.model


def surveyed(state: FederationState) -> Cohort:
    """Return whose rows the scaler, the classes and the frozen counts come from; the same must answer to a survey."""
    return frozenset[str]().union(*state.exposed.get(SURVEY, ()))


def _expose(state: FederationState, now: Round) -> Mapping[str, tuple[Cohort, ...]]:
    """Note the cohort of a round whose sum may be known, whatever became of the round."""
    if not now.exposed:
        return state.exposed
    of = unknowns(now)
    return {**state.exposed, of: added(state.exposed.get(of, ()), frozenset(now.cohort))}


def _settle(state: FederationState, time: float, epoch: int | None) -> FederationState:
    """Make the next change of membership that is agreed on, once nothing is under way."""
    if state.busy:
        return state
    membership, change = settled(state.membership, epoch, state.number, time)
    if change is None:
        return state if membership is state.membership else replace(state, membership=membership)
    gone = change.name
    contacts, sealing = without(state.contacts, gone), without(state.sealing, gone)
    standing = without(state.standing, gone)
    if change.contact is not None:
        contacts = {**contacts, gone: change.contact}
    # What it said with the keys that it had counts no more, but for its data, whose keys are others.
    data = without_member(state.data, gone) if change.account is None else state.data
    state = replace(state, membership=membership, idle_since=time, contacts=contacts, sealing=sealing, data=data)
    return replace(state, standing=standing, resuming=state.resuming - {gone})
