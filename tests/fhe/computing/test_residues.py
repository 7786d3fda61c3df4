"""The complete transform against integers and its definition; what is exact between primes of different sizes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medward.fhe.computing.residues import ResidueRing, digits_of, permute
from medward.fhe.ring import modular
from medward.fhe.ring.primes import is_prime, primitive_root


def primes(degree: int, bits: int, count: int) -> list[int]:
    """The largest below 2^bits that are 1 modulo 2N."""
    found, candidate = [], (1 << bits) + 1
    while len(found) < count:
        candidate -= 2 * degree
        if is_prime(candidate):
            found.append(candidate)
    return found


def _extremes(ring: ResidueRing, seed: int) -> list[np.ndarray]:
    generator = np.random.default_rng(seed)
    half = np.array([(q - 1) // 2 for q in ring.primes], np.float64)[:, None]
    shape, everywhere = (len(ring.primes), ring.degree), slice(None)
    signs = generator.integers(0, 2, shape) * 2.0 - 1.0
    spike = np.zeros(shape)
    spike[:, -1] = half[:, 0]
    residues = [generator.integers(-(q // 2), q // 2 + 1, ring.degree) for q in ring.primes]
    return [
        np.tile(half, (1, ring.degree)), np.tile(-half, (1, ring.degree)), spike, signs * half,
        ring.inverse(signs * half, everywhere), np.stack(residues).astype(float),
    ]  # fmt: skip


@pytest.mark.parametrize("degree", [64, 256, 1024, 2048, 4096, 16384])
def test_complete_transform_on_doubles_equals_the_integer_transform(degree: int) -> None:
    found = primes(degree, 50, 1) + primes(degree, 38, 1)
    floats, integers = ResidueRing(degree, found, use_fma=True), ResidueRing(degree, found, use_fma=False)
    everywhere = slice(None)
    for a in _extremes(floats, degree):
        x, y = floats.forward(a.copy(), everywhere), integers.forward(a.copy(), everywhere)
        assert np.array_equal(x, y)
        assert np.array_equal(floats.inverse(x, everywhere), a)
        assert np.array_equal(integers.inverse(y, everywhere), a)
        assert np.array_equal(floats.inverse(a.copy(), everywhere), integers.inverse(a.copy(), everywhere))


def test_values_are_those_at_the_roots_and_automorphisms_move_them() -> None:
    """The definition itself, in Python integers."""
    degree = 64
    (q,) = primes(degree, 45, 1)
    ring = ResidueRing(degree, [q])
    root = primitive_root(q, degree)
    a = np.random.default_rng(1).integers(-(q // 2), q // 2, degree)
    values = ring.forward(a.astype(float)[None], slice(0, 1))
    for place, exponent in enumerate(ring._exponents):
        x = pow(root, int(exponent), q)
        assert (int(values[0, place]) - sum(int(c) * pow(x, k, q) for k, c in enumerate(a))) % q == 0
    moved = ring.inverse(permute(values, ring.automorphism(5)), slice(0, 1))[0]
    expected = np.zeros(degree, object)
    for k, c in enumerate(a):
        turns, place = divmod(5 * k, degree)
        expected[place] += int(c) * (-1) ** turns
    assert all((int(x) - y) % q == 0 for x, y in zip(moved, expected, strict=True))


def test_products_are_negacyclic_and_integers_come_back() -> None:
    degree = 128
    ring = ResidueRing(degree, primes(degree, 50, 2) + primes(degree, 40, 1))
    generator, everywhere = np.random.default_rng(2), slice(None)
    a, b = generator.integers(-1000, 1000, (2, degree))
    full = np.convolve(a, b)
    expected = full[:degree].copy()
    expected[: degree - 1] -= full[degree:]
    product = ring.multiply(ring.embed(a[None], 1, everywhere), ring.embed(b[None], 1, everywhere), everywhere)
    assert ring.integers(ring.inverse(product, everywhere), everywhere) == expected.tolist()


_SMALL, _LARGE = primes(64, 38, 1)[0], primes(64, 50, 1)[0]


@settings(max_examples=200)
@given(st.integers(-(1 << 50), 1 << 50), st.sampled_from([_SMALL, _LARGE]))
def test_reduction_is_canonical_up_to_two_to_the_fifty(x: int, q: int) -> None:
    result = int(modular.reduced(float(x), float(q), 1.0 / q))
    assert (result - x) % q == 0
    assert abs(result) <= (q - 1) // 2


@settings(max_examples=200)
@given(st.integers(-(1 << 50), 1 << 50), st.integers(-(_SMALL // 2), _SMALL // 2))
def test_large_residue_times_constant_modulo_a_small_prime_is_exact(x: int, w: int) -> None:
    result = int(modular.times_constant(float(x), float(w), w / _SMALL, float(_SMALL)))
    assert (result - x * w) % _SMALL == 0
    assert abs(result) <= 5 * _SMALL // 8 + 1


def test_reduction_of_a_constant_at_a_large_scale_is_wrong_and_digits_are_right() -> None:
    """The trap: 2^90 is a double, and its reduction is silently something else."""
    value = 3 * 2**88 + 2**40
    direct = modular.reduced(float(value), float(_LARGE), 1.0 / _LARGE)
    assert (int(direct) - value) % _LARGE
    ring = ResidueRing(64, [_LARGE, _SMALL])
    coefficients = np.zeros(64)
    coefficients[[0, 5]] = float(value), -float(value)
    element = ring.inverse(ring.embed(digits_of(coefficients), 1 << 48, slice(None)), slice(None))
    for q, row in zip(ring.primes, element, strict=True):
        assert (int(row[0]) - value) % q == 0
        assert (int(row[5]) + value) % q == 0
    assert all((int(c) - value) % q == 0 for c, q in zip(ring.constants(value, slice(None)), ring.primes, strict=True))
    with pytest.raises(ValueError, match="above 2\\^50"):
        ring.embed(np.full((1, 64), (1 << 50) + 1), 1, slice(None))
