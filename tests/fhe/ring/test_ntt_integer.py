"""The transform on 64-bit integers: its definition up to its largest prime, and the one on doubles against it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medward.fhe.ring import ntt_integer
from medward.fhe.ring.primes import is_prime, primitive_root
from medward.fhe.ring.ring import Ring
from tests.fhe.ring.extremes import extreme_elements

DEGREES = [1024, 2048, 4096, 8192, 16384, 32768]


@pytest.mark.parametrize("degree", DEGREES)
def test_transform_on_doubles_equals_the_integer_transform(degree: int) -> None:
    floats, integers = Ring(degree, 2, use_fma=True), Ring(degree, 2, use_fma=False)
    for a in extreme_elements(floats, 9):
        x, y = floats.forward(a.copy()), integers.forward(a.copy())
        assert np.array_equal(x, y)
        assert np.array_equal(floats.inverse(x.copy()), a)
        assert np.array_equal(integers.inverse(y), a)
        assert np.array_equal(floats.inverse(a.copy()), integers.inverse(a.copy()))


def _largest_prime(degree: int) -> int:
    """Return the largest prime below 2^61 that is 1 modulo 2N: the kernels are to hold up to there."""
    candidate = (1 << 61) + 1 - 2 * degree
    while not is_prime(candidate):
        candidate -= 2 * degree
    return candidate


def _tables(root: int, q: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the powers of a root in bit-reversed order, and Shoup's quotients."""
    bits = count.bit_length() - 1
    powers = [pow(root, int(format(k, f"0{bits}b")[::-1], 2), q) for k in range(count)]
    return np.array(powers, np.uint64), np.array([(w << 64) // q for w in powers], np.uint64)


@pytest.mark.parametrize("fill", ["random", "largest", "one"])
def test_values_at_the_roots_are_right_for_the_largest_prime(fill: str) -> None:
    """The definition in Python integers, with sums of lazy values as large as they can be."""
    degree = 64
    q = _largest_prime(degree)
    root = primitive_root(q, degree)
    generator = np.random.default_rng(1)
    chosen = {
        "random": generator.integers(0, q, degree, np.uint64),
        "largest": np.full(degree, q - 1, np.uint64),
        "one": np.eye(1, degree, degree - 1, dtype=np.uint64)[0],
    }
    a = chosen[fill]
    b = a.copy()
    ntt_integer.forward_integer(b, *_tables(root, q, degree), np.uint64(q), 1)
    for place in range(degree):
        x = pow(root, 2 * int(format(place, "06b")[::-1], 2) + 1, q)
        assert int(b[place]) == sum(int(c) * pow(x, k, q) for k, c in enumerate(a)) % q
    scale = pow(degree, -1, q)
    inverse = _tables(pow(root, -1, q), q, degree)
    ntt_integer.inverse_integer(b, *inverse, np.uint64(scale), np.uint64((scale << 64) // q), np.uint64(q), 1)
    assert np.array_equal(a, b)


@settings(max_examples=50)
@given(st.integers(1, 2**61 - 2), st.integers(1, 60))
def test_powers_are_those_of_integers(base: int, count: int) -> None:
    q = _largest_prime(64)
    base %= q
    out = np.empty(count, np.uint64)
    ntt_integer.powers(np.uint64(base), np.uint64((base << 64) // q), np.uint64(q), out)
    assert out.tolist() == [pow(base, k, q) for k in range(count)]


def test_residues_become_unsigned_and_balanced_again_at_every_edge() -> None:
    q = 1125899906802689
    residues = [0, 1, -1, q // 2, -(q // 2), q - 1, 1 - q, q, -q, q + 1, -q - 1, 2 * q - 1, 1 - 2 * q]
    unsigned, balanced = np.empty(len(residues), np.uint64), np.empty(len(residues))
    ntt_integer.to_unsigned(np.array(residues, float), np.uint64(q), unsigned)
    assert unsigned.tolist() == [r % q for r in residues]
    ntt_integer.to_balanced(unsigned, np.uint64(q), balanced)
    assert [int(x) for x in balanced] == [r % q if r % q <= q // 2 else r % q - q for r in residues]
