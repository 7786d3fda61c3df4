"""Encryption under the joint key, and sums of ciphertexts.

    c0 = v b + Delta m + e0;   c1 = v a + e1

A sum of ciphertexts is the component-wise sum: two components, whatever the number of members. Ciphertexts under
separate keys are never summed: there a decryption share would open its owner's own update (arXiv 2506.20101).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medward.fhe.errors import LaneOverflow
from medward.fhe.keys import parameters_ring
from medward.fhe.lanes import encode
from medward.fhe.parameters import SumParameters
from medward.fhe.ring import Element
from medward.fhe.sampling import KeyStream, centred_binomial, ternary

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Ciphertext:
    """A ciphertext or a sum of ciphertexts.

    Args:
        c0, c1: float64[L, N], evaluation form.
    """

    c0: Element
    c1: Element


@dataclass(frozen=True, repr=False)
class EncryptionWitness:
    """What only the encrypting member knows of its c1 = v a + e1, kept until its proof is made.

    Args:
        v: int64[N], ternary.
        e1: int64[N], error.
    """

    v: Integers
    e1: Integers


def encrypt(
    parameters: SumParameters, a: Element, key: Element, values: Integers, stream: KeyStream | None = None
) -> tuple[Ciphertext, EncryptionWitness]:
    """Encrypt one block of lane values under the joint key.

    Args:
        parameters: the parameter set.
        a: common reference string, evaluation form.
        key: joint key b, evaluation form.
        values: integers [lanes, N].
        stream: randomness; the operating system's by default.

    Raises:
        LaneOverflow: a value does not fit its lane.
    """
    stream = stream or KeyStream()
    owner = parameters_ring(parameters)
    v = ternary(stream, parameters.degree)
    e0 = centred_binomial(stream, parameters.degree)
    e1 = centred_binomial(stream, parameters.degree)
    c0 = owner.forward(encode(parameters, values, e0))
    c1 = owner.forward(owner.embed(e1))
    masked = owner.forward(owner.embed(v))
    ciphertext = Ciphertext(owner.multiply_add(masked, key, c0), owner.multiply_add(masked, a, c1))
    return ciphertext, EncryptionWitness(v, e1)


def sum_ciphertexts(parameters: SumParameters, ciphertexts: Sequence[Ciphertext]) -> Ciphertext:
    """Return the sum of one to K ciphertexts.

    Raises:
        LaneOverflow: there are more ciphertexts than the lanes have room for.
    """
    if not 1 <= len(ciphertexts) <= parameters.contributors:
        raise LaneOverflow(
            f"this parameter set sums 1 to {parameters.contributors} ciphertexts, not {len(ciphertexts)}; "
            "more would overflow the lanes silently"
        )
    owner = parameters_ring(parameters)
    return Ciphertext(owner.sum([c.c0 for c in ciphertexts]), owner.sum([c.c1 for c in ciphertexts]))
