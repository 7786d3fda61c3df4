"""Encoding against its definition, and its bound."""

import numpy as np
import pytest

from medward.fhe.computing.encoder import decode, encode, encoding_error


@pytest.mark.parametrize("degree", [64, 1024])
def test_slots_are_the_values_at_powers_of_five(degree: int) -> None:
    """The definition in extended precision."""
    generator = np.random.default_rng(degree)
    coefficients = np.rint(generator.normal(0, 2.0**40, degree))
    slots = decode(coefficients, 1 << 40)
    for j in (0, 1, 7, degree // 2 - 1):
        turns = np.arange(degree) * pow(5, j, 2 * degree) % (2 * degree)
        angle = turns.astype(np.longdouble) * (np.longdouble("3.14159265358979323846264338327950288") / degree)
        exact = complex((coefficients * np.cos(angle)).sum(), (coefficients * np.sin(angle)).sum()) / 2**40
        assert abs(slots[j] - exact) < 1e-12


@pytest.mark.parametrize("bits", [45, 76, 90])
@pytest.mark.parametrize("degree", [64, 16384])
def test_encoding_is_within_its_bound(degree: int, bits: int) -> None:
    values = np.exp(2j * np.pi * np.random.default_rng(1).random(degree // 2))
    coefficients = encode(values, 1 << bits)
    assert np.array_equal(coefficients, np.rint(coefficients))
    error = float(np.sqrt(np.mean(np.abs(decode(coefficients, 1 << bits) - values) ** 2))) * 2.0**bits
    bound = encoding_error(degree, 1 << bits, 1.0)
    assert error < 2 * bound, "coding and decoding"
    assert bound < 2**8 * error


def test_known_answer() -> None:
    """The constant 1 is the polynomial Delta, i is Delta X^(N/2)."""
    assert encode(np.ones(32, complex), 1 << 40).tolist() == [2.0**40] + [0.0] * 63
    assert encode(1j * np.ones(32, complex), 1 << 40).tolist() == [0.0] * 32 + [2.0**40] + [0.0] * 31
