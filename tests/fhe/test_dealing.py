"""A dealing: what it consists of, what everybody and each holder checks of it, that it is drawn again from its key."""

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medward.fhe.checking import check_own_share, check_shown_share, read_share, read_shown
from medward.fhe.context import Challenge, SumContext
from medward.fhe.contribution import contribution_bytes, read_contribution, share_bytes, share_digest, share_label
from medward.fhe.dealing import Dealing, draw, expand_share
from medward.fhe.encoding import pack_residues
from medward.fhe.errors import MalformedEncoding, ShareFault
from medward.fhe.hybrid import OVERHEAD
from medward.fhe.parameters import AUDITS, DEGREE, TESTS
from medward.fhe.ring import polynomials
from tests.fhe.test_parameters import of
from tests.fhe.world import BEACON, World, key

WORLD = World(7, values=300)
P = WORLD.parameters.prime


def _exact_tests(challenge: Challenge, vector: np.ndarray) -> list[int]:
    """Return Phi f in Python integers, with the negacyclic product written out."""
    ring = challenge.context.ring
    a = ring.integers(ring.inverse(challenge.context.check_element.copy()))
    f = [int(x) for x in vector]
    full = np.convolve(np.array(a, object), np.array(f, object))
    product = full[:DEGREE].copy()
    product[: DEGREE - 1] -= full[DEGREE:]
    rs, re = challenge.secret_rows.astype(object), challenge.error_rows.astype(object)
    return [int(x) % P for x in rs.T @ np.array(f, object) - re.T @ product]


