"""Each attack succeeds where one rule is left out (weakened.py) and fails on the scheme as it is."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest

from medward.fhe import ciphertexts, reconstruction
from medward.fhe.checking import (
    check_own_share,
    check_shown_share,
    contradicts_audit,
    read_audit_response,
    read_response,
)
from medward.fhe.context import Challenge
from medward.fhe.contribution import Dealing, fits_digest, share_digest
from medward.fhe.encoding import unpack_residues
from medward.fhe.errors import DealingFault, LaneOverflow, ShareFault
from medward.fhe.hybrid import HybridKey, check_public, seal
from medward.fhe.parameters import AUDITS, DEGREE, TESTS
from medward.fhe.ring import polynomials
from medward.fhe.sampling import hedged_key
from tests.fhe import weakened
from tests.fhe.liars import (
    EdgeSecret,
    Ghost,
    IdealMultiple,
    IdealMultiple65537,
    LargeSecret,
    OneShareOff,
    OtherSecret,
    UniformCiphertext,
)
from tests.fhe.world import BEACON, World


def _shift(world: World, answers: dict[int, np.ndarray], holder: int, by: np.ndarray) -> None:
    answers[holder][: by.size] = polynomials.balance(answers[holder][: by.size] + by, world.parameters.prime)


# Forged ciphertexts against a long-lived key: what an honest member computes never multiplies a secret with them.


def test_forged_element_reads_every_parity_of_a_joint_key() -> None:
    """A holder that multiplies its secret by a sum in which liars have a part tells the secret modulo two."""
    world = World()
    secret, p = world.dealings[1].secrets.secret, world.parameters.prime
    forged = world.context.ring.forward(world.context.ring.embed(np.eye(1, DEGREE, dtype=np.int64)[0], [p // 2]))
    answer = weakened.joint_key_answer(world.context, secret, forged)[0]
    assert np.array_equal((np.abs(answer) > p / 4).astype(int), secret % 2)


def test_honest_part_of_an_answer_is_independent_of_what_liars_send() -> None:
    """Whatever the liar sends, answers less its own shares are the same numbers: a void round tells no more."""
    honest = []
    for liar in (Dealing, UniformCiphertext, IdealMultiple, OtherSecret, LargeSecret, Ghost):
        world = World(liars={4: liar})
        parts = [reconstruction.answered_part(weakened.unchecked_share(world.context, 1, world.share(i, 1)))
                 for i in world.dealers]  # fmt: skip
        total = reconstruction.read_answer(world.context, reconstruction.answer(world.context, parts))
        honest.append(polynomials.balance(total - parts[3], world.parameters.prime))
    assert all(np.array_equal(one, honest[0]) for one in honest)


@pytest.mark.parametrize("liar", [IdealMultiple, IdealMultiple65537])
def test_check_block_off_by_a_multiple_of_an_ideal_passes_relaxed_proofs_only(liar: type[IdealMultiple]) -> None:
    world = World(liars={4: liar})
    if liar is IdealMultiple:
        assert weakened.passes_relaxed(world.challenge, world.contributions[4], world.responses[4], 2)
    for holder in world.holders:
        assert world.accepts(4, holder)
    with pytest.raises(DealingFault, match="not short"):
        world.check_dealing(4)


# Spoiled blocks: no contribution can void a round.


def test_uniform_ciphertext_voids_a_sum_whose_decoding_may_refuse() -> None:
    world = World(liars={4: UniformCiphertext})
    sums = ciphertexts.add_elements(world.context, [c.blocks for c in world.contributions.values()])
    minus = world.context.ring.forward(world.context.ring.embed(-world.secret()))
    a = world.context.block_elements[0]
    plain = world.context.ring.inverse(world.context.ring.multiply_add(minus, a, sums[:1]))
    with pytest.raises(LaneOverflow):
        weakened.decode_or_refuse(world.parameters, plain)


def test_uniform_ciphertexts_in_every_block_only_add_their_sender_s_own_numbers() -> None:
    """All blocks are spoiled: the sum still comes out, the same for everybody, and is the honest sum plus something."""
    world = World(values=20_000, liars={4: UniformCiphertext})
    assert world.context.blocks > 2
    world.check_dealing(4)
    found = world.reconstruct(world.answers([1, 2, 3]))
    assert found is not None
    assert np.array_equal(found.secret, world.secret())
    once, again = (world.decrypt(found.secret) for _ in range(2))
    assert np.array_equal(once, again)
    without = world.decrypt(world.secret((1, 2, 3)), (1, 2, 3))
    assert np.array_equal(without, world.total((1, 2, 3)))


# A dealer of another secret than that of its check block, or of one that is not short.


def test_dealer_of_another_secret_voids_sums_where_the_check_block_is_not_tested() -> None:
    world = World(liars={4: OtherSecret})
    blind = weakened.SecretOnly(world.context, BEACON)
    response = read_response(world.context, world.dealings[4].respond(blind))
    tests = polynomials.balance(response[0], world.parameters.prime)
    assert np.abs(tests).max() <= world.parameters.test_bound
    for holder in world.holders:
        check_own_share(blind, holder, world.share(4, holder), response)
    parts = {j: [reconstruction.answered_part(weakened.unchecked_share(world.context, j, world.share(i, j)))
                 for i in world.dealers] for j in world.holders}  # fmt: skip
    answers = {
        j: reconstruction.read_answer(world.context, reconstruction.answer(world.context, p)) for j, p in parts.items()
    }
    assert world.reconstruct(answers) is None


def test_dealer_of_another_secret_is_found_by_everybody_before_any_answer() -> None:
    world = World(liars={4: OtherSecret})
    with pytest.raises(DealingFault, match="not short"):
        world.check_dealing(4)
    for honest in (1, 2, 3):
        world.check_dealing(honest)


def test_ground_beacon_lets_a_long_secret_pass_few_tests() -> None:
    world = World(values=10, liars={4: LargeSecret})
    passed_few = passed_all = 0
    for k in range(300):
        challenge = Challenge(world.context, b"ground %d" % k)
        response = read_response(world.context, world.dealings[4].respond(challenge))
        passed_few += weakened.passes_first_tests(challenge, world.contributions[4], response, 4)
        passed_all += weakened.passes_first_tests(challenge, world.contributions[4], response, TESTS)
    assert passed_few > 0
    assert passed_all == 0


def test_secret_at_the_edge_of_the_tests_passes_and_the_sum_stays_exact() -> None:
    world = World(liars={4: EdgeSecret})
    world.check_dealing(4)
    found = world.reconstruct(world.answers([1, 2, 3]))
    assert found is not None
    assert np.array_equal(world.decrypt(found.secret), world.total())


def test_bound_that_counts_liars_among_holders_alone_is_passed_by_those_among_contributors() -> None:
    """M13: five of sixteen contributors deal the same large coefficient; four hold shares, one of whom may lie."""
    liars = dict.fromkeys(range(12, 17), EdgeSecret)
    world = World(holders=4, contributors=16, values=50, liars=liars)
    for dealer in world.dealers:
        world.check_dealing(dealer)
    largest = np.abs(world.secret()).max()
    assert largest > weakened.holders_bound(world.parameters, 1)
    narrow = replace(world.parameters, sum_bound=weakened.holders_bound(world.parameters, 1))
    answers = world.answers()
    weak_context = replace(world.context, parameters=narrow)
    object.__setattr__(weak_context, "check_element", world.context.check_element)
    assert reconstruction.reconstruct(weak_context, world.check_sum(), answers) is None
    found = world.reconstruct(answers)
    assert found is not None
    assert np.array_equal(world.decrypt(found.secret), world.total())


# Shares: off the polynomial, only to some, another one shown.


def test_share_off_by_one_makes_an_honest_holder_look_like_a_liar_where_shares_are_not_checked() -> None:
    world = World(liars={3: OneShareOff})
    answers = world.answers([1, 2, 3])
    parts = [reconstruction.answered_part(weakened.unchecked_share(world.context, 4, world.share(i, 4)))
             for i in world.dealers]  # fmt: skip
    answers[4] = reconstruction.read_answer(world.context, reconstruction.answer(world.context, parts))
    found = world.reconstruct(answers)
    assert found is not None
    assert found.wrong == (4,)


def test_share_off_by_one_is_found_by_its_holder_and_convicts_its_dealer() -> None:
    world = World(liars={3: OneShareOff})
    world.check_dealing(3)
    assert [world.accepts(3, j) for j in world.holders] == [True, True, True, False]
    share = world.share(3, 4)
    assert fits_digest(world.context, world.contributions[3], 3, 4, share)
    with pytest.raises(ShareFault, match="off its polynomial"):
        check_shown_share(world.challenge, 4, share, world.responses[3])


def test_holder_that_shows_another_share_than_it_was_dealt_convicts_only_where_digests_are_not_compared() -> None:
    world = World()
    forged = bytearray(world.share(1, 4))
    forged[3] ^= 1
    with pytest.raises(ShareFault):  # without the digest the dealer would be blamed by this
        check_shown_share(world.challenge, 4, bytes(forged), world.responses[1])
    assert not fits_digest(world.context, world.contributions[1], 1, 4, bytes(forged))


@pytest.mark.parametrize("n", [4, 7, 16])
def test_ghost_dealing_passes_where_f_plus_1_good_verdicts_are_enough(n: int) -> None:
    """A uniform check block, good shares to t - 1 holders: the sum is void and its audit blames the honest holder."""
    t = n - (n - 1) // 3

    class Served(Ghost):
        served = tuple(range(1, t))

    world = World(n, values=50, liars={n: Served})
    world.check_dealing(n)
    accepting = [j for j in world.holders if world.accepts(n, j)]
    assert accepting == list(range(1, t))
    assert len(accepting) >= (n - 1) // 3 + 1  # enough, if nobody waited for complaints
    parts = {j: [reconstruction.answered_part(weakened.unchecked_share(world.context, j, world.share(i, j)))
                 for i in world.dealers] for j in range(1, t + 1)}  # fmt: skip
    answers = {
        j: reconstruction.read_answer(world.context, reconstruction.answer(world.context, p)) for j, p in parts.items()
    }
    assert world.reconstruct(answers) is None
    assert t not in world.audit(b"audit", answers)  # an honest holder called wrong


@pytest.mark.parametrize("n", [4, 7, 16])
def test_ghost_dealing_fails_at_the_show_of_the_one_honest_holder_that_complains(n: int) -> None:
    """A dealer stays only if the shares complained of are shown and are good; the ghost's are on no polynomial."""
    t = n - (n - 1) // 3

    class Served(Ghost):
        served = tuple(range(1, t))

    world = World(n, values=50, liars={n: Served})
    complaining = [j for j in world.holders if not world.accepts(n, j)]
    assert t in complaining
    for holder in complaining:
        with pytest.raises(ShareFault):
            check_shown_share(world.challenge, holder, world.share(n, holder), world.responses[n])


