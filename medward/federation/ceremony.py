"""The key ceremony of an epoch as a pure state machine: `step(state, event) -> (state, effects)`.

    COMMIT -> OPEN -> DEAL -> BEACON -> RESPOND -> ACKNOWLEDGE -> ACTIVE

What it is told and asks for is in ceremony_events.py. Verification is deterministic, so all honest members reach the
same state. Who is late or at fault is left out by name, and the ceremony starts over without it under the next epoch
number; the others finish, and it looks on: it can contribute under keys of which it holds none. The protocol:
spec/scheme.md, "Key ceremony".
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from medward.federation.ceremony_events import (
    Acknowledged,
    ActionEvent,
    Activate,
    Answered,
    Beacon,
    Committed,
    Complained,
    Deadline,
    DealingMade,
    Dealt,
    Effect,
    EraseSecrets,
    Event,
    GiveUp,
    KeysMade,
    LeftOut,
    LocalEvent,
    MakeDealing,
    MakeKeys,
    Opened,
    Order,
    Phase,
    Responded,
    ShareArrived,
    SharesOverdue,
)
from medward.fhe import sealing
from medward.fhe.dealing import Dealing, DealingContext, check_dealt_share, respond, threshold
from medward.fhe.epoch import EpochKeys, KeyContribution, check_contribution
from medward.fhe.errors import FheError, MalformedEncoding, MemberFault
from medward.fhe.parameters import Members, SumParameters, sum_parameters


@dataclass(frozen=True)
class Setup:
    """What the federation has agreed before the ceremony.

    Args:
        federation: its identifier.
        set_name, update_bits, contributors, members: arguments of `sum_parameters`.
    """

    federation: bytes
    set_name: str = "AGG-M"
    update_bits: int = 8
    contributors: int = 64
    members: Members = "malicious"

    def parameters(self, holders: int) -> SumParameters:
        """Return the parameter set for this many holders."""
        return sum_parameters(self.set_name, self.update_bits, self.contributors, holders, self.members)


@dataclass(frozen=True, repr=False)
class Ceremony:
    """One member's view of a ceremony.

    Args:
        setup: what was agreed.
        member: this member's number.
        epoch: the epoch that this attempt makes keys for.
        holders: who takes part in this attempt.
        everybody: how many took part in the first attempt: all members.
        phase: where the attempt stands.
        commitments, contributions, transports, digests, responses: by author.
        beacon: the beacon's value, once known.
        acknowledged, complaints, accused: pairs (holder, dealer); complaints that wait, and all that there were.
        shown: (dealer, holder) -> share shown in answer to a complaint.
        arrived: dealer -> this member's share.
        dealing: this member's own dealing until it is not needed any more.
        keys: the epoch's keys, once all are opened.
        left_out: member -> reason.
    """

    setup: Setup
    member: int
    epoch: int
    holders: tuple[int, ...]
    everybody: int
    phase: Phase = Phase.COMMIT
    own: KeysMade | None = None
    commitments: Mapping[int, bytes] = field(default_factory=dict)
    contributions: Mapping[int, KeyContribution] = field(default_factory=dict)
    transports: Mapping[int, bytes] = field(default_factory=dict)
    digests: Mapping[int, Mapping[int, bytes]] = field(default_factory=dict)
    beacon: bytes = b""
    responses: Mapping[int, bytes] = field(default_factory=dict)
    acknowledged: frozenset[tuple[int, int]] = frozenset()
    complaints: frozenset[tuple[int, int]] = frozenset()
    accused: frozenset[tuple[int, int]] = frozenset()
    shown: Mapping[tuple[int, int], bytes] = field(default_factory=dict)
    arrived: Mapping[int, bytes] = field(default_factory=dict)
    dealing: Dealing | None = None
    keys: EpochKeys | None = None
    left_out: Mapping[int, str] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"Ceremony(member={self.member}, epoch={self.epoch}, phase={self.phase.name}, holders={self.holders})"

    @property
    def parameters(self) -> SumParameters:
        """The parameter set of this attempt."""
        return self.setup.parameters(len(self.holders))

    @property
    def least_holders(self) -> int:
        """With fewer left the ceremony fails, see `least_holders`."""
        return least_holders(self.everybody)

    @property
    def most_shown(self) -> int:
        """How many of its shares a dealer may show, see `most_shown`."""
        return most_shown(len(self.holders), self.everybody)

    def context(self, dealer: int) -> DealingContext:
        """Return the context of a dealer's dealing."""
        return DealingContext(self.setup.federation, self.epoch, dealer, self.holders, threshold(len(self.holders)))


