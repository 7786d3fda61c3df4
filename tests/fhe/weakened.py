"""What the scheme would be with one rule left out. Each variant falls to the attack named after it in the tests.

Nothing here is imported by medward. The lattice attacks reduce bases of rank at most 4 with exact integers.
"""

from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from medward.fhe import _pointwise, _wide
from medward.fhe.decryption import decryption_share
from medward.fhe.keys import SecretKey, parameters_ring
from medward.fhe.parameters import SumParameters
from medward.fhe.ring import Element, Ring
from medward.fhe.sampling import KeyStream, flood, uniform_element


def lagrange(points: Sequence[int], j: int, at: int, modulus: int) -> int:
    """The weight of point j when a polynomial through `points` is evaluated `at`."""
    numerator = denominator = 1
    for k in points:
        if k != j:
            numerator = numerator * (at - k) % modulus
            denominator = denominator * (j - k) % modulus
    return numerator * pow(denominator, -1, modulus) % modulus


def shares_of(parameters: SumParameters, secret: SecretKey, points: Sequence[int], t: int) -> dict[int, Element]:
    """A secret's Shamir shares at any evaluation points below 2^48, without hashes and masks."""
    ring = parameters_ring(parameters)
    stream = KeyStream()
    coefficients = np.stack([secret.evaluated(parameters), *(uniform_element(stream, ring) for _ in range(t - 1))])
    shares = {j: ring.zero() for j in points}
    for j, share in shares.items():
        _pointwise.evaluate_polynomial(coefficients, float(j), ring.q, ring.inverse_q, share)
    return shares


def threshold_answer(parameters: SumParameters, key: Element, weight: int, c1: Element) -> Element:
    """lambda_j sigma_j C1 + flood: a threshold share published as it is."""
    ring = parameters_ring(parameters)
    scaled = ring.scale_add(key, weight, ring.zero())
    noise = flood(KeyStream(), parameters.degree, parameters.flood_bits)
    mu = ring.forward(ring.embed(noise, _wide.digit_weights(noise.shape[0])))
    return ring.multiply_add(scaled, c1, mu)


def unguarded_answer(parameters: SumParameters, secret: SecretKey, c1: Element) -> Element:
    """A decryption share for any C1 that anybody shows, with a fresh flood every time."""
    return decryption_share(parameters, secret, c1)[0]


def inverse_of(ring: Ring, element: Element) -> Element:
    """The inverse of an element in evaluation form, none of whose slots is zero: conjugates over the norm."""
    negated = _negated_powers(ring, element, 1, 3)
    square = ring.multiply_add(element, negated, ring.zero())
    other = _negated_powers(ring, square, 2)
    norm = _by_power(ring, ring.multiply_add(square, other, ring.zero()))
    assert not norm[:, :, :, 1:].any()
    out = ring.zero()
    for i, q in enumerate(ring.primes):
        values = norm[i, :, :, 0]
        inverses = [_centred(pow(int(x) % q, -1, q), q) for x in values.ravel()]
        _by_power(ring, out)[i, :, :, 0] = np.reshape(inverses, values.shape)
    return ring.multiply_add(ring.multiply_add(negated, other, ring.zero()), out, ring.zero())


def _by_power(ring: Ring, element: Element) -> Element:
    """A view of an evaluation form, [limb, block, group, power of X, column]."""
    return element.reshape(ring.limbs, -1, 4, 4, min(1024, ring.degree) // 16)


def _negated_powers(ring: Ring, element: Element, *powers: int) -> Element:
    out = element.copy()
    _by_power(ring, out)[:, :, :, list(powers)] *= -1
    return out


def element_of(ring: Ring, integers: Sequence[int]) -> Element:
    """The element, in evaluation form, with these coefficients of any size."""
    out = ring.zero()
    for i, q in enumerate(ring.primes):
        out[i] = [_centred(value, q) for value in integers]
    return ring.forward(out)


def _centred(value: int, q: int) -> float:
    value %= q
    return float(value - q if value > q // 2 else value)


def multiples_lattice(factors: Sequence[int], modulus: int) -> list[list[int]]:
    """An LLL-reduced basis of {(k_1 z, ..., k_m z) mod Q}."""
    m = len(factors)
    inverse = pow(factors[0], -1, modulus)
    basis = [[1] + [k * inverse % modulus for k in factors[1:]]]
    basis += [[modulus if c == r else 0 for c in range(m)] for r in range(1, m)]
    return _lll(basis)


def _gram_schmidt(basis: list[list[int]]) -> tuple[list[list[Fraction]], list[Fraction]]:
    stars: list[list[Fraction]] = []
    norms: list[Fraction] = []
    for row in basis:
        star = [Fraction(x) for x in row]
        for other, norm in zip(stars, norms, strict=True):
            mu = sum((Fraction(x) * y for x, y in zip(row, other, strict=True)), Fraction(0)) / norm
            star = [x - mu * y for x, y in zip(star, other, strict=True)]
        stars.append(star)
        norms.append(sum((x * x for x in star), Fraction(0)))
    return stars, norms


def _lll(basis: list[list[int]]) -> list[list[int]]:
    """Lenstra, Lenstra and Lovasz, in exact fractions: slow, and fast enough for rank 2 to 4."""
    k = 1
    while k < len(basis):
        stars, norms = _gram_schmidt(basis)
        for j in range(k - 1, -1, -1):
            dot = sum((Fraction(x) * y for x, y in zip(basis[k], stars[j], strict=True)), Fraction(0))
            factor = round(dot / norms[j])
            if factor:
                basis[k] = [x - factor * y for x, y in zip(basis[k], basis[j], strict=True)]
        stars, norms = _gram_schmidt(basis)
        dot = sum((Fraction(x) * y for x, y in zip(basis[k], stars[k - 1], strict=True)), Fraction(0))
        mu = dot / norms[k - 1]
        if norms[k] >= (Fraction(3, 4) - mu * mu) * norms[k - 1]:
            k += 1
        else:
            basis[k - 1], basis[k] = basis[k], basis[k - 1]
            k = max(1, k - 1)
    return basis


class NearestPoint:
    """Babai's nearest plane for one basis, on integers scaled by 2^600."""

    def __init__(self, basis: list[list[int]]) -> None:
        self._basis = basis
        stars, norms = _gram_schmidt(basis)
        self._stars = [[int(x * (1 << 600) / norm) for x in star] for star, norm in zip(stars, norms, strict=True)]

    def error(self, target: Sequence[int]) -> list[int]:
        """The target minus the lattice point near it."""
        rest = list(target)
        for row, star in zip(reversed(self._basis), reversed(self._stars), strict=True):
            factor = (sum(x * y for x, y in zip(rest, star, strict=True)) + (1 << 599)) >> 600
            rest = [x - factor * y for x, y in zip(rest, row, strict=True)]
        return rest
