"""The primes of a ring and their roots of unity."""

#: Deterministic Miller-Rabin bases for every integer below 2^64 (Sorenson and Webster, Math. Comp. 2017).
_BASES = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37)

PRIME_BITS = 50
#: Modulo each prime X^N + 1 is a product of N / SLOT_DEGREE irreducible polynomials X^SLOT_DEGREE - zeta.
SLOT_DEGREE = 4


def is_prime(candidate: int) -> bool:
    """Return whether `candidate`, odd and in (37, 2^64), is prime."""
    odd = candidate - 1
    twos = (odd & -odd).bit_length() - 1
    odd >>= twos
    for base in _BASES:
        x = pow(base, odd, candidate)
        if x in (1, candidate - 1):
            continue
        for _ in range(twos - 1):
            x = x * x % candidate
            if x == candidate - 1:
                break
        else:
            return False
    return True


def ring_primes(degree: int, limbs: int) -> tuple[int, ...]:
    """Return the `limbs` largest primes below 2^50 that are 1 + degree / 2 mod degree, largest first.

    So there are roots of unity of order degree / 2 and none of order degree: a zeta with zeta^(degree / 4) = -1 exists
    and is no square, and X^4 - zeta is irreducible (Lidl and Niederreiter, Finite Fields, theorem 3.75).
    """
    found: list[int] = []
    candidate = (1 << PRIME_BITS) + 1 + 2 * degree // SLOT_DEGREE
    while len(found) < limbs:
        candidate -= 4 * degree // SLOT_DEGREE
        if is_prime(candidate):
            found.append(candidate)
    return tuple(found)


def primitive_root(prime: int, slots: int) -> int:
    """Return a primitive root of unity of order 2 * slots mod `prime`, the one that the smallest base gives."""
    for base in range(2, prime):
        root = pow(base, (prime - 1) // (2 * slots), prime)
        if pow(root, slots, prime) == prime - 1:
            return root
    raise ArithmeticError(f"{prime} has no root of order {2 * slots}")


def balanced(value: int, prime: int) -> int:
    """Return the representative of `value` mod `prime` of least absolute value."""
    value %= prime
    return value - prime if value > prime // 2 else value
