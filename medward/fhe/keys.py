"""Keys of a key epoch: the common reference string, each holder's secret and public part, and the joint key.

    a = XOF(label);   b_i = -s_i a + e_i;   b = sum of the b_i = -(sum of s_i) a + short

Nobody ever holds the sum of the s_i.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medward.fhe.parameters import SumParameters
from medward.fhe.ring import Element, Ring, ring
from medward.fhe.sampling import KeyStream, centred_binomial, expand_element, ternary

Integers = NDArray[np.int64]


def parameters_ring(parameters: SumParameters) -> Ring:
    """Return the ring of a parameter set."""
    return ring(parameters.degree, parameters.limbs)


def reference_string(parameters: SumParameters, federation: bytes, epoch: int) -> Element:
    """Return the common reference string a of a key epoch, evaluation form.

    Args:
        parameters: the epoch's parameter set.
        federation: the federation's identifier, any bytes.
        epoch: the key epoch's number, 0 <= epoch < 2^64.
    """
    label = b"medward crs 1" + parameters.digest + epoch.to_bytes(8, "little") + federation
    return expand_element(label, parameters_ring(parameters))


@dataclass
class SecretKey:
    """One holder's secret for one epoch; never serialised here, never printed.

    Args:
        s: int64[N], ternary secret.
        e: int64[N], error of the public part.
    """

    s: Integers
    e: Integers

    def __repr__(self) -> str:
        return "SecretKey(...)"

    def evaluated(self, parameters: SumParameters) -> Element:
        """Return s in evaluation form."""
        owner = parameters_ring(parameters)
        return owner.forward(owner.embed(self.s))

    def erase(self) -> None:
        """Overwrite the secret; whatever still refers to this key sees zeros."""
        self.s.fill(0)
        self.e.fill(0)


def generate_key(parameters: SumParameters, a: Element, stream: KeyStream | None = None) -> tuple[SecretKey, Element]:
    """Make a fresh secret and its public part b = -s a + e.

    Args:
        parameters: the epoch's parameter set.
        a: the common reference string, evaluation form.
        stream: randomness; the operating system's by default.

    Returns:
        The secret, and b in evaluation form.
    """
    stream = stream or KeyStream()
    secret = SecretKey(ternary(stream, parameters.degree), centred_binomial(stream, parameters.degree))
    return secret, public_part(parameters, a, secret.s, secret.e)


def public_part(parameters: SumParameters, a: Element, s: Integers, e: Integers) -> Element:
    """Return b = -s a + e in evaluation form."""
    owner = parameters_ring(parameters)
    error = owner.forward(owner.embed(e))
    return owner.multiply_add(owner.forward(owner.embed(-s)), a, error)


def joint_key(parameters: SumParameters, parts: Sequence[Element]) -> Element:
    """Return the joint key, the sum of all holders' public parts.

    Only parts that were committed to before any was shown may enter (medward/federation/ceremony.py): otherwise the
    last holder cancels the others.
    """
    return parameters_ring(parameters).sum(parts)
