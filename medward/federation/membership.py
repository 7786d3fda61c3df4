"""Who the members are, and how that changes: a pure model of wishes. See spec/membership.md.

    wished   counts a member's wish; the one that makes f+1 of present members, or one's own leave, agrees on its change
    retracted  takes a wish back
    settled  makes the first change that is agreed on, where nothing hinders it: at most one in each epoch of the ledger

The rules (rules.py) call it, and take from a change what it means for keys, stores and data. A wish counts only while
its author is the member that it was, with the keys that it had, and against the f of the members that stand.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

from medward.federation.errors import RecordRefused
from medward.federation.records import Change
from medward.ledger.encoding import decode
from medward.ledger.errors import NotCanonical
from medward.ledger.membership import MAX_MEMBERS, tolerated_faults
from medward.ledger.types import Member

_Value = TypeVar("_Value")

#: After so many seconds of the ledger's time a wish counts no more. Operators of several hospitals must come to say the
#: same, and a week has five working days wherever weekends and holidays fall; what was not agreed on by then was given
#: up, and must not surprise anybody later.
LIFETIME = 7 * 24 * 3600.0
#: About so many others a member has a wish at a time. Each is at most 10 kB, and four hospitals a week are many.
MOST_WISHES = 16


@dataclass(frozen=True)
class Wish:
    """A wish that counts.

    Args:
        change: what its author wants.
        time: when it was ordered, in agreed seconds.
    """

    change: Change
    time: float


@dataclass(frozen=True)
class Agreed:
    """A change that waits to be made.

    Args:
        change: what enough members wanted at one time.
        needed: how many that were; that there are fewer members now is no reason to make it.
    """

    change: Change
    needed: int


@dataclass(frozen=True)
class PendingChange:
    """A change that members want and that has not been made.

    Args:
        change: what they want.
        by: who wants it, in the order of the members.
        needed: how many must want it.
        until: when the first of these wishes expires, in agreed seconds.
        agreed: whether enough have wanted it, so that it waits for the round or the ledger alone.
    """

    change: Change
    by: tuple[str, ...]
    needed: int
    until: float
    agreed: bool


@dataclass(frozen=True)
class Members:
    """The members, and what they wish.

    Args:
        names: all members, in an agreed order.
        accounts: the public key under which each speaks.
        replicas: what the ledger needs to know of those that came after the start, encoded.
        joined: the first round in which those with their present key could speak.
        wishes: the open wishes, by their author and by whom they are about.
        agreed: the changes that enough members wanted at one time, the oldest first; none is made yet.
        epoch: the ledger's epoch in which the last change was made, None before the first.
    """

    names: tuple[str, ...]
    accounts: Mapping[str, bytes]
    replicas: Mapping[str, bytes] = field(default_factory=dict)
    joined: Mapping[str, int] = field(default_factory=dict)
    wishes: Mapping[str, Mapping[str, Wish]] = field(default_factory=dict)
    agreed: tuple[Agreed, ...] = ()
    epoch: int | None = None

    @property
    def faulty(self) -> int:
        """How many of the members may lie: f = floor((n - 1) / 3)."""
        return tolerated_faults(len(self.names))

    def supporters(self, change: Change) -> tuple[str, ...]:
        """Return the members with an open wish for exactly this change."""
        about = ((name, self.wishes.get(name, {}).get(change.name)) for name in self.names)
        return tuple(name for name, wish in about if wish is not None and wish.change == change)

    def wanted(self, change: Change, needed: int = 0) -> bool:
        """Whether enough members want a change: f+1 of those that stand, and `needed`, or the one who leaves."""
        supporters = self.supporters(change)
        enough = len(supporters) >= max(self.faulty + 1, needed)
        return enough or (change.account is None and change.name in supporters)

    @property
    def waiting(self) -> tuple[Change, ...]:
        """The changes that are agreed on."""
        return tuple(one.change for one in self.agreed)


def wished(state: Members, change: Change, author: str, time: float) -> Members:
    """Return the state after a member's wish; it takes the place of the author's former wish about the same name.

    Args:
        state: the state before it.
        change: what the author wants.
        author: a member.
        time: when it was ordered, in agreed seconds.

    Raises:
        Refused: it cannot come true, is agreed on already, or its author has too many open wishes.
    """
    state = _drop_expired(state, time)
    _check(state, change)
    own = state.wishes.get(author, {})
    if change in state.waiting and change in (wish.change for wish in own.values()):
        raise RecordRefused(
            f"{author} has asked for this, and it is agreed on: it comes after the round, at a checkpoint."
        )
    if change.name not in own and len(own) >= MOST_WISHES:
        first = min(wish.time for wish in own.values()) + LIFETIME
        raise RecordRefused(
            f"{author} has {MOST_WISHES} open wishes, the most: take one back (`medward federation retract`), or wait "
            f"until one is fulfilled or expires, the first in {max(first - time, 0) / 3600:.0f} hours."
        )
    state = replace(state, wishes={**state.wishes, author: {**own, change.name: Wish(change, time)}})
    # Of another change about this name the author wants no more.
    state = _still_wanted(state)
    # Only the change that somebody asks for now is counted. Others may have enough wishes because f became smaller.
    if state.wanted(change) and change not in state.waiting:
        state = replace(state, agreed=(*state.agreed, Agreed(change, state.faulty + 1)))
    return state


def retracted(state: Members, name: str, author: str, time: float) -> Members:
    """Return the state after a member took back its wish about a name.

    Raises:
        Refused: it has none.
    """
    state = _drop_expired(state, time)
    if name not in state.wishes.get(author, {}):
        raise RecordRefused(
            f"{author} has no open wish about {name}: look at `medward federation status` for those it has."
        )
    return _still_wanted(_without(state, lambda by, wish: (by, wish.change.name) == (author, name)))


def settled(state: Members, epoch: int | None, number: int, time: float) -> tuple[Members, Change | None]:
    """Return the state after the next change, where one is agreed on and the ledger can take it, and that change.

    Args:
        state: the state before it; no round is under way.
        epoch: the ledger's epoch in which this is ordered; None where the ledger's members never change.
        number: the next round's number.
        time: the present time, in agreed seconds.
    """
    if not state.agreed or epoch is None or epoch == state.epoch:
        return state, None
    state = _drop_expired(state, time)
    while state.agreed:
        (first, *others), change = state.agreed, state.agreed[0].change
        state = replace(state, agreed=tuple(others))
        if not state.wanted(change, first.needed):
            continue
        try:
            _check(state, change)
        except RecordRefused:
            # It was possible when it was asked for: another change came between.
            state = _forgotten(state, change)
            continue
        return replace(_change(state, change, number), epoch=epoch), change
    return state, None


def pending(state: Members, time: float) -> tuple[PendingChange, ...]:
    """Return the changes that members want at a time, those that are agreed on first."""
    state = _drop_expired(state, time)
    open_ = [wish.change for name in state.names for wish in state.wishes.get(name, {}).values()]
    found = []
    for change in dict.fromkeys((*(one for one in state.waiting if one in open_), *open_)):
        by = state.supporters(change)
        until = min(state.wishes[name][change.name].time for name in by) + LIFETIME
        needed = 1 if change.account is None and change.name in by else state.faulty + 1
        found.append(PendingChange(change, by, needed, until, change in state.waiting))
    return tuple(found)


def without(of: Mapping[str, _Value], name: str) -> Mapping[str, _Value]:
    """Return a mapping without a name; the same object where it is not there."""
    return {one: value for one, value in of.items() if one != name} if name in of else of


def replica(name: str, encoded: bytes | None) -> Member:
    """Return what the ledger needs to know of one who comes.

    Raises:
        Refused: these bytes do not say it.
    """
    try:
        return decode(encoded or b"", Member)
    except NotCanonical:
        raise RecordRefused(f"The ledger can't read the card of {name}: admit the card that its node wrote.") from None


def _check(state: Members, change: Change) -> None:
    """Check that the federation and its ledger can both make a change; the ledger ignores what makes no sense."""
    name, account = change.name, change.account
    if account is None:
        if name not in state.names:
            raise RecordRefused(f"There is no member {name}: look at `medward federation status` for who is one.")
        if len(state.names) == 1:
            raise RecordRefused(f"{name} is the last member, and a federation cannot be empty: stop its node instead.")
        if change.replica is not None or change.contact is not None:
            raise RecordRefused(f"Who goes has no keys and no address: ask that {name} goes without them.")
        return
    if not (name.isascii() and name.isprintable()):
        raise RecordRefused("A member's name is one line of ASCII characters: give the newcomer another one.")
    if name not in state.names and len(state.names) >= MAX_MEMBERS:
        raise RecordRefused(
            f"The federation has {MAX_MEMBERS} members, the most: one must leave before {name} can come."
        )
    comes = replica(name, change.replica)
    keys = [key.data for key in comes.keys]
    if comes.name != name or keys[0] != account or len(account) != 32:
        raise RecordRefused(
            f"The card of {name} is not that of a member {name} with this key: admit what its node wrote."
        )
    known = {key: other for other, key in state.accounts.items()}
    certificates = {}
    for other, encoded in state.replicas.items():
        member = replica(other, encoded)
        known |= {key.data: other for key in member.keys}
        if other != name:
            certificates[member.certificate] = other
    taken = next((known[key] for key in keys if key in known), None)
    if taken is not None or len(set(keys)) < len(keys):
        raise RecordRefused(
            f"A key of {name} is {taken or name}'s already: make new ones with `medward federation rotate`."
        )
    if comes.certificate and comes.certificate in certificates:
        owner = certificates[comes.certificate]
        raise RecordRefused(f"The certificate of {name} is that of {owner}: have another one made.")


def _change(state: Members, change: Change, number: int) -> Members:
    """Make a change: what was wished about this member falls, and what it wished with the keys that it had."""
    name, account = change.name, change.account
    state = _without(state, lambda author, wish: name in (author, wish.change.name))
    names, accounts = state.names, without(state.accounts, name)
    replicas, joined = without(state.replicas, name), without(state.joined, name)
    if account is None or change.replica is None:
        names = tuple(one for one in names if one != name)
    else:
        names = names if name in names else (*names, name)
        accounts, replicas = {**accounts, name: account}, {**replicas, name: change.replica}
        joined = {**joined, name: number}
    state = replace(state, names=names, accounts=accounts, replicas=replicas, joined=joined)
    return _still_wanted(replace(state, agreed=tuple(one for one in state.agreed if one.change.name != name)))


def _still_wanted(state: Members) -> Members:
    kept = tuple(one for one in state.agreed if state.wanted(one.change, one.needed))
    return state if kept == state.agreed else replace(state, agreed=kept)


def _forgotten(state: Members, change: Change) -> Members:
    return _without(state, lambda _, wish: wish.change == change)


def _drop_expired(state: Members, time: float) -> Members:
    return _without(state, lambda _, wish: time >= wish.time + LIFETIME)


def _without(state: Members, drop: Callable[[str, Wish], bool]) -> Members:
    """Return the state without the wishes, by author, that are to be dropped; the same object where none is."""
    changed = {}
    for author, own in state.wishes.items():
        kept = {name: wish for name, wish in own.items() if not drop(author, wish)}
        if len(kept) < len(own):
            changed[author] = kept
    if not changed:
        return state
    wishes = {author: changed.get(author, own) for author, own in state.wishes.items()}
    return replace(state, wishes={author: own for author, own in wishes.items() if own})
