"""Sums in the open: exact, with names that nobody can take, and the same refusals as encrypted ones."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medward.federation.sums.interface import DealingVerdict, SumTerms, WrongSum
from medward.federation.sums.plain import PlainSum

NAMES = ("a", "b", "c", "d")
TERMS = SumTerms("ward", 7, 2, 3, 8, NAMES, NAMES, (b"",) * 4, 1, 3, b"recent")
PARTS = {name: PlainSum(name) for name in NAMES}
BEACON = b"beacon"


def _contributions(terms: SumTerms = TERMS) -> dict[str, bytes]:
    return {name: PlainSum(name).contribute(terms, np.arange(5) - number) for number, name in enumerate(NAMES)}


def _answers(cohort: tuple[str, ...] = NAMES) -> dict[str, bytes]:
    return {name: PARTS[name].answer(TERMS, cohort) for name in NAMES}


@given(st.lists(st.lists(st.integers(-(2**40), 2**40), min_size=5, max_size=5), min_size=4, max_size=4))
def test_sum_is_that_of_the_cohort_alone(rows: list[list[int]]) -> None:
    contributions = {name: PARTS[name].contribute(TERMS, np.array(row)) for name, row in zip(NAMES, rows, strict=True)}
    for cohort in (NAMES, ("b", "d"), ()):
        answers = {name: PARTS[name].answer(TERMS, cohort) for name in NAMES}
        found = PARTS["c"].decrypt(TERMS, cohort, contributions, answers)
        assert found is not None
        assert found.total.tolist() == [
            sum(row[k] for name, row in zip(NAMES, rows, strict=True) if name in cohort) for k in range(5)
        ]
        assert found.wrong == ()


def test_t_answers_are_needed_and_those_to_another_question_count_for_nothing() -> None:
    contributions, answers = _contributions(), _answers()
    three = {name: answers[name] for name in "abd"}
    assert PARTS["a"].decrypt(TERMS, NAMES, contributions, three) is not None
    two = {name: answers[name] for name in "ab"}
    assert PARTS["a"].decrypt(TERMS, NAMES, contributions, two) is None
    for false in (
        PARTS["d"].answer(TERMS, ("a", "b")),
        answers["a"],
        PARTS["d"].answer(replace(TERMS, round=8), NAMES),
        b"",
    ):
        assert PARTS["a"].decrypt(TERMS, NAMES, contributions, {**two, "d": false}) is None
        found = PARTS["a"].decrypt(TERMS, NAMES, contributions, {**three, "c": false})
        assert found is not None
        assert found.wrong == ("c",)
        assert PARTS["a"].audit(TERMS, BEACON, NAMES, {}, {**three, "c": false}) == ("a", "b", "d")


def test_contribution_is_its_author_s_alone_and_of_one_length() -> None:
    contributions = _contributions()
    response = PARTS["a"].respond(TERMS, BEACON)
    assert PARTS["b"].examine(TERMS, BEACON, "a", contributions["a"], response) is DealingVerdict.GOOD
    for content, said in (
        (contributions["b"], response),
        (contributions["a"][:-1], response),
        (contributions["a"] + bytes(8), response),
        (b"", response),
        (contributions["a"], PARTS["b"].respond(TERMS, BEACON)),
        (contributions["a"], PARTS["a"].respond(replace(TERMS, round=8), BEACON)),
    ):
        assert PARTS["b"].examine(TERMS, BEACON, "a", content, said) is DealingVerdict.AT_FAULT


def test_malformed_contribution_in_a_cohort_is_said_with_its_sender() -> None:
    broken = {**_contributions(), "b": b"b\n"}
    with pytest.raises(WrongSum, match=r"^The contribution of b in round 7 is malformed\.$"):
        PARTS["a"].decrypt(TERMS, NAMES, broken, _answers())


def test_numbers_of_another_count_are_refused_and_nothing_is_kept() -> None:
    part = PlainSum("a")
    with pytest.raises(WrongSum, match="holds 4 numbers, not 5"):
        part.contribute(TERMS, np.zeros(4, np.int64))
    assert part.contributed(TERMS) is None


def test_last_contribution_is_shown_again_for_its_own_sum_only() -> None:
    part = PlainSum("a")
    made = part.contribute(TERMS, np.arange(5))
    assert part.contributed(TERMS) == made
    assert part.contributed(replace(TERMS, round=8)) is None


def test_blobs_have_the_promised_size() -> None:
    part = PlainSum("ärztin")
    terms = replace(TERMS, contributors=("ärztin",), holders=("ärztin",))
    made = part.contribute(terms, np.arange(5))
    assert len(made) == part.expected_bytes(terms, "contribution", "ärztin")
    assert len(part.respond(terms, BEACON)) == part.expected_bytes(terms, "response", "ärztin")
    assert len(part.answer(terms, NAMES)) == part.expected_bytes(terms, "answer", "ärztin", NAMES)
    assert len(part.show(terms, NAMES)) == part.expected_bytes(terms, "shown", "ärztin", NAMES)


def test_show_is_right_for_its_dealer_its_round_and_these_holders() -> None:
    shown = PARTS["a"].show(TERMS, ("b", "c"))

    def right(terms: SumTerms, dealer: str, holders: tuple[str, ...]) -> bool:
        return PARTS["d"].examine_shown(terms, BEACON, dealer, holders, b"", b"", shown)

    assert right(TERMS, "a", ("b", "c"))
    assert not right(TERMS, "b", ("b", "c"))
    assert not right(TERMS, "a", ("b",))
    assert not right(replace(TERMS, round=8), "a", ("b", "c"))


def test_nothing_is_proved_of_a_dealer_and_nothing_is_sealed() -> None:
    assert not PARTS["a"].convicts(TERMS, BEACON, "b", "a", b"", b"", b"share")
    assert PARTS["a"].dealt(TERMS, "b", b"") is None
    assert PARTS["a"].sealing_key() == b""
    assert PARTS["a"].ready(TERMS, NAMES)
