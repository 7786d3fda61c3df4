"""The rules of a whole federation: a pure function from ordered records to its state.

    no keys, or keys that are due -> KeyBegin -> ceremony -> f+1 equal KeyActive -> keys
                                                          -> f+1 equal KeyFailed -> the next ceremony
    keys -> Open -> round (round_rules.py) -> FINAL: the next model
                                           -> VOID: the same model again
                                           -> ROLLED_BACK: the same model again, and half the step
    three rounds or ceremonies in a row without a result -> stopped, until f+1 want to go on
    f+1 equal Changes -> the members change, between rounds; their keys are due

The ceremony itself is carried by its members (key_ceremony.py): honest members always end it alike, so f+1 equal
reports are the truth. The rules keep its records for those who come later, and see that nobody floods it.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import msgspec

from medward.federation.data_rules import DataSets, apply_to_data, without_member
from medward.federation.interfaces import Refused
from medward.federation.records import (
    Announce,
    Change,
    DataRecord,
    KeyActive,
    KeyBegin,
    KeyEnd,
    KeyFailed,
    KeyRecord,
    KeyWish,
    Next,
    Open,
    Record,
    Resume,
    RoundRecord,
)
from medward.federation.round import Keys, Phase, Round, Terms
from medward.federation.round_rules import apply as apply_to_round
from medward.federation.round_rules import opened
from medward.fhe.lanes import BlockLayout
from medward.fhe.parameters import DECRYPTIONS, MOST_HOLDERS, MOST_UNDECODED, capacity, sum_parameters

MAX_FRUITLESS_ROUNDS = 3
#: A ceremony that takes longer than this many deadlines may be begun again.
CEREMONY_DEADLINES = 16
#: How many rounds keys serve before one who was left out of them may ask for new ones: a liar costs no more than that.
ROUNDS_BEFORE_A_WISH = 2
#: A ceremony needs fewer records of one member than this many for each holder.
RECORDS_A_HOLDER = 32


class Agreement(msgspec.Struct, frozen=True):
    """What a federation agrees on before it begins; it never changes.

    Args:
        name: the federation's name; no other federation has it.
        members: the first members, in the order of their numbers.
        accounts: each first member's public key, 32 bytes, under which its records come.
        deadline: the seconds that each phase may take.
        protect: "aggregate" for encrypted sums, "none" for sums in the open.
        key_set: the name of the parameter set of the joint key.
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
    key_set: str
    bits: int
    plan: str
    model: str
    first: Next
    sample: float = 1.0


@dataclass(frozen=True)
class Epoch:
    """The joint key in use.

    Args:
        epoch: its number.
        keys: who holds it, and how many of them may still be opened.
        accounts: the members' public keys when it was made; with others, new keys are due.
        spent: how many answers each holder may have given under it.
        digest: stands for its public keys.
        undecoded: how many of its sums were opened and led to no model; holders answer only so many.
        since: the number of the first round under it.
    """

    epoch: int
    keys: Keys
    accounts: Mapping[str, bytes]
    spent: int
    digest: bytes
    undecoded: int = 0
    since: int = 0


@dataclass(frozen=True)
class Placed:
    """A record of a ceremony, with its place in the log.

    Args:
        record: the record.
        time: its agreed time.
        block: the hash of the block that it is in.
    """

    record: KeyRecord
    time: float
    block: bytes


@dataclass(frozen=True)
class Gathering:
    """A key ceremony that is under way.

    Args:
        first_epoch: the epoch of its first attempt.
        began: when it began.
        log: its records.
        reports: what members report of its end.
    """

    first_epoch: int
    began: float
    log: tuple[Placed, ...] = ()
    reports: Mapping[str, KeyEnd] = field(default_factory=dict)


