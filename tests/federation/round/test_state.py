"""What follows from the state of a round: who stays, who must show, who is acquitted, and when a deadline passes."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from medward.federation.records import Attest
from medward.federation.round.state import OVER, Phase
from medward.federation.terms import Terms
from tests.federation.round.rounds import NAMES, answering, attested, begun, checking

SEVEN = tuple("abcdefg")
DEALERS = st.lists(st.sampled_from(SEVEN), unique=True).map(tuple)


def _verdicts(**found: Attest) -> dict[str, Attest]:
    return dict(found)


def test_dealer_stays_only_if_an_honest_holder_found_it_good() -> None:
    """Of seven, two may lie: three must have found a dealing good."""
    state = replace(begun(), terms=Terms("test", SEVEN), invited=SEVEN)
    for finders, stays in ((2, ()), (3, ("a",)), (7, ("a",))):
        verdicts = {holder: Attest(5, holder, ("a",)) for holder in SEVEN[:finders]}
        assert replace(state, verdicts=verdicts).staying == stays


def test_dealer_of_whom_more_complain_than_may_be_shown_does_not_stay() -> None:
    state = replace(begun(), terms=Terms("test", SEVEN), invited=SEVEN)
    assert state.sum_terms.most_shown == 2
    for complaining, stays in ((2, ("a",)), (3, ())):
        good = {holder: Attest(5, holder, ("a",)) for holder in SEVEN[complaining:]}
        bad = {holder: Attest(5, holder, (), (), ("a",)) for holder in SEVEN[:complaining]}
        assert replace(state, verdicts={**good, **bad}).staying == stays


@given(st.dictionaries(st.sampled_from(SEVEN), st.tuples(DEALERS, DEALERS)))
def test_who_must_show_stays_otherwise_and_was_complained_of(
    said: dict[str, tuple[tuple[str, ...], tuple[str, ...]]],
) -> None:
    verdicts = {holder: Attest(5, holder, good, (), bad) for holder, (good, bad) in said.items()}
    state = replace(begun(), terms=Terms("test", SEVEN), invited=SEVEN, verdicts=verdicts)
    assert set(state.must_show) <= set(state.staying) <= set(SEVEN)
    for dealer in SEVEN:
        complaining = state.complainers(dealer)
        assert list(complaining) == sorted(complaining)
        assert (dealer in state.must_show) == (dealer in state.staying and bool(complaining))


def test_what_was_shown_acquits_once_f_plus_1_find_it_good() -> None:
    judging = replace(attested(checking(), ("a", "d")), shown={"d": "shown"})
    for finders, acquitted in ((0, ()), (1, ()), (2, ("d",))):
        judgements = {holder: Attest(5, holder, ("d",)) for holder in NAMES[:finders]}
        assert replace(judging, judgements=judgements).acquitted == acquitted
    liar = {holder: Attest(5, holder, ("c",)) for holder in NAMES}
    assert replace(judging, judgements=liar).acquitted == ()


def test_sum_has_an_empty_key_for_each_holder_that_is_absent() -> None:
    state = begun(sealing_keys={"b": b"key"})
    assert state.sum_terms.sealing_keys == (b"", b"key", b"", b"")
    assert (state.sum_terms.faulty, state.sum_terms.threshold, state.sum_terms.holders) == (1, 3, NAMES)
    assert state.sum_terms.recent == state.recent


def test_sum_is_exposed_from_the_moment_its_cohort_is_fixed() -> None:
    assert not checking().exposed
    assert answering().exposed


def test_deadline_is_that_of_the_terms_from_when_the_phase_began() -> None:
    assert replace(begun(), since=3.0).due == 13.0


def test_round_is_over_in_its_three_ends_only() -> None:
    assert {phase for phase in Phase if replace(begun(), phase=phase).over} == set(OVER)
    assert set(OVER) == {Phase.FINAL, Phase.ROLLED_BACK, Phase.VOID}
