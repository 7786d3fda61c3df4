"""The scheme with one of its rules left out, each in the way that lets an attack succeed."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from medward.fhe.checking import read_share
from medward.fhe.context import Challenge, SumContext
from medward.fhe.contribution import Contribution, Dealing
from medward.fhe.encoding import unpack_residues
from medward.fhe.errors import LaneOverflow
from medward.fhe.packing import decode_lanes
from medward.fhe.parameters import DEGREE, SIGMA, TESTS, SumParameters
from medward.fhe.ring import polynomials
from medward.fhe.ring.ring import Element
from medward.fhe.sampling import KeyStream, gaussian


def tests_of(challenge: Challenge, contribution: Contribution, response: np.ndarray) -> np.ndarray:
    """Return v, int64[T], which our check compares with the bound."""
    context = challenge.context
    p = context.parameters.prime
    b = unpack_residues(contribution.check_block, p, DEGREE)[None]
    errors = challenge.error_tests(context.ring.inverse(b)[0])
    return polynomials.add(response[0], errors, p).astype(np.int64)


def passes_relaxed(challenge: Challenge, contribution: Contribution, response: np.ndarray, factor: int) -> bool:
    """Relaxed proof: some small multiple of the tests is short, as of proofs with differences of challenges."""
    p, bound = challenge.context.parameters.prime, challenge.context.parameters.test_bound
    multiples = [polynomials.balanced(factor * int(v), p) for v in tests_of(challenge, contribution, response)]
    return max(abs(v) for v in multiples) <= factor * bound


def passes_first_tests(challenge: Challenge, contribution: Contribution, response: np.ndarray, tests: int) -> bool:
    """Few tests: a leader that tries beacons finds one that lets a secret pass that is not short."""
    v = tests_of(challenge, contribution, response)
    return bool(np.abs(v[:tests]).max() <= challenge.context.parameters.test_bound)


class SecretOnly(Challenge):
    """A challenge that looks at the dealt secret alone, and never at the check block."""

    def __init__(self, context: SumContext, beacon: bytes) -> None:
        super().__init__(context, beacon)
        self.error_rows = np.zeros_like(self.error_rows)


def unchecked_share(context: SumContext, holder: int, share: bytes) -> np.ndarray:
    """A holder that takes what it gets."""
    return read_share(context, holder, share)


def first_answers(parameters: SumParameters, answers: Mapping[int, np.ndarray], order: Sequence[int]) -> np.ndarray:
    """Reconstruction without a check block: the first t answers, whatever they give, as long as it is short."""
    chosen = list(order)[: parameters.threshold]
    rows = np.stack([answers[j][:DEGREE] for j in chosen])
    weights = polynomials.weights(chosen, (0,), parameters.prime)
    secret: np.ndarray = polynomials.combine(weights, rows, parameters.prime)[0]
    return secret


def named_by_one_subset(
    parameters: SumParameters, answers: Mapping[int, np.ndarray], fitting: Sequence[int]
) -> tuple[int, ...]:
    """Blame by the first subset that gives S: whoever is off its polynomial is called a liar."""
    rows = np.stack([answers[j][:DEGREE] for j in fitting])
    holders = sorted(answers)
    weights = polynomials.weights(fitting, holders, parameters.prime)
    values = polynomials.combine(weights, rows, parameters.prime)
    return tuple(
        j for j, row in zip(holders, values, strict=True)
        if polynomials.balance(row - answers[j][:DEGREE], parameters.prime).any()
    )  # fmt: skip


def decode_or_refuse(parameters: SumParameters, plaintext: Element) -> np.ndarray:
    """Decoding that refuses noise above its bound: one uniform ciphertext voids the round."""
    out = decode_lanes(parameters, plaintext)
    messages = sum(out[i].astype(object) * parameters.radix**i for i in range(parameters.lanes))
    noise = plaintext[0].astype(np.int64).astype(object) - parameters.delta * messages
    if max(abs(int(e)) for e in noise) > parameters.noise_bound:
        raise LaneOverflow("noise above its bound")
    return out


def joint_key_answer(context: SumContext, secret: np.ndarray, total: Element) -> Element:
    """A holder's answer under a key that lives for many sums: s C + noise, where liars choose a part of C."""
    ring = context.ring
    noise = ring.forward(ring.embed(gaussian(KeyStream(), SIGMA**2, DEGREE)))
    return ring.inverse(ring.multiply_add(ring.forward(ring.embed(secret)), total, noise))


class HalfHedged(Dealing):
    """Secrets from the hedged stream, but the seeds of shares from the system: on a clone these repeat."""

    system: Callable[[int], bytes]

    def __init__(self, context: SumContext, dealer: int, key: bytes) -> None:
        super().__init__(context, dealer, key)
        masks = self.values[0, DEGREE:]
        fresh = Dealing(context, dealer, type(self).system(32))
        self.values = np.stack([np.concatenate([self.secrets.secret, masks]), *fresh.values[1:]])
        self.values[0, DEGREE : DEGREE + TESTS] = fresh.values[0, DEGREE : DEGREE + TESTS]


def holders_bound(parameters: SumParameters, liars_among_holders: int) -> int:
    """The bound on the sum of the secrets that counts the liars among the holders alone."""
    honest = parameters.sum_bound - parameters.faulty * 2 * parameters.test_bound
    return honest + liars_among_holders * 2 * parameters.test_bound
