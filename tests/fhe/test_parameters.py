"""Parameters: the agreed figures, what is refused, and bounds that hold for every set."""

import math
from fractions import Fraction

import numpy as np
import pytest

from medward.fhe.context import Challenge, SumContext
from medward.fhe.errors import UnsafeParameters
from medward.fhe.parameters import (
    DEGREE,
    FAILURE_BITS,
    MASK_GAIN,
    MOST_BLOCKS,
    SIGMA,
    TESTS,
    UPDATE_BITS,
    SumParameters,
    sum_parameters,
)

MEMBERS = (2, 3, 4, 7, 10, 16, 40, 64, 65, 128, 1024)


def of(members: int, bits: int = 8) -> SumParameters:
    """Return the parameters of a federation of so many members, 64 of whom hold shares where there are more."""
    holders = min(members, 64)
    return sum_parameters(bits, members, holders, (members - 1) // 3, holders - (holders - 1) // 3)


@pytest.mark.parametrize(("members", "bits", "lanes", "noise"), [(4, 8, 4, 155), (16, 8, 3, 310), (64, 16, 1, 619)])
def test_figures_of_the_specification(members: int, bits: int, lanes: int, noise: int) -> None:
    p = of(members, bits)
    assert (p.lanes, p.noise_bound, p.test_bound) == (lanes, noise, 11919)
    assert p.prime == 1125899906802689 < 1 << 50
    assert p.prime % DEGREE == 1 + DEGREE // 2
    assert p.width == 2048 + 192 + 3
    assert math.isqrt(p.mask_variance) == 1090


@pytest.mark.parametrize("bits", UPDATE_BITS)
@pytest.mark.parametrize("members", MEMBERS)
def test_largest_sum_and_largest_noise_stay_apart(members: int, bits: int) -> None:
    """Every digit of the largest sum fits its lane, and Delta m + noise neither reaches Delta/2 nor wraps modulo p."""
    p = of(members, bits)
    assert p.contributors * p.largest_value <= (p.radix - 1) // 2
    assert 2 * p.noise_bound + 1 < p.delta
    message = sum(p.contributors * p.largest_value * p.radix**i for i in range(p.lanes))
    assert p.delta * message + p.noise_bound <= (p.prime - 1) // 2
    assert p.prime // p.radix ** (p.lanes + 1) <= 2 * p.noise_bound + 1


@pytest.mark.parametrize("members", MEMBERS)
def test_noise_passes_its_bound_with_the_promised_probability(members: int) -> None:
    """Sub-Gaussian tail: 2 exp(-B^2 / (2 K sigma^2)) for each of 2^23 coefficients."""
    p = of(members)
    bits = p.noise_bound**2 / (2 * members * SIGMA**2) / math.log(2) - 1 - math.log2(DEGREE * MOST_BLOCKS)
    assert FAILURE_BITS <= bits < FAILURE_BITS + 1.5


@pytest.mark.parametrize("members", MEMBERS)
def test_sum_of_secrets_is_unique(members: int) -> None:
    p = of(members)
    assert 2 * DEGREE * math.log2(4 * p.sum_bound + 1) + 128 <= DEGREE * math.log2(p.prime)
    assert p.sum_bound >= 11 * math.sqrt(members) * SIGMA + p.faulty * 2 * p.test_bound


def test_refused_in_one_sentence() -> None:
    for wrong, text in (
        ((7, 4, 4, 1, 3), "not offered"),
        ((8, 0, 4, 1, 3), "contributors"),
        ((8, 1025, 16, 5, 11), "contributors"),
        ((8, 65, 65, 21, 43), "holders"),
        ((8, 4, 4, 1, 5), "answers"),
        ((8, 4, 4, -1, 3), "liars"),
        ((8, 1024, 16, 1023, 11), "unique"),
    ):
        with pytest.raises(UnsafeParameters, match=text) as refused:
            sum_parameters(*wrong)
        assert "\n" not in str(refused.value)


def test_threshold_that_leaves_no_share_to_show_is_refused() -> None:
    """t - 1 - f of the holders: with one share shown, f liars would be short of t by none."""
    with pytest.raises(UnsafeParameters, match="no complaint could be settled"):
        sum_parameters(8, 4, 4, 1, 2)
    assert sum_parameters(8, 4, 4, 1, 3).most_shown == 1
    assert of(16).most_shown == 5
    assert of(64).most_shown == 21
    assert of(2).most_shown == 1
    with pytest.raises(UnsafeParameters):
        of(1)


def test_bounds_count_the_liars_among_all_members() -> None:
    """Sixteen holders of 1,024 hospitals: 341 may deal secrets as large as the tests allow."""
    p = sum_parameters(8, 1024, 16, 341, 11)
    assert p.sum_bound >= 341 * 2 * p.test_bound
    assert p.most_shown == 5


def test_sets_differ_in_their_digests() -> None:
    digests = {of(n, bits).digest for n in MEMBERS for bits in UPDATE_BITS}
    assert len(digests) == len(MEMBERS) * len(UPDATE_BITS)
    assert all(len(digest) == 16 for digest in digests)
    assert sum_parameters(8, 16, 16, 5, 11).digest != sum_parameters(8, 16, 16, 5, 12).digest


def test_masks_hide_what_any_beacon_tells() -> None:
    """lambda_max of a challenge's rows times sigma^2 is about an eighth of the masks' variance, whatever is ground."""
    context = SumContext(of(4), b"o", (1, 2, 3, 4), 1)
    parts = []
    for k in range(25):
        challenge = Challenge(context, b"%d" % k)
        rows = np.concatenate([challenge.secret_rows, challenge.error_rows]).astype(np.float64)
        parts.append(np.linalg.eigvalsh(rows.T @ rows).max() * SIGMA**2 / context.parameters.mask_variance)
    assert Fraction(context.parameters.mask_variance, MASK_GAIN * SIGMA**2) >= 3031
    assert 0.115 < np.mean(parts) < 0.127
    assert max(parts) < 0.13
    assert rows.shape == (2 * DEGREE, TESTS)
    assert abs((rows == 0).mean() - 0.5) < 0.003