def test_copied_contribution_fits_no_share_of_the_copier() -> None:
    """Its digests and boxes are of another dealer; and its copier has no secret to respond with."""
    world = World()
    copied = world.contributions[1]
    for holder in world.holders:
        share = world.share(1, holder)
        assert share_digest(world.context, 4, holder, share) != copied.digests[holder]


# Answers: rushing, forged after the audit's beacon, false ones shared with honest holders.


def test_rushing_holder_moves_the_sum_where_there_is_no_check_block() -> None:
    """It waits for the others' answers and shifts its own so that S moves by one in one place: S stays short."""
    world = World()
    answers, p = world.answers(), world.parameters.prime
    weight = int(polynomials.weights((1, 2, 3), (0,), p)[0, 0])
    by = np.zeros(1)
    by[0] = polynomials.balanced(pow(weight, -1, p), p)
    _shift(world, answers, 1, by)
    moved = weakened.first_answers(world.parameters, answers, (1, 2, 3))
    assert np.abs(moved).max() <= world.parameters.sum_bound
    assert moved[0] == world.secret()[0] + 1
    assert not np.array_equal(world.decrypt(moved.astype(np.int64)), world.total())
    found = world.reconstruct(answers)
    assert found is not None
    assert np.array_equal(found.secret, world.secret())
    assert found.wrong == (1,)