Step = tuple[Ceremony, tuple[Effect, ...]]


def least_holders(members: int) -> int:
    """Return how many of so many members must be left in a ceremony: three, and so many that t > f.

    Whoever is left out may be honest and late, and all f liars among those that are left. They must be fewer than the t
    shares that open a secret.
    """
    liars = members - threshold(members)
    return next(holders for holders in range(3, members + 4) if threshold(holders) > liars)


def most_shown(holders: int, members: int) -> int:
    """Return how many of its shares a dealer may show in answer to complaints, t - 1 - f.

    Everybody sees them. With those of f liars they are one short of the t that open its secret; a network that loses
    shares on purpose gets no further. The liars are f of all members, however few are left.

    Args:
        holders: how many are left in the ceremony, and hold a share.
        members: how many members there are.
    """
    return threshold(holders) - 1 - (members - threshold(members))


def begin(setup: Setup, member: int, epoch: int, holders: tuple[int, ...]) -> Step:
    """Start a ceremony for `epoch` among `holders`, who are all members."""
    state = Ceremony(setup, member, epoch, tuple(sorted(holders)), len(holders))
    return state, _asked_for_keys(state)


def step(state: Ceremony, event: Event) -> Step:
    """Return the state after `event` and what this member's machine should do.

    Events of another epoch, of members who do not take part, out of phase, or repeated change nothing.
    """
    if event.epoch != state.epoch or state.phase >= Phase.ACTIVE:
        return state, ()
    if isinstance(event, KeysMade | DealingMade | ShareArrived | SharesOverdue):
        return _local(state, event)
    if isinstance(event, Deadline | Beacon):
        return _timed(state, event)
    return _acted(state, event) if event.member in state.holders else (state, ())


def _timed(state: Ceremony, event: Deadline | Beacon) -> Step:
    if isinstance(event, Deadline) and event.phase is state.phase:
        return _deadline(state)
    if isinstance(event, Beacon) and state.phase is Phase.BEACON:
        return _beacon(state, event)
    return state, ()


def _acted(state: Ceremony, event: ActionEvent) -> Step:
    """Take what a participating member did, if it did it in the right phase and for the first time."""
    after: Step = (state, ())
    match event:
        case Committed() if state.phase is Phase.COMMIT and event.member not in state.commitments:
            after = _committed(state, event)
        case Opened() if state.phase is Phase.OPEN and event.member not in state.contributions:
            after = _opened(state, event)
        case Dealt() if state.phase is Phase.DEAL and event.member not in state.digests:
            after = _dealt(state, event)
        case Responded() if state.phase is Phase.RESPOND and event.member not in state.responses:
            after = _responded(state, event)
        case Acknowledged() | Complained() | Answered() if state.phase is Phase.ACKNOWLEDGE:
            after = _judged(state, event)
    return after


def _asked_for_keys(state: Ceremony) -> tuple[Effect, ...]:
    return (MakeKeys(state.epoch, state.parameters),) if state.member in state.holders else ()


def _local(state: Ceremony, event: LocalEvent) -> Step:
    match event:
        case KeysMade() if state.phase is Phase.COMMIT and state.own is None:
            commitment = event.contribution.commitment(
                state.parameters, state.setup.federation, state.epoch, state.member
            )
            return replace(state, own=event), (Order(Committed(state.epoch, state.member, commitment)),)
        case DealingMade() if state.phase is Phase.DEAL and state.dealing is None:
            arrived = {**state.arrived, state.member: event.dealing.shares[state.member]}
            dealt = Dealt(state.epoch, state.member, event.dealing.digests)
            return replace(state, dealing=event.dealing, arrived=arrived), (Order(dealt),)
        case ShareArrived() if event.dealer in state.holders and event.dealer not in state.arrived:
            state = replace(state, arrived={**state.arrived, event.dealer: event.share})
            return state, _judgement(state, event.dealer) if state.phase is Phase.ACKNOWLEDGE else ()
        case SharesOverdue() if state.phase is Phase.ACKNOWLEDGE and state.member in state.holders:
            missing = [dealer for dealer in state.holders if dealer not in state.arrived]
            return state, tuple(Order(Complained(state.epoch, state.member, dealer)) for dealer in missing)
    return state, ()


