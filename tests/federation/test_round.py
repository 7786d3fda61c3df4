"""The rules of a round, record by record."""

from collections.abc import Iterable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medward.federation.interfaces import Refused
from medward.federation.records import (
    Aggregate,
    Attest,
    Commit,
    Finish,
    Next,
    Open,
    Reject,
    Reveal,
    RoundRecord,
    Share,
    ShareCommit,
    Submit,
    Tick,
    Vote,
    What,
    commitment_to,
    subject,
)
from medward.federation.round import Found, Keys, Phase, Round, Terms
from medward.federation.round_rules import apply, opened

NAMES = ("a", "b", "c", "d")
TERMS = Terms("test", NAMES, deadline=10.0)
KEYS = Keys(NAMES, 1)
THEN = Next("train", 1, 3)
OPEN = Open(5, "train", "model-0", NAMES, 1, 3)


def _bound(what: What, member: str, name: str) -> bytes:
    return commitment_to(what, "test", 5, member, name)


def _after(state: Round, *records: RoundRecord, time: float = 1.0) -> Round:
    for record in records:
        state = apply(state, record, time)
    return state


def _begun(**fields: object) -> Round:
    return replace(opened(TERMS, KEYS, OPEN, 0.0), **fields)  # type: ignore[arg-type]


def _submitted(*members: str) -> Round:
    """The state after these members have committed and submitted."""
    state = _after(_begun(), *(Commit(5, m, _bound("contribution", m, f"blob-{m}")) for m in members))
    if len(members) < len(NAMES):
        state = _after(state, Tick(5), time=state.due)
    return _after(state, *(Submit(5, m, f"blob-{m}") for m in members), time=state.since)


def _attested(state: Round, subjects: Iterable[str], by: str = "ab") -> Round:
    return _after(state, *(Attest(5, m, tuple(subjects)) for m in by), time=state.since)


def _closed(*members: str) -> Round:
    return _attested(_submitted(*members), [subject(m) for m in members])


def _checking() -> Round:
    state = _closed(*NAMES)
    assert state.aggregator is not None
    return _after(state, Aggregate(5, state.aggregator, "sum"))


def _sharing(*members: str) -> Round:
    state = _after(_checking(), *(ShareCommit(5, m, _bound("share", m, f"share-{m}")) for m in members))
    return state if len(members) == len(NAMES) else _after(state, Tick(5), time=state.due)


def _verifying(*members: str) -> Round:
    """All committed to a share; these members show theirs."""
    state = _after(_sharing(*NAMES), *(Share(5, m, f"share-{m}") for m in members))
    return state if len(members) == len(NAMES) else _after(state, Tick(5), time=state.due)


def _finishing() -> Round:
    return _attested(_verifying(*NAMES), [subject(m) for m in NAMES])


def _voting() -> Round:
    return _after(_finishing(), Finish(5, "a", "model-1", None), Finish(5, "c", "model-1", None))


def test_healthy_round_waits_for_no_deadline() -> None:
    state = _voting()
    assert (state.phase, state.candidate, state.silent) == (Phase.VOTING, Found("model-1", None), ())
    state = _after(state, Vote(5, "a", accept=True), Vote(5, "b", accept=True))
    assert (state.phase, state.outcome, state.since) == (Phase.FINAL, "model-1", 1.0)


def test_every_phase_says_whose_word_it_waits_for() -> None:
    committed = _after(_begun(), Commit(5, "b", _bound("contribution", "b", "blob-b")))
    assert committed.awaited == ("a", "c", "d")
    assert _after(_sharing(*NAMES), Share(5, "a", "share-a")).awaited == ("b", "c", "d")
    submitting = _after(_begun(), *(Commit(5, m, _bound("contribution", m, f"blob-{m}")) for m in NAMES))
    assert _after(submitting, Submit(5, "d", "blob-d")).awaited == ("a", "b", "c")
    assert _attested(_submitted(*NAMES), ["a", "b", "c"], by="a").awaited == NAMES
    assert _attested(_submitted(*NAMES), [subject(m) for m in NAMES], by="a").awaited == ("b", "c", "d")
    assert _closed(*NAMES).awaited == (_closed(*NAMES).aggregator,)
    assert _after(_checking(), Reject(5, "c", "sum")).awaited == ("a", "b", "d")
    assert _attested(_verifying(*NAMES), [subject(m) for m in NAMES], by="d").awaited == ("a", "b", "c")
    assert _after(_finishing(), Finish(5, "b", "model-1", None)).awaited == ("a", "c", "d")
    assert _after(_voting(), Vote(5, "c", accept=True)).awaited == ("a", "b", "d")
    assert _after(_voting(), *(Vote(5, m, accept=True) for m in "ab")).awaited == ()


