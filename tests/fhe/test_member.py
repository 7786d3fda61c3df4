"""The member's role: honest rounds end in exact sums, and nothing leaves a member for a sum that is not right."""

from dataclasses import replace

import numpy as np
import pytest

from medward.fhe import dealing
from medward.fhe.encoding import (
    HEADER_BYTES,
    Kind,
    decode_ciphertext,
    decode_elements,
    element_bytes,
    encode_ciphertext,
    encode_elements,
)
from medward.fhe.encryption import Ciphertext
from medward.fhe.epoch import EpochKeys, KeyContribution, contribute
from medward.fhe.errors import (
    AnswerRefused,
    FheError,
    LaneOverflow,
    ProofRejected,
    ShareRejected,
    SumRejected,
    UnsafeParameters,
)
from medward.fhe.keys import parameters_ring
from medward.fhe.member import Submission, SumMember
from medward.fhe.parameters import sum_parameters

from .rounds import FEDERATION, MemoryJournal, Ward, accepted_keys
from .sums import updates

MALICIOUS = sum_parameters("AGG-M", 8, 16, 4)
TRUSTING = sum_parameters("AGG-S40", 8, 16, 4, "semi-honest")


@pytest.fixture(scope="module")
def ward() -> Ward:
    return Ward.of(MALICIOUS)


@pytest.fixture(scope="module")
def round_one(ward: Ward) -> dict[int, Submission]:
    return ward.sealed(1)


@pytest.mark.parametrize("parameters", [MALICIOUS, TRUSTING], ids=["malicious", "semi-honest"])
def test_every_member_opens_the_same_exact_sum(parameters) -> None:
    ward = Ward.of(parameters, contributors=5)
    submissions = ward.sealed(7)
    checked = ward.checked(submissions, 7)
    answers = ward.answers(checked)
    results = [m.open(checked[i], answers) for i, m in ward.members.items()]
    for result in results:
        assert np.array_equal(result, ward.expected(7))
    assert len({m.add(submissions) for m in ward.members.values()}) == 1


def _checked(ward: Ward, submissions, commitments=None, aggregate=None):
    commitments = ward.commitments(submissions) if commitments is None else commitments
    aggregate = ward.members[1].add(submissions) if aggregate is None else aggregate
    return ward.members[1].check(1, 0, commitments, submissions, aggregate)


def _no_share_was_given(ward: Ward) -> bool:
    return all(kind != "share" for m in ward.members.values() for _, kind, *_ in m._journal.answers)  # type: ignore[attr-defined]


def test_flipped_bit_anywhere_is_refused_before_any_share(ward: Ward, round_one) -> None:
    commitments = ward.commitments(round_one)
    aggregate = ward.members[1].add(round_one)
    for position in (3, 30, 5000, 300_000, len(round_one[3].ciphertext) - 1):
        data = bytearray(round_one[3].ciphertext)
        data[position] ^= 4
        spoiled = round_one | {3: replace(round_one[3], ciphertext=bytes(data))}
        with pytest.raises(ShareRejected, match="member 3"):
            _checked(ward, spoiled, commitments, aggregate)
        with pytest.raises((ShareRejected, ProofRejected), match="member 3"):
            ward.members[1].check(1, 0, ward.commitments(spoiled), spoiled, aggregate)
        wrong = bytearray(aggregate)
        wrong[position] ^= 4
        with pytest.raises(SumRejected):
            _checked(ward, round_one, commitments, bytes(wrong))
    assert _no_share_was_given(ward)


def test_missing_or_extra_member_is_refused(ward: Ward, round_one) -> None:
    commitments = ward.commitments(round_one)
    fewer = {i: s for i, s in round_one.items() if i != 2}
    with pytest.raises(SumRejected, match=r"misses members \[2\]"):
        _checked(ward, fewer, commitments)
    with pytest.raises(SumRejected, match=r"uncommitted \[2\]"):
        _checked(ward, round_one, {i: c for i, c in commitments.items() if i != 2})
    with pytest.raises(SumRejected, match="not the sum"):
        _checked(ward, round_one, commitments, ward.members[1].add(fewer))
    assert _no_share_was_given(ward)


