"""Decryption by all holders together.

    mu_j = s_j C1 + flood_j;   C0 + sum of mu_j = Delta m + noise

Every holder answers (n of n). A silent holder's s_d is opened from the shares that it dealt (dealing.py); everybody
then computes s_d C1 itself, without a flood. Who may answer what, and how often: member.py.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from medward.fhe import _wide
from medward.fhe.encryption import Ciphertext
from medward.fhe.keys import SecretKey, parameters_ring
from medward.fhe.lanes import decode
from medward.fhe.parameters import SumParameters
from medward.fhe.ring import Element
from medward.fhe.sampling import KeyStream, flood

Integers = NDArray[np.int64]


def decryption_share(
    parameters: SumParameters, secret: SecretKey, c1: Element, stream: KeyStream | None = None
) -> tuple[Element, Integers]:
    """Return (s C1 + flood in evaluation form, the flood's digits int64[D, N] for the proof).

    The flood is fresh with every call, so two answers for one C1 would lose half a bit of it each time: callers keep
    and repeat the first answer.
    """
    stream = stream or KeyStream()
    owner = parameters_ring(parameters)
    noise = flood(stream, parameters.degree, parameters.flood_bits)
    share = owner.forward(owner.embed(noise, _wide.digit_weights(noise.shape[0])))
    return owner.multiply_add(secret.evaluated(parameters), c1, share), noise


def opened_share(parameters: SumParameters, secret: Element, c1: Element) -> Element:
    """Return s_d C1 for a holder whose secret (evaluation form) was opened."""
    owner = parameters_ring(parameters)
    return owner.multiply_add(secret, c1, owner.zero())


def combine(parameters: SumParameters, aggregate: Ciphertext, shares: Sequence[Element]) -> Integers:
    """Return the exact lane sums, int64[lanes, N], from one share of every holder.

    Raises:
        LaneOverflow: noise or message out of bounds; a share is missing, wrong, or for another ciphertext.
    """
    owner = parameters_ring(parameters)
    plaintext = owner.sum([aggregate.c0, *shares])
    return decode(parameters, owner.inverse(plaintext))
