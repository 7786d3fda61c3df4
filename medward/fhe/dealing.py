"""Shamir shares of a holder's secret, dealt so that receivers can check them and anybody can check an opening.

For its secret s a dealer draws f(x) = s + f_1 x + ... + f_{t-1} x^{t-1} over the ring and, three times per limb, a
masking polynomial g(x) over the prime field. Holder j gets (f(j), g(j)); a salted hash of each share is published.
After that a public beacon fixes random vectors c, and the dealer publishes

    Y(x) = <c, f(x)> + g(x)   (degree below t)

Each holder compares Y(j). A share off the polynomial passes with probability 1/q per test, 2^-150 for the three (and
2^-86 after 2^64 tries at the beacon). Y tells nothing about s: g hides it.

A holder that stays silent is opened: t shares, each checked against its hash and against Y, give s; s and the error
e = b + s a must be short, or the dealer is at fault.
"""

import hashlib
import hmac
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medward.fhe import _pointwise
from medward.fhe.encoding import HEADER_BYTES, Kind, body, element_bytes, header, pack_element, unpack_element
from medward.fhe.errors import MalformedEncoding, ShareRejected, UnsafeParameters
from medward.fhe.keys import SecretKey, parameters_ring
from medward.fhe.parameters import ERROR_TERMS, SumParameters
from medward.fhe.ring import Element, Ring
from medward.fhe.sampling import KeyStream, expand_element, uniform_element

Integers = NDArray[np.int64]

TESTS = 3
_SALT_BYTES = 32


def threshold(holders: int) -> int:
    """Return t = n - f, how many shares open a holder, with f = floor((n - 1) / 3)."""
    return holders - (holders - 1) // 3


@dataclass(frozen=True)
class DealingContext:
    """What a dealing is bound to.

    Args:
        federation: the federation's identifier.
        epoch: the key epoch.
        dealer: whose secret it is.
        holders: all holders' numbers, which are the evaluation points, each at least 1.
        threshold: how many shares open the secret.
    """

    federation: bytes
    epoch: int
    dealer: int
    holders: tuple[int, ...]
    threshold: int

    def __post_init__(self) -> None:
        if len(set(self.holders)) != len(self.holders) or min(self.holders) < 1 or max(self.holders) > 1 << 16:
            raise UnsafeParameters("holders are numbered by different integers from 1 on")
        if not 1 <= self.threshold <= len(self.holders):
            raise UnsafeParameters(f"{self.threshold} of {len(self.holders)} shares cannot open a secret")

    def encoded(self) -> bytes:
        """Return the context's unique encoding."""
        numbers = (self.epoch, self.dealer, self.threshold, len(self.holders), *self.holders, len(self.federation))
        return b"".join(number.to_bytes(8, "little") for number in numbers) + self.federation


@dataclass(frozen=True)
class DealtShare:
    """One holder's share: f(j), and g(j) for every test and limb (int64[TESTS, L], in [0, q))."""

    value: Element
    masks: Integers


@dataclass(frozen=True, repr=False)
class Dealing:
    """What the dealer keeps until it has answered the beacon; then it is to be dropped.

    Args:
        context: federation, epoch, dealer, holders, threshold.
        shares: holder -> encoded share, to be sealed to that holder.
        digests: holder -> hash of the share, to be published.
        coefficients: float64[t, L, N] of f.
        mask_coefficients: integers [TESTS, L, t] of g.
    """

    context: DealingContext
    shares: dict[int, bytes]
    digests: dict[int, bytes]
    coefficients: NDArray[np.float64]
    mask_coefficients: list[list[list[int]]]


