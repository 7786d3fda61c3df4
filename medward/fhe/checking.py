"""The checks of a dealing, by everybody and by each holder.

    v = Y(0) + R_e b = R_s s + R_e e_0 + y;   |v_k| <= B for all k           everybody
    Y(j) = Phi f(j) + g(j)                                                   holder j, exactly

Why this proves that the dealt secret is short and that of the check block: spec/scheme.md, "Soundness".
"""

from collections.abc import Sequence

import numpy as np

from medward.fhe.arrays import Doubles
from medward.fhe.context import Challenge, SumContext
from medward.fhe.contribution import SALT_BYTES, Contribution, expand_share, fits_digest, share_bytes
from medward.fhe.encoding import HEADER_BYTES, EncodingKind, body, check_residues, residue_bytes, unpack_residues
from medward.fhe.errors import DealingFault, MalformedEncoding, ShareFault
from medward.fhe.parameters import AUDITS, DEGREE, TESTS
from medward.fhe.ring import polynomials


def response_bytes(context: SumContext) -> int:
    """Return the exact size of a response to the beacon."""
    return HEADER_BYTES + residue_bytes(context.parameters.threshold * TESTS)


def audit_response_bytes(context: SumContext) -> int:
    """Return the exact size of a response to the audit."""
    return HEADER_BYTES + residue_bytes(context.parameters.threshold * AUDITS)


def read_response(context: SumContext, data: bytes) -> Doubles:
    """Return Y at 0, ..., t - 1, float64[t, T].

    Raises:
        MalformedEncoding: the bytes are no response in this sum.
    """
    return _values(context, EncodingKind.RESPONSE, data, TESTS)


def read_audit_response(context: SumContext, data: bytes) -> Doubles:
    """Return Y2 at 0, ..., t - 1, float64[t, AUDITS].

    Raises:
        MalformedEncoding: the bytes are no response to the audit in this sum.
    """
    return _values(context, EncodingKind.AUDIT_RESPONSE, data, AUDITS)


def _values(context: SumContext, kind: EncodingKind, data: bytes, width: int) -> Doubles:
    parameters = context.parameters
    count = parameters.threshold * width
    rest = body(kind, context.digest, data, residue_bytes(count))
    return unpack_residues(rest, parameters.prime, count).reshape(parameters.threshold, width)


def check_dealing(challenge: Challenge, contribution: Contribution, response: Doubles) -> None:
    """Check what everybody can: all residues are below the prime; the secret and error of the check block are short.

    Args:
        challenge: of the beacon.
        contribution: the dealer's.
        response: its Y, float64[t, T].

    Raises:
        MalformedEncoding: a residue is not below the prime.
        DealingFault: the secret or the error is not short.
    """
    context = challenge.context
    parameters, ring = context.parameters, context.ring
    check_residues(contribution.blocks, parameters.prime, DEGREE * context.blocks)
    b = unpack_residues(contribution.check_block, parameters.prime, DEGREE)[None]
    tests = polynomials.add(response[0], challenge.error_tests(ring.inverse(b)[0]), parameters.prime)
    largest = int(np.abs(tests).max())
    if largest > parameters.test_bound:
        raise DealingFault(f"dealt a secret or an error that is not short: {largest} > {parameters.test_bound}")


def read_share(context: SumContext, holder: int, share: bytes) -> Doubles:
    """Return a holder's share, float64[N + T + AUDITS], from its bytes with their salt.

    Raises:
        ShareFault: it is malformed.
    """
    parameters = context.parameters
    if len(share) != share_bytes(context, holder):
        raise ShareFault(f"dealt a share of {len(share)} bytes to holder {holder}")
    if holder < parameters.threshold:
        return expand_share(parameters, share[:-SALT_BYTES])
    try:
        return unpack_residues(share[:-SALT_BYTES], parameters.prime, parameters.width)
    except MalformedEncoding:
        raise ShareFault(f"dealt a malformed share to holder {holder}") from None


def check_own_share(challenge: Challenge, holder: int, share: bytes, response: Doubles) -> Doubles:
    """Check a share as its holder: by combinations of the tests that its dealer does not know.

    Returns:
        The share, float64[N + T + AUDITS].

    Raises:
        ShareFault: it is malformed, or off the dealing's polynomial.
    """
    p = challenge.context.parameters.prime
    vector = read_share(challenge.context, holder, share)
    rho, rows = challenge.private_check
    claimed = polynomials.evaluate(response, holder, p)
    rest = polynomials.balance(vector[DEGREE : DEGREE + TESTS] - claimed, p)
    tested = polynomials.products(rows, vector[None, :DEGREE], p) + polynomials.products(rho, rest[None], p)
    if polynomials.balance(tested, p).any():
        raise ShareFault(f"dealt a share to holder {holder} that is off its polynomial")
    return vector


def check_shown_share(challenge: Challenge, holder: int, share: bytes, response: Doubles) -> Doubles:
    """Check a share that is shown in the open, by every test: the answer is the same for everybody, for ever.

    Returns:
        The share, float64[N + T + AUDITS].

    Raises:
        ShareFault: it is malformed, or off the dealing's polynomial.
    """
    p = challenge.context.parameters.prime
    vector = read_share(challenge.context, holder, share)
    tested = challenge.tests(vector[None, :DEGREE])[0] + vector[DEGREE : DEGREE + TESTS]
    if polynomials.balance(tested - polynomials.evaluate(response, holder, p), p).any():
        raise ShareFault(f"dealt a share to holder {holder} that is off its polynomial")
    return vector


def shown_bytes(context: SumContext, holders: Sequence[int]) -> int:
    """Return the exact size of what a dealer shows of its shares for these holders."""
    return HEADER_BYTES + sum(share_bytes(context, holder) for holder in holders)


def read_shown(
    context: SumContext, contribution: Contribution, dealer: int, holders: Sequence[int], shown: bytes
) -> dict[int, bytes]:
    """Return the shares, with their salts, that a dealer shows in the open.

    Raises:
        MalformedEncoding: other holders' shares, or none.
        ShareFault: a share is not the one that was dealt.
    """
    ordered = sorted(holders)
    rest = body(EncodingKind.SHOWN_SHARES, context.digest, shown, shown_bytes(context, ordered) - HEADER_BYTES)
    at, out = 0, {}
    for holder in ordered:
        share = bytes(rest[at : at + share_bytes(context, holder)])
        at += len(share)
        if not fits_digest(context, contribution, dealer, holder, share):
            raise ShareFault(f"shows a share that it did not deal to holder {holder}")
        out[holder] = share
    return out


def contradicts_audit(context: SumContext, rows: Doubles, holder: int, part: Doubles, response: Doubles) -> bool:
    """Return whether a dealer's response to the audit is off the share that it dealt to a holder.

    Args:
        context: of the sum.
        rows: chi, float64[AUDITS, N].
        holder: its number.
        part: what an answer adds up of its share, float64[N + AUDITS].
        response: the dealer's Y2, float64[t, AUDITS].
    """
    p = context.parameters.prime
    told = polynomials.products(rows, part[None, :DEGREE], p)[0] + part[DEGREE:]
    return bool(polynomials.balance(told - polynomials.evaluate(response, holder, p), p).any())
