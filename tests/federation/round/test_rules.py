"""The rules of a round, record by record."""

from dataclasses import replace

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medward.federation.errors import RecordRefused
from medward.federation.records import (
    Answer,
    Attest,
    BeginRound,
    Commitment,
    Complain,
    Finish,
    ModelVote,
    NoFit,
    Respond,
    RoundRecord,
    RoundTick,
    Show,
    Submit,
    audit_beacon_of,
    beacon_of,
)
from medward.federation.round.rules import TOO_CLOSE, apply_to_round, begin_round
from medward.federation.round.state import NextModel, Phase, Round
from tests.federation.round.rounds import (
    BEGIN,
    BLOCK,
    KEYS,
    NAMES,
    TERMS,
    THEN,
    after,
    answering,
    attested,
    auditing,
    begun,
    checking,
    commit,
    finishing,
    late,
    submit,
    voting,
)


def test_healthy_round_waits_for_no_deadline() -> None:
    state = voting()
    assert (state.phase, state.candidate, state.cohort) == (Phase.VOTING, NextModel("model-1", None), NAMES)
    state = after(state, ModelVote(5, "a", accept=True), ModelVote(5, "b", accept=True))
    assert (state.phase, state.outcome, state.since) == (Phase.FINAL, "model-1", 0.0)


def test_model_is_found_as_soon_as_enough_have_answered() -> None:
    """No answer of a fourth holder is waited for: three decrypt the sum, and f + 1 say what follows from it."""
    state = after(answering(), *(Answer(5, holder, "answer") for holder in "abc"))
    assert state.phase is Phase.ANSWERING
    assert after(state, *(Finish(5, member, "model-1", None) for member in "ab")).phase is Phase.VOTING


def test_one_liar_does_not_decide_the_model() -> None:
    state = after(finishing(), Finish(5, "a", "wrong", None))
    assert state.phase is Phase.FINISHING
    assert after(state, Finish(5, "b", "right", None), Finish(5, "c", "right", None)).candidate == NextModel(
        "right", None
    )


def test_members_agree_on_the_next_sum_as_on_the_model() -> None:
    state = after(finishing(), Finish(5, "a", "model-1", THEN), Finish(5, "b", "model-1", None))
    assert state.phase is Phase.FINISHING
    assert after(state, Finish(5, "c", "model-1", THEN)).candidate == NextModel("model-1", THEN)


def test_majority_against_rolls_back_and_a_missing_vote_accepts() -> None:
    against = [ModelVote(5, member, accept=False) for member in "abc"]
    assert after(voting(), *against).phase is Phase.ROLLED_BACK
    half = after(voting(), *against[:2])
    assert half.phase is Phase.VOTING
    assert late(half).outcome == "model-1"


def test_survey_needs_no_vote() -> None:
    state = replace(finishing(), task="survey")
    assert after(state, Finish(5, "a", "m", None), Finish(5, "b", "m", None)).phase is Phase.FINAL


def test_silent_member_is_left_out_after_the_deadline() -> None:
    state = after(begun(), *map(commit, "abd"))
    assert after(state, RoundTick(5), time=9.9).phase is Phase.COMMITTING
    state = late(state)
    assert state.phase is Phase.SUBMITTING
    with pytest.raises(RecordRefused):
        apply_to_round(state, submit("c"), 11.0, BLOCK)
    assert attested(checking("abd")).cohort == ("a", "b", "d")


def test_member_that_shows_something_else_than_it_committed_to_is_refused() -> None:
    state = after(begun(), *map(commit, NAMES))
    for name in ("blob-b", "blob-x"):
        with pytest.raises(RecordRefused, match="than it committed to"):
            apply_to_round(state, Submit(5, "a", name, "response"), 1.0, BLOCK)