def test_opening_waits_for_all_holders_but_the_silent_one() -> None:
    state = _attested(_verifying("a", "b", "c"), [subject(m) for m in "abc"])
    assert (state.phase, state.silent, state.awaited) == (Phase.OPENING, ("d",), ("a", "b", "c"))
    assert _after(state, Reveal(5, "b", "d", "part-b")).awaited == ("a", "c")


def test_one_liar_does_not_decide_the_model() -> None:
    state = _after(_finishing(), Finish(5, "a", "wrong", None))
    assert state.phase is Phase.FINISHING
    assert _after(state, Finish(5, "b", "right", None), Finish(5, "c", "right", None)).candidate == Found("right", None)


def test_members_agree_on_the_next_sum_as_on_the_model() -> None:
    state = _after(_finishing(), Finish(5, "a", "model-1", THEN), Finish(5, "b", "model-1", None))
    assert state.phase is Phase.FINISHING
    assert _after(state, Finish(5, "c", "model-1", THEN)).candidate == Found("model-1", THEN)


def test_majority_against_rolls_back_and_a_missing_vote_accepts() -> None:
    against = [Vote(5, m, accept=False) for m in "abc"]
    assert _after(_voting(), *against).phase is Phase.ROLLED_BACK
    half = _after(_voting(), *against[:2])
    assert half.phase is Phase.VOTING
    assert _after(half, Tick(5), time=half.due).outcome == "model-1"


def test_survey_needs_no_vote() -> None:
    state = replace(_finishing(), task="survey")
    assert _after(state, Finish(5, "a", "m", None), Finish(5, "b", "m", None)).phase is Phase.FINAL


def test_silent_member_is_left_out_after_the_deadline() -> None:
    state = _after(_begun(), *(Commit(5, m, _bound("contribution", m, f"blob-{m}")) for m in "abd"))
    state = _after(state, Tick(5), time=9.9)
    assert state.phase is Phase.COMMITTING
    state = _after(state, Tick(5), time=10.0)
    assert state.phase is Phase.SUBMITTING
    with pytest.raises(Refused):
        apply(state, Submit(5, "c", "blob-c"), 11.0)
    assert _closed("a", "b", "d").cohort == ("a", "b", "d")


def test_member_that_shows_something_else_than_it_committed_to_is_refused() -> None:
    state = _after(_begun(), *(Commit(5, m, _bound("contribution", m, f"blob-{m}")) for m in NAMES))
    for record in (Submit(5, "a", "blob-b"), Submit(5, "a", "blob-x")):
        with pytest.raises(Refused, match="than it committed to"):
            apply(state, record, 1.0)


def test_contribution_found_bad_by_two_is_out_and_by_one_is_not() -> None:
    state = _submitted(*NAMES)
    good = tuple(subject(m) for m in "abc")
    state = _after(state, Attest(5, "a", good, (subject("d"),)), Attest(5, "b", good))
    assert state.phase is Phase.ATTESTING
    out = _after(state, Attest(5, "c", good, (subject("d"),)))
    assert out.cohort == ("a", "b", "c")
    kept = _after(state, Attest(5, "c", (*good, subject("d"))), Attest(5, "d", (subject("d"),)))
    assert kept.cohort == NAMES


def test_member_attests_once_and_only_to_what_is_shown_now() -> None:
    state = _after(_submitted(*NAMES), Attest(5, "a", (subject("b"),)))
    for record in (
        Attest(5, "a", (subject("b"),)),
        Attest(5, "a", (), (subject("b"),)),
        Attest(5, "b", (subject("x"),)),
        Attest(5, "b", (subject("a", "b"),)),
        Attest(5, "b", (subject("a"),), (subject("a"),)),
        Attest(5, "b", ()),
        Attest(5, "x", (subject("a"),)),
    ):
        with pytest.raises(Refused):
            apply(state, record, 1.0)


def test_too_small_a_cohort_makes_the_round_void() -> None:
    state = _after(_begun(), *(Commit(5, m, _bound("contribution", m, "blob")) for m in "ab"))
    state = _after(state, Tick(5), time=10.0)
    assert state.phase is Phase.VOID
    assert state.outcome is not None
    assert "3 are needed" in state.outcome


