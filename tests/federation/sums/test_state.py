"""The state of one sum: its digest binds every one of its terms, and what is not possible or not of it is said."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from medward.federation.sums.interface import SumRefused, SumTerms, WrongSum
from medward.federation.sums.state import SumState
from medward.fhe.errors import MalformedEncoding

NAMES = ("a", "b", "c", "d")
KEYS = (b"key-a", b"key-b", b"", b"key-d")
TERMS = SumTerms("ward", 7, 2, 500, 8, NAMES, NAMES, KEYS, 1, 3, b"recent")


def test_everybody_has_the_number_of_its_place_and_absent_holders_are_not_dealt_to() -> None:
    state = SumState(TERMS)
    assert [state.dealer(name) for name in NAMES] == [1, 2, 3, 4]
    assert [state.holder(name) for name in "abd"] == [1, 2, 4]
    assert state.context.present == (1, 2, 4)
    assert state.keys == {1: b"key-a", 2: b"key-b", 4: b"key-d"}


def test_stranger_and_absent_holder_are_named_with_the_round() -> None:
    state = SumState(replace(TERMS, contributors=("a", "b", "c")))
    with pytest.raises(WrongSum, match=r"^d does not contribute in the sum of round 7\.$"):
        state.dealer("d")
    with pytest.raises(WrongSum, match=r"^x holds no shares in the sum of round 7\.$"):
        state.holder("x")
    with pytest.raises(WrongSum, match=r"^c is absent as a holder from the sum of round 7\.$"):
        state.holder("c")


@pytest.mark.parametrize(
    "other",
    [
        {"federation": "war"},
        {"round": 8},
        {"recent": b"recent2"},
        {"counts": 3},
        {"values": 501},
        {"bits": 16},
        {"threshold": 4},
        {"faulty": 0},
        {"contributors": ("a", "b", "c")},
        {"contributors": ("b", "a", "c", "d")},
        {"contributors": ("ab", "c", "d", "e")},
        {"holders": ("a", "b", "d", "c")},
        {"sealing_keys": (b"key-a", b"", b"key-b", b"key-d")},
        {"sealing_keys": (b"key-ak", b"ey-b", b"", b"key-d")},
        {"sealing_keys": (b"key-a", b"key-b", b"", b"key-e")},
    ],
)
def test_sum_with_any_other_terms_has_another_digest_and_other_encodings(other: dict[str, Any]) -> None:
    """A blob of one sum must fit no other, whoever is absent and whatever the names run into."""
    one, changed = SumState(TERMS), SumState(replace(TERMS, **other))
    assert one.digest != changed.digest
    assert one.context.digest != changed.context.digest


@pytest.mark.parametrize(
    ("other", "sentence"),
    [
        ({"bits": 5}, "values of 5 bits"),
        ({"threshold": 5}, "5 of 4 answers"),
        ({"threshold": 2}, "no complaint could be settled"),
        ({"contributors": ()}, "0 contributors"),
        ({"values": 4096 * 2048 * 4 + 1}, "too large"),
        ({"faulty": -1}, "-1 liars"),
    ],
)
def test_sum_that_is_not_possible_is_refused_with_its_round(other: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SumRefused, match=f"^The sum of round 7 is not possible: .*{sentence}"):
        SumState(replace(TERMS, **other))


def test_shares_checked_under_one_beacon_are_dropped_under_another_and_kept_under_the_same() -> None:
    state = SumState(TERMS)
    challenge = state.challenge(b"one")
    state.shares[1] = np.zeros(3)
    assert state.challenge(b"one") is challenge
    assert list(state.shares) == [1]
    assert state.challenge(b"two") is not challenge
    assert state.shares == {}


def test_what_is_refused_inside_is_said_with_the_round_and_the_member() -> None:
    with (
        pytest.raises(WrongSum, match=r"^In round 7, the contribution of b: it is malformed\.$"),
        SumState(TERMS).named("the contribution of b"),
    ):
        raise MalformedEncoding("it is malformed")
