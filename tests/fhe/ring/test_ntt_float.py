"""The transform on doubles: what its evaluation form holds, slot by slot."""

import numpy as np
import pytest

from medward.fhe.ring import ntt_float
from medward.fhe.ring.primes import primitive_root
from medward.fhe.ring.ring import Ring

DEGREES = [1024, 2048, 4096, 8192, 16384, 32768]


def test_forward_transform_gives_the_residues_modulo_each_slot() -> None:
    """The definition itself, in Python integers, at a few slots: x^4 = an odd power of the root."""
    ring = Ring(1024, 1)
    q = ring.primes[0]
    root = primitive_root(q, 256)
    a = np.random.default_rng(3).integers(-(q // 2), q // 2, 1024)
    transformed = ring.forward(a.astype(float).reshape(1, -1))[0]
    for i in (0, 1, 127, 255):
        zeta = pow(root, 2 * int(format(i, "08b")[::-1], 2) + 1, q)
        for power in range(4):
            expected = sum(int(c) * pow(zeta, j, q) for j, c in enumerate(a[power::4])) % q
            column, row = divmod(4 * i + power, 16)
            assert int(transformed[64 * row + column]) % q == expected


@pytest.mark.parametrize("degree", [64, *DEGREES])
def test_slots_are_fields_of_degree_four(degree: int) -> None:
    """Every zeta has zeta^(N/4) = -1 and is no square, so X^4 - zeta is irreducible; all zetas differ."""
    ring = Ring(degree, 1)
    q = ring.primes[0]
    assert q % 4 == 1
    zetas = [int(z) % q for z in ring._slots[0][0].ravel()]
    assert len(set(zetas)) == degree // 4
    for zeta in zetas[:50]:
        assert pow(zeta, degree // 4, q) == q - 1
        assert pow(zeta, (q - 1) // 2, q) == q - 1


def test_exponent_is_the_logarithm_of_a_power_of_two() -> None:
    assert [ntt_float.exponent(1 << k) for k in range(16)] == list(range(16))


@pytest.mark.parametrize(("degree", "size"), [(64, 64), (256, 256), (2048, 1024), (8192, 1024)])
def test_blocks_together_have_every_factor_below_the_head_once(degree: int, size: int) -> None:
    """A factor that were lost, or used twice, would give some slots a wrong root."""
    factors = np.arange(degree // 4, dtype=float)
    blocks = ntt_float.block_factors(factors, size)
    assert blocks.shape == (degree // size, size // 4)
    used = np.sort(blocks[:, 1:].ravel())
    assert np.array_equal(used, np.arange(degree // size, degree // 4))


def test_roots_of_slots_come_in_pairs_of_opposite_sign() -> None:
    """X^8 - w^2 = (X^4 - w)(X^4 + w)."""
    zeta = Ring(2048, 1)._slots[0][0]
    assert zeta.shape == (8, 64)
    assert np.array_equal(zeta[0::2], -zeta[1::2])


def test_transform_is_linear_and_takes_one_to_one_in_every_slot() -> None:
    ring = Ring(256, 2)
    one = np.zeros(256, np.int64)
    one[0] = 1
    transformed = ring.forward(ring.embed(one))
    assert transformed.sum() == 2 * 64
    assert np.array_equal(np.unique(transformed), [0.0, 1.0])
    generator = np.random.default_rng(1)
    a, b = (generator.integers(-(1 << 48), 1 << 48, 256) for _ in range(2))
    together = ring.forward(ring.embed(a + b))
    assert np.array_equal(together, ring.add(ring.forward(ring.embed(a)), ring.forward(ring.embed(b))))