def test_cohort_close_to_one_whose_sum_may_be_known_makes_the_round_void() -> None:
    state = _begun(earlier=(frozenset(NAMES),))
    state = _after(state, *(Commit(5, m, _bound("contribution", m, f"blob-{m}")) for m in "abc"))
    state = _after(state, Tick(5), time=10.0)
    state = _after(state, *(Submit(5, m, f"blob-{m}") for m in "abc"), time=10.0)
    state = _attested(state, [subject(m) for m in "abc"])
    assert state.phase is Phase.VOID
    assert "too close" in str(state.outcome)
    assert not state.exposed


def test_silent_aggregator_is_followed_by_the_next() -> None:
    state = _closed(*NAMES)
    first = state.aggregator
    assert first is not None
    state = _after(state, Tick(5), time=11.0)
    assert state.phase is Phase.AGGREGATING
    assert state.aggregator != first
    with pytest.raises(Refused):
        apply(state, Aggregate(5, first, "sum"), 12.0)


def test_one_rejection_is_not_enough_and_two_are() -> None:
    state = _after(_checking(), ShareCommit(5, "c", bytes(32)))
    first = state.aggregator
    state = _after(state, Reject(5, "a", "sum"))
    assert state.phase is Phase.CHECKING
    state = _after(state, Reject(5, "b", "sum"))
    assert (state.phase, state.share_commitments) == (Phase.AGGREGATING, {})
    assert state.aggregator != first


def test_aggregator_that_withholds_what_it_named_is_followed_by_the_next() -> None:
    state = _checking()
    alone = _after(state, ShareCommit(5, "b", _bound("share", "b", "share-b")))
    for held_by_nobody in (state, alone):
        after = _after(held_by_nobody, Tick(5), time=held_by_nobody.due)
        assert (after.phase, after.attempt, after.aggregate) == (Phase.AGGREGATING, 1, None)
        assert after.share_commitments == {}


def test_round_is_void_when_every_aggregator_fails() -> None:
    state = _closed(*NAMES)
    for attempt in range(4):
        state = _after(state, Tick(5), time=11.0 * (attempt + 1))
    assert (state.phase, state.exposed) == (Phase.VOID, False)


def test_no_share_is_shown_before_all_are_bound_to_theirs() -> None:
    with pytest.raises(Refused):
        apply(_checking(), Share(5, "a", "share-a"), 1.0)
    with pytest.raises(Refused, match="than it committed to"):
        apply(_sharing(*NAMES), Share(5, "a", "another"), 1.0)


@pytest.mark.parametrize("how", ["never commits", "never shows", "shows a bad one"])
def test_silent_or_lying_holder_is_opened_by_the_others(how: str) -> None:
    others = "abc"
    if how == "shows a bad one":
        state = _verifying(*NAMES)
        good = tuple(subject(m) for m in others)
        state = _after(state, *(Attest(5, m, good, (subject("d"),)) for m in "ab"))
    elif how == "never shows":
        state = _attested(_verifying(*others), [subject(m) for m in others])
    else:
        state = _after(_sharing(*others), *(Share(5, m, f"share-{m}") for m in others), time=11.0)
        state = _attested(state, [subject(m) for m in others])
    assert (state.phase, state.silent) == (Phase.OPENING, ("d",))
    for record in (Reveal(5, "a", "b", "x"), Reveal(5, "d", "d", "x"), Reveal(5, "x", "d", "x")):
        with pytest.raises(Refused):
            apply(state, record, 11.0)
    for member in others:
        assert state.phase is Phase.OPENING
        state = _after(state, Reveal(5, member, "d", f"dealt-{member}"), time=state.since)
        state = _attested(state, [subject("d", member)])
    assert state.phase is Phase.FINISHING


def test_dealt_share_that_is_not_good_does_not_count() -> None:
    state = _attested(_verifying(*"abc"), [subject(m) for m in "abc"])
    state = _after(state, *(Reveal(5, m, "d", f"dealt-{m}") for m in "abc"), time=state.since)
    state = _after(
        state,
        *(Attest(5, m, (subject("d", "a"), subject("d", "b")), (subject("d", "c"),)) for m in "ab"),
        time=state.since,
    )
    assert state.phase is Phase.OPENING
    assert _after(state, Tick(5), time=state.due).phase is Phase.VOID


def test_more_silent_holders_than_may_be_opened_make_the_round_void() -> None:
    state = _sharing(*"ab")
    assert (state.phase, state.exposed) == (Phase.VOID, False)
    state = _attested(_verifying(*"ab"), [subject("a"), subject("b")])
    assert (state.phase, state.exposed) == (Phase.VOID, True)


