"""Members whose clocks are wrong move rounds on no sooner, and fill no ledger (threat T3)."""

from medward.federation.application import FederationApplication
from medward.federation.participant import PATIENCE, FederationMember
from medward.federation.records import BeginRound, RoundTick
from medward.federation.round.effects import OrderRecord
from medward.federation.sums.plain import PlainSum
from tests.federation.test_application import AGREEMENT, Ledger

DEADLINE = 10.0
HOUR = 3600.0


class Node:
    """A member whose clock is `off` seconds ahead, on a ledger whose time is right and a second a block."""

    def __init__(self, off: float) -> None:
        self.ledger = Ledger(FederationApplication(AGREEMENT))
        self.off, self.now, self.ticks = off, 1.0, 0
        self.participant = FederationMember("b", self.ledger.application.federation, PlainSum("b"))
        self.order(self.ledger.application.federation.expected())

    def order(self, record: BeginRound | RoundTick) -> None:
        assert self.ledger.codes(("b", record), time=self.now) == [0]
        self.participant.ordered(record, "b", self.now, self.ledger.application.snapshot().block)

    def look(self) -> None:
        """Let the member look at its clock until it hands nothing more in."""
        for _ in range(20):
            orders = [e.record for e in self.participant.duties(self.now + self.off) if isinstance(e, OrderRecord)]
            ticks = [record for record in orders if isinstance(record, RoundTick)]
            for tick in ticks:
                self.ticks += 1
                self.order(tick)
            if not ticks:
                return
        raise AssertionError("the member hands in one tick after the other")

    def run(self, seconds: int) -> None:
        for _ in range(seconds * 4):
            self.look()
            self.now += 0.25


def test_member_whose_clock_is_ahead_hands_in_few_ticks_and_none_of_them_ends_a_phase_early() -> None:
    node = Node(HOUR)
    before = node.participant.state.round
    node.run(9)
    assert node.participant.state.round == before
    turns = 1 / (PATIENCE * len(AGREEMENT.members))
    assert 1 <= node.ticks <= turns + 1
    node.run(10)
    assert node.participant.state.round != before


def test_member_whose_clock_is_behind_hands_in_nothing() -> None:
    node = Node(-HOUR)
    node.run(30)
    assert node.ticks == 0


def test_member_whose_clock_was_put_back_does_its_duty_again() -> None:
    node = Node(HOUR)
    node.look()
    assert node.ticks == 1
    node.off = 0.0
    before = node.participant.state.round
    node.run(30)
    assert node.participant.state.round != before


def test_tick_that_came_a_little_early_is_repeated_soon() -> None:
    # The ledger's time may be behind the member's clock by as much as its bound allows.
    node = Node(1.0)
    before = node.participant.state.round
    node.run(16)
    assert node.ticks >= 2
    assert node.participant.state.round != before