def deal(
    parameters: SumParameters, context: DealingContext, secret: SecretKey, stream: KeyStream | None = None
) -> Dealing:
    """Deal shares of a secret to all holders, the dealer itself included."""
    stream = stream or KeyStream()
    owner = parameters_ring(parameters)
    rest = [uniform_element(stream, owner) for _ in range(context.threshold - 1)]
    coefficients = np.stack([secret.evaluated(parameters), *rest])
    masks = [
        [[_uniform_integer(stream, q) for _ in range(context.threshold)] for q in owner.primes] for _ in range(TESTS)
    ]
    shares = {}
    for holder in context.holders:
        value = np.empty((owner.limbs, owner.degree))
        _pointwise.evaluate_polynomial(coefficients, float(holder), owner.q, owner.inverse_q, value)
        mask_values = np.array([_evaluate_all(limbs, holder, owner) for limbs in masks], np.int64)
        shares[holder] = _encode_share(parameters, DealtShare(value, mask_values))
    digests = {holder: share_digest(context, holder, share) for holder, share in shares.items()}
    return Dealing(context, shares, digests, coefficients, masks)


def share_digest(context: DealingContext, holder: int, share: bytes) -> bytes:
    """Return the published hash of an encoded share; the salt inside the share hides it."""
    prefix = b"medward dealt share 1" + context.encoded() + holder.to_bytes(8, "little")
    return hashlib.sha256(prefix + share).digest()


def respond(parameters: SumParameters, dealing: Dealing, beacon: bytes) -> bytes:
    """Return the coefficients of Y for a beacon that was fixed after the digests were published."""
    owner = parameters_ring(parameters)
    challenges = _challenges(owner, dealing.context, beacon)
    out = bytearray()
    for test, challenge in enumerate(challenges):
        for limb, q in enumerate(owner.primes):
            for power in range(dealing.context.threshold):
                product = _inner_product(owner, challenge, dealing.coefficients[power], limb)
                out += ((product + dealing.mask_coefficients[test][limb][power]) % q).to_bytes(8, "little")
    return bytes(out)


def check_dealt_share(
    parameters: SumParameters,
    context: DealingContext,
    holder: int,
    share: bytes,
    *,
    digest: bytes,
    beacon: bytes,
    response: bytes,
) -> DealtShare:
    """Check one share against its published hash and the dealer's response, and return it.

    The same check serves the receiver, whoever judges a complaint, and an opening.

    Raises:
        ShareRejected: names the dealer, unless the share does not have the published hash: then the holder, who shows
            something that it was not dealt.
    """
    dealer = context.dealer
    if not hmac.compare_digest(share_digest(context, holder, share), digest):
        raise ShareRejected(holder, f"shows a share that member {dealer} did not deal to it")
    try:
        decoded = _decode_share(parameters, share)
    except MalformedEncoding as error:
        raise ShareRejected(dealer, f"dealt a malformed share to member {holder}: {error}") from error
    owner = parameters_ring(parameters)
    response_coefficients = _decode_response(owner, context, response)
    for test, challenge in enumerate(_challenges(owner, context, beacon)):
        for limb, q in enumerate(owner.primes):
            claimed = _evaluate(response_coefficients[test][limb], holder, q)
            actual = _inner_product(owner, challenge, decoded.value, limb) + int(decoded.masks[test, limb])
            if (claimed - actual) % q:
                raise ShareRejected(dealer, f"dealt a share to member {holder} that is not on its polynomial")
    return decoded


def open_secret(
    parameters: SumParameters, context: DealingContext, a: Element, b: Element, shares: Mapping[int, DealtShare]
) -> Element:
    """Rebuild a silent holder's secret from checked shares and check it against its public part.

    Args:
        parameters: the parameter set.
        context: the dealing's context.
        a, b: reference string and the dealer's public part.
        shares: holder -> share that `check_dealt_share` returned; at least `threshold` of them.

    Returns:
        s in evaluation form.

    Raises:
        ShareRejected: names the dealer, whose shares do not open its key.
        UnsafeParameters: there are too few shares.
    """
    if len(shares) < context.threshold:
        raise UnsafeParameters(
            f"opening member {context.dealer} takes {context.threshold} shares; {len(shares)} are known"
        )
    owner = parameters_ring(parameters)
    points = sorted(shares)[: context.threshold]
    s = owner.zero()
    for j in points:
        owner_weight = _lagrange_at_zero(points, j, owner.modulus)
        owner.scale_add(shares[j].value, owner_weight, s, s)
    if not opens_key(parameters, a, b, s):
        raise ShareRejected(context.dealer, "dealt shares that do not open its key")
    return s


