"""Terms of exact inner products: their scale proves every result exact, and numbers that prove nothing are refused."""

from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medward.fhe.computing.inner_product_terms import LARGEST_INTEGER, MOST_OWNERS, InnerProductTerms
from medward.fhe.errors import CiphertextMismatch, MedwardError, NoiseTooLarge, UnsafeParameters
from tests.fhe.computing.world import small

SET = small(levels=1, scale_bits=96)
TERMS = InnerProductTerms(SET, 300, 100, 2, 8)


@settings(max_examples=60)
@given(st.integers(1, 1 << 30), st.integers(1, LARGEST_INTEGER), st.integers(1, MOST_OWNERS), st.integers(1, 1 << 12))
def test_terms_prove_results_exact_or_are_refused(rows: int, largest: int, count: int, entries: int) -> None:
    try:
        terms = InnerProductTerms(SET, rows, largest, count, entries)
    except NoiseTooLarge:
        return
    square = 1 << 2 * terms.scale_bits
    assert 2 * terms.error < square
    assert 2 * (square * terms.most + int(terms.error)) < terms.modulus
    assert terms.most == rows * largest**2
    assert terms.blocks * SET.degree >= rows
    assert terms.flood.width < terms.error


@pytest.mark.parametrize(
    "changes",
    [{"owners": 0}, {"owners": MOST_OWNERS + 1}, {"largest": 0}, {"largest": LARGEST_INTEGER + 1}, {"rows": 0},
     {"rows": (1 << 40) + 1}, {"entries": 0}, {"entries": (1 << 20) + 1}, {"rows": -1}, {"owners": -1}],
)  # fmt: skip
def test_numbers_out_of_their_range_are_refused(changes: dict[str, int]) -> None:
    with pytest.raises(CiphertextMismatch):
        replace(TERMS, **changes)


@pytest.mark.parametrize("changes", [{"outputs": 0}, {"outputs": (1 << 40) + 1}, {"bits": 31}, {"bits": 129}])
def test_budgets_that_protect_nobody_are_refused(changes: dict[str, int]) -> None:
    with pytest.raises(UnsafeParameters):
        replace(TERMS, **changes)


def test_terms_that_no_scale_proves_exact_are_told_in_words() -> None:
    with pytest.raises(NoiseTooLarge, match="cannot be proved exact with a modulus of") as caught:
        replace(TERMS, rows=1 << 40, largest=LARGEST_INTEGER)
    assert isinstance(caught.value, MedwardError)


def test_every_number_is_in_the_digest() -> None:
    changes: dict[str, Any] = {
        "parameters": small(levels=1, scale_bits=95), "rows": 299, "largest": 99, "owners": 1, "entries": 7,
        "outputs": 1023, "bits": 63,
    }  # fmt: skip
    assert changes.keys() == {field.name for field in fields(TERMS)}
    digests = {replace(TERMS, **{name: value}).digest for name, value in changes.items()}
    assert len(digests | {TERMS.digest}) == len(changes) + 1
    assert replace(TERMS).digest == TERMS.digest


def test_each_owner_may_have_a_short_block_of_its_own() -> None:
    degree = SET.degree
    for rows, count, blocks in ((1, 1, 1), (degree, 1, 1), (degree + 1, 1, 2), (degree, 3, 3), (1, 4, 4)):
        assert replace(TERMS, rows=rows, owners=count).blocks == blocks
