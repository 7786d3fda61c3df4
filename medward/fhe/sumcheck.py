"""Checking a sum without fetching it: three random linear functions of every ciphertext.

After the aggregate is fixed, a beacon gives vectors r modulo each prime; y = <(c0, c1), r>. The members' y must add up
to the aggregate's. A wrong aggregate passes one test with probability 1/q, three with 2^-150; 2^64 tries at the beacon
leave 2^-86. A statement is as good as its author: anyone can recompute it from the ciphertext.

For auditors, light members and semi-honest federations; a member that gives shares re-adds instead (member.py).
"""

import hashlib
from collections.abc import Mapping
from functools import lru_cache

import numpy as np

from medward.fhe import _pointwise
from medward.fhe.encoding import pack_words, unpack_words
from medward.fhe.encryption import Ciphertext
from medward.fhe.errors import MalformedEncoding, SumRejected
from medward.fhe.keys import parameters_ring
from medward.fhe.parameters import SumParameters
from medward.fhe.ring import Element
from medward.fhe.sampling import expand_element

TESTS = 3


def sum_statement(parameters: SumParameters, ciphertext: Ciphertext, beacon: bytes) -> tuple[int, ...]:
    """Return the values y of a ciphertext, test after test, limb after limb.

    Args:
        parameters: the parameter set.
        ciphertext: a member's ciphertext or the aggregate.
        beacon: bytes that nobody could choose before the aggregate was fixed, with round and chunk.
    """
    owner = parameters_ring(parameters)
    out = []
    for vectors in _vectors(parameters, beacon):
        for limb, q in enumerate(owner.primes):
            total = 0
            for vector, element in zip(vectors, (ciphertext.c0, ciphertext.c1), strict=True):
                total += int(_pointwise.inner_product(vector[limb], element[limb], float(q), 1.0 / q))
            out.append(total % q)
    return tuple(out)


@lru_cache(maxsize=2)
def _vectors(parameters: SumParameters, beacon: bytes) -> tuple[tuple[Element, Element], ...]:
    """Return the random vectors (for c0, for c1) of every test; the same for all ciphertexts of a sum."""
    owner = parameters_ring(parameters)
    out = []
    for test in range(TESTS):
        seed = hashlib.sha256(b"medward sum check 1" + parameters.digest + bytes([test]) + beacon).digest()
        out.append((expand_element(seed + b"\0", owner), expand_element(seed + b"\1", owner)))
    return tuple(out)


def check_statements(
    parameters: SumParameters, members: Mapping[int, tuple[int, ...]], aggregate: tuple[int, ...]
) -> None:
    """Check that the members' statements add up to the aggregate's.

    Raises:
        SumRejected: they do not, or a statement has the wrong length.
    """
    primes = parameters_ring(parameters).primes * TESTS
    if any(len(statement) != len(primes) for statement in (*members.values(), aggregate)):
        raise SumRejected("a statement about a ciphertext has the wrong number of values")
    for position, q in enumerate(primes):
        if (sum(statement[position] for statement in members.values()) - aggregate[position]) % q:
            raise SumRejected(
                "the aggregate is not the sum of the stated ciphertexts; fetch and re-add them to find who is wrong"
            )


def encode_statement(parameters: SumParameters, statement: tuple[int, ...]) -> bytes:
    """Return the statement in 50 bits a value (75 bytes for four limbs)."""
    padded = np.zeros(-(-len(statement) // 32) * 32, np.uint64)
    padded[: len(statement)] = statement
    return pack_words(padded, 50)[: -(-len(statement) * 50 // 8)]


def decode_statement(parameters: SumParameters, data: bytes) -> tuple[int, ...]:
    """Undo `encode_statement`.

    Raises:
        MalformedEncoding: wrong length, a value not below its prime, or non-zero padding.
    """
    primes = parameters_ring(parameters).primes * TESTS
    if len(data) != -(-len(primes) * 50 // 8):
        raise MalformedEncoding(
            f"a statement about a ciphertext has {-(-len(primes) * 50 // 8)} bytes, not {len(data)}"
        )
    count = -(-len(primes) // 32) * 32
    values = unpack_words(memoryview(data + bytes(count * 50 // 8 - len(data))), 50, count).tolist()
    if any(values[len(primes) :]) or any(v >= q for v, q in zip(values, primes, strict=False)):
        raise MalformedEncoding("a value in a statement about a ciphertext is not below its prime")
    return tuple(values[: len(primes)])
