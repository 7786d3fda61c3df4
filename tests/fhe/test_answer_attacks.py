"""Attacks on what holders answer: each succeeds where one rule is left out, and fails against ours.

The rows of spec/scheme.md, "Attacks", that need more, or other, answers than one for each sum; test_attacks.py has
those on keys, ciphertexts and sums.
"""

import hashlib
import random
from fractions import Fraction
from math import prod

import numpy as np
import pytest

from medward.fhe import proofs
from medward.fhe._primes import balanced, primitive_root
from medward.fhe.decryption import decryption_share
from medward.fhe.encoding import Kind, encode_ciphertext, encode_elements
from medward.fhe.encryption import Ciphertext, encrypt, sum_ciphertexts
from medward.fhe.errors import AnswerRefused, LaneOverflow
from medward.fhe.keys import parameters_ring
from medward.fhe.lanes import decode
from medward.fhe.member import Submission, SumMember
from medward.fhe.parameters import MOST_UNDECODED, sum_parameters
from medward.fhe.ring import Ring

from .rounds import FEDERATION, Ward
from .sums import Federation, updates
from .weakened import (
    NearestPoint,
    element_of,
    inverse_of,
    lagrange,
    multiples_lattice,
    shares_of,
    threshold_answer,
    unguarded_answer,
)

TRUSTING = sum_parameters("AGG-S40", 8, 16, 4, "semi-honest")
MALICIOUS = sum_parameters("AGG-M", 8, 16, 4)


def _ward(parameters=TRUSTING, contributors: int | None = None) -> Ward:
    return Ward.of(parameters, contributors)


# 1. Publish lambda_j sigma_j C1 + flood


def _joint_secret_from_threshold_answers(parameters, federation, t: int, honest: int):
    """t - 1 colluders, one decryption, exact integers: the joint secret, or None where the lattice gives nothing."""
    ring = parameters_ring(parameters)
    generator = random.Random(1)
    holders = [generator.randrange(1, 1 << 48) for _ in federation.secrets]
    sigma = {j: ring.zero() for j in holders}
    for secret in federation.secrets:
        for j, share in shares_of(parameters, secret, holders, t).items():
            ring.add(sigma[j], share, sigma[j])
    ciphertext = federation.encrypt(updates(parameters, "random", 3))
    colluders = sorted(generator.sample(holders, t - 1))
    victims = [j for j in holders if j not in colluders][:honest]
    active = sorted(victims + colluders[: t - honest])
    targets, factors = [], []
    for j in victims:
        weight = lagrange(active, j, 0, ring.modulus)
        answer = threshold_answer(parameters, sigma[j], weight, ciphertext.c1)
        # sigma_j = kappa_j s + (what the colluders know), s the joint secret at point 0.
        points = [0, *colluders]
        known = ring.zero()
        for i in colluders:
            ring.scale_add(sigma[i], lagrange(points, i, j, ring.modulus), known, known)
        known_part = ring.scale_add(ring.multiply_add(known, ciphertext.c1, ring.zero()), weight, ring.zero())
        targets.append(ring.integers(ring.inverse(ring.subtract(answer, known_part))))
        factors.append(weight * lagrange(points, 0, j, ring.modulus) % ring.modulus)
    nearest = NearestPoint(multiples_lattice(factors, ring.modulus))
    inverse = pow(factors[0], -1, ring.modulus)
    columns = list(zip(*targets, strict=True))
    product = [(column[0] - nearest.error(column)[0]) * inverse % ring.modulus for column in columns]
    return ring.multiply_add(element_of(ring, product), inverse_of(ring, ciphertext.c1), ring.zero())


def test_threshold_shares_as_they_are_give_colluders_the_joint_secret() -> None:
    parameters = sum_parameters("AGG-S40", 8, 16, 7, "semi-honest")
    ring = parameters_ring(parameters)
    federation = Federation.of(parameters)
    recovered = _joint_secret_from_threshold_answers(parameters, federation, t=5, honest=3)
    joint = ring.sum([s.evaluated(parameters) for s in federation.secrets])
    assert np.array_equal(recovered, joint)


def test_our_shares_carry_no_shamir_share_and_leave_colluders_with_noise() -> None:
    """n of n: the same colluders' best linear guess of a victim's s C1 is off by its whole flood."""
    parameters = sum_parameters("AGG-S40", 8, 16, 16, "semi-honest")
    ring = parameters_ring(parameters)
    federation = Federation.of(parameters)
    ciphertext = federation.encrypt(updates(parameters, "random", 3))
    victim = federation.secrets[0]
    share, _ = decryption_share(parameters, victim, ciphertext.c1)
    guess = ring.multiply_add(share, inverse_of(ring, ciphertext.c1), ring.zero())
    coefficients = np.array(ring.integers(ring.inverse(guess)), float)
    assert np.abs(coefficients).max() > 2.0**90  # a recovered secret would be ternary
    opened = ring.multiply_add(victim.evaluated(parameters), ciphertext.c1, ring.zero())
    noise = np.array(ring.integers(ring.inverse(ring.subtract(share, opened))), float)
    assert noise.std() > 2.0 ** (parameters.flood_bits - 1)