def test_one_members_ciphertext_is_not_the_sum(ward: Ward, round_one) -> None:
    with pytest.raises(SumRejected, match="not the sum"):
        _checked(ward, round_one, aggregate=round_one[2].ciphertext)
    with pytest.raises(SumRejected, match="too small"):
        _checked(ward, {2: round_one[2]}, aggregate=round_one[2].ciphertext)
    assert _no_share_was_given(ward)


def test_aggregate_that_scales_a_ciphertext_is_refused(ward: Ward, round_one) -> None:
    ring = parameters_ring(MALICIOUS)
    total = decode_ciphertext(MALICIOUS, ward.members[1].add(round_one))
    one = decode_ciphertext(MALICIOUS, round_one[2].ciphertext)
    scaled = Ciphertext(ring.scale_add(one.c0, 1000, total.c0), ring.scale_add(one.c1, 1000, total.c1))
    with pytest.raises(SumRejected, match="not the sum"):
        _checked(ward, round_one, aggregate=encode_ciphertext(MALICIOUS, scaled))
    assert _no_share_was_given(ward)


def test_replayed_ciphertext_is_refused(ward: Ward, round_one) -> None:
    """Of another member (as it is, and with other c0), and of an earlier round."""
    for stolen in (
        round_one[2],
        replace(round_one[2], ciphertext=_with_c0_moved(round_one[2].ciphertext)),
    ):
        copied = round_one | {3: stolen}
        with pytest.raises((ProofRejected, ShareRejected), match="member 3"):
            ward.members[1].check(1, 0, ward.commitments(copied), copied, round_one[1].ciphertext)
    later = ward.sealed(2) | {3: round_one[3]}
    commitments = ward.commitments(later, 2)
    with pytest.raises(ProofRejected, match="member 3"):
        ward.members[1].check(2, 0, commitments, later, ward.members[1].add(later))
    assert _no_share_was_given(ward)


def test_replayed_ciphertext_is_refused_in_a_semi_honest_federation() -> None:
    ward = Ward.of(TRUSTING)
    submissions = ward.sealed(1)
    copied = submissions | {3: Submission(submissions[2].ciphertext)}
    with pytest.raises(ShareRejected, match="member 3"):
        ward.members[1].check(1, 0, ward.commitments(copied), copied, ward.members[1].add(copied))


def _with_c0_moved(encoding: bytes) -> bytes:
    ciphertext = decode_ciphertext(MALICIOUS, encoding)
    ring = parameters_ring(MALICIOUS)
    moved = ring.add(ciphertext.c0, ring.forward(ring.embed(np.ones(ring.degree, int), [1 << MALICIOUS.delta_bits])))
    return encode_ciphertext(MALICIOUS, Ciphertext(moved, ciphertext.c1))


def test_member_refuses_a_sum_with_another_ciphertext_under_its_name(ward: Ward, round_one) -> None:
    impostor = SumMember(ward.keys, 1, MemoryJournal(), ward.secrets[1])
    forged = round_one | {1: impostor.seal(1, 0, updates(MALICIOUS, "lowest", 0))}
    with pytest.raises(SumRejected, match="did not seal"):
        _checked(ward, forged)


def test_update_is_sealed_once(ward: Ward, round_one) -> None:
    again = ward.members[2].seal(1, 0, ward.values[1, 0, 2])
    assert again == round_one[2]
    with pytest.raises(AnswerRefused):
        ward.members[2].seal(1, 0, updates(MALICIOUS, "lowest", 0))


def test_share_is_repeated_and_never_given_for_a_second_cohort() -> None:
    ward = Ward.of(sum_parameters("AGG-S40", 8, 16, 4, "semi-honest"), contributors=5)
    submissions = ward.sealed(1)
    checked = ward.checked(submissions)
    first = ward.members[1].share(checked[1])
    assert ward.members[1].share(_checked(ward, submissions)) == first
    smaller = {i: s for i, s in submissions.items() if i != 5}
    with pytest.raises(AnswerRefused, match="another answer"):
        ward.members[1].share(_checked(ward, smaller))


def test_share_needs_a_key_and_the_members_own_check() -> None:
    ward = Ward.of(sum_parameters("AGG-S40", 8, 16, 4, "semi-honest"), contributors=5)
    checked = ward.checked(ward.sealed(1))
    with pytest.raises(AnswerRefused, match="holds no key"):
        ward.members[5].share(checked[5])
    with pytest.raises(AnswerRefused, match="itself"):
        ward.members[1].share(checked[2])


