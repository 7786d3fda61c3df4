"""Key ceremonies among members in one process, for tests: each member's machine, and the log between them."""

from collections.abc import Callable

from medward.federation import ceremony as c
from medward.federation import ceremony_events as events
from medward.fhe import dealing, epoch, sealing
from medward.fhe.keys import SecretKey

SETUP = c.Setup(b"ward", "AGG-S40", 8, 16, "semi-honest")
Twist = Callable[["Member", events.OrderedEvent], events.OrderedEvent | None]


class Member:
    """A member's machine: does what the effects say; `twist` changes what it has ordered (None: stays silent)."""

    def __init__(self, number: int, holders: tuple[int, ...], twist: Twist | None, setup: c.Setup) -> None:
        self.number, self.twist, self.setup = number, twist, setup
        self.inbox: list[tuple[int, events.MakeDealing, bytes]] = []
        self.secrets: dict[int, SecretKey] = {}
        self.transport = sealing.TransportKey()
        self.active: events.Activate | None = None
        self.left_out: dict[int, str] = {}
        self.spoil_shares_for: set[int] = set()
        self.state, effects = c.begin(setup, number, 1, holders)
        self.pending = list(effects)

    def feed(self, event: events.Event) -> None:
        self.state, effects = c.step(self.state, event)
        self.pending += effects

    def work(self, members: dict[int, "Member"]) -> list[events.OrderedEvent]:
        """Carry out effects until there are none; return what is to be ordered."""
        ordered: list[events.OrderedEvent] = []
        while self.pending:
            effect = self.pending.pop(0)
            match effect:
                case events.MakeKeys():
                    secret, made = epoch.contribute(effect.parameters, self.setup.federation, effect.epoch, self.number)
                    self.secrets[effect.epoch] = secret
                    self.transport = sealing.TransportKey()
                    self.feed(events.KeysMade(effect.epoch, secret, made, self.transport.public))
                case events.MakeDealing():
                    self._deal(effect, members)
                case events.Order():
                    event = self.twist(self, effect.event) if self.twist else effect.event
                    ordered += [event] if event is not None else []
                case events.Activate():
                    self.active = effect
                case events.LeftOut():
                    self.left_out[effect.member] = effect.reason
                case events.EraseSecrets() if not effect.keep_secret and effect.epoch in self.secrets:
                    self.secrets.pop(effect.epoch).erase()
        return ordered

    def _deal(self, effect: events.MakeDealing, members: dict[int, "Member"]) -> None:
        context = effect.context
        made = dealing.deal(self.state.parameters, context, self.secrets[context.epoch])
        self.feed(events.DealingMade(context.epoch, made))
        for holder in context.holders:
            if holder != self.number:
                share = made.shares[self.number if holder in self.spoil_shares_for else holder]
                sealed = sealing.seal(context, holder, effect.transports[holder], share)
                opened = members[holder].transport.unseal(context, holder, sealed, len(share))
                members[holder].feed(events.ShareArrived(context.epoch, self.number, opened))


def run(members: dict[int, Member]) -> None:
    """Order everything that members want ordered; when nothing more comes, beacons, timers and deadlines pass."""
    for _ in range(400):
        ordered = [event for member in members.values() for event in member.work(members)]
        if not ordered:
            running = [m for m in members.values() if m.state.phase < events.Phase.ACTIVE]
            if not running:
                return
            at = running[0].state
            if at.phase is events.Phase.BEACON:
                ordered = [events.Beacon(at.epoch, b"block after the dealings")]
            else:
                for member in running:
                    member.feed(events.SharesOverdue(at.epoch))
                ordered = [event for member in members.values() for event in member.work(members)]
                ordered = ordered or [events.Deadline(at.epoch, at.phase)]
        for event in ordered:
            for member in members.values():
                member.feed(event)
    raise AssertionError("the ceremony does not end")


def run_until(members: dict[int, Member], phase: events.Phase) -> None:
    """Order everything until all stand in this phase of their first attempt."""
    while any(member.state.phase < phase for member in members.values()):
        ordered = [event for member in members.values() for event in member.work(members)]
        if not ordered:
            ordered = [events.Beacon(members[1].state.epoch, b"block after the dealings")]
        for event in ordered:
            for member in members.values():
                member.feed(event)


def members_of(count: int, twists: dict[int, Twist] | None = None, setup: c.Setup = SETUP) -> dict[int, Member]:
    holders = tuple(range(1, count + 1))
    return {i: Member(i, holders, (twists or {}).get(i), setup) for i in holders}
