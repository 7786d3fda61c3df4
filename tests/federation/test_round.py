"""The rules of a round, record by record."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medward.federation.interfaces import Refused
from medward.federation.records import Aggregate, Finish, Open, Record, Reject, Share, Submit, Tick
from medward.federation.round import Phase, Round, Terms, apply, opened

NAMES = ("a", "b", "c", "d")
TERMS = Terms("test", NAMES, deadline=10.0)
OPEN = Open(5, "train", "model-0", NAMES, 3)


def _after(*records: Record, time: float = 1.0, state: Round | None = None) -> Round:
    state = opened(TERMS, OPEN, 0.0) if state is None else state
    for record in records:
        state = apply(state, record, time)
    return state


def _submitted(*members: str) -> Round:
    return _after(*(Submit(5, member, f"blob-{member}") for member in members))


def _sharing() -> Round:
    state = _submitted(*NAMES)
    assert state.aggregator is not None
    return _after(Aggregate(5, state.aggregator, "sum"), state=state)


def test_healthy_round_waits_for_no_deadline() -> None:
    state = _sharing()
    state = _after(*(Share(5, member, "share") for member in NAMES), state=state)
    assert state.phase is Phase.FINISHING
    state = _after(Finish(5, "a", "model-1"), Finish(5, "c", "model-1"), state=state)
    assert (state.phase, state.outcome) == (Phase.FINAL, "model-1")


def test_one_liar_does_not_decide_the_model() -> None:
    state = _after(*(Share(5, member, "share") for member in NAMES), state=_sharing())
    state = _after(Finish(5, "a", "wrong"), state=state)
    assert state.phase is Phase.FINISHING
    assert _after(Finish(5, "b", "right"), Finish(5, "c", "right"), state=state).outcome == "right"


def test_silent_member_is_left_out_after_the_deadline() -> None:
    state = _after(Tick(5), time=9.9, state=_submitted("a", "b", "d"))
    assert state.phase is Phase.SUBMITTING
    state = _after(Tick(5), time=10.0, state=state)
    assert (state.phase, state.cohort) == (Phase.AGGREGATING, ("a", "b", "d"))


def test_late_submit_is_refused_and_the_cohort_stays() -> None:
    state = _after(Tick(5), time=10.0, state=_submitted("a", "b", "d"))
    with pytest.raises(Refused):
        apply(state, Submit(5, "c", "late"), 11.0)
    assert state.cohort == ("a", "b", "d")


def test_too_small_a_cohort_makes_the_round_void() -> None:
    state = _after(Tick(5), time=10.0, state=_submitted("a", "b"))
    assert state.phase is Phase.VOID
    assert state.outcome is not None
    assert "3 are needed" in state.outcome


def test_silent_aggregator_is_followed_by_the_next() -> None:
    state = _submitted(*NAMES)
    first = state.aggregator
    assert first is not None
    state = _after(Tick(5), time=11.0, state=state)
    assert state.phase is Phase.AGGREGATING
    assert state.aggregator != first
    with pytest.raises(Refused):
        apply(state, Aggregate(5, first, "sum"), 12.0)


def test_one_rejection_is_not_enough_and_two_are() -> None:
    state = _sharing()
    first = state.aggregator
    state = _after(Reject(5, "a", "sum"), state=state)
    assert state.phase is Phase.SHARING
    state = _after(Reject(5, "b", "sum"), state=state)
    assert state.phase is Phase.AGGREGATING
    assert state.aggregator != first


def test_round_is_void_when_every_aggregator_fails() -> None:
    state = _submitted(*NAMES)
    for attempt in range(4):
        state = _after(Tick(5), time=11.0 * (attempt + 1), state=state)
    assert state.phase is Phase.VOID


@pytest.mark.parametrize(
    "record",
    [
        Submit(5, "stranger", "blob"),
        Submit(5, "a", "twice"),
        Submit(4, "d", "another round"),
        Aggregate(5, "a", "too early"),
        Share(5, "a", "too early"),
        Finish(5, "a", "too early"),
        Reject(5, "a", "nothing"),
        Open(5, "train", "again", NAMES, 3),
    ],
)
def test_records_that_break_a_rule_are_refused(record: Record) -> None:
    with pytest.raises(Refused):
        apply(_submitted("a", "b"), record, 1.0)


@pytest.mark.parametrize("invited", [("a", "b"), ("a", "b", "x"), ("a", "a", "b", "c")])
def test_round_with_wrong_guests_is_refused(invited: tuple[str, ...]) -> None:
    with pytest.raises(Refused):
        opened(TERMS, Open(5, "train", "model-0", invited, 3), 0.0)


def test_two_colluders_cannot_isolate_a_member_of_seven() -> None:
    terms = Terms("test", tuple("abcdefg"))
    assert terms.faulty == 2
    assert terms.least_cohort == 4


_RECORDS = st.one_of(
    st.builds(Submit, st.just(5), st.sampled_from((*NAMES, "x")), st.sampled_from(("p", "q"))),
    st.builds(Aggregate, st.just(5), st.sampled_from((*NAMES, "x")), st.sampled_from(("sum", "lie"))),
    st.builds(Reject, st.just(5), st.sampled_from((*NAMES, "x")), st.sampled_from(("sum", "lie"))),
    st.builds(Share, st.just(5), st.sampled_from((*NAMES, "x")), st.just("share")),
    st.builds(Finish, st.just(5), st.sampled_from((*NAMES, "x")), st.sampled_from(("m", "n"))),
    st.builds(Tick, st.just(5)),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(_RECORDS, st.floats(0, 4)), max_size=40))
def test_no_sequence_of_records_changes_what_is_fixed(steps: list[tuple[Record, float]]) -> None:
    state, time = opened(TERMS, OPEN, 0.0), 0.0
    for record, wait in steps:
        time += wait
        try:
            after = apply(state, record, time)
        except Refused:
            continue
        assert not state.over
        if state.cohort:
            assert after.cohort == state.cohort
        assert "x" not in (*after.submissions, *after.shares, *after.finishes)
        for before, now in ((state.submissions, after.submissions), (state.finishes, after.finishes)):
            assert all(now[member] == blob for member, blob in before.items())
        if after.phase is Phase.FINAL:
            agreeing = [member for member, model in after.finishes.items() if model == after.outcome]
            assert len(agreeing) > TERMS.faulty
            assert len(after.cohort) >= TERMS.least_cohort
        state = after
