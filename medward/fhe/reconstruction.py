"""From the holders' answers to the sum of the secrets, and who answered wrongly.

    A_j = sum over U of (f_i(j), z_i(j))                                  holder j's one answer
    S from t answers;  |S| and |sum of b_i - a_0 S| <= sum_bound          else another subset

S is unique (parameters.py), so a wrong answer never gives a wrong sum. Subsets are tried in one agreed order.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import comb

import numpy as np

from medward.fhe.arrays import Doubles, Integers
from medward.fhe.checking import contradicts_audit
from medward.fhe.context import SumContext
from medward.fhe.encoding import HEADER_BYTES, EncodingKind, body, header, pack_residues, residue_bytes, unpack_residues
from medward.fhe.parameters import AUDITS, DEGREE, TESTS, SumParameters
from medward.fhe.ring import polynomials
from medward.fhe.ring.ring import Element
from medward.fhe.sampling import KeyStream, framed, uniform_vector

#: Up to so many subsets are all tried (of 16 holders 4,368 sets of 11); of more, MOST_SUBSETS in an agreed order.
EXHAUSTIVE = 4368
MOST_SUBSETS = 1000
#: Coordinates that a subset is tried on first, chosen anew each time so that nobody can aim at them.
_SAMPLED = 4


@dataclass(frozen=True)
class Reconstructed:
    """The sum of the secrets.

    Args:
        secret: S, int64[N].
        wrong: the holders of whom it is certain that they answered wrongly.
    """

    secret: Integers
    wrong: tuple[int, ...]


def answered_part(vector: Doubles) -> Doubles:
    """Return what an answer adds up of a share: all but the tests' masks, float64[N + AUDITS]."""
    return np.concatenate([vector[:DEGREE], vector[DEGREE + TESTS :]])


def answer_bytes() -> int:
    """Return the exact size of an answer."""
    return HEADER_BYTES + residue_bytes(DEGREE + AUDITS)


def answer(context: SumContext, parts: Sequence[Doubles]) -> bytes:
    """Return a holder's answer: the sum of the answered parts of its shares of a cohort's dealings."""
    p = context.parameters.prime
    total = np.zeros(DEGREE + AUDITS)
    for part in parts:
        total = polynomials.add(total, part, p)
    return header(EncodingKind.ANSWER, context.digest) + pack_residues(total, p)


def read_answer(context: SumContext, data: bytes) -> Doubles:
    """Return an answer, float64[N + AUDITS].

    Raises:
        MalformedEncoding: the bytes are no answer in this sum.
    """
    rest = body(EncodingKind.ANSWER, context.digest, data, residue_bytes(DEGREE + AUDITS))
    return unpack_residues(rest, context.parameters.prime, DEGREE + AUDITS)


def reconstruct(context: SumContext, check_sum: Element, answers: Mapping[int, Doubles]) -> Reconstructed | None:
    """Return the sum of the secrets, or None where no subset that is tried fits.

    Args:
        context: of the sum.
        check_sum: the sum of the cohort's check blocks, float64[1, N], evaluation form.
        answers: by holder, float64[N + AUDITS].
    """
    parameters = context.parameters
    holders = sorted(answers)
    if len(holders) < parameters.threshold:
        return None
    rows = np.stack([answers[j][:DEGREE] for j in holders])
    sample = np.random.default_rng().choice(DEGREE, _SAMPLED, replace=False)
    sampled = np.ascontiguousarray(rows[:, sample])
    for places in _subsets(context, answers):
        weights = polynomials.weights([holders[k] for k in places], (0,), parameters.prime)
        chosen = list(places)
        tried = polynomials.combine(weights, sampled[chosen], parameters.prime)
        if np.abs(tried).max() > parameters.sum_bound:
            continue
        secret = polynomials.combine(weights, rows[chosen], parameters.prime)
        if _explains(context, check_sum, secret):
            wrong = _certainly_wrong(parameters, holders, rows, secret[0], chosen)
            return Reconstructed(secret[0].astype(np.int64), wrong)
    return None