def _committed(state: Ceremony, event: Committed) -> Step:
    state = replace(state, commitments={**state.commitments, event.member: event.commitment})
    if len(state.commitments) < len(state.holders):
        return state, ()
    state = replace(state, phase=Phase.OPEN)
    if state.own is None:
        return state, ()
    return state, (Order(Opened(state.epoch, state.member, state.own.contribution, state.own.transport)),)


def _opened(state: Ceremony, event: Opened) -> Step:
    try:
        check_contribution(
            state.parameters, state.setup.federation, state.epoch, event.member,
            contribution=event.contribution, commitment=state.commitments[event.member],
        )  # fmt: skip
        sealing.check_public(event.member, event.transport)
    except MemberFault as fault:
        return _leave_out(state, {event.member: fault.reason})
    except MalformedEncoding:
        return _leave_out(state, {event.member: "published a malformed transport key"})
    state = replace(
        state,
        contributions={**state.contributions, event.member: event.contribution},
        transports={**state.transports, event.member: event.transport},
    )
    if len(state.contributions) < len(state.holders):
        return state, ()
    pairs = {member: (state.commitments[member], state.contributions[member]) for member in state.holders}
    keys = EpochKeys.accept(state.parameters, state.setup.federation, state.epoch, pairs)
    state = replace(state, phase=Phase.DEAL, keys=keys)
    if state.member not in state.holders:
        return state, ()
    return state, (MakeDealing(state.context(state.member), state.transports),)


def _dealt(state: Ceremony, event: Dealt) -> Step:
    if set(event.digests) != set(state.holders) or any(len(digest) != 32 for digest in event.digests.values()):
        return _leave_out(state, {event.member: "did not deal one share to every holder"})
    state = replace(state, digests={**state.digests, event.member: dict(event.digests)})
    return replace(state, phase=Phase.BEACON) if len(state.digests) == len(state.holders) else state, ()


def _beacon(state: Ceremony, event: Beacon) -> Step:
    state = replace(state, beacon=event.value, phase=Phase.RESPOND)
    if state.dealing is None:
        return state, ()
    return state, (Order(Responded(state.epoch, state.member, respond(state.parameters, state.dealing, event.value))),)


def _responded(state: Ceremony, event: Responded) -> Step:
    state = replace(state, responses={**state.responses, event.member: event.response})
    if len(state.responses) < len(state.holders):
        return state, ()
    state = replace(state, phase=Phase.ACKNOWLEDGE)
    return state, tuple(effect for dealer in sorted(state.arrived) for effect in _judgement(state, dealer))


def _judgement(state: Ceremony, dealer: int) -> tuple[Effect, ...]:
    """Acknowledge this member's share from a dealer, or complain."""
    good = _share_is_good(state, dealer, state.member, state.arrived[dealer])
    verdict = Acknowledged if good else Complained
    return (Order(verdict(state.epoch, state.member, dealer)),)


def _share_is_good(state: Ceremony, dealer: int, holder: int, share: bytes) -> bool:
    try:
        check_dealt_share(
            state.parameters, state.context(dealer), holder, share,
            digest=state.digests[dealer][holder], beacon=state.beacon, response=state.responses[dealer],
        )  # fmt: skip
    except FheError:
        return False
    return True


