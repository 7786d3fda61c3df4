"""Operations on residues, element by element and slot by slot, against Python integers at the ends of their ranges."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from medward.fhe.ring.primes import ring_primes
from medward.fhe.ring.ring import Ring
from tests.fhe.ring.extremes import extreme_elements


def test_product_of_the_largest_residues_is_exact_in_every_slot() -> None:
    """Slot products in Python integers, on residues that are all +-(q-1)/2 or random."""
    ring = Ring(64, 2)
    for x, y, add in [
        (x, y, add)
        for x in extreme_elements(ring, 9)
        for y in extreme_elements(ring, 9)
        for add in extreme_elements(ring, 4)[::3]
    ]:
        out = ring.multiply_add(x, y, add)
        for i, q in enumerate(ring.primes):
            rows = [np.array([int(v) for v in a[i]], object).reshape(4, 4, 4) for a in (x, y, add)]
            zeta = np.array([int(z) for z in ring._slots[0][i].ravel()], object).reshape(4, 4)
            a, b, total = (r.swapaxes(0, 1) for r in rows)  # [power, group, column]
            expected = [total[k] + sum(a[j] * b[k - j] * (1 if j <= k else zeta) for j in range(4)) for k in range(4)]
            got = np.array([int(v) for v in out[i]], object).reshape(4, 4, 4).swapaxes(0, 1)
            assert not np.any((got - np.stack(expected)) % q)
            assert np.abs(out[i]).max() <= (q - 1) // 2


Q, R = ring_primes(64, 2)
EDGES = st.sampled_from([0, 1, -1, Q // 2, -(Q // 2), R // 2, -(R // 2)])
RESIDUES = st.one_of(EDGES, st.integers(-(R // 2), R // 2))
SMALL = Ring(64, 2)


def _element(values: list[int]) -> np.ndarray:
    """Return values modulo each prime, over and over."""
    row = (values * 64)[:64]
    return np.array([[(v + q // 2) % q - q // 2 for v in row] for q in SMALL.primes], float)


def _is(element: np.ndarray, expected: list[int]) -> bool:
    """Whether an element has these values, and is balanced."""
    row = (expected * 64)[:64]
    right = all(
        (int(x) - y) % q == 0 for a, q in zip(element, SMALL.primes, strict=True) for x, y in zip(a, row, strict=True)
    )
    return right and bool((np.abs(element).max(axis=1) <= [q // 2 for q in SMALL.primes]).all())


@settings(max_examples=60)
@given(st.lists(st.lists(RESIDUES, min_size=1, max_size=8), min_size=1, max_size=8))
def test_sums_and_differences_are_exact_and_balanced(rows: list[list[int]]) -> None:
    """One to eight terms go through every remainder of the sum in threes."""
    rows = [(row * 8)[:8] for row in rows]
    elements = [_element(row) for row in rows]
    assert _is(SMALL.sum(elements), [sum(column) for column in zip(*rows, strict=True)])
    assert _is(SMALL.add(elements[0], elements[-1]), [a + b for a, b in zip(rows[0], rows[-1], strict=True)])
    assert _is(SMALL.subtract(elements[0], elements[-1]), [a - b for a, b in zip(rows[0], rows[-1], strict=True)])


def test_sum_of_the_largest_residues_of_many_is_exact_and_leaves_its_terms_as_they_were() -> None:
    terms = [_element([Q // 2, -(R // 2)]) for _ in range(11)]
    before = [term.copy() for term in terms]
    assert _is(SMALL.sum(terms), [11 * (Q // 2), -11 * (R // 2)])
    assert all(np.array_equal(a, b) for a, b in zip(before, terms, strict=True))


@settings(max_examples=60)
@given(st.integers(-(2**120), 2**120), st.lists(RESIDUES, min_size=1, max_size=8), RESIDUES)
def test_multiple_by_an_integer_of_any_size_is_exact(factor: int, values: list[int], added: int) -> None:
    found = SMALL.scale_add(_element(values), factor, _element([added]))
    assert _is(found, [factor * v + added for v in values])


@settings(max_examples=60)
@given(
    st.lists(st.integers(-(2**52) + 1, 2**52 - 1), min_size=3, max_size=3),
    st.lists(st.integers(-(2**150), 2**150), min_size=3, max_size=3),
)
def test_digits_below_two_to_the_52_are_embedded_exactly(digits: list[int], weights: list[int]) -> None:
    found = SMALL.embed([[digit] * 64 for digit in digits], weights)
    assert _is(found, [sum(d * w for d, w in zip(digits, weights, strict=True))])