def test_beacon_comes_after_the_commitments_and_binds_them_all() -> None:
    state = after(begun(), *map(commit, "abc"))
    assert state.beacon == b""
    closed = apply_to_round(state, commit("d"), 1.0, b"the closing block")
    assert closed.beacon == beacon_of("test", 5, b"the closing block", closed.commitments)
    assert closed.beacon != apply_to_round(state, commit("d"), 1.0, b"another block").beacon
    others = after(begun(), *map(commit, "abd"))
    assert (
        apply_to_round(late(others), RoundTick(5), 11.0, BLOCK).beacon
        != apply_to_round(late(state), RoundTick(5), 11.0, BLOCK).beacon
    )
    closed_late = late(state)
    with pytest.raises(RecordRefused, match="submitting, not committing"):
        apply_to_round(closed_late, commit("d"), 11.0, BLOCK)


def test_member_that_restored_a_state_computes_the_beacon_of_those_who_followed() -> None:
    """A restored state has its members sorted; whatever order commitments came in, nobody is sent another way."""
    followed = after(begun(), *map(commit, "cab"))
    encoded = msgspec.msgpack.encode(followed, order="deterministic")
    restored = msgspec.msgpack.decode(encoded, type=Round)
    assert tuple(restored.commitments) != tuple(followed.commitments)
    assert after(restored, commit("d")) == after(followed, commit("d"))
    asked = after(finishing("cabd"), NoFit(5, "b", NAMES))
    again = msgspec.msgpack.decode(msgspec.msgpack.encode(asked, order="deterministic"), type=Round)
    assert after(again, NoFit(5, "a", NAMES)) == after(asked, NoFit(5, "a", NAMES))


def test_checking_never_ends_before_every_holder_has_spoken_or_the_deadline() -> None:
    """Threat M1: if f + 1 verdicts closed the phase, complaints of the others would come too late."""
    state = after(checking(), *(Attest(5, holder, NAMES) for holder in "abc"))
    assert state.phase is Phase.CHECKING
    assert after(state, Attest(5, "d", NAMES)).phase is Phase.ANSWERING
    assert late(state).cohort == NAMES


def test_dealing_that_too_few_hold_is_out_and_nobody_is_blamed() -> None:
    state = after(checking(), Attest(5, "a", NAMES))
    state = after(state, *(Attest(5, holder, tuple("abc")) for holder in "bcd"))
    assert state.cohort == ("a", "b", "c")
    assert not state.accusations


def test_dealing_found_at_fault_is_in_only_if_an_honest_holder_found_it_good() -> None:
    good = tuple("abc")
    state = after(checking(), *(Attest(5, holder, good, ("d",)) for holder in "abc"), Attest(5, "d", NAMES))
    assert state.cohort == good
    state = after(checking(), *(Attest(5, holder, NAMES) for holder in "abc"), Attest(5, "d", good, ("d",)))
    assert state.cohort == NAMES


def test_dealer_complained_of_shows_and_stays_if_what_it_shows_is_right() -> None:
    state = attested(checking(), ("a", "d"))
    assert (state.phase, state.must_show, state.complainers("d")) == (Phase.SHOWING, ("d",), ("a",))
    for record in (Show(5, "a", "shown"), Answer(5, "a", "answer"), Show(5, "x", "shown")):
        with pytest.raises(RecordRefused):
            apply_to_round(state, record, 1.0, BLOCK)
    state = after(state, Show(5, "d", "shown"))
    assert state.phase is Phase.JUDGING
    good = [Attest(5, holder, ("d",)) for holder in "ab"]
    bad = [Attest(5, holder, (), ("d",)) for holder in "cd"]
    assert after(state, *good, *bad).cohort == NAMES
    assert after(state, good[0], Attest(5, "b", (), ("d",)), *bad).cohort == ("a", "b", "c")
    assert late(after(state, good[0])).cohort == ("a", "b", "c")


def test_dealer_complained_of_that_shows_nothing_is_out() -> None:
    assert late(attested(checking(), ("a", "d"))).cohort == ("a", "b", "c")