def _judged(state: Ceremony, event: Acknowledged | Complained | Answered) -> Step:
    effects: tuple[Effect, ...] = ()
    match event:
        case Acknowledged() if event.dealer in state.holders:
            pair = (event.member, event.dealer)
            state = replace(state, acknowledged=state.acknowledged | {pair}, complaints=state.complaints - {pair})
        case Complained() if (event.member, event.dealer) not in state.acknowledged and event.dealer in state.holders:
            pair = (event.member, event.dealer)
            state = replace(state, complaints=state.complaints | {pair}, accused=state.accused | {pair})
            if _complainants(state, event.dealer) > state.most_shown:
                reason = f"has more complaints than shares that it may show, {state.most_shown}"
                return _leave_out(state, {event.dealer: reason})
            if event.dealer == state.member and state.dealing is not None:
                share = state.dealing.shares[event.member]
                effects = (Order(Answered(state.epoch, state.member, event.member, share)),)
        case Answered() if (event.holder, event.member) in state.complaints:
            if not _share_is_good(state, event.member, event.holder, event.share):
                reason = f"answered the complaint of member {event.holder} with a share that is not good"
                return _leave_out(state, {event.member: reason})
            state = _settle(state, event)
    if not state.complaints and len(state.acknowledged) == len(state.holders) ** 2:
        return _activate(state)
    return state, effects


def _complainants(state: Ceremony, dealer: int) -> int:
    """How many holders have ever complained of a dealer: each may have had its share shown, even if it withdrew."""
    return sum(1 for _, accused in state.accused if accused == dealer)


def _settle(state: Ceremony, event: Answered) -> Ceremony:
    """Take a good share that was shown as acknowledged by its holder."""
    pair = (event.holder, event.member)
    arrived = {**state.arrived, event.member: event.share} if event.holder == state.member else state.arrived
    return replace(
        state,
        arrived=arrived,
        shown={**state.shown, (event.member, event.holder): event.share},
        complaints=state.complaints - {pair},
        acknowledged=state.acknowledged | {pair},
    )


def _deadline(state: Ceremony) -> Step:
    """End a phase: whoever has not acted is left out; acknowledgements by n - f holders are enough."""
    acted: Mapping[Phase, Mapping[int, object]] = {
        Phase.COMMIT: state.commitments,
        Phase.OPEN: state.contributions,
        Phase.DEAL: state.digests,
        Phase.RESPOND: state.responses,
    }
    if state.phase in acted:
        late = [member for member in state.holders if member not in acted[state.phase]]
        reason = f"missed the deadline of phase {state.phase.name.lower()}"
        return _leave_out(state, dict.fromkeys(late, reason)) if late else (state, ())
    if state.phase is not Phase.ACKNOWLEDGE:
        return state, ()
    faults = {dealer: f"did not answer the complaint of member {holder}" for holder, dealer in state.complaints}
    needed = threshold(len(state.holders))
    for dealer in state.holders:
        count = sum(1 for holder in state.holders if (holder, dealer) in state.acknowledged)
        if count < needed:
            faults.setdefault(dealer, f"has {count} acknowledged shares and needs {needed}")
    return _leave_out(state, faults) if faults else _activate(state)


def _activate(state: Ceremony) -> Step:
    keys = state.keys
    if keys is None:
        raise AssertionError("no ceremony reaches its last phase without keys")
    good = {d: share for d, share in state.arrived.items() if (state.member, d) in state.acknowledged}
    state = replace(state, phase=Phase.ACTIVE, dealing=None)
    return state, (Activate(keys, good), EraseSecrets(state.epoch, keep_secret=True))


def _leave_out(state: Ceremony, faults: Mapping[int, str]) -> Step:
    """Start over under the next epoch number without the members in `faults`."""
    effects: list[Effect] = [LeftOut(member, reason) for member, reason in sorted(faults.items())]
    effects.append(EraseSecrets(state.epoch, keep_secret=False))
    left = tuple(member for member in state.holders if member not in faults)
    out = {**state.left_out, **faults}
    after = Ceremony(state.setup, state.member, state.epoch + 1, left, state.everybody, left_out=out)
    if len(left) < state.least_holders:
        reason = f"only {len(left)} members are left; {state.least_holders} are needed"
        return replace(after, phase=Phase.FAILED), (*effects, GiveUp(reason))
    return after, (*effects, *_asked_for_keys(after))