def test_budget_of_an_epoch_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("medward.fhe.member.DECRYPTIONS", 2)
    ward = Ward.of(sum_parameters("AGG-S40", 8, 16, 3, "semi-honest"))
    for round in (1, 2):
        ward.answers(ward.checked(ward.sealed(round), round))
    with pytest.raises(AnswerRefused, match="budget"):
        ward.answers(ward.checked(ward.sealed(3), 3))


@pytest.fixture(scope="module")
def answered(ward: Ward):
    submissions = ward.sealed(20)
    checked = ward.checked(submissions, 20)
    return checked[1], ward.answers(checked)


def _rejected(ward: Ward, checked, holder: int, answer: bytes) -> None:
    with pytest.raises((ProofRejected, ShareRejected)) as caught:
        ward.members[1].verify(checked, holder, answer)
    assert caught.value.member == holder


def test_share_with_delta_added_fails_its_proof_and_names_its_member(ward: Ward, answered) -> None:
    checked, answers = answered
    ring = parameters_ring(MALICIOUS)
    size = HEADER_BYTES + element_bytes(MALICIOUS)
    (element,) = decode_elements(MALICIOUS, Kind.DECRYPTION_SHARE, answers[3][:size])
    spike = np.zeros(ring.degree, int)
    spike[7] = 5
    moved = ring.add(element, ring.forward(ring.embed(spike, [1 << MALICIOUS.delta_bits])))
    _rejected(ward, checked, 3, encode_elements(MALICIOUS, Kind.DECRYPTION_SHARE, moved) + answers[3][size:])


def test_share_of_another_member_round_or_key_is_rejected(ward: Ward, answered) -> None:
    checked, answers = answered
    _rejected(ward, checked, 3, answers[2])
    other = ward.checked(ward.sealed(21), 21)
    _rejected(ward, checked, 3, ward.members[3].share(other[3]))
    foreign = Ward.of(MALICIOUS)
    foreign_checked = foreign.checked(foreign.sealed(20), 20)
    _rejected(ward, checked, 3, foreign.members[3].share(foreign_checked[3]))
    _rejected(ward, checked, 3, answers[3][:-1])
    _rejected(ward, checked, 3, b"")


def test_share_other_than_committed_is_rejected(ward: Ward, answered) -> None:
    checked, answers = answered
    member = ward.members[1]
    commitment = member.share_commitment(checked, 3, answers[3])
    member.verify(checked, 3, answers[3], commitment)
    for wrong in (member.share_commitment(checked, 2, answers[3]), member.share_commitment(checked, 3, answers[2])):
        with pytest.raises(ShareRejected, match="member 3 gave another decryption share than it had committed to"):
            member.verify(checked, 3, answers[3], wrong)


def test_missing_share_names_the_silent_holder(ward: Ward, answered) -> None:
    checked, answers = answered
    with pytest.raises(ShareRejected, match="member 2 gave no share"):
        ward.members[1].open(checked, {i: a for i, a in answers.items() if i != 2})


@pytest.mark.parametrize(("holders", "silent"), [(4, (2,)), (7, (1, 5))])
def test_sum_opens_with_n_minus_t_silent_holders(holders: int, silent: tuple[int, ...]) -> None:
    parameters = sum_parameters("AGG-S40", 8, 16, holders, "semi-honest")
    ward = Ward.of(parameters)
    t = dealing.threshold(holders)
    assert len(silent) == holders - t
    everybody = tuple(range(1, holders + 1))
    checked = ward.checked(ward.sealed(1))
    answers = {i: a for i, a in ward.answers(checked).items() if i not in silent}
    opened = {}
    for holder in silent:
        context = dealing.DealingContext(FEDERATION, 1, holder, everybody, t)
        made = dealing.deal(parameters, context, ward.secrets[holder])
        response = dealing.respond(parameters, made, b"beacon")
        shown = {j: ward.members[j].reveal(holder, made.shares[j]) for j in everybody if j not in silent}
        shares = {
            j: dealing.check_dealt_share(
                parameters, context, j, share, digest=made.digests[j], beacon=b"beacon", response=response
            )
            for j, share in shown.items()
        }
        opened[holder] = dealing.open_secret(parameters, context, ward.keys.a, ward.keys.public[holder], shares)
    for i in everybody:
        if i not in silent:
            assert np.array_equal(ward.members[i].open(checked[i], answers, opened), ward.expected())