@dataclass(frozen=True)
class Federation:
    """The state of a federation.

    Args:
        agreement: what never changes.
        terms: the members now.
        accounts: each member's public key now.
        number: the next round's number.
        model: the shared model.
        next: what the next sum is for; None once the plan is fulfilled.
        idle_since: when the last round or ceremony ended.
        last_epoch: the largest epoch number that any ceremony used.
        epoch: the joint key, once there is one.
        keyless: members that hold no part of it, are here, and have asked for new keys.
        ceremony: the ceremony under way, if one is.
        round: the last round, open or over.
        fruitless: how many rounds in a row led to no model.
        earlier: cohorts whose sum may be known although it led to no model.
        refused: how many next models a majority has refused since there is this one.
        joined: the first round that a member's present account could speak in, for those that came after the start.
        changes: members who want a change of membership, by the change.
        contacts: where members' stores are reached, as they said.
        replicas: what the ledger needs to know of those members that came after the start, encoded.
        stopped: why nothing goes on, or None.
        resuming: members who want to go on after that.
        data: the sealed data sets that members keep.
    """

    agreement: Agreement
    terms: Terms
    accounts: Mapping[str, bytes]
    number: int
    model: str
    next: Next | None
    idle_since: float = 0.0
    last_epoch: int = 0
    epoch: Epoch | None = None
    ceremony: Gathering | None = None
    round: Round | None = None
    fruitless: int = 0
    earlier: tuple[frozenset[str], ...] = ()
    refused: int = 0
    joined: Mapping[str, int] = field(default_factory=dict)
    changes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    contacts: Mapping[str, bytes] = field(default_factory=dict)
    replicas: Mapping[str, bytes] = field(default_factory=dict)
    stopped: str | None = None
    resuming: frozenset[str] = frozenset()
    data: DataSets = field(default_factory=DataSets)
    keyless: frozenset[str] = frozenset()

    @property
    def busy(self) -> bool:
        """Whether a round or a ceremony is under way."""
        return self.ceremony is not None or (self.round is not None and not self.round.over)

    @property
    def chunks(self) -> int:
        """How many ciphertexts the next contribution takes; each costs every holder one answer."""
        if self.next is None or self.agreement.protect == "none":
            return 0
        members = len(self.terms.members)
        holders = min(members, MOST_HOLDERS)
        bits = self.next.dispatch.bits
        parameters = sum_parameters(self.agreement.key_set, bits, capacity(members), holders)
        return BlockLayout(parameters, self.next.counts, self.next.values).blocks

    @property
    def keys_due(self) -> bool:
        """Whether new keys are needed before the next round."""
        if self.agreement.protect == "none":
            return False
        epoch = self.epoch
        if epoch is None or epoch.accounts != self.accounts or self.keyless:
            return True
        opened = len(epoch.keys.holders) - epoch.keys.threshold > epoch.keys.openings
        spent = DECRYPTIONS - epoch.spent < self.chunks * (2 + self.terms.faulty)
        return opened or spent or epoch.undecoded >= MOST_UNDECODED

    def may_wish(self, member: str) -> bool:
        """Whether a member may ask for new keys: one that was left out of these, once they have served some rounds."""
        epoch = self.epoch
        if epoch is None or member in epoch.keys.holders or member in self.keyless:
            return False
        return self.number >= epoch.since + ROUNDS_BEFORE_A_WISH

    def keys(self) -> Keys:
        """Return who opens sums: the holders of the joint key, or in the open everybody."""
        if self.agreement.protect == "none":
            return Keys(self.terms.members, self.terms.faulty)
        if self.epoch is None:
            raise Refused("There is no joint key yet.")
        return self.epoch.keys

    def author(self, account: bytes) -> str | None:
        """Return the member whose public key this is, or None."""
        return next((name for name, key in self.accounts.items() if key == account), None)

    def expected(self) -> Open:
        """Return the record that opens the next round; any member may hand it in.

        Raises:
            Refused: the plan is fulfilled.
        """
        if self.next is None:
            raise Refused("The plan is fulfilled: there is no next round.")
        then = self.next
        shape = (then.counts, then.values, then.dispatch)
        return Open(self.number, then.task, self.model, self.invited(), *shape)

    def invited(self) -> tuple[str, ...]:
        """Return who is asked to contribute to the next round: everybody, or a share drawn for the round's number."""
        members, share = self.terms.members, self.agreement.sample
        if share >= 1 or self.next is None or self.next.task != "train":
            return members
        wanted = max(self.terms.least_cohort, round(share * len(members)))
        drawn = sorted(members, key=self._draw)[:wanted]
        return tuple(name for name in members if name in drawn)

    def _draw(self, member: str) -> bytes:
        text = f"medward invitation 1\n{self.agreement.plan}\n{self.number}\n{member}"
        return hashlib.sha256(text.encode()).digest()


def founded(agreement: Agreement) -> Federation:
    """Return a federation's first state."""
    terms = Terms(agreement.name, agreement.members, agreement.deadline)
    return Federation(agreement, terms, agreement.accounts, 0, agreement.model, agreement.first)


