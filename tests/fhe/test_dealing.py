"""Dealt shares: honest ones open the key, dishonest ones name who is dishonest."""

import numpy as np
import pytest

from medward.fhe import dealing
from medward.fhe.dealing import DealingContext, check_dealt_share, deal, open_secret, respond, threshold
from medward.fhe.errors import ShareRejected, UnsafeParameters
from medward.fhe.keys import generate_key, parameters_ring, reference_string
from medward.fhe.parameters import sum_parameters

PARAMETERS = sum_parameters("AGG-S40", 8, 16, 7, "semi-honest")
A = reference_string(PARAMETERS, b"ward", 1)
SECRET, B = generate_key(PARAMETERS, A)
CONTEXT = DealingContext(b"ward", 1, 3, tuple(range(1, 8)), 5)
BEACON = b"hash of the next block"


@pytest.fixture(scope="module")
def dealt() -> tuple[dealing.Dealing, bytes]:
    made = deal(PARAMETERS, CONTEXT, SECRET)
    return made, respond(PARAMETERS, made, BEACON)


def _check(dealt, holder, share=None, *, beacon=BEACON, response=None, digest=None):
    made, honest_response = dealt
    share = made.shares[holder] if share is None else share
    return check_dealt_share(
        PARAMETERS, CONTEXT, holder, share,
        digest=digest or made.digests[holder], beacon=beacon, response=response or honest_response,
    )  # fmt: skip


def test_any_t_shares_open_the_secret(dealt) -> None:
    shares = {j: _check(dealt, j) for j in CONTEXT.holders}
    for chosen in ((1, 2, 3, 4, 5), (3, 4, 5, 6, 7), (1, 2, 4, 6, 7)):
        s = open_secret(PARAMETERS, CONTEXT, A, B, {j: shares[j] for j in chosen})
        assert np.array_equal(s, SECRET.evaluated(PARAMETERS))


def test_too_few_shares_open_nothing(dealt) -> None:
    with pytest.raises(UnsafeParameters, match="takes 5 shares"):
        open_secret(PARAMETERS, CONTEXT, A, B, {j: _check(dealt, j) for j in (1, 2, 3, 4)})


def test_t_minus_one_shares_fit_every_secret(dealt) -> None:
    """For any other secret there is a polynomial through the same t - 1 shares: they tell nothing."""
    ring = parameters_ring(PARAMETERS)
    points = [1, 2, 4, 6]
    other, _ = generate_key(PARAMETERS, A)
    zero_free = {j: _check(dealt, j).value for j in points}
    fifth = ring.zero()
    candidates = {0: other.evaluated(PARAMETERS), **zero_free}
    for j, value in candidates.items():
        numerator = denominator = 1
        for k in candidates:
            if k != j:
                numerator, denominator = numerator * (7 - k), denominator * (j - k)
        ring.scale_add(value, numerator * pow(denominator, -1, ring.modulus), fifth, fifth)
    made = {**{j: dealing.DealtShare(v, np.zeros(1, np.int64)) for j, v in zero_free.items()}}
    made[7] = dealing.DealtShare(fifth, np.zeros(1, np.int64))
    b = ring.subtract(ring.zero(), ring.multiply_add(other.evaluated(PARAMETERS), A, ring.zero()))
    assert np.array_equal(open_secret(PARAMETERS, CONTEXT, A, b, made), other.evaluated(PARAMETERS))


def test_inconsistent_share_names_the_dealer(dealt) -> None:
    made, _ = dealt
    other = deal(PARAMETERS, CONTEXT, SECRET)
    with pytest.raises(ShareRejected, match="member 3 dealt a share to member 6 that is not on its polynomial"):
        _check(dealt, 6, other.shares[6], digest=other.digests[6])
    with pytest.raises(ShareRejected, match="member 3"):
        _check(dealt, 6, made.shares[5], digest=dealing.share_digest(CONTEXT, 6, made.shares[5]))


def test_response_to_another_beacon_names_the_dealer(dealt) -> None:
    with pytest.raises(ShareRejected, match="member 3"):
        _check(dealt, 1, beacon=b"another block")
    with pytest.raises(ShareRejected, match="wrong number"):
        _check(dealt, 1, response=dealt[1][:-8])


def test_false_complaint_or_false_reveal_names_the_holder(dealt) -> None:
    """Who shows a share that was not dealt to it is found out by the published hash."""
    made, _ = dealt
    flipped = made.shares[4][:-1] + bytes([made.shares[4][-1] ^ 1])
    for shown in (made.shares[5], flipped, b""):
        with pytest.raises(ShareRejected) as caught:
            _check(dealt, 4, shown)
        assert caught.value.member == 4


def test_malformed_share_with_the_right_hash_names_the_dealer(dealt) -> None:
    made, _ = dealt
    short = made.shares[2][:-5]
    with pytest.raises(ShareRejected, match="malformed") as caught:
        _check(dealt, 2, short, digest=dealing.share_digest(CONTEXT, 2, short))
    assert caught.value.member == 3


def test_shares_of_another_secret_do_not_open_the_key() -> None:
    other, _ = generate_key(PARAMETERS, A)
    made = deal(PARAMETERS, CONTEXT, other)
    response = respond(PARAMETERS, made, BEACON)
    shares = {j: _check((made, response), j) for j in CONTEXT.holders}
    with pytest.raises(ShareRejected, match="member 3 dealt shares that do not open its key"):
        open_secret(PARAMETERS, CONTEXT, A, B, shares)


def test_equal_shares_have_unequal_hashes() -> None:
    """The salt hides a share from whoever can guess it; f(j) of the same polynomial hashes anew."""
    made, again = (deal(PARAMETERS, CONTEXT, SECRET) for _ in range(2))
    assert made.shares[1][-32:] != again.shares[1][-32:]
    assert made.digests[1] != again.digests[1]


@pytest.mark.parametrize(("holders", "shares"), [(1, 1), (3, 3), (4, 3), (7, 5), (16, 11), (64, 43)])
def test_threshold_leaves_out_as_many_as_may_lie(holders: int, shares: int) -> None:
    assert threshold(holders) == shares


@pytest.mark.parametrize(("holders", "t"), [((1, 1, 2), 2), ((0, 1, 2), 2), ((1, 2, 3), 4), ((1, 2, 3), 0)])
def test_impossible_dealing_is_refused(holders: tuple[int, ...], t: int) -> None:
    with pytest.raises(UnsafeParameters):
        DealingContext(b"ward", 1, 1, holders, t)