def opens_key(parameters: SumParameters, a: Element, b: Element, s: Element) -> bool:
    """Whether s (evaluation form) is the short secret of the public part b = -s a + e."""
    owner = parameters_ring(parameters)
    return _is_short(owner, s, 1) and _is_short(owner, owner.multiply_add(s, a, b), ERROR_TERMS)


def _lagrange_at_zero(points: Sequence[int], j: int, modulus: int) -> int:
    numerator = denominator = 1
    for k in points:
        if k != j:
            numerator = numerator * k % modulus
            denominator = denominator * (k - j) % modulus
    return numerator * pow(denominator, -1, modulus) % modulus


def _is_short(owner: Ring, element: Element, bound: int) -> bool:
    """Whether all coefficients are at most `bound` and the same integer in every limb."""
    coefficients = owner.inverse(element.copy())
    return bool(np.abs(coefficients).max() <= bound and (coefficients == coefficients[0]).all())


def _uniform_integer(stream: KeyStream, q: int) -> int:
    while True:
        value = int(stream.words(1)[0]) & ((1 << 50) - 1)
        if value < q:
            return value


def _evaluate(coefficients: Sequence[int], point: int, q: int) -> int:
    value = 0
    for coefficient in reversed(coefficients):
        value = (value * point + coefficient) % q
    return value


def _evaluate_all(limbs: Sequence[Sequence[int]], point: int, owner: Ring) -> list[int]:
    return [_evaluate(coefficients, point, q) for coefficients, q in zip(limbs, owner.primes, strict=True)]


def _challenges(owner: Ring, context: DealingContext, beacon: bytes) -> list[Element]:
    seed = hashlib.sha256(b"medward dealing challenge 1" + context.encoded() + beacon).digest()
    return [expand_element(seed + bytes([test]), owner) for test in range(TESTS)]


def _inner_product(owner: Ring, challenge: Element, value: Element, limb: int) -> int:
    q = owner.primes[limb]
    return int(_pointwise.inner_product(challenge[limb], value[limb], float(q), 1.0 / q)) % q


def dealt_share_bytes(parameters: SumParameters) -> int:
    """Return the size of an encoded share."""
    return HEADER_BYTES + element_bytes(parameters) + TESTS * parameters.limbs * 8 + _SALT_BYTES


def _encode_share(parameters: SumParameters, share: DealtShare) -> bytes:
    masks = share.masks.astype("<i8").tobytes()
    return (
        header(parameters, Kind.DEALT_SHARE) + pack_element(parameters, share.value) + masks + os.urandom(_SALT_BYTES)
    )


def _decode_share(parameters: SumParameters, data: bytes) -> DealtShare:
    size = element_bytes(parameters)
    mask_bytes = TESTS * parameters.limbs * 8
    rest = body(parameters, Kind.DEALT_SHARE, data, size + mask_bytes + _SALT_BYTES)
    masks = np.frombuffer(rest[size : size + mask_bytes], "<i8").astype(np.int64).reshape(TESTS, parameters.limbs)
    if (masks < 0).any() or (masks >= np.array(parameters_ring(parameters).primes)).any():
        raise MalformedEncoding("a masking value is not below its prime")
    return DealtShare(unpack_element(parameters, rest[:size]), masks)


def _decode_response(owner: Ring, context: DealingContext, response: bytes) -> list[list[list[int]]]:
    if len(response) != TESTS * owner.limbs * context.threshold * 8:
        raise ShareRejected(context.dealer, "answered the dealing's challenge with the wrong number of coefficients")
    numbers = iter(np.frombuffer(response, "<u8").tolist())
    return [[[next(numbers) for _ in range(context.threshold)] for _ in owner.primes] for _ in range(TESTS)]
