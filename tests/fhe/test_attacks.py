"""Every known attack on threshold sums: it succeeds against a variant with one rule left out, and fails against ours.

The rows of spec/scheme.md, "Attacks", in the same order; those on what holders answer are in test_answer_attacks.py,
those on key ceremonies in tests/federation/test_ceremony_attacks.py.
"""

import hashlib
from dataclasses import replace

import numpy as np
import pytest

from medward.fhe import dealing, proofs
from medward.fhe.decryption import combine, decryption_share
from medward.fhe.encoding import Kind, decode_elements, encode_ciphertext, encode_elements
from medward.fhe.encryption import Ciphertext, EncryptionWitness, encrypt, sum_ciphertexts
from medward.fhe.epoch import EpochKeys, contribute
from medward.fhe.errors import ProofRejected, ShareRejected, SumRejected
from medward.fhe.keys import generate_key, joint_key, parameters_ring
from medward.fhe.lanes import decode, encode
from medward.fhe.member import Submission, SumMember
from medward.fhe.parameters import sum_parameters
from medward.fhe.sumcheck import check_statements, sum_statement

from .rounds import FEDERATION, MemoryJournal, Ward
from .sums import Federation, updates
from .weakened import (
    unguarded_answer,
)

TRUSTING = sum_parameters("AGG-S40", 8, 16, 4, "semi-honest")
MALICIOUS = sum_parameters("AGG-M", 8, 16, 4)


def _ward(parameters=TRUSTING, contributors: int | None = None) -> Ward:
    return Ward.of(parameters, contributors)


# 3. Show ciphertexts before all are committed


def _constant(parameters, value: int) -> np.ndarray:
    ring = parameters_ring(parameters)
    one = np.zeros(ring.degree, np.int64)
    one[0] = 1
    return ring.forward(ring.embed(one, [value]))


def test_last_member_that_saw_the_others_shapes_the_sum_and_reads_a_secret() -> None:
    federation = Federation.of(sum_parameters("AGG-M", 8, 16, 4, "semi-honest"))
    parameters = federation.parameters
    ring = parameters_ring(parameters)
    others = sum_ciphertexts(parameters, [federation.encrypt(updates(parameters, "random", i)) for i in range(3)])
    shaped = Ciphertext(others.c0, ring.subtract(_constant(parameters, 1 << 150), others.c1))
    total = sum_ciphertexts(parameters, [others, shaped])
    answer = ring.integers(ring.inverse(unguarded_answer(parameters, federation.secrets[0], total.c1)))
    assert [round(v / 2**150) for v in answer] == federation.secrets[0].s.tolist()


def test_shaped_ciphertext_is_refused_because_of_its_commitment_and_its_proof() -> None:
    ward = _ward(MALICIOUS)
    ring = parameters_ring(MALICIOUS)
    submissions = ward.sealed()
    commitments = ward.commitments(submissions)
    others = sum_ciphertexts(MALICIOUS, [ward.members[1]._ciphertext(i, submissions[i]) for i in (1, 2, 3)])
    shaped = Ciphertext(others.c0, ring.subtract(_constant(MALICIOUS, 1 << 150), others.c1))
    forged = submissions | {4: Submission(encode_ciphertext(MALICIOUS, shaped), submissions[4].proof)}
    with pytest.raises(ShareRejected, match="member 4 published another ciphertext"):
        ward.members[1].check(1, 0, commitments, forged, ward.members[1].add(forged))
    with pytest.raises(ProofRejected, match="member 4"):
        ward.members[1].check(1, 0, ward.commitments(forged), forged, ward.members[1].add(forged))


# 4. Let a member add (0, 2^63) to its ciphertext