# 2. Answer twice for one C1 with different sets or noise


def test_answers_for_two_sets_give_the_key_share_exactly() -> None:
    parameters = TRUSTING
    ring = parameters_ring(parameters)
    federation = Federation.of(parameters)
    ciphertext = federation.encrypt(updates(parameters, "random", 1))
    key = federation.secrets[1].evaluated(parameters)
    generator = random.Random(4)
    weights = [generator.randrange(1, ring.modulus) for _ in range(2)]  # generic evaluation points
    answers = [threshold_answer(parameters, key, w, ciphertext.c1) for w in weights]
    columns = list(zip(*(ring.integers(ring.inverse(a)) for a in answers), strict=True))
    nearest = NearestPoint(multiples_lattice(weights, ring.modulus))
    inverse = pow(weights[0], -1, ring.modulus)
    product = [(c[0] - nearest.error(c)[0]) * inverse % ring.modulus for c in columns]
    recovered = ring.multiply_add(element_of(ring, product), inverse_of(ring, ciphertext.c1), ring.zero())
    assert np.array_equal(recovered, key)


def test_answers_for_two_sets_of_points_one_to_n_take_bits_off_the_flood() -> None:
    """Lagrange weights of small points are small fractions w, w': w' mu - w mu' is free of the key, shows floods.

    What is left of a flood is w / sqrt(w^2 + w'^2) of it, here a fiftieth (6 bits); more sets take off more.
    """
    parameters = TRUSTING
    ring = parameters_ring(parameters)
    federation = Federation.of(parameters)
    ciphertext = federation.encrypt(updates(parameters, "random", 1))
    key = federation.secrets[1].evaluated(parameters)
    holder, one, other = 4, (1, 2, 4, 7), (3, 4, 5, 6)
    exact = [prod((Fraction(k, k - holder) for k in s if k != holder), start=Fraction(1)) for s in (one, other)]
    weights = [lagrange(s, holder, 0, ring.modulus) for s in (one, other)]
    answers = [
        np.array(ring.integers(ring.inverse(threshold_answer(parameters, key, w, ciphertext.c1))), object)
        for w in weights
    ]
    ratio = exact[1] / exact[0]
    p, q = ratio.numerator, ratio.denominator  # p w = q w'
    combined = [balanced(int(p * x - q * y), ring.modulus) for x, y in zip(*answers, strict=True)]
    flood = (1 << parameters.flood_bits) * 0.5**0.5
    left = abs(q) / (p * p + q * q) ** 0.5
    assert left < 0.02
    assert np.std(np.array(combined, float)) < 1.1 * flood * (p * p + q * q) ** 0.5  # nothing of the key is in it
    product = ring.integers(
        ring.inverse(ring.multiply_add(ring.scale_add(key, weights[0], ring.zero()), ciphertext.c1, ring.zero()))
    )
    noise = [balanced(int(x) - y, ring.modulus) for x, y in zip(answers[0], product, strict=True)]
    rest = [f - p * d / (p * p + q * q) for f, d in zip(noise, combined, strict=True)]
    assert np.std(np.array(noise, float)) > 0.9 * flood
    assert np.std(np.array(rest, float)) < 1.1 * left * flood


def test_fresh_floods_for_one_c1_average_out_and_ours_do_not() -> None:
    ward = _ward()
    ring = parameters_ring(TRUSTING)
    checked = ward.checked(ward.sealed())
    exact = ring.multiply_add(ward.secrets[1].evaluated(TRUSTING), checked[1].aggregate.c1, ring.zero())

    def error(mean_of: list[np.ndarray]) -> float:
        noise = [ring.integers(ring.inverse(ring.subtract(a, exact))) for a in mean_of]
        return float(np.mean(np.array(noise, float), axis=0).std())

    weak = [unguarded_answer(TRUSTING, ward.secrets[1], checked[1].aggregate.c1) for _ in range(64)]
    assert error(weak) < error(weak[:1]) / 6  # 1/8 expected
    answers = {ward.members[1].share(checked[1]) for _ in range(64)}
    assert len(answers) == 1


# 6. Decrypt a cohort, then the cohort less one member


def test_cohort_and_cohort_less_one_member_show_that_members_update() -> None:
    federation = Federation.of(TRUSTING)
    values = [updates(TRUSTING, "random", i) for i in range(5)]
    ciphertexts = [federation.encrypt(v) for v in values]
    whole = federation.decrypt(sum_ciphertexts(TRUSTING, ciphertexts))
    rest = federation.decrypt(sum_ciphertexts(TRUSTING, ciphertexts[:-1]))
    assert np.array_equal(whole - rest, values[-1])


