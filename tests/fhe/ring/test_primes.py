"""The primes of a ring: that they are prime, fit the kernels, and have the roots that the ring needs."""

import pytest

from medward.fhe.ring.primes import balanced, is_prime, primitive_root, ring_primes

DEGREES = [1024, 2048, 4096, 8192, 16384, 32768]


def test_primes_fit_the_kernels_and_the_ring() -> None:
    for degree in DEGREES[1:]:
        primes = ring_primes(degree, 8)
        assert len(set(primes)) == 8
        for q in primes:
            assert is_prime(q)
            assert q < 1 << 50
            assert q % degree == 1 + degree // 2


def test_primality_test_refuses_strong_pseudoprimes() -> None:
    assert not any(is_prime(n) for n in (3215031751, 3474749660383, 341550071728321, 1 << 50 | 1))


def test_small_numbers_are_told_apart_as_trial_division_does() -> None:
    for n in range(39, 20_000, 2):
        assert is_prime(n) == all(n % d for d in range(3, int(n**0.5) + 1, 2)), n


def test_no_prime_of_the_form_lies_above_those_that_were_taken() -> None:
    """All members must take the same primes: the largest, none left out."""
    degree = 2048
    taken = ring_primes(degree, 3)
    step = 4 * degree // 4
    between = [q for q in range(taken[2], 1 << 50, step) if is_prime(q)]
    assert tuple(reversed(between)) == taken


def test_root_has_exactly_the_order_and_where_there_is_none_that_is_said() -> None:
    (q,) = ring_primes(2048, 1)
    root = primitive_root(q, 512)
    assert pow(root, 1024, q) == 1
    assert pow(root, 512, q) == q - 1
    with pytest.raises(ArithmeticError, match="no root of order 16"):
        primitive_root(43, 8)


def test_balanced_representative_is_the_least() -> None:
    for prime in (3, 43, 1125899906802689):
        for value in (0, 1, prime // 2, prime // 2 + 1, prime - 1, prime, -1, -(prime // 2) - 1, 7 * prime + 2):
            found = balanced(value, prime)
            assert (found - value) % prime == 0
            assert abs(found) <= prime // 2
