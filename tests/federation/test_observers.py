"""Observers: hospitals that have nothing to contribute stand in no cohort, since zeros would hide nobody's update."""

import numpy as np
from msgspec.structs import replace

from medward.federation.application import REFUSED, FederationApplication
from medward.federation.records import Change, Commitment, Observe, Record, RoundTick
from medward.federation.round.state import Phase
from tests.federation.ledger import AGREEMENT, NAMES, Ledger, replica

DEADLINE = AGREEMENT.deadline


def commit(ledger: Ledger, *members: str, time: float = 1.0) -> None:
    """Begin a round, have some commit to a contribution, and let the deadline pass."""
    state = ledger.application.federation
    assert ledger.codes((members[0], state.expected()), time=time) == [0]
    said: list[tuple[str, Record]] = [(name, Commitment(state.number, name, bytes(32))) for name in members]
    assert not any(ledger.codes(*said, time=time))
    ledger.order((members[0], RoundTick(state.number)), time=time + DEADLINE)


def test_zeros_would_show_one_hospitals_update_to_one_liar_and_observers_stand_in_no_cohort(ledger: Ledger) -> None:
    honest, own, zeros = np.array([5, -7, 3]), np.array([1, 1, 1]), np.zeros(3, int)
    # Were d, who has no labels, to contribute zeros, then c only has to stay away, or to lie, for a to read b.
    assert ((honest + own + zeros) - own == honest).all()
    assert ledger.codes(("d", Observe(observes=True))) == [0]
    assert ledger.application.federation.expected().invited == ("a", "b", "c")
    commit(ledger, "a", "b")
    now = ledger.application.federation.round
    assert now is not None
    assert (now.phase, now.exposed) == (Phase.VOID, False)


def test_observer_is_asked_for_nothing_even_if_it_wants_to_contribute(ledger: Ledger) -> None:
    ledger.order(("d", Observe(observes=True)))
    ledger.order(("a", ledger.application.federation.expected()))
    assert ledger.codes(("d", Commitment(0, "d", bytes(32))), ("a", Commitment(0, "a", bytes(32)))) == [REFUSED, 0]


def test_round_waits_until_enough_hospitals_take_part(ledger: Ledger) -> None:
    assert ledger.codes(("c", Observe(observes=True)), ("d", Observe(observes=True))) == [0, 0]
    state = ledger.application.federation
    assert (state.contributors_lack, state.begins_at) == (1, None)
    assert ledger.codes(("a", state.expected()), time=1000.0) == [REFUSED]
    assert ledger.codes(("d", Change("d", None, None)), time=1000.0) == [0]
    # Of three, all must contribute.
    assert ledger.application.federation.contributors_lack == 1


def test_each_says_it_once_a_round_and_only_what_is_new(ledger: Ledger) -> None:
    """A liar that changed its mind in every block would keep everybody's word on the next round from being right."""
    assert ledger.codes(("d", Observe(observes=False)), ("d", Observe(observes=True))) == [REFUSED, 0]
    assert ledger.codes(("d", Observe(observes=True)), ("d", Observe(observes=False))) == [REFUSED, REFUSED]
    commit(ledger, "a", "b")
    assert ledger.codes(("d", Observe(observes=False))) == [0]
    assert ledger.application.federation.expected().invited == NAMES


def test_observer_under_way_stays_in_the_round_that_it_was_invited_to(ledger: Ledger) -> None:
    ledger.order(("a", ledger.application.federation.expected()))
    assert ledger.codes(("d", Observe(observes=True)), ("d", Commitment(0, "d", bytes(32)))) == [0, 0]


def test_sample_is_drawn_among_those_who_take_part() -> None:
    names = tuple("abcdefghij")
    agreement = replace(AGREEMENT, members=names, accounts={name: name.encode() * 32 for name in names}, sample=0.7)
    ledger = Ledger(FederationApplication(agreement))
    drawn = ledger.application.federation.invited()
    ledger.order((drawn[0], Observe(observes=True)))
    again = ledger.application.federation.invited()
    assert drawn[0] not in again
    assert len(again) == len(drawn) == 7
    assert set(drawn[1:]) < set(again)


def test_who_goes_or_comes_back_with_new_keys_takes_part(ledger: Ledger) -> None:
    ledger.order(("d", Observe(observes=True)))
    for name in ("a", "b"):
        ledger.order((name, Change("d", b"D" * 32, replica("d", "D"))))
    assert ledger.application.federation.observers == frozenset()
    assert ledger.application.federation.standing == {}


def test_standing_survives_a_snapshot(ledger: Ledger) -> None:
    ledger.order(("d", Observe(observes=True)))
    other = FederationApplication(AGREEMENT)
    other.restore(ledger.application.snapshot().encode())
    assert other.federation == ledger.application.federation
    assert other.federation.observers == {"d"}