def test_second_cohort_for_a_round_is_refused() -> None:
    ward = _ward(contributors=5)
    submissions = ward.sealed()
    ward.answers(ward.checked(submissions))
    rest = {i: s for i, s in submissions.items() if i != 5}
    for holder in ward.keys.holders:
        member = ward.members[holder]
        checked = member.check(1, 0, ward.commitments(rest), rest, member.add(rest))
        with pytest.raises(AnswerRefused):
            member.share(checked)


# 11. Answer on when sums do not decode


def _relaxed_error(ring: Ring, prime: int, root: int) -> tuple[np.ndarray, np.ndarray]:
    """(u, g): u = round(q g / prime), where every d in the ideal (prime, X - root) has d g in prime R.

    g is (X^N + 1) / (X - root) modulo the prime. A prover that guesses its challenge modulo the ideal, one value of
    `prime`, gets u past the proof: spec/scheme.md, section 5.
    """
    g = [1]
    for _ in range(ring.degree - 1):
        g.append(g[-1] * root % prime)
    g.reverse()
    return element_of(ring, [(2 * ring.modulus * x + prime) // (2 * prime) for x in g]), np.array(g)


def test_relaxed_error_shows_the_joint_secret_modulo_an_ideal_each_time() -> None:
    """16 bits of the joint secret a sum, for as many sums as are answered; none of these sums decodes."""
    p, ring = MALICIOUS, parameters_ring(MALICIOUS)
    federation = Federation.of(p)
    prime, joint = 65537, sum(s.s for s in federation.secrets)
    for exponent in (1, 7):
        root = pow(primitive_root(prime, p.degree), exponent, prime)
        u, g = _relaxed_error(ring, prime, root)
        fresh = federation.encrypt(updates(p, "random", exponent))
        spoiled = Ciphertext(fresh.c0, ring.add(fresh.c1, u))
        plain = ring.inverse(ring.sum([spoiled.c0, *(unguarded_answer(p, s, spoiled.c1) for s in federation.secrets)]))
        with pytest.raises(LaneOverflow):
            decode(p, plain)
        values = ring.integers(plain)
        width = 1 << (p.delta_bits + p.lane_bits * p.lanes)  # where the message and the noise may lie
        possible = [
            k
            for k in range(prime)
            if all(
                abs(balanced(values[j] - (ring.modulus * int(g[j]) * k) // prime, ring.modulus)) < width
                for j in range(0, p.degree, 128)
            )
        ]
        assert possible == [sum(int(x) * pow(root, j, prime) for j, x in enumerate(joint)) % prime]


def _undecodable_round(ward: Ward, round: int) -> None:
    """Member 4 proves its ciphertext as it must and spoils its c0; everybody answers, verifies and fails to decode."""
    p, keys, ring = MALICIOUS, ward.keys, parameters_ring(MALICIOUS)
    submissions = ward.sealed(round)
    ciphertext, witness = encrypt(p, keys.a, keys.joint, ward.values[round, 0, 4])
    half = ring.forward(ring.embed(np.ones(p.degree, np.int64), [ring.modulus // 2]))
    encoding = encode_ciphertext(p, Ciphertext(ring.add(ciphertext.c0, half), ciphertext.c1))
    context = proofs.Context(FEDERATION, 1, round, 0, 4)
    submissions[4] = Submission(
        encoding,
        proofs.prove_ciphertext(
            p, context, keys.a, ciphertext.c1, digest=hashlib.sha256(encoding).digest(), witness=witness
        ),
    )
    honest = {i: ward.members[i] for i in (1, 2, 3)}
    commitments, aggregate = ward.commitments(submissions, round), honest[1].add(submissions)
    checked = {i: m.check(round, 0, commitments, submissions, aggregate) for i, m in honest.items()}
    answers = {i: m.share(checked[i]) for i, m in honest.items()}
    share, flood = decryption_share(p, ward.secrets[4], checked[1].aggregate.c1)
    share_encoding = encode_elements(p, Kind.DECRYPTION_SHARE, share)
    claim = honest[1]._claim(checked[1], 4, share, share_encoding)
    answers[4] = share_encoding + proofs.prove_share(p, context, claim, secret=ward.secrets[4], flood=flood)
    for i, member in honest.items():
        for _ in range(2):  # opened again, it still counts once
            with pytest.raises(LaneOverflow):
                member.open(checked[i], answers)
        assert member.share(checked[i]) == answers[i]


def test_holders_stop_answering_after_a_few_sums_that_do_not_decode() -> None:
    ward = _ward(MALICIOUS)
    for round in range(1, MOST_UNDECODED + 1):
        _undecodable_round(ward, round)
    with pytest.raises(AnswerRefused, match="new key epoch"):
        _undecodable_round(ward, 5)
    again = SumMember(ward.keys, 1, ward.members[1]._journal, ward.secrets[1])
    submissions = ward.sealed(6)
    checked = again.check(6, 0, ward.commitments(submissions, 6), submissions, again.add(submissions))
    with pytest.raises(AnswerRefused, match="new key epoch"):
        again.share(checked)