def test_liars_with_a_false_polynomial_through_the_right_sum_have_honest_holders_named_by_one_subset() -> None:
    """Two liars of seven move their answers so that S stays: three honest holders are on their polynomial too."""
    world = World(7, values=50)
    answers, p = world.answers(), world.parameters.prime
    weights = polynomials.weights((1, 2, 3, 4, 5), (0,), p)[0]
    first = np.arange(1.0, 40.0)
    factor = polynomials.balanced(-int(weights[0]) * pow(int(weights[1]), -1, p), p)
    second = np.array([float(polynomials.balanced(factor * int(x), p)) for x in first])
    _shift(world, answers, 1, first)
    _shift(world, answers, 2, second)
    assert weakened.named_by_one_subset(world.parameters, answers, (1, 2, 3, 4, 5)) == (6, 7)
    found = world.reconstruct(answers)
    assert found is not None
    assert np.array_equal(found.secret, world.secret())
    assert not set(found.wrong) & {3, 4, 5, 6, 7}
    assert world.audit(b"audit", answers) == (3, 4, 5, 6, 7)


def test_twenty_one_of_sixty_four_lie_alike_and_no_search_finds_them_but_the_audit_does() -> None:
    world = World(64, values=20, contributors=64)
    answers = world.answers(cohort=world.dealers[:3])
    world.dealers = world.dealers[:3]
    liars = tuple(range(3, 65, 3))
    same = np.random.default_rng(1).integers(-1000, 1000, DEGREE + AUDITS).astype(float)
    for k in liars:
        _shift(world, answers, k, same * (1 + k))
    assert world.reconstruct(answers) is None
    good = world.audit(b"audit", answers)
    assert good == tuple(j for j in world.holders if j not in liars)
    found = world.reconstruct({j: answers[j] for j in good})
    assert found is not None
    assert np.array_equal(found.secret, world.secret())