def test_tests_of_a_vector_are_their_definition() -> None:
    vector = np.random.default_rng(3).integers(-(P // 2), P // 2 + 1, DEGREE).astype(float)
    vector[:3] = (P // 2, -(P // 2), P // 2)
    got = WORLD.challenge.tests(vector[None])[0]
    exact = _exact_tests(WORLD.challenge, vector)
    assert [int(x) % P for x in got] == exact
    assert np.abs(got).max() <= P // 2
    rho, rows = WORLD.challenge.private_check
    for k in range(AUDITS):
        combined = sum(int(r) * e for r, e in zip(rho[k], exact, strict=True)) % P
        assert sum(int(x) * int(y) for x, y in zip(rows[k], vector, strict=True)) % P == combined


def test_private_combinations_differ_between_holders_and_never_repeat() -> None:
    one, other = (Challenge(WORLD.context, BEACON).private_check[0] for _ in range(2))
    assert not np.array_equal(one, other)


def test_sum_of_extreme_residues_in_a_test_is_exact() -> None:
    """All residues at +-(p-1)/2 under rows of one sign: the largest partial sums that can be."""
    challenge = Challenge(WORLD.context, b"other")
    challenge.error_rows = np.ones_like(challenge.error_rows)
    for sign in (1, -1):
        vector = np.full(DEGREE, sign * (P // 2), float)
        assert int(challenge.error_tests(vector)[0]) % P == sign * (P // 2) * DEGREE % P


def test_challenge_rows_are_a_quarter_ones_a_quarter_minus_ones() -> None:
    for rows in (WORLD.challenge.secret_rows, WORLD.challenge.error_rows):
        assert rows.shape == (DEGREE, TESTS)
        for value, share in ((1, 0.25), (-1, 0.25), (0, 0.5)):
            assert abs((rows == value).mean() - share) < 0.006


def test_known_answers_of_a_sum() -> None:
    """Public elements and challenge of a fixed sum, and what a fixed key deals in it; other programs must agree."""
    context = SumContext(of(4), b"occasion", (1, 2, 3, 4), 1)
    dealing = Dealing(context, 2, bytes(range(32)))

    def short(data: bytes) -> str:
        return hashlib.sha256(data).hexdigest()[:16]

    assert short(context.check_element.astype("<i8").tobytes()) == "fec00dc226dec20a"
    challenge = Challenge(context, b"beacon")
    assert short(challenge.secret_rows.tobytes() + challenge.error_rows.tobytes()) == "448a87fb93289ddf"
    assert short(dealing.check_block()) == "f778cf8916618b76"
    assert short(dealing.encrypted(np.zeros((1, 4, DEGREE), np.int64))) == "68affae9a51aa681"
    assert short(b"".join(dealing.shares([1, 2, 3, 4]).values())) == "aa63e0bd28ebe260"
    assert short(dealing.respond(challenge)) == "11e92e0b438e581c"
    assert short(dealing.respond_to_audit(context.audit_rows(b"audit"))) == "b061915f423fe6dc"


def test_same_key_draws_the_same_dealing_again() -> None:
    secret = hashlib.sha256(b"k").digest()
    one, other = (Dealing(WORLD.context, 3, secret) for _ in range(2))
    rows = WORLD.context.audit_rows(b"a")
    one.encrypted(np.zeros((WORLD.context.blocks, WORLD.parameters.lanes, DEGREE), np.int64))
    assert one.respond(WORLD.challenge) == other.respond(WORLD.challenge)
    assert one.respond_to_audit(rows) == other.respond_to_audit(rows)
    assert one.show([2, 5]) == other.show([5, 2])
    assert not np.array_equal(Dealing(WORLD.context, 3, bytes(32)).values, one.values)


def test_secrets_masks_seeds_salts_and_coins_all_differ() -> None:
    secrets = draw(WORLD.parameters, bytes(32))
    drawn = [*secrets.seeds, *secrets.salts, *secrets.coins]
    assert len(set(drawn)) == len(drawn) == WORLD.parameters.threshold - 1 + 2 * 7
    assert not np.array_equal(secrets.secret, secrets.error)


def test_any_threshold_of_shares_gives_the_dealt_vector_and_fewer_give_nothing() -> None:
    dealing, t = WORLD.dealings[1], WORLD.parameters.threshold
    vectors = {j: WORLD.checked(1, j) for j in WORLD.holders}
    for chosen in ((1, 2, 3, 4, 5), (3, 4, 5, 6, 7), (1, 3, 5, 6, 7)):
        rows = np.stack([vectors[j] for j in chosen])
        found = polynomials.combine(polynomials.weights(chosen, (0,), P), rows, P)[0]
        assert np.array_equal(found[:DEGREE], dealing.secrets.secret)
        assert np.array_equal(found[DEGREE : DEGREE + TESTS], dealing.secrets.test_masks)
        assert np.array_equal(found[DEGREE + TESTS :], dealing.secrets.audit_masks)
    fewer = np.stack([vectors[j] for j in range(1, t)])
    found = polynomials.combine(polynomials.weights(range(1, t), (0,), P), fewer, P)[0]
    assert np.abs(found[:DEGREE]).max() > 1 << 40


def test_every_honest_dealing_passes_at_every_holder() -> None:
    for dealer in WORLD.dealers:
        WORLD.check_dealing(dealer)
        for holder in WORLD.holders:
            own = WORLD.checked(dealer, holder)
            share = WORLD.share(dealer, holder)
            shown = check_shown_share(WORLD.challenge, holder, share, WORLD.responses[dealer])
            assert np.array_equal(own, shown)


def test_honest_tests_stay_below_their_bound() -> None:
    """Their width is 1,135: a tenth of the bound."""
    largest = []
    for dealer in WORLD.dealers:
        b = WORLD.dealings[dealer]
        tests = WORLD.challenge.secret_rows.astype(np.int64).T @ b.secrets.secret
        tests += WORLD.challenge.error_rows.astype(np.int64).T @ b.secrets.error + b.secrets.test_masks
        largest.append(tests.std())
    assert 900 < np.mean(largest) < 1400


@settings(max_examples=30, deadline=None)
@given(st.integers(5, 7), st.integers(0, DEGREE + TESTS - 1), st.sampled_from([1, -1, P // 2, 1 << 30]))
def test_share_off_in_any_place_is_found_by_its_holder_and_by_everybody(holder: int, place: int, by: int) -> None:
    vector = WORLD.checked(2, holder)
    vector[place] = polynomials.balance(vector[place : place + 1] + by, P)[0]
    share = pack_residues(vector, P) + bytes(32)
    for check in (check_own_share, check_shown_share):
        with pytest.raises(ShareFault, match="off its polynomial"):
            check(WORLD.challenge, holder, share, WORLD.responses[2])


def test_share_of_the_wrong_form_is_refused() -> None:
    context = WORLD.context
    assert share_bytes(context, 4) == 64
    assert share_bytes(context, 5) == 8 * 1753 + 32
    for holder in (1, 7):
        share = WORLD.share(1, holder)
        for wrong in (share[:-1], share + b"\0", b""):
            with pytest.raises(ShareFault, match="holder"):
                read_share(context, holder, wrong)
    with pytest.raises(ShareFault, match="malformed"):
        read_share(context, 7, b"\xff" * share_bytes(context, 7))
    seed = WORLD.share(1, 1)[:32]
    assert np.array_equal(read_share(context, 1, WORLD.share(1, 1)), expand_share(WORLD.parameters, seed))


def test_salted_digest_hides_a_share_that_could_be_guessed() -> None:
    """The same seed with another salt has another digest, so a digest tells nothing of a share."""
    share = WORLD.share(1, 1)
    digests = WORLD.contributions[1].digests
    assert share_digest(WORLD.context, 1, 1, share) == digests[1]
    assert share_digest(WORLD.context, 1, 1, share[:32] + bytes(32)) != digests[1]
    assert share_digest(WORLD.context, 2, 1, share) != digests[1]
    assert share_digest(WORLD.context, 1, 2, share) != digests[1]


def test_shown_shares_are_those_that_were_dealt() -> None:
    shown = WORLD.dealings[1].show([6, 2])
    read = read_shown(WORLD.context, WORLD.contributions[1], 1, [2, 6], shown)
    assert read == {j: WORLD.share(1, j) for j in (2, 6)}
    for j, share in read.items():
        check_own_share(WORLD.challenge, j, share, WORLD.responses[1])
    with pytest.raises(ShareFault, match="did not deal"):
        read_shown(WORLD.context, WORLD.contributions[2], 2, [2, 6], shown)
    for holders in ([2], [2, 5, 6], [6, 7]):
        with pytest.raises((MalformedEncoding, ShareFault)):
            read_shown(WORLD.context, WORLD.contributions[1], 1, holders, shown)


def test_contribution_has_the_promised_size_and_one_reading() -> None:
    data = WORLD.encoded[1]
    t = WORLD.parameters.threshold
    element, blocks = 12800, WORLD.context.blocks
    boxes = (t - 1) * 64 + (7 - t + 1) * (8 * 1753 + 32) + 7 * OVERHEAD
    assert len(data) == contribution_bytes(WORLD.context) == 24 + (1 + blocks) * element + 7 * 32 + boxes
    for wrong in (data[:-1], data + b"\0", b"MWF1" + data[4:], data[:8] + bytes(16) + data[24:]):
        with pytest.raises(MalformedEncoding):
            read_contribution(WORLD.context, wrong)


def test_box_of_another_holder_or_sum_does_not_open() -> None:
    box = bytes(WORLD.contributions[1].boxes[2])
    other = World(7, values=300, seed=2)
    for holder, label in (
        (3, share_label(WORLD.context, 1, 2)),
        (2, share_label(WORLD.context, 2, 2)),
        (2, share_label(other.context, 1, 2)),
    ):
        with pytest.raises(ValueError, match="not sealed"):
            key(holder).unseal(box, label)


def test_sums_of_other_parameters_occasions_or_blocks_share_nothing() -> None:
    contexts = [
        SumContext(of(4), b"a", (1, 2, 3, 4), 1),
        SumContext(of(4), b"b", (1, 2, 3, 4), 1),
        SumContext(of(4), b"a", (1, 2, 3, 4), 2),
        SumContext(of(7), b"a", (1, 2, 3, 4), 1),
    ]
    assert len({context.digest for context in contexts}) == 4
    assert len({context.check_element.tobytes() for context in contexts}) == 4
    assert len({Challenge(context, b"x").secret_rows.tobytes() for context in contexts}) == 4
    one = contexts[2]
    elements = [one.check_element, *one.block_elements, one.audit_rows(b"x")[:1], one.audit_rows(b"y")[:1]]
    assert len({element.tobytes() for element in elements}) == 5
