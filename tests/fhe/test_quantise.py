"""Quantisation: bounded, unbiased, the same everywhere, and nothing is lost for good."""

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medward.fhe.errors import UnsafeParameters
from medward.fhe.lanes import BlockLayout
from medward.fhe.parameters import UPDATE_BITS, sum_parameters
from medward.fhe.quantise import Quantiser, quantise_with_feedback, rounding_seed, weighted

REALS = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=50).map(np.array)


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
