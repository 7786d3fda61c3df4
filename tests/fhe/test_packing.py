"""Packing: integers are bounded, unbiased and the same everywhere, and every sum of them decodes exactly."""

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medward.fhe.errors import LaneOverflow, UnsafeParameters
from medward.fhe.packing import (
    COUNT_BITS,
    BlockLayout,
    Quantiser,
    decode_lanes,
    encode_lanes,
    quantise_with_feedback,
    rounding_seed,
    weighted,
)
from medward.fhe.parameters import MOST_BLOCKS, UPDATE_BITS, SumParameters, sum_parameters
from medward.fhe.ring.polynomials import balance
from tests.fhe.test_parameters import MEMBERS, of

REALS = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=50).map(np.array)
ZERO = np.zeros(2048, np.int64)


@settings(deadline=None)
@given(REALS, st.sampled_from(UPDATE_BITS), st.floats(1e-6, 1e6), st.binary(min_size=1, max_size=8))
def test_integers_fit_their_lane_and_are_within_one_step(
    values: np.ndarray, bits: int, clip: float, seed: bytes
) -> None:
    quantiser = Quantiser(bits, clip)
    integers = quantiser.quantise(values, seed)
    assert np.abs(integers).max() <= quantiser.largest < 1 << (bits - 1)
    clipped = np.clip(values, -clip, clip)
    assert np.abs(quantiser.dequantise(integers) - clipped).max() <= quantiser.step * (1 + 1e-9)


@pytest.mark.parametrize("bits", UPDATE_BITS)
def test_rounding_is_unbiased(bits: int) -> None:
    quantiser = Quantiser(bits, 1.0)
    value = 0.37 * quantiser.step
    draws = quantiser.quantise(np.full(200_000, value), b"seed")
    assert abs(draws.mean() - 0.37) < 8 * (0.37 * 0.63 / 200_000) ** 0.5


def test_values_on_the_grid_are_kept_exactly() -> None:
    for bits in UPDATE_BITS:
        quantiser = Quantiser(bits, float((1 << (bits - 1)) - 1))
        grid = np.arange(-quantiser.largest, quantiser.largest + 1, dtype=float)
        assert np.array_equal(quantiser.quantise(grid, b"any"), grid)


def test_same_seed_gives_the_same_integers_and_rounds_differ() -> None:
    values = np.linspace(-1, 1, 1000)
    quantiser = Quantiser(8, 1.0)
    one, two = (quantiser.quantise(values, rounding_seed(b"secret", round)) for round in (1, 2))
    assert np.array_equal(one, quantiser.quantise(values, rounding_seed(b"secret", 1)))
    assert not np.array_equal(one, two)
    digest = hashlib.sha256(quantiser.quantise(values, b"fixed").astype("<i8").tobytes()).hexdigest()
    assert digest == hashlib.sha256(_reference(values).astype("<i8").tobytes()).hexdigest()


def _reference(values: np.ndarray) -> np.ndarray:
    """The rule in plain Python, with AES taken from the library one block at a time."""
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes  # noqa: PLC0415

    key = hashlib.sha256(b"medward rounding 1" + b"fixed").digest()
    block = Cipher(algorithms.AES(key), modes.ECB()).encryptor()
    stream = b"".join(block.update(i.to_bytes(16, "big")) for i in range(len(values) // 2))
    out = []
    for i, value in enumerate(values):
        uniform = (int.from_bytes(stream[8 * i : 8 * i + 8], "little") >> 11) / 2**53
        out.append(max(-127, min(127, int(np.floor(value / (1.0 / 127) + uniform)))))
    return np.array(out)


def test_error_feedback_sends_everything_in_the_end() -> None:
    """What was sent plus what is still carried equals everything that was to be sent, and the rest stays small."""
    generator = np.random.default_rng(1)
    quantiser = Quantiser(4, 0.5)
    carried, sent, wanted = np.zeros(500), np.zeros(500), np.zeros(500)
    for round in range(40):
        update = generator.normal(0, 0.1, 500)
        integers, carried = quantise_with_feedback(quantiser, update, carried, rounding_seed(b"m", round))
        sent += quantiser.dequantise(integers)
        wanted += update
        assert np.allclose(sent + carried, wanted, atol=1e-9)
    assert np.abs(carried).max() <= quantiser.step * (1 + 1e-9)


def test_weighted_mean_through_lanes_is_the_weighted_mean() -> None:
    parameters = sum_parameters(16, 16, 4, 1, 3)
    layout = BlockLayout(parameters, 1, 300)
    generator = np.random.default_rng(2)
    updates, rows = generator.normal(0, 0.2, (10, 300)), generator.integers(1, 5000, 10)
    quantiser = Quantiser(16, 1.0)
    blocks = sum(
        layout.split(np.array([r]), quantiser.quantise(weighted(u, int(r), 5000), bytes([i])))
        for i, (u, r) in enumerate(zip(updates, rows, strict=True))
    )
    weight, *total = layout.join(np.asarray(blocks))
    mean = quantiser.dequantise(np.array(total), weight / 5000)
    assert weight == rows.sum()
    expected = (updates * rows[:, None]).sum(axis=0) / rows.sum()
    assert np.abs(mean - expected).max() < 10 * quantiser.step * 5000 / rows.sum()


@pytest.mark.parametrize(("bits", "clip"), [(5, 1.0), (8, 0.0), (8, -1.0), (8, float("nan")), (8, float("inf"))])
def test_impossible_quantiser_is_refused(bits: int, clip: float) -> None:
    with pytest.raises(UnsafeParameters):
        Quantiser(bits, clip)


def test_values_that_are_not_finite_are_refused() -> None:
    for value in (float("nan"), float("inf")):
        with pytest.raises(UnsafeParameters, match="finite"):
            Quantiser(8, 1.0).quantise(np.array([value]), b"s")
    with pytest.raises(UnsafeParameters):
        weighted(np.zeros(3), -1, 10)


def _summed(p: SumParameters, values: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Return the decoded sum of K equal members, each with the same noise: every rounding error at its largest."""
    total = p.contributors * encode_lanes(p, values, ZERO).astype(np.int64)
    return decode_lanes(p, balance(((total + noise) % p.prime).astype(float), p.prime))


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
            encode_lanes(p, values, ZERO)
    with pytest.raises(LaneOverflow, match="shape"):
        encode_lanes(p, values[1:], ZERO)


@pytest.mark.parametrize("bits", UPDATE_BITS)
@pytest.mark.parametrize("members", MEMBERS)
def test_decoding_is_total_and_nearest(members: int, bits: int) -> None:
    """Every residue decodes; encoding what comes out gives a residue within Delta/2 of it, modulo p."""
    p = of(members, bits)
    generator = np.random.default_rng(1)
    plain = generator.integers(-(p.prime // 2), p.prime // 2 + 1, 2048).astype(float)
    plain[:4] = (p.prime // 2, -(p.prime // 2), 0, p.delta / 2 - 0.5)
    out = decode_lanes(p, plain[None])
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
    plain = sum(encode_lanes(p, v, ZERO).astype(np.int64) for v in values)[0] + noise
    assert np.array_equal(decode_lanes(p, balance((plain % p.prime).astype(float), p.prime)[None]), values.sum(0))


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