def test_dealer_of_whom_more_complain_than_may_be_shown_is_out_and_shows_nothing() -> None:
    """Threat M3: with the shares of f liars, t - 1 - f shown ones are one short of t."""
    state = attested(checking(), ("a", "d"), ("b", "d"))
    assert (state.phase, state.cohort, dict(state.shown)) == (Phase.ANSWERING, ("a", "b", "c"), {})
    one_of_two = attested(checking(), ("a", "c"), ("a", "d"), ("b", "d"))
    assert one_of_two.must_show == ("c",)
    with pytest.raises(RecordRefused):
        apply_to_round(one_of_two, Show(5, "d", "shown"), 1.0, BLOCK)


@pytest.mark.parametrize(
    "record",
    [
        Attest(5, "a", ("b",)),
        Attest(5, "b", ("x",)),
        Attest(5, "b", ("a",), ("a",)),
        Attest(5, "b", ("a",), (), ("a",)),
        Attest(5, "x", ("a",)),
    ],
)
def test_holder_attests_once_and_only_to_what_is_to_be_checked(record: Attest) -> None:
    state = after(checking(), Attest(5, "a", ("b",)))
    with pytest.raises(RecordRefused):
        apply_to_round(state, record, 1.0, BLOCK)


def test_nobody_complains_of_what_was_shown() -> None:
    state = after(attested(checking(), ("a", "d")), Show(5, "d", "shown"))
    with pytest.raises(RecordRefused):
        apply_to_round(state, Attest(5, "a", (), (), ("d",)), 1.0, BLOCK)


def test_too_small_a_cohort_makes_the_round_void() -> None:
    state = late(after(begun(), *map(commit, "ab")))
    assert state.phase is Phase.VOID
    assert "3 are needed" in str(state.outcome)
    void = late(after(checking(), *(Attest(5, holder, ("a", "b")) for holder in "abc")))
    assert (void.phase, void.exposed) == (Phase.VOID, False)


def test_cohort_close_to_one_that_was_decrypted_makes_the_round_void_before_anybody_answers() -> None:
    state = attested(checking("abc", known=(frozenset(NAMES),)))
    assert (state.phase, state.exposed) == (Phase.VOID, False)
    assert str(state.outcome).startswith(TOO_CLOSE)


def test_cohort_counts_as_decrypted_once_it_is_fixed() -> None:
    """Threat M4: holders may have shown answers, named in time or not, whatever becomes of the round."""
    assert not checking().exposed
    assert answering().exposed
    void = late(answering())
    assert (void.phase, void.exposed) == (Phase.VOID, True)
    void = late(after(answering(), Answer(5, "d", "answer")))
    assert (void.phase, void.exposed) == (Phase.VOID, True)
    assert "1 holders answered; 3 are needed" in str(void.outcome)


def test_holder_that_is_absent_neither_attests_nor_answers_nor_is_waited_for() -> None:
    keys = {name: key for name, key in KEYS.items() if name != "d"}
    state = begin_round(TERMS, keys, BEGIN, 0.0, BLOCK)
    state = after(after(state, *map(commit, NAMES)), *map(submit, NAMES))
    with pytest.raises(RecordRefused):
        apply_to_round(state, Attest(5, "d", NAMES), 1.0, BLOCK)
    state = after(state, *(Attest(5, holder, NAMES) for holder in "abc"))
    assert state.cohort == NAMES
    with pytest.raises(RecordRefused):
        apply_to_round(state, Answer(5, "d", "answer"), 1.0, BLOCK)
    state = after(state, *(Answer(5, holder, "answer") for holder in "abc"))
    assert state.phase is Phase.FINISHING
    assert state.sum_terms.sealing_keys[3] == b""


