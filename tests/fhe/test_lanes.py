"""Lanes: the sum of K members decodes exactly at every extreme, and decoding is total."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medward.fhe import lanes
from medward.fhe.errors import LaneOverflow
from medward.fhe.lanes import COUNT_BITS, BlockLayout
from medward.fhe.parameters import MOST_BLOCKS, UPDATE_BITS, SumParameters
from medward.fhe.ring.polynomials import balance
from tests.fhe.test_parameters import MEMBERS, of

ZERO = np.zeros(2048, np.int64)


def _summed(p: SumParameters, values: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Return the decoded sum of K equal members, each with the same noise: every rounding error at its largest."""
    total = p.contributors * lanes.encode(p, values, ZERO).astype(np.int64)
    return lanes.decode(p, balance(((total + noise) % p.prime).astype(float), p.prime))


@pytest.mark.parametrize("bits", UPDATE_BITS)
@pytest.mark.parametrize("members", MEMBERS)
def test_every_extreme_sum_decodes_exactly(members: int, bits: int) -> None:
    """All members at +-(2^(b-1) - 1), in every pattern of signs over the lanes, with the noise at +- its bound."""
    p = of(members, bits)
    patterns = np.array([[1 if j >> i & 1 else -1 for j in range(2048)] for i in range(p.lanes)])
    mixed = patterns.copy()
    mixed[:, 1024:] = np.random.default_rng(members).integers(-1, 2, (p.lanes, 1024))
    for signs in (patterns, mixed, np.zeros_like(patterns)):
        for noise in (p.noise_bound, -p.noise_bound, 0):
            values = signs * p.largest_value
            assert np.array_equal(_summed(p, values, np.full(2048, noise)), members * values)


def test_value_or_shape_that_does_not_fit_is_refused() -> None:
    p = of(4)
    values = np.zeros((p.lanes, 2048), np.int64)
    for wrong in (p.largest_value + 1, -p.largest_value - 1):
        values[1, 7] = wrong
        with pytest.raises(LaneOverflow, match="outside"):
            lanes.encode(p, values, ZERO)
    with pytest.raises(LaneOverflow, match="shape"):
        lanes.encode(p, values[1:], ZERO)


@pytest.mark.parametrize("bits", UPDATE_BITS)
@pytest.mark.parametrize("members", MEMBERS)
def test_decoding_is_total_and_nearest(members: int, bits: int) -> None:
    """Every residue decodes; encoding what comes out gives a residue within Delta/2 of it, modulo p."""
    p = of(members, bits)
    generator = np.random.default_rng(1)
    plain = generator.integers(-(p.prime // 2), p.prime // 2 + 1, 2048).astype(float)
    plain[:4] = (p.prime // 2, -(p.prime // 2), 0, p.delta / 2 - 0.5)
    out = lanes.decode(p, plain[None])
    powers = [p.radix**i for i in range(p.lanes)]
    for j in range(2048):
        message = sum(int(x) * w for x, w in zip(out[:, j], powers, strict=True))
        assert abs(p.delta * message - int(plain[j])) <= p.delta // 2 + 1
    assert abs(out[:-1]).max(initial=0) <= p.radix // 2


@settings(max_examples=50, deadline=None)
@given(st.sampled_from(MEMBERS), st.sampled_from(UPDATE_BITS), st.integers(0, 2**32 - 1))
def test_random_sums_decode_exactly(members: int, bits: int, seed: int) -> None:
    p = of(members, bits)
    generator = np.random.default_rng(seed)
    few = min(members, 7)
    values = generator.integers(-p.largest_value, p.largest_value + 1, (few, p.lanes, 2048))
    noise = generator.integers(-p.noise_bound, p.noise_bound + 1, 2048)
    plain = sum(lanes.encode(p, v, ZERO).astype(np.int64) for v in values)[0] + noise
    assert np.array_equal(lanes.decode(p, balance((plain % p.prime).astype(float), p.prime)[None]), values.sum(0))


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(UPDATE_BITS), st.integers(0, 40), st.integers(0, 20_000), st.integers(0, 2**32 - 1))
def test_split_and_join_are_inverse_for_sums(bits: int, counts: int, values: int, seed: int) -> None:
    layout = BlockLayout(of(16, bits), counts, values)
    generator = np.random.default_rng(seed)
    largest = layout.parameters.largest_value
    given_counts = generator.integers(0, 1 << COUNT_BITS, (16, counts))
    given_values = generator.integers(-largest, largest + 1, (16, values))
    blocks = [layout.split(c, v) for c, v in zip(given_counts, given_values, strict=True)]
    assert all(abs(b).max() <= largest for b in blocks)
    assert blocks[0].shape == (layout.blocks, layout.parameters.lanes, 2048)
    assert np.array_equal(layout.join(sum(blocks)), np.concatenate([given_counts.sum(0), given_values.sum(0)]))


def test_numbers_that_do_not_fit_a_layout_are_refused() -> None:
    layout = BlockLayout(of(4), 2, 3)
    good = np.zeros(2, np.int64), np.zeros(3, np.int64)
    for counts, values in ((good[0][1:], good[1]), (good[0], good[1][1:])):
        with pytest.raises(LaneOverflow, match="2 counts and 3 values"):
            layout.split(counts, values)
    for count in (-1, 1 << COUNT_BITS):
        with pytest.raises(LaneOverflow, match="count"):
            layout.split(np.array([0, count]), good[1])
    with pytest.raises(LaneOverflow, match="too large"):
        BlockLayout(of(4), 0, MOST_BLOCKS * of(4).values_per_block + 1)