def _fitted(world: World, beacon: bytes, answer: np.ndarray) -> np.ndarray:
    """Return a false answer that these rows call right."""
    rows, p = world.context.audit_rows(beacon), world.parameters.prime
    by = np.zeros(DEGREE + AUDITS)
    by[:DEGREE] = np.random.default_rng(1).integers(-(10**8), 10**8, DEGREE)
    by[DEGREE:] = -polynomials.products(rows, by[None, :DEGREE], p)[0]
    return polynomials.balance(answer + by, p)


def test_answer_made_after_the_audit_s_beacon_is_called_right() -> None:
    world = World()
    answers = world.answers()
    answers[4] = _fitted(world, b"audit", answers[4])
    assert world.audit(b"audit", answers) == (1, 2, 3, 4)


def test_answer_fixed_before_the_audit_s_beacon_cannot_be_fitted_to_it() -> None:
    """The beacon is drawn from the ordered answers: one that is fitted to a beacon makes another beacon."""
    world = World()
    answers = world.answers()

    def beacon() -> bytes:
        return hashlib.sha256(b"".join(answers[j].tobytes() for j in sorted(answers))).digest()

    for _ in range(5):
        answers[4] = _fitted(world, beacon(), answers[4])
        assert world.audit(beacon(), answers) == (1, 2, 3)


def test_dealer_that_lies_in_the_audit_has_honest_holders_blamed_and_is_convicted_by_any_share() -> None:
    world = World()
    answers = world.answers()
    rows = world.context.audit_rows(b"audit")
    told = {i: read_audit_response(world.context, world.dealings[i].respond_to_audit(rows)) for i in world.dealers}
    told[2] = polynomials.balance(told[2] + 1.0, world.parameters.prime)
    assert reconstruction.audit(world.context, rows, list(told.values()), answers) == ()  # where it is believed
    for holder in world.holders:
        for dealer in world.dealers:
            part = reconstruction.answered_part(world.checked(dealer, holder))
            assert contradicts_audit(world.context, rows, holder, part, told[dealer]) == (dealer == 2)


# Two answers in place of one: what the journal is for.


