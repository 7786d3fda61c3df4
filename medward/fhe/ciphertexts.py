"""Ciphertext blocks under a one-time secret, their sum over a cohort, and its decryption.

    b        = a_0 s + e_0                                       check block
    c_l      = a_l s + Delta m_l + e_l                           one element a block, the same s for all blocks
    C_l - a_l S = Delta sum of m_l + sum of e_l                  S the sum of the secrets, C_l of the blocks

What travels are residues of evaluation forms.
"""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from medward.fhe.arrays import Integers
from medward.fhe.context import SumContext
from medward.fhe.encoding import add_residues, pack_residues, residue_bytes
from medward.fhe.packing import decode_lanes, encode_lanes
from medward.fhe.parameters import SIGMA
from medward.fhe.ring.kernels import compiled
from medward.fhe.ring.ring import Element
from medward.fhe.sampling import KeyStream, gaussian


def encrypt(context: SumContext, secret: Integers, values: Integers, stream: KeyStream) -> bytes:
    """Return the packed blocks c_1, c_2, ...

    Args:
        context: of the sum.
        secret: s, int64[N].
        values: int64[blocks, lanes, N], each at most `largest_value` in absolute value.
        stream: where the errors come from.

    Raises:
        LaneOverflow: a value does not fit.
    """
    parameters, ring = context.parameters, context.ring
    s = ring.forward(ring.embed(secret))
    errors = gaussian(stream, SIGMA**2, context.blocks * parameters.degree).reshape(context.blocks, -1)
    packed = []
    for a, block, error in zip(context.block_elements, values, errors, strict=True):
        message = ring.forward(encode_lanes(parameters, block, error))
        packed.append(pack_residues(ring.multiply_add(s, a, message), parameters.prime))
    return b"".join(packed)


def check_block(context: SumContext, secret: Integers, error: Integers) -> Element:
    """Return b = a_0 s + e_0, evaluation form, from int64[N] each."""
    ring = context.ring
    return ring.multiply_add(ring.forward(ring.embed(secret)), context.check_element, ring.forward(ring.embed(error)))


def add_elements(context: SumContext, packed: Iterable[memoryview]) -> Element:
    """Return the sums of packed elements, place by place: float64[m, N] where each holds m elements; at most 2^13.

    Raises:
        MalformedEncoding: a residue is not below the prime.
    """
    totals: NDArray[np.uint64] | None = None
    for data in packed:
        if totals is None:
            count = len(data) // residue_bytes(context.parameters.degree)
            totals = np.zeros(count * context.parameters.degree, np.uint64)
        add_residues(data, context.parameters.prime, totals)
    if totals is None:
        raise ValueError("there is nothing to add")
    out = np.empty(totals.shape[0])
    _balance(totals, context.parameters.prime, out)
    return out.reshape(-1, context.parameters.degree)


def decrypt(context: SumContext, sums: Element, secret: Integers) -> Integers:
    """Return the exact sums of the values, int64[blocks, lanes, N].

    Args:
        context: of the sum.
        sums: C_1, C_2, ..., float64[blocks, N], evaluation form.
        secret: S, int64[N].
    """
    parameters, ring = context.parameters, context.ring
    minus = ring.forward(ring.embed(-secret))
    out = np.empty((context.blocks, parameters.lanes, parameters.degree), np.int64)
    for a, total, block in zip(context.block_elements, sums, out, strict=True):
        block[:] = decode_lanes(parameters, ring.inverse(ring.multiply_add(minus, a, total[None])))
    return out


@compiled
def _balance(totals: NDArray[np.uint64], prime: int, out: NDArray[np.float64]) -> None:
    """The balanced residues of sums of at most 2^13 numbers below 2^50."""
    inverse = 1.0 / prime
    for j in range(out.shape[0]):
        x = np.int64(totals[j])
        x -= np.int64(np.rint(float(x) * inverse)) * prime  # the quotient is right but within 2^-38 of a tie
        if x > prime // 2:
            x -= prime
        if x < -(prime // 2):
            x += prime
        out[j] = float(x)