def test_audit_covers_what_enough_of_those_hold_who_found_no_fit() -> None:
    state = after(finishing(), NoFit(5, "a", NAMES))
    assert state.phase is Phase.FINISHING
    state = apply_to_round(state, NoFit(5, "b", ("a", "b", "c")), 1.0, b"the audit's block")
    assert state.phase is Phase.AUDITING
    assert state.audit is not None
    assert tuple(state.audit.answers) == ("a", "b", "c")
    assert state.audit.beacon == audit_beacon_of("test", 5, b"the audit's block", state.audit.answers)
    state = after(state, *(Respond(5, member, b"y") for member in NAMES))
    assert state.phase is Phase.FINISHING
    with pytest.raises(RecordRefused):
        apply_to_round(state, NoFit(5, "c", NAMES), 1.0, BLOCK)
    assert after(state, *(Finish(5, member, "model-1", None) for member in "cd")).phase is Phase.VOTING
    assert late(state).phase is Phase.VOID


def test_no_answer_counts_after_the_first_that_no_set_fits() -> None:
    """Threat M6: who knows the audit's rows makes a wrong answer that passes them."""
    state = finishing("abc")
    for at in (state, after(state, *(NoFit(5, member, ("a", "b", "c")) for member in "ab"))):
        with pytest.raises(RecordRefused):
            apply_to_round(at, Answer(5, "d", "late"), at.since, BLOCK)


def test_audit_of_answers_that_cannot_be_had_makes_the_round_void() -> None:
    state = after(finishing(), NoFit(5, "a", ("a", "b", "c")), NoFit(5, "b", ("b", "c", "d")))
    assert state.phase is Phase.VOID
    assert "2 answers could be had" in str(state.outcome)


def test_dealer_that_is_silent_in_the_audit_is_named() -> None:
    state = late(after(auditing(), *(Respond(5, member, b"y") for member in "abd")))
    assert (state.phase, state.outcome) == (Phase.VOID, "c did not respond to the audit of the answers")


@pytest.mark.parametrize("answers", [("a", "b"), ("a", "b", "b"), ("a", "b", "x"), ()])
def test_who_says_that_nothing_fits_names_enough_answers(answers: tuple[str, ...]) -> None:
    with pytest.raises(RecordRefused):
        apply_to_round(finishing(), NoFit(5, "a", answers), 1.0, BLOCK)


def test_late_complaint_is_kept_for_blame_and_changes_no_cohort() -> None:
    """Threat M2: whom the cohort takes in is settled before anybody answers."""
    state = after(answering(), Complain(5, "a", "d", "share"))
    assert (state.cohort, dict(state.accusations["d"])) == (NAMES, {"a": "share"})
    for record in (Complain(5, "a", "d", "again"), Complain(5, "a", "x", "share"), Complain(5, "x", "d", "share")):
        with pytest.raises(RecordRefused):
            apply_to_round(state, record, 1.0, BLOCK)
    with pytest.raises(RecordRefused):
        apply_to_round(checking(), Complain(5, "a", "d", "share"), 1.0, BLOCK)


@pytest.mark.parametrize(
    "record",
    [
        Commitment(5, "stranger", bytes(32)),
        Commitment(5, "a", bytes(32)),
        Commitment(4, "d", bytes(32)),
        Submit(5, "a", "too early", "too early"),
        Attest(5, "a", ("b",)),
        Show(5, "a", "too early"),
        Answer(5, "a", "too early"),
        NoFit(5, "a", ("a", "b", "c")),
        Respond(5, "a", b"too early"),
        Finish(5, "a", "too early", None),
        ModelVote(5, "a", accept=True),
        BeginRound(5, "train", "again", NAMES, 1, 3),
    ],
)
def test_records_that_break_a_rule_are_refused(record: RoundRecord) -> None:
    state = after(begun(), *map(commit, "ab"))
    with pytest.raises(RecordRefused):
        apply_to_round(state, record, 1.0, BLOCK)


@pytest.mark.parametrize("invited", [("a", "b"), ("a", "b", "x"), ("a", "a", "b", "c")])
def test_round_with_wrong_guests_is_refused(invited: tuple[str, ...]) -> None:
    with pytest.raises(RecordRefused):
        begin_round(TERMS, KEYS, BeginRound(5, "train", "model-0", invited, 1, 3), 0.0, BLOCK)