def _explains(context: SumContext, check_sum: Element, secret: Element) -> bool:
    """Whether S, float64[1, N], is short and leaves a short error of the sum of the check blocks."""
    ring, bound = context.ring, context.parameters.sum_bound
    if np.abs(secret).max() > bound:
        return False
    product = ring.multiply_add(ring.forward(secret.copy()), context.check_element, ring.zero())
    return bool(np.abs(ring.inverse(ring.subtract(check_sum, product))).max() <= bound)


def _subsets(context: SumContext, answers: Mapping[int, Doubles]) -> Iterator[tuple[int, ...]]:
    """Yield places of t answers in the order that everybody tries them in."""
    count, size = len(answers), context.parameters.threshold
    if comb(count, size) <= EXHAUSTIVE:
        yield from combinations(range(count), size)
        return
    yield tuple(range(size))
    digest = hashlib.sha256()
    for holder in sorted(answers):
        digest.update(framed(holder, answers[holder].tobytes()))
    stream = KeyStream(hashlib.sha256(context.label("subsets", digest.digest())).digest())
    for _ in range(MOST_SUBSETS - 1):
        yield tuple(sorted(np.argsort(stream.words(count), kind="stable")[:size].tolist()))


def _certainly_wrong(
    parameters: SumParameters, holders: Sequence[int], rows: Doubles, secret: Doubles, fitting: Sequence[int]
) -> tuple[int, ...]:
    """Return the holders whose answers no possible truth agrees with.

    A possible truth is a polynomial through S at 0 that all but f_h of the answers agree with. Liars may share a false
    one with honest holders, so a polynomial that gives S accuses nobody yet: only who is off every possible truth is
    named. There is one where all but few agree, and all are found where subsets are few and everybody answered; else
    nobody is named here, and the audit tells.
    """
    p, size = parameters.prime, parameters.threshold
    faulty, count = parameters.faulty_holders, len(holders)
    mixing = uniform_vector(KeyStream(), p, 2 * DEGREE).reshape(2, DEGREE)
    mixed, goal = polynomials.products(mixing, rows, p), polynomials.products(mixing, secret[None], p)

    def agreeing(places: Sequence[int]) -> set[int]:
        weights = polynomials.weights([holders[k] for k in places], holders, p)
        values = polynomials.combine(weights, mixed[list(places)], p)
        off = polynomials.balance(values - mixed, p)
        return {k for k in range(count) if not off[k].any()}

    agree = agreeing(fitting)
    if len(agree) == count:
        return ()
    if count - len(agree) <= count + 1 - size - faulty:
        return tuple(holders[k] for k in range(count) if k not in agree)
    if count - faulty < size or comb(count, size) > EXHAUSTIVE:
        return ()
    possible: set[int] = set()
    for places in combinations(range(count), size):
        if possible.issuperset(places):
            continue
        weights = polynomials.weights([holders[k] for k in places], (0,), p)
        if not polynomials.balance(polynomials.combine(weights, mixed[list(places)], p) - goal, p).any():
            agree = agreeing(places)
            if len(agree) >= count - faulty:
                possible |= agree
    return tuple(holders[k] for k in range(count) if k not in possible)


def audit(
    context: SumContext, rows: Doubles, responses: Sequence[Doubles], answers: Mapping[int, Doubles]
) -> tuple[int, ...]:
    """Return the holders whose answers agree with the responses of the cohort's dealers to the audit.

    Args:
        context: of the sum.
        rows: chi, float64[AUDITS, N].
        responses: Y2 of each dealer of the cohort, float64[t, AUDITS].
        answers: by holder, float64[N + AUDITS].
    """
    p = context.parameters.prime
    total = np.zeros((context.parameters.threshold, AUDITS))
    for response in responses:
        total = polynomials.add(total, response, p)
    good = []
    for holder in sorted(answers):
        if not contradicts_audit(context, rows, holder, answers[holder], total):
            good.append(holder)
    return tuple(good)