def apply(state: Federation, record: Record, author: str, time: float, block: bytes) -> Federation:
    """Return the federation's state after one more ordered record.

    Args:
        state: the state before it.
        record: the record.
        author: the member that signed it.
        time: its agreed time in seconds, never smaller than an earlier record's.
        block: the hash of the block that it is in; nobody knows it before the block is ordered.

    Raises:
        Refused: the record breaks a rule; `state` stays as it is.
    """
    if author not in state.terms.members or getattr(record, "member", author) != author:
        raise Refused(f"{author} cannot say this for {getattr(record, 'member', 'the federation')}.")
    match record:
        case Announce():
            return replace(state, contacts={**state.contacts, author: record.contact})
        case Change():
            return _changed(state, record, author, time)
    if isinstance(record, DataRecord):
        return replace(state, data=apply_to_data(state.data, record, author, state.terms.members, time))
    if isinstance(record, Resume):
        return _resumed(state, author)
    if state.stopped is not None:
        raise Refused(f"The federation has stopped: {state.stopped}.")
    if isinstance(record, KeyWish):
        return _wished(state, record)
    if isinstance(record, Open):
        return _begun(state, record, time)
    if isinstance(record, RoundRecord):
        return _in_round(state, record, time)
    return _in_ceremony(state, record, author, time, block)


def _resumed(state: Federation, author: str) -> Federation:
    if state.stopped is None or author in state.resuming:
        raise Refused("There is nothing to resume.")
    resuming = state.resuming | {author}
    if len(resuming) <= state.terms.faulty:
        return replace(state, resuming=resuming)
    return replace(state, stopped=None, fruitless=0, resuming=frozenset())


def _wished(state: Federation, record: KeyWish) -> Federation:
    """Note that a member is here again that was left out of the keys: they are due, with it, after this round."""
    if state.epoch is None or record.epoch != state.epoch.epoch or not state.may_wish(record.member):
        raise Refused(f"{record.member} may not ask for new keys now.")
    return replace(state, keyless=state.keyless | {record.member})


def _begun(state: Federation, record: Open, time: float) -> Federation:
    if state.busy:
        raise Refused("A round or a key ceremony is under way.")
    if state.keys_due:
        raise Refused("New keys are due before the next round.")
    if record != state.expected():
        raise Refused(f"This is not how round {state.number} begins.")
    begun = opened(state.terms, state.keys(), record, time, state.earlier, state.refused)
    return replace(state, round=begun, number=state.number + 1)


def _in_round(state: Federation, record: RoundRecord, time: float) -> Federation:
    if state.round is None:
        raise Refused("No round is open.")
    now = apply_to_round(state.round, record, time)
    state = replace(state, round=now)
    return _closed(state, now, time) if now.over else state


def _closed(state: Federation, now: Round, time: float) -> Federation:
    """Take a round's end: its model, what it cost the keys, and what it may have shown."""
    chunks = state.chunks
    state = replace(state, idle_since=time)
    if state.epoch is not None:
        epoch = state.epoch
        keys = replace(epoch.keys, openings=epoch.keys.openings - len(now.silent))
        # A holder stores its answer when it commits to it: with a cohort there may be answers, shown or not.
        spent = epoch.spent + (chunks if now.cohort else 0)
        undecoded = epoch.undecoded + (now.phase is Phase.VOID and bool(now.good_shares))
        state = replace(state, epoch=replace(epoch, keys=keys, spent=spent, undecoded=undecoded))
    if now.phase is Phase.FINAL:
        assert now.candidate is not None
        model, then = now.candidate.model, now.candidate.next
        return _settled(replace(state, model=model, next=then, fruitless=0, earlier=(), refused=0), time)
    fruitless = state.fruitless + 1
    earlier = (*state.earlier, frozenset(now.cohort)) if now.exposed else state.earlier
    refused = state.refused + (now.phase is Phase.ROLLED_BACK)
    stopped = None
    if fruitless >= MAX_FRUITLESS_ROUNDS:
        stopped = f"round {now.number} and the {MAX_FRUITLESS_ROUNDS - 1} before it led to no model ({now.outcome})"
    state = replace(state, fruitless=fruitless, earlier=earlier, refused=refused, stopped=stopped)
    return _settled(state, time)


def _in_ceremony(state: Federation, record: KeyRecord, author: str, time: float, block: bytes) -> Federation:
    if isinstance(record, KeyBegin):
        return _gathered(state, record, time)
    now = state.ceremony
    if now is None:
        raise Refused("No key ceremony is under way.")
    if not now.first_epoch <= record.epoch < now.first_epoch + len(state.terms.members):
        raise Refused(f"The ceremony is for epoch {now.first_epoch}, not {record.epoch}.")
    said = sum(1 for placed in now.log if placed.record.member == author)
    if said >= RECORDS_A_HOLDER * (len(state.terms.members) + 2):
        raise Refused(f"{author} has said too much in this ceremony.")
    if isinstance(record, KeyEnd):
        return _reported(state, now, record, time)
    return replace(state, ceremony=replace(now, log=(*now.log, Placed(record, time, block))))