def test_round_about_nothing_or_with_too_few_holders_is_refused() -> None:
    with pytest.raises(RecordRefused):
        begin_round(TERMS, KEYS, BeginRound(5, "train", "model-0", NAMES, 0, 0), 0.0, BLOCK)
    with pytest.raises(RecordRefused, match="2 holders present; 3 are needed"):
        begin_round(TERMS, {name: KEYS[name] for name in "ab"}, BEGIN, 0.0, BLOCK)


def test_round_that_sums_nothing_asks_for_nothing_but_the_model_that_follows() -> None:
    state = begin_round(TERMS, KEYS, BeginRound(5, "skip", "model-0", NAMES, 0, 0), 0.0, BLOCK)
    assert (state.phase, state.exposed) == (Phase.FINISHING, False)
    for record in (commit("a"), Answer(5, "a", "answer"), NoFit(5, "a", ())):
        with pytest.raises(RecordRefused):
            apply_to_round(state, record, 1.0, BLOCK)
    state = after(state, *(Finish(5, member, "model-1", THEN) for member in "ab"))
    assert (state.phase, state.outcome, state.exposed) == (Phase.FINAL, "model-1", False)
    with pytest.raises(RecordRefused):
        begin_round(TERMS, KEYS, BeginRound(5, "skip", "model-0", NAMES, 0, 1), 0.0, BLOCK)


_WHO = st.sampled_from((*NAMES, "x"))
_NAMES = st.lists(_WHO, max_size=4, unique=True).map(tuple)
_RECORDS = st.one_of(
    st.builds(commit, _WHO),
    st.builds(submit, _WHO),
    st.builds(Attest, st.just(5), _WHO, _NAMES, st.just(()), st.one_of(st.just(()), _NAMES)),
    st.builds(Show, st.just(5), _WHO, st.just("shown")),
    st.builds(Answer, st.just(5), _WHO, st.sampled_from(("p", "q"))),
    st.builds(NoFit, st.just(5), _WHO, _NAMES),
    st.builds(Respond, st.just(5), _WHO, st.binary(max_size=2)),
    st.builds(Complain, st.just(5), _WHO, _WHO, st.just("share")),
    st.builds(Finish, st.just(5), _WHO, st.sampled_from(("m", "n")), st.sampled_from((None, THEN))),
    st.builds(ModelVote, st.just(5), _WHO, st.booleans()),
    st.builds(RoundTick, st.just(5)),
)
_STARTS = (begun, checking, lambda: attested(checking(), ("a", "d")), answering, finishing, auditing, voting)
_ONCE = ("commitments", "submissions", "verdicts", "shown", "judgements", "answers", "unfitting", "finishes", "votes")


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(_STARTS), st.lists(st.tuples(_RECORDS, st.floats(0, 4)), max_size=40))
def test_no_sequence_of_records_changes_what_is_fixed(start: object, steps: list[tuple[RoundRecord, float]]) -> None:
    state: Round = start()  # type: ignore[operator]
    time = state.since
    for record, wait in steps:
        time += wait
        try:
            after = apply_to_round(state, record, time, BLOCK)
        except RecordRefused:
            continue
        assert not state.over
        if state.cohort:
            assert (after.cohort, after.beacon) == (state.cohort, state.beacon)
        for what in _ONCE:
            assert "x" not in getattr(after, what)
            assert all(getattr(after, what)[who] == said for who, said in getattr(state, what).items())
        if after.cohort:
            assert after.exposed
            assert len(after.cohort) >= TERMS.least_cohort
        if after.audit is not None:
            assert after.answers == (state.answers or after.answers)
            assert len(after.audit.answers) >= TERMS.threshold
        if after.phase is Phase.FINAL:
            agreeing = [member for member, found in after.finishes.items() if found == after.candidate]
            assert after.candidate is not None
            assert after.outcome == after.candidate.model
            assert len(agreeing) > TERMS.faulty
        state = after
