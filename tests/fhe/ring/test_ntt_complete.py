"""The complete transform, through the ring that lays out its tables: its factors, and its values at the roots."""

import numpy as np
import pytest

from medward.fhe.computing.residues import ResidueRing
from medward.fhe.ring.ntt_complete import last_factors
from medward.fhe.ring.primes import is_prime, primitive_root


def _prime(degree: int) -> int:
    candidate = (1 << 50) + 1 - 2 * degree
    while not is_prime(candidate):
        candidate -= 2 * degree
    return candidate


@pytest.mark.parametrize(("degree", "size"), [(64, 64), (256, 256), (4096, 1024)])
def test_factors_of_the_last_two_layers_are_all_there_once(degree: int, size: int) -> None:
    factors = np.arange(degree, dtype=float)
    last = last_factors(factors, size)
    assert last.shape == (degree // size, 4, 3, size // 16)
    assert np.array_equal(np.sort(last.ravel()), np.arange(degree // 4, degree))


@pytest.mark.parametrize("fill", ["largest", "smallest", "alternating"])
def test_values_of_the_largest_residues_are_those_at_the_roots(fill: str) -> None:
    """The definition in Python integers, on residues at the ends of their range."""
    degree = 64
    q = _prime(degree)
    ring, root = ResidueRing(degree, [q], use_fma=True), primitive_root(q, degree)
    signs = {"largest": [1], "smallest": [-1], "alternating": [1, -1]}[fill]
    a = [signs[k % len(signs)] * (q // 2) for k in range(degree)]
    values = ring.forward(np.array([a], float), slice(0, 1))
    roots = [pow(root, 2 * k + 1, q) for k in range(degree)]
    expected = sorted(sum(c * pow(x, k, q) for k, c in enumerate(a)) % q for x in roots)
    assert sorted(int(v) % q for v in values[0]) == expected
    assert np.abs(values).max() <= q // 2
    assert np.array_equal(ring.inverse(values, slice(0, 1))[0], np.array(a, float))
