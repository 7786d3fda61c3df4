"""A member as a whole: its turn and its patience; a wrong clock moves nothing on sooner and fills no ledger (T3)."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import pytest
from msgspec.structs import replace

from medward.federation.application import FederationApplication
from medward.federation.participant import PATIENCE, FederationMember
from medward.federation.records import BeginRound, Commitment, Observe, Record, Resume, RoundTick, SealingKey
from medward.federation.round.effects import OrderRecord, Produced, RoundEffect, Work
from medward.federation.rules import FederationState
from medward.federation.sums.encrypted import EncryptedSum
from medward.federation.sums.journal import AnswerJournal
from medward.federation.sums.plain import PlainSum
from medward.fhe.hybrid import HybridKey
from tests.federation.ledger import AGREEMENT, NAMES, Ledger
from tests.federation.test_observers import commit

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


def orders(member: FederationMember, now: float) -> list[Record]:
    return [effect.record for effect in member.duties(now) if isinstance(effect, OrderRecord)]


def test_observing_member_says_so_before_its_first_key_so_that_the_first_round_comes_after(tmp_path: Path) -> None:
    ledger = Ledger(FederationApplication(replace(AGREEMENT, protect="aggregate")))
    sums = EncryptedSum("d", AnswerJournal(tmp_path / "answers"), b"s" * 32)
    member = FederationMember("d", ledger.application.federation, sums, observes=True)
    assert orders(member, 1.0) == [Observe(observes=True)]
    ledger.order(("d", Observe(observes=True)))
    member.ordered(Observe(observes=True), "d", 1.0, b"")
    assert [type(record) for record in orders(member, 1.0)] == [SealingKey]


def test_member_that_has_rows_again_says_so_after_the_next_round_began(ledger: Ledger) -> None:
    ledger.order(("d", Observe(observes=True)))
    member = FederationMember("d", ledger.application.federation, PlainSum("d"))
    assert not any(isinstance(record, Observe) for record in orders(member, 1.0))
    commit(ledger, "a", "b")
    member = FederationMember("d", ledger.application.federation, PlainSum("d"))
    assert Observe(observes=False) in orders(member, 1.0)


def test_observer_that_is_invited_is_asked_for_work_and_the_round_goes_on_without_it(ledger: Ledger) -> None:
    """It was invited before it could say that it observes: its node does no work, and the deadline passes."""
    member = FederationMember("d", ledger.application.federation, PlainSum("d"), observes=True)
    opening = ledger.application.federation.expected()
    ledger.order(("a", opening))
    assert any(isinstance(effect, Work) for effect in member.ordered(opening, "a", 1.0, b""))
    said: list[tuple[str, Record]] = [(name, Commitment(0, name, bytes(32))) for name in NAMES[:3]]
    ledger.order(*said)
    ledger.order(("a", RoundTick(0)), time=1.0 + DEADLINE)
    now = ledger.application.federation.round
    assert now is not None
    assert not now.over


def idle(**fields: object) -> FederationState:
    """The state of a federation of four that has just begun."""
    return dataclasses.replace(FederationApplication(AGREEMENT).federation, **fields)  # type: ignore[arg-type]


def machines(state: FederationState) -> dict[str, FederationMember]:
    return {name: FederationMember(name, state, PlainSum(name)) for name in NAMES}


@pytest.mark.parametrize("number", [0, 1, 6])
def test_turns_go_round_and_the_next_waits_a_while_longer(number: int) -> None:
    """One silent member stops nothing: each that is further from its turn waits a sixteenth of a deadline more."""
    state = idle(number=number, idle_since=100.0)
    woken = {name: member.wake() for name, member in machines(state).items()}
    order = sorted(NAMES, key=lambda name: woken[name])
    assert order == [NAMES[(number + k) % 4] for k in range(4)]
    assert [woken[name] - 100.0 for name in order] == [k * PATIENCE * DEADLINE for k in range(4)]
    for name, member in machines(state).items():
        assert orders(member, woken[name] - 0.001) == []
        assert orders(member, woken[name]) == [state.expected()]


def test_record_that_was_lost_is_handed_in_again_after_a_deadline_and_not_before() -> None:
    member = machines(idle())["a"]
    begin = member.state.expected()
    assert [orders(member, now) for now in (1.0, 1.1, 10.9, 11.0)] == [[begin], [], [], [begin]]
    assert member.wake() == 21.0


def test_record_that_was_refused_changes_nothing_and_is_not_followed() -> None:
    member = machines(idle())["a"]
    before = member.state
    wrong = msgspec.structs.replace(before.expected(), model="another")
    for record, author in ((wrong, "a"), (RoundTick(0), "b"), (before.expected(), "stranger"), (Resume(), "a")):
        assert member.ordered(record, author, 1.0, b"block") == []
        assert member.state is before


@pytest.mark.parametrize("fields", [{"stopped": "nobody came"}, {"next": None}], ids=str)
def test_member_of_a_federation_that_stopped_or_is_done_has_no_duties(fields: dict[str, object]) -> None:
    member = machines(idle(**fields))["a"]
    assert member.wake() == float("inf")
    assert member.duties(10 * HOUR) == []


def test_who_is_no_member_has_no_duties() -> None:
    stranger = FederationMember("x", idle(), PlainSum("x"))
    assert (stranger.wake(), stranger.duties(10 * HOUR)) == (float("inf"), [])


def test_phase_that_is_due_is_ended_by_one_whose_turn_it_is() -> None:
    state = idle()
    ledger = Ledger(FederationApplication(AGREEMENT))
    ledger.order(("a", state.expected()), time=1.0)
    begun = ledger.application.federation
    assert begun.round is not None
    woken = {name: member.wake() for name, member in machines(begun).items()}
    assert woken == {name: begun.round.due + (k - 1) % 4 * PATIENCE * DEADLINE for k, name in enumerate(NAMES)}
    assert orders(machines(begun)["b"], begun.round.due) == [RoundTick(0)]


def test_member_that_starts_in_the_middle_of_a_round_takes_part_and_says_whom_it_waits_for() -> None:
    ledger = Ledger(FederationApplication(AGREEMENT))
    before = FederationMember("b", ledger.application.federation, PlainSum("b"))
    assert (before.begin(), before.awaited, before.sizes()) == ([], (), {})
    ledger.order(("a", before.state.expected()), ("c", Commitment(0, "c", bytes(32))))
    member = FederationMember("b", ledger.application.federation, PlainSum("b"))
    assert member.begin() == [Work(0, "train", "model-0")]
    assert member.awaited == ("a", "b", "d")
    assert member.step(Produced(0, np.arange(4)))
    ledger.order(("a", RoundTick(0)), time=100.0)
    over = FederationMember("b", ledger.application.federation, PlainSum("b"))
    assert (over.begin(), over.awaited) == ([], ())


class SealedSum(PlainSum):
    """Keys that shares could be sealed to, and which of them were to be kept."""

    def __init__(self, member: str) -> None:
        super().__init__(member)
        self.kept: list[list[bytes]] = []

    def sealing_key(self) -> bytes:
        return HybridKey().public

    def keep_sealing_keys(self, publics: Sequence[bytes]) -> None:
        self.kept.append(list(publics))


def test_sealing_key_is_drawn_once_renewed_when_a_round_begins_and_erased_when_it_is_over() -> None:
    """Threat M11: secrets of keys that no round needs any more are there for nobody to take."""
    ledger, sums = Ledger(FederationApplication(replace(AGREEMENT, protect="aggregate"))), SealedSum("a")
    member = FederationMember("a", ledger.application.federation, sums)

    def say(record: Record, author: str, time: float) -> list[RoundEffect]:
        assert ledger.codes((author, record), time=time) == [0]
        return member.ordered(record, author, time, ledger.application.snapshot().block)

    (first,) = orders(member, 1.0)
    assert isinstance(first, SealingKey)
    assert orders(member, 12.0) == [first]
    say(first, "a", 12.0)
    for name in "bcd":
        say(SealingKey(name, HybridKey().public), name, 12.0)
    effects = say(member.state.expected(), "b", 12.0)
    second = effects[-1].record if isinstance(effects[-1], OrderRecord) else None
    assert isinstance(second, SealingKey)
    assert second.key != first.key
    assert sums.kept == []
    say(RoundTick(0), "b", 100.0)
    assert member.state.round is not None
    assert member.state.round.over
    # The present one seals the next round's shares unless the newer one, which is on its way, is ordered before.
    assert sums.kept == [[first.key, second.key]]