def test_openings_of_an_epoch_end_at_n_minus_t() -> None:
    ward = Ward.of(TRUSTING)
    member = ward.members[1]
    assert ward.keys.most_openings == 1
    assert member.reveal(2, b"share of 2") == b"share of 2"
    assert member.reveal(2, b"share of 2") == b"share of 2"
    with pytest.raises(AnswerRefused, match="budget"):
        member.reveal(3, b"share of 3")
    with pytest.raises(AnswerRefused):
        member.reveal(1, b"own share")
    checked = ward.checked(ward.sealed(1))
    ring = parameters_ring(TRUSTING)
    with pytest.raises(SumRejected, match="too many"):
        member.open(checked[1], {}, {2: ring.zero(), 3: ring.zero()})


def test_rogue_key_is_named_and_refused() -> None:
    """A last part b* - sum of the others would give its author the joint key; it has no proof of its own."""
    made = {i: contribute(TRUSTING, FEDERATION, 1, i) for i in range(1, 5)}
    ring = parameters_ring(TRUSTING)
    parts = {i: decode_elements(TRUSTING, Kind.PUBLIC_KEY, c.public)[0] for i, (_, c) in made.items()}
    rogue = ring.subtract(parts[4], ring.sum([parts[1], parts[2], parts[3]]))
    forged = KeyContribution(encode_elements(TRUSTING, Kind.PUBLIC_KEY, rogue), made[4][1].proof)
    contributions = {i: (c.commitment(TRUSTING, FEDERATION, 1, i), c) for i, (_, c) in made.items()}
    honest_commitment = contributions[4][0]
    contributions[4] = (forged.commitment(TRUSTING, FEDERATION, 1, 4), forged)
    with pytest.raises(ProofRejected, match="member 4"):
        EpochKeys.accept(TRUSTING, FEDERATION, 1, contributions)
    contributions[4] = (honest_commitment, forged)
    with pytest.raises(ShareRejected, match="member 4 published another key than it had committed to"):
        EpochKeys.accept(TRUSTING, FEDERATION, 1, contributions)


def test_malformed_key_and_wrong_number_of_holders_are_refused() -> None:
    made = {i: contribute(TRUSTING, FEDERATION, 1, i)[1] for i in range(1, 5)}
    made[2] = KeyContribution(made[2].public[:-1], made[2].proof)
    contributions = {i: (c.commitment(TRUSTING, FEDERATION, 1, i), c) for i, c in made.items()}
    with pytest.raises(ShareRejected, match="member 2 published a malformed key"):
        EpochKeys.accept(TRUSTING, FEDERATION, 1, contributions)
    del contributions[2]
    with pytest.raises(UnsafeParameters, match="4 key holders"):
        EpochKeys.accept(TRUSTING, FEDERATION, 1, contributions)


def test_secret_of_another_key_is_refused() -> None:
    keys, secrets = accepted_keys(TRUSTING)
    with pytest.raises(UnsafeParameters):
        SumMember(keys, 1, MemoryJournal(), secrets[2])


def test_wrong_share_without_proofs_spoils_the_sum_loudly() -> None:
    """A semi-honest federation notices a share for another ciphertext only when the sum does not decode."""
    ward = Ward.of(TRUSTING)
    checked = ward.checked(ward.sealed(1))
    answers = ward.answers(checked)
    answers[2] = answers[3]
    with pytest.raises(LaneOverflow):
        ward.members[1].open(checked[1], answers)


def test_no_error_shows_a_secret(ward: Ward, round_one) -> None:
    assert "array" not in repr(ward.members[1]) + repr(ward.secrets[1]) + repr(ward.keys)
    with pytest.raises(FheError) as caught:
        ward.members[1].check(1, 0, {}, {}, b"")
    assert len(str(caught.value)) < 200


def test_wrong_opened_secret_is_named(ward: Ward, answered) -> None:
    checked, answers = answered
    present = {i: a for i, a in answers.items() if i != 2}
    right, wrong = (ward.secrets[i].evaluated(MALICIOUS) for i in (2, 3))
    assert np.array_equal(ward.members[1].open(checked, present, {2: right}), ward.expected(20))
    with pytest.raises(ShareRejected, match="member 2 was opened with a secret"):
        ward.members[1].open(checked, present, {2: wrong})