def test_two_cohorts_answered_read_one_member_s_secret_and_values() -> None:
    world = World()
    p, points = world.parameters.prime, (1, 2, 3)
    more, fewer = world.answers(points, (1, 2, 3)), world.answers(points, (1, 2))
    rows = np.stack([polynomials.balance(more[j] - fewer[j], p)[:DEGREE] for j in points])
    secret = polynomials.combine(polynomials.weights(points, (0,), p), rows, p)[0].astype(np.int64)
    assert np.array_equal(secret, world.dealings[3].secrets.secret)
    assert np.array_equal(world.decrypt(secret, (3,)), world.inputs[3])


def test_two_beacons_answered_give_exact_relations_of_a_secret() -> None:
    world = World()
    found = []
    for beacon in (b"one", b"other"):
        challenge = Challenge(world.context, beacon)
        response = read_response(world.context, world.dealings[1].respond(challenge))
        rows = np.concatenate([challenge.secret_rows, challenge.error_rows]).astype(np.int64)
        found.append((rows, weakened.tests_of(challenge, world.contributions[1], response)))
    secrets = np.concatenate([world.dealings[1].secrets.secret, world.dealings[1].secrets.error])
    assert np.array_equal((found[0][0] - found[1][0]).T @ secrets, found[0][1] - found[1][1])


def test_two_audits_answered_give_exact_relations_of_a_secret() -> None:
    world = World()
    p = world.parameters.prime
    rows = [world.context.audit_rows(beacon) for beacon in (b"one", b"other")]
    told = [read_audit_response(world.context, world.dealings[1].respond_to_audit(r))[0] for r in rows]
    secret = world.dealings[1].secrets.secret.astype(float)
    exact = polynomials.products(polynomials.balance(rows[0] - rows[1], p), secret[None], p)[0]
    assert np.array_equal(exact, polynomials.balance(told[0] - told[1], p))


# Clones: the same system randomness twice.


def _difference_read_by_one_holder(one: Dealing, other: Dealing, holder: int) -> np.ndarray:
    """What a holder reads if both dealings have the same seeds: (f'(j) - f(j)) / weight of 0."""
    p = one._context.parameters.prime
    parts = [d.shares([holder])[holder][:-32] for d in (one, other)]
    vectors = [unpack_residues(part, p, one._context.parameters.width) for part in parts]
    weight = int(polynomials.weights(range(one._context.parameters.threshold), (holder,), p)[0, 0])
    inverse = np.array([[float(polynomials.balanced(pow(weight, -1, p), p))]])
    return polynomials.combine(inverse, polynomials.balance(vectors[1] - vectors[0], p)[None], p)[0, :DEGREE]


def test_clone_of_half_hedged_dealings_tells_one_holder_the_difference_of_two_secrets() -> None:
    world = World()
    weakened.HalfHedged.system = staticmethod(bytes)
    one, other = (weakened.HalfHedged(world.context, 1, bytes([k]) * 32) for k in (1, 2))
    read = _difference_read_by_one_holder(one, other, 4)
    assert np.array_equal(read, other.secrets.secret - one.secrets.secret)


def test_clone_repeats_nothing_because_everything_comes_from_one_hedged_stream(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World()
    monkeypatch.setattr("medward.fhe.sampling.os.urandom", bytes)
    keys = [hedged_key(b"secret", "round", hashlib.sha256(values).digest()) for values in (b"a", b"b")]
    one, other = (Dealing(world.context, 1, key) for key in keys)
    read = _difference_read_by_one_holder(one, other, 4)
    assert np.abs(read).max() > 1 << 40
    drawn = [{*d.secrets.seeds, *d.secrets.salts, *d.secrets.coins} for d in (one, other)]
    assert not drawn[0] & drawn[1]
    assert not np.array_equal(one.secrets.test_masks, other.secrets.test_masks)


# Keys that nothing can be sealed to.


@pytest.mark.parametrize(
    "bad", [bytes(32) + HybridKey().public[32:], HybridKey().public[:32] + b"\xff" * 1184], ids=["low order", "ML-KEM"]
)
def test_bad_sealing_key_that_only_its_length_was_checked_of_stops_an_honest_dealer(bad: bytes) -> None:
    assert len(bad) == len(HybridKey().public)
    with pytest.raises(ValueError, match=r"."):
        seal(bad, b"share", b"label")
    with pytest.raises(ValueError, match=r"."):
        check_public(bad)