@pytest.mark.parametrize(
    "record",
    [
        Commit(5, "stranger", bytes(32)),
        Commit(5, "a", bytes(32)),
        Commit(5, "d", bytes(31)),
        Commit(4, "d", bytes(32)),
        Submit(5, "a", "too early"),
        Aggregate(5, "a", "too early"),
        Share(5, "a", "too early"),
        Finish(5, "a", "too early", None),
        Reject(5, "a", "nothing"),
        Vote(5, "a", accept=True),
        Open(5, "train", "again", NAMES, 1, 3),
    ],
)
def test_records_that_break_a_rule_are_refused(record: RoundRecord) -> None:
    state = _after(_begun(), *(Commit(5, m, _bound("contribution", m, "blob")) for m in "ab"))
    with pytest.raises(Refused):
        apply(state, record, 1.0)


@pytest.mark.parametrize("invited", [("a", "b"), ("a", "b", "x"), ("a", "a", "b", "c")])
def test_round_with_wrong_guests_is_refused(invited: tuple[str, ...]) -> None:
    with pytest.raises(Refused):
        opened(TERMS, KEYS, Open(5, "train", "model-0", invited, 1, 3), 0.0)


def test_round_about_nothing_is_refused() -> None:
    with pytest.raises(Refused):
        opened(TERMS, KEYS, Open(5, "train", "model-0", NAMES, 0, 0), 0.0)


def test_two_colluders_cannot_isolate_a_member_of_seven() -> None:
    terms = Terms("test", tuple("abcdefg"))
    assert terms.faulty == 2
    assert terms.least_cohort == 4


_WHO = st.sampled_from((*NAMES, "x"))
_BLOBS = st.sampled_from(("p", "q"))
_SUBJECTS = st.lists(st.one_of(_WHO, st.builds(subject, _WHO, _WHO)), max_size=4).map(tuple)
_RECORDS = st.one_of(
    st.builds(lambda m, name: Commit(5, m, _bound("contribution", m, name)), _WHO, _BLOBS),
    st.builds(Submit, st.just(5), _WHO, _BLOBS),
    st.builds(Attest, st.just(5), _WHO, _SUBJECTS, _SUBJECTS),
    st.builds(Aggregate, st.just(5), _WHO, st.sampled_from(("sum", "lie"))),
    st.builds(Reject, st.just(5), _WHO, st.sampled_from(("sum", "lie"))),
    st.builds(lambda m, name: ShareCommit(5, m, _bound("share", m, name)), _WHO, _BLOBS),
    st.builds(Share, st.just(5), _WHO, _BLOBS),
    st.builds(Reveal, st.just(5), _WHO, _WHO, _BLOBS),
    st.builds(Finish, st.just(5), _WHO, st.sampled_from(("m", "n")), st.sampled_from((None, THEN))),
    st.builds(Vote, st.just(5), _WHO, st.booleans()),
    st.builds(Tick, st.just(5)),
)
_STARTS = (_begun, lambda: _submitted(*NAMES), _checking, lambda: _sharing(*NAMES), lambda: _verifying(*"abc"), _voting)


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(_STARTS), st.lists(st.tuples(_RECORDS, st.floats(0, 4)), max_size=40))
def test_no_sequence_of_records_changes_what_is_fixed(start: object, steps: list[tuple[RoundRecord, float]]) -> None:
    state: Round = start()  # type: ignore[operator]
    time = state.since
    for record, wait in steps:
        time += wait
        try:
            after = apply(state, record, time)
        except Refused:
            continue
        assert not state.over
        if state.cohort:
            assert after.cohort == state.cohort
        assert "x" not in (*after.commitments, *after.submissions, *after.shares, *after.finishes, *after.votes)
        for what in ("commitments", "submissions", "shares", "finishes", "votes"):
            assert all(getattr(after, what)[who] == said for who, said in getattr(state, what).items())
        if after.shares:
            assert after.exposed
            assert len(after.share_commitments) >= len(after.keys.holders) - after.keys.openings
        if after.phase is Phase.FINAL:
            agreeing = [member for member, found in after.finishes.items() if found == after.candidate]
            assert after.candidate is not None
            assert after.outcome == after.candidate.model
            assert len(agreeing) > TERMS.faulty
            assert len(after.cohort) >= TERMS.least_cohort
        state = after