def _gathered(state: Federation, record: KeyBegin, time: float) -> Federation:
    """Begin a ceremony; one that does not end may be begun again, for another epoch."""
    now = state.ceremony
    over = now is not None and time >= now.began + CEREMONY_DEADLINES * state.terms.deadline
    if (state.busy and not over) or not state.keys_due or state.next is None:
        raise Refused("No key ceremony is due.")
    if record.epoch != state.last_epoch + 1:
        raise Refused(f"The next key epoch is {state.last_epoch + 1}, not {record.epoch}.")
    if over:
        state = _without_keys(state, time)
    if state.stopped is not None:
        return state
    last = state.last_epoch + len(state.terms.members)
    return replace(state, ceremony=Gathering(record.epoch, time), last_epoch=last)


def _without_keys(state: Federation, time: float) -> Federation:
    """Take the end of a ceremony that led to no keys."""
    fruitless = state.fruitless + 1
    stopped = None
    if fruitless >= MAX_FRUITLESS_ROUNDS:
        stopped = f"{MAX_FRUITLESS_ROUNDS} key ceremonies in a row led to no keys"
    return replace(state, ceremony=None, idle_since=time, fruitless=fruitless, stopped=stopped)


def _reported(state: Federation, now: Gathering, record: KeyEnd, time: float) -> Federation:
    """Count a report of the ceremony's end; f+1 equal ones make the epoch, or make room for the next ceremony."""
    if record.member in now.reports:
        raise Refused(f"{record.member} has reported the end of this ceremony already.")
    if isinstance(record, KeyActive) and not (record.holders and set(record.holders) <= set(state.terms.members)):
        raise Refused("A ceremony's holders are members.")
    reports = {**now.reports, record.member: record}
    state = replace(state, ceremony=replace(now, reports=reports))
    ends = [msgspec.structs.replace(report, member="") for report in reports.values()]
    if ends.count(msgspec.structs.replace(record, member="")) <= state.terms.faulty:
        return state
    if isinstance(record, KeyFailed):
        return _settled(_without_keys(state, time), time)
    keys = Keys(record.holders, 0)
    keys = replace(keys, openings=len(keys.holders) - keys.threshold)
    epoch = Epoch(record.epoch, keys, state.accounts, 0, record.digest, since=state.number)
    state = replace(state, epoch=epoch, ceremony=None, idle_since=time, fruitless=0, keyless=frozenset())
    return _settled(state, time)


def _changed(state: Federation, record: Change, author: str, time: float) -> Federation:
    """Count a member's wish to change the membership; a member leaves on its own word, all else needs f+1."""
    if record.account is not None and (len(record.account) != 32 or state.author(record.account) is not None):
        raise Refused(f"The public key of {record.name} is malformed, or a member's already.")
    if record.account is None and record.name not in state.terms.members:
        raise Refused(f"There is no member {record.name}.")
    if "\n" in record.name or not record.name:
        raise Refused("A member's name is one line.")
    what = record.wish()
    wishing = state.changes.get(what, ())
    if author in wishing:
        raise Refused(f"{author} has asked for this already.")
    return _settled(replace(state, changes={**state.changes, what: (*wishing, author)}), time)


def _settled(state: Federation, time: float) -> Federation:
    """Make the changes of membership that enough members want, once nothing is under way."""
    if state.busy:
        return state
    for what, wishing in sorted(state.changes.items()):
        change = Change.of_wish(what)
        leaving = change.account is None and change.name in wishing
        if not leaving and len(wishing) <= state.terms.faulty:
            continue
        names = [name for name in state.terms.members if change.account is not None or name != change.name]
        if change.account is not None and change.name not in names:
            names.append(change.name)
        accounts = {name: key for name, key in state.accounts.items() if name != change.name}
        replicas = {name: replica for name, replica in state.replicas.items() if name != change.name}
        if change.account is not None:
            accounts[change.name] = change.account
            replicas[change.name] = change.replica or b""
        contacts = {name: known for name, known in state.contacts.items() if name != change.name}
        if change.contact is not None:
            contacts[change.name] = change.contact
        changes = {other: by for other, by in state.changes.items() if Change.of_wish(other).name != change.name}
        terms = replace(state.terms, members=tuple(names))
        state = replace(state, terms=terms, accounts=accounts, replicas=replicas, changes=changes, idle_since=time)
        if change.account is None:
            state = replace(state, data=without_member(state.data, change.name))
        joined = {**state.joined, change.name: state.number} if change.account is not None else state.joined
        state = replace(state, contacts=contacts, joined=joined)
        # The rest is looked at again: another change may have enough wishes among fewer members.
        return _settled(state, time)
    return state
