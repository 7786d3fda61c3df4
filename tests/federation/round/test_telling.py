"""Sentences about a round: whose word each phase waits for, and what became of what was shown."""

from medward.federation.records import (
    Answer,
    Attest,
    Finish,
    ModelVote,
    NoFit,
    Respond,
    Show,
)
from medward.federation.round.state import Phase
from medward.federation.round.telling import awaited, checks
from tests.federation.round.rounds import (
    KEYS,
    NAMES,
    after,
    answering,
    attested,
    auditing,
    begun,
    checking,
    commit,
    finishing,
    submit,
    voting,
)


def test_every_phase_says_whose_word_it_waits_for() -> None:
    assert awaited(after(begun(), commit("b"))) == ("a", "c", "d")
    assert awaited(after(after(begun(), *map(commit, NAMES)), submit("d"))) == ("a", "b", "c")
    assert awaited(after(checking(), Attest(5, "a"))) == ("b", "c", "d")
    assert awaited(attested(checking(), ("a", "d"))) == ("d",)
    judging = after(attested(checking(), ("a", "d")), Show(5, "d", "shown"))
    assert awaited(after(judging, Attest(5, "c", ("d",)))) == ("a", "b", "d")
    assert awaited(after(answering(), Answer(5, "c", "answer"))) == ("a", "b", "d")
    assert awaited(after(finishing(), Finish(5, "b", "model-1", None))) == ("a", "c", "d")
    assert awaited(after(auditing(), Respond(5, "a", b""))) == ("b", "c", "d")
    assert awaited(after(voting(), ModelVote(5, "c", accept=True))) == ("a", "b", "d")
    assert awaited(after(voting(), *(ModelVote(5, member, accept=True) for member in "ab"))) == ()


def test_nobody_is_waited_for_in_a_round_that_is_over() -> None:
    over = after(voting(), *(ModelVote(5, member, accept=True) for member in "ab"))
    assert over.phase is Phase.FINAL
    assert awaited(over) == ()


def test_holder_that_is_absent_is_waited_for_where_it_contributes_and_nowhere_else() -> None:
    keys = {name: key for name, key in KEYS.items() if name != "d"}
    assert awaited(begun(sealing_keys=keys)) == NAMES
    assert awaited(checking(sealing_keys=keys)) == ("a", "b", "c")


def test_member_that_found_no_fit_has_spoken() -> None:
    assert awaited(after(finishing(), NoFit(5, "a", ("a", "b", "c")))) == ("b", "c", "d")


def test_what_became_of_a_round_is_counted() -> None:
    nothing = dict.fromkeys(("contributions", "in_the_cohort", "complaints", "shown", "answers", "audited"), 0)
    assert checks(begun()) == nothing
    judging = after(attested(checking(), ("a", "d"), ("b", "d"), ("a", "c")), Show(5, "c", "shown"))
    assert checks(judging) == {**nothing, "contributions": 4, "complaints": 3, "shown": 1}
    assert checks(auditing()) == {**nothing, "contributions": 4, "in_the_cohort": 4, "answers": 4, "audited": 3}
