"""What a member does about a batch, and what a key holder looks at before it opens: nothing that is no result."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medward.federation.scoring.answers import (
    check_result,
    most_flows_bytes,
    most_model_bytes,
    most_result_bytes,
    read_parts,
    write_parts,
)
from medward.federation.scoring.terms import BadTerms, ScoringTerms
from medward.fhe.computing.ciphertexts import Ciphertext
from medward.fhe.computing.flooding import FloodShape
from medward.fhe.computing.opening import OpenedPart
from medward.fhe.computing.parameters import BASE_PRIMES
from medward.fhe.errors import MalformedEncoding

TERMS = ScoringTerms(4, (4, 2), 3, 256, for_tests=True)
HOLDERS = ("hospital/" + 16 * "0", "vendor/" + 16 * "1")


def result() -> list[Ciphertext]:
    elements = np.zeros((3, BASE_PRIMES, TERMS.parameters.degree))
    return [Ciphertext(TERMS.parameters, 0, HOLDERS, elements, TERMS.result_bound()) for _ in range(TERMS.pairs)]


def parts() -> list[OpenedPart]:
    element = np.ones((BASE_PRIMES, TERMS.parameters.degree))
    return [
        OpenedPart(HOLDERS[0], TERMS.parameters, bytes([k] * 32), FloodShape(17, 9), element)
        for k in range(TERMS.pairs)
    ]


def test_result_is_one_whatever_the_order_of_its_holders() -> None:
    check_result(TERMS, result(), HOLDERS)
    check_result(TERMS, result(), HOLDERS[::-1])


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"level": 1}, "level 0"),
        ({"bound": replace(TERMS.result_bound(), noise=TERMS.result_bound().noise / 2)}, "level 0"),
        ({"owners": HOLDERS[:1]}, "under the keys of"),
        ({"owners": (HOLDERS[0], "x/" + 16 * "2")}, "under the keys of"),
        ({"owners": (*HOLDERS, "x/" + 16 * "2")}, "under the keys of"),
    ],
)
@pytest.mark.parametrize("place", [0, -1])
def test_ciphertext_that_is_no_result_is_refused_wherever_it_stands(
    change: dict[str, object], told: str, place: int
) -> None:
    whole = result()
    whole[place] = replace(whole[place], **change)  # type: ignore[arg-type]
    with pytest.raises(BadTerms, match=told):
        check_result(TERMS, whole, HOLDERS)


@pytest.mark.parametrize("count", [0, 1, TERMS.pairs + 1])
def test_result_has_a_ciphertext_for_each_pair(count: int) -> None:
    with pytest.raises(BadTerms, match=f"and this has {count}"):
        check_result(TERMS, (result() * 2)[:count], HOLDERS)


def test_parts_come_back_and_fit_the_most_bytes() -> None:
    data = write_parts(parts())
    assert len(data) <= most_result_bytes(TERMS)
    again = read_parts(TERMS, data)
    assert write_parts(again) == data
    assert [one.ciphertext for one in again] == [one.ciphertext for one in parts()]


def test_parts_of_another_number_are_refused() -> None:
    for count in (0, TERMS.pairs - 1, TERMS.pairs + 1):
        with pytest.raises(MalformedEncoding, match=f"and this has {count}"):
            read_parts(TERMS, write_parts((parts() * 2)[:count]))


@given(st.integers(0, 10_000))
def test_parts_that_are_cut_anywhere_are_refused(cut: int) -> None:
    data = write_parts(parts())
    with pytest.raises(MalformedEncoding):
        read_parts(TERMS, data[: cut % len(data)])


@given(st.binary(max_size=60))
def test_any_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(MalformedEncoding):
        read_parts(TERMS, data)


def test_larger_networks_may_be_larger() -> None:
    wider = ScoringTerms(8, (8, 2), 3, 256, for_tests=True)
    assert most_model_bytes(wider) > most_model_bytes(TERMS) > 0
    assert most_flows_bytes(wider) > most_flows_bytes(TERMS) > 0