def test_noise_overload_keeps_the_sum_exact_and_shows_the_joint_secret_in_the_residual() -> None:
    """Semi-honest parameters: the floods of 2^60.5 do not cover s 2^64, and Delta / 2 = 2^67 still decodes."""
    parameters = sum_parameters("AGG-M", 8, 64, 64, "semi-honest")
    ring = parameters_ring(parameters)
    federation = Federation.of(parameters, holders=4)
    values = updates(parameters, "random", 1)
    honest = federation.encrypt(values)
    shift = 64
    spoiled = Ciphertext(honest.c0, ring.add(honest.c1, _constant(parameters, 1 << shift)))
    answers = [unguarded_answer(parameters, s, spoiled.c1) for s in federation.secrets]
    plain = ring.inverse(ring.sum([spoiled.c0, *answers]))
    assert np.array_equal(decode(parameters, plain), values)
    delta = 1 << parameters.delta_bits
    residual = [(v + delta // 2) % delta - delta // 2 for v in ring.integers(plain)]
    joint = sum(s.s for s in federation.secrets)
    guess = np.array([round(r / 2**shift) for r in residual])
    assert (guess == joint).mean() > 0.9


def test_noise_overload_has_no_proof() -> None:
    """c1 + 2^62 with the honest proof, and with a proof made for the witness e1 + 2^62: neither verifies."""
    ward = _ward(MALICIOUS)
    keys, ring = ward.keys, parameters_ring(MALICIOUS)
    context = proofs.Context(FEDERATION, 1, 1, 0, 4)
    ciphertext, witness = encrypt(MALICIOUS, keys.a, keys.joint, updates(MALICIOUS, "random", 1))
    moved = Ciphertext(ciphertext.c0, ring.add(ciphertext.c1, _constant(MALICIOUS, 1 << 30)))
    encoding = hashlib.sha256(encode_ciphertext(MALICIOUS, moved)).digest()
    large = witness.e1.copy()
    large[0] += 1 << 30
    honest_witness = EncryptionWitness(witness.v, witness.e1)
    proof = proofs.prove_ciphertext(MALICIOUS, context, keys.a, moved.c1, digest=encoding, witness=honest_witness)
    with pytest.raises(ProofRejected, match="member 4"):
        proofs.verify_ciphertext(MALICIOUS, context, keys.a, moved.c1, digest=encoding, proof=proof)
    statement = proofs._statement(MALICIOUS, Kind.CIPHERTEXT_PROOF, context, [encoding], ((keys.a,), (moved.c1,)))
    forged = _prove_without_box_check(statement, (witness.v[None], large[None]))
    with pytest.raises(ProofRejected, match="member 4"):
        proofs.verify_ciphertext(MALICIOUS, context, keys.a, moved.c1, digest=encoding, proof=forged)


def _prove_without_box_check(statement, witnesses) -> bytes:
    """A prover whose witness is not short and who sends its answers anyway."""
    original = proofs._in_box
    proofs._in_box = lambda z, mask: True
    try:
        return proofs._prove(statement, witnesses, proofs.KeyStream())
    finally:
        proofs._in_box = original


# 5. Let a share carry Delta delta


def test_share_with_delta_added_changes_the_sum_unnoticed_where_there_are_no_proofs() -> None:
    ward = _ward()
    ring = parameters_ring(TRUSTING)
    checked = ward.checked(ward.sealed())
    spike = np.zeros(ring.degree, int)
    spike[7] = 5
    lie = ring.forward(ring.embed(spike, [1 << TRUSTING.delta_bits]))
    shares = [decryption_share(TRUSTING, s, checked[1].aggregate.c1)[0] for s in ward.secrets.values()]
    shares[2] = ring.add(shares[2], lie)
    wrong = combine(TRUSTING, checked[1].aggregate, shares) - ward.expected()
    assert wrong[0, 7] == 5
    assert np.count_nonzero(wrong) == 1


def test_share_with_delta_added_has_no_proof() -> None:
    ward = _ward(MALICIOUS)
    ring = parameters_ring(MALICIOUS)
    checked = ward.checked(ward.sealed())[1]
    share, flood = decryption_share(MALICIOUS, ward.secrets[3], checked.aggregate.c1)
    spike = np.zeros(ring.degree, int)
    spike[7] = 5
    lie = ring.add(share, ring.forward(ring.embed(spike, [1 << MALICIOUS.delta_bits])))
    encoding = encode_elements(MALICIOUS, Kind.DECRYPTION_SHARE, lie)
    claim = ward.members[3]._claim(checked, 3, lie, encoding)
    context = proofs.Context(FEDERATION, 1, 1, 0, 3)
    forged_with_the_flood = proofs.prove_share(MALICIOUS, context, claim, secret=ward.secrets[3], flood=flood)
    moved_flood = flood.copy()
    moved_flood[-1, 7] += 5 << (MALICIOUS.delta_bits - 80)
    statement = proofs._statement(MALICIOUS, Kind.SHARE_PROOF, context, claim.public, claim.relation())
    witnesses = (ward.secrets[3].s[None], ward.secrets[3].e[None], moved_flood)
    forged_with_the_lie = _prove_without_box_check(statement, witnesses)
    for proof in (forged_with_the_flood, forged_with_the_lie):
        with pytest.raises(ProofRejected, match="member 3"):
            ward.members[1].verify(checked, 3, encoding + proof)


def test_liars_inside_their_proofs_change_nothing() -> None:
    """A ciphertext and a share with coefficients as large as a proof lets pass now and then: the sum stays exact."""
    ward = _ward(MALICIOUS)
    p, keys, ring = MALICIOUS, ward.keys, parameters_ring(MALICIOUS)
    submissions = ward.sealed()
    v, e1 = np.zeros(p.degree, np.int64), np.zeros(p.degree, np.int64)
    v[3], e1[4000] = 1 << 14, -(1 << 18)
    masked = ring.forward(ring.embed(v))
    plain = ring.forward(encode(p, ward.values[1, 0, 4], np.zeros(p.degree, np.int64)))
    noisy = Ciphertext(
        ring.multiply_add(masked, keys.joint, plain),
        ring.multiply_add(masked, keys.a, ring.forward(ring.embed(e1))),
    )
    encoding = encode_ciphertext(p, noisy)
    proof = proofs.prove_ciphertext(
        p, proofs.Context(FEDERATION, 1, 1, 0, 4), keys.a, noisy.c1,
        digest=hashlib.sha256(encoding).digest(), witness=EncryptionWitness(v, e1),
    )  # fmt: skip
    submissions[4] = Submission(encoding, proof)
    honest = [ward.members[i] for i in (1, 2, 3)]
    aggregate = honest[0].add(submissions)
    checked = {m.member: m.check(1, 0, ward.commitments(submissions), submissions, aggregate) for m in honest}
    answers = {i: ward.members[i].share(checked[i]) for i in (1, 2, 3)}

    share, flood = decryption_share(p, ward.secrets[4], checked[1].aggregate.c1)
    extra = np.zeros(p.degree, np.int64)
    extra[77] = 1 << 19  # times 2^80: 2^14 times the largest honest flood
    flood[2] += extra
    share = ring.add(share, ring.forward(ring.embed(extra, [1 << 80])))
    share_encoding = encode_elements(p, Kind.DECRYPTION_SHARE, share)
    claim = ward.members[4]._claim(checked[1], 4, share, share_encoding)
    context = proofs.Context(FEDERATION, 1, 1, 0, 4)
    answers[4] = share_encoding + proofs.prove_share(p, context, claim, secret=ward.secrets[4], flood=flood)
    for member in honest:
        assert np.array_equal(member.open(checked[member.member], answers), ward.expected())


# 7. Accept one member's ciphertext as "the sum"


def test_single_ciphertext_passed_off_as_the_sum_shows_the_update() -> None:
    federation = Federation.of(TRUSTING)
    values = updates(TRUSTING, "random", 9)
    assert np.array_equal(federation.decrypt(federation.encrypt(values)), values)


def test_single_ciphertext_is_refused_as_the_sum() -> None:
    ward = _ward()
    submissions = ward.sealed()
    commitments = ward.commitments(submissions)
    with pytest.raises(SumRejected, match="not the sum"):
        ward.members[1].check(1, 0, commitments, submissions, submissions[2].ciphertext)
    only = {2: submissions[2]}
    with pytest.raises(SumRejected, match="too small"):
        ward.members[1].check(1, 0, {2: commitments[2]}, only, submissions[2].ciphertext)


# 8. Let a member state a digest of its own ciphertext, and check only those


def test_member_and_aggregator_swap_a_ciphertext_when_only_statements_are_checked() -> None:
    """The linear check compares statements: one who states the digest of another ciphertext gets it into the sum."""
    federation = Federation.of(TRUSTING)
    ciphertexts = {i: federation.encrypt(updates(TRUSTING, "random", i)) for i in range(1, 5)}
    swapped = federation.encrypt(updates(TRUSTING, "highest", 0))
    stated = {i: sum_statement(TRUSTING, c, b"beacon") for i, c in ciphertexts.items()}
    stated[4] = sum_statement(TRUSTING, swapped, b"beacon")
    aggregate = sum_ciphertexts(TRUSTING, [*(ciphertexts[i] for i in (1, 2, 3)), swapped])
    check_statements(TRUSTING, stated, sum_statement(TRUSTING, aggregate, b"beacon"))


def test_swapped_ciphertext_is_refused_by_members_that_add_for_themselves() -> None:
    ward = _ward()
    submissions = ward.sealed()
    impostor = SumMember(ward.keys, 4, MemoryJournal(), ward.secrets[4])
    swapped = submissions | {4: impostor.seal(1, 0, updates(TRUSTING, "highest", 0))}
    aggregate = ward.members[1].add(swapped)
    with pytest.raises(SumRejected, match="not the sum"):
        ward.members[1].check(1, 0, ward.commitments(submissions), submissions, aggregate)
    with pytest.raises(ShareRejected, match="member 4"):
        ward.members[1].check(1, 0, ward.commitments(submissions), swapped, aggregate)


# 9. Open keys without commitments


def test_last_key_cancels_the_others_without_commitments() -> None:
    parameters = TRUSTING
    ring = parameters_ring(parameters)
    federation = Federation.of(parameters)
    secret, own = generate_key(parameters, federation.a)
    rogue = ring.subtract(own, ring.sum(federation.public[:-1]))
    key = joint_key(parameters, [*federation.public[:-1], rogue])
    values = updates(parameters, "random", 4)
    ciphertext, _ = encrypt(parameters, federation.a, key, values)
    alone = ring.multiply_add(secret.evaluated(parameters), ciphertext.c1, ciphertext.c0)
    assert np.array_equal(decode(parameters, ring.inverse(alone)), values)


def test_key_that_cancels_the_others_is_refused_by_commitment_and_by_proof() -> None:
    made = {i: contribute(TRUSTING, FEDERATION, 1, i)[1] for i in range(1, 5)}
    ring = parameters_ring(TRUSTING)
    parts = {i: decode_elements(TRUSTING, Kind.PUBLIC_KEY, c.public)[0] for i, c in made.items()}
    rogue = ring.subtract(parts[4], ring.sum([parts[i] for i in (1, 2, 3)]))
    forged = replace(made[4], public=encode_elements(TRUSTING, Kind.PUBLIC_KEY, rogue))
    committed = {i: (c.commitment(TRUSTING, FEDERATION, 1, i), c) for i, c in made.items()}
    with pytest.raises(ShareRejected, match="member 4"):
        EpochKeys.accept(TRUSTING, FEDERATION, 1, committed | {4: (committed[4][0], forged)})
    recommitted = forged.commitment(TRUSTING, FEDERATION, 1, 4)
    with pytest.raises(ProofRejected, match="member 4"):
        EpochKeys.accept(TRUSTING, FEDERATION, 1, committed | {4: (recommitted, forged)})


# 10. Sum ciphertexts under separate keys


def test_share_of_a_sum_under_separate_keys_opens_its_owners_update() -> None:
    """arXiv 2506.20101: with extended ciphertexts (C0, c1 of each member), member i's share opens its own c0."""
    parameters = TRUSTING
    ring = parameters_ring(parameters)
    federation = Federation.of(parameters)
    values = [updates(parameters, "random", i) for i in range(4)]
    fresh = [encrypt(parameters, federation.a, b, v)[0] for b, v in zip(federation.public, values, strict=True)]
    share_for_the_sum = unguarded_answer(parameters, federation.secrets[2], fresh[2].c1)
    leaked = decode(parameters, ring.inverse(ring.add(fresh[2].c0, share_for_the_sum)))
    assert np.array_equal(leaked, values[2])


def test_share_of_a_joint_key_sum_opens_no_single_update() -> None:
    ward = _ward()
    ring = parameters_ring(TRUSTING)
    submissions = ward.sealed()
    checked = ward.checked(submissions)
    answers = ward.answers(checked)
    shares = {i: ward.members[1]._share_element(checked[1], i, a) for i, a in answers.items()}
    for target in submissions:
        c0 = ward.members[1]._ciphertext(target, submissions[target]).c0
        for helpers in ([target], list(shares)):
            plain = ring.inverse(ring.sum([c0, *(shares[i] for i in helpers)]))
            residues = np.array(ring.integers(plain), float) / ring.modulus
            assert abs(residues.std() - 12**-0.5) < 0.03  # uniform: nothing decodes


def test_dealing_threshold_is_above_the_colluders_that_are_tolerated() -> None:
    """After n - t openings, t - 1 colluders and the opened secrets leave one honest key unknown."""
    for n in range(1, 65):
        t = dealing.threshold(n)
        assert (t - 1) + (n - t) == n - 1
