"""Sums under the joint key: exact for every set and width, on random and extreme updates."""

import numpy as np
import pytest

from medward.fhe.decryption import combine, decryption_share
from medward.fhe.encryption import Ciphertext, encrypt, sum_ciphertexts
from medward.fhe.errors import LaneOverflow
from medward.fhe.keys import generate_key, joint_key, parameters_ring, reference_string
from medward.fhe.lanes import COUNT_BITS, BlockLayout, decode, encode
from medward.fhe.parameters import SumParameters, sum_parameters

from .sums import Federation, updates

SETS = [
    ("AGG-S40", "semi-honest", 4), ("AGG-S40", "semi-honest", 8), ("AGG-S40", "semi-honest", 12),
    ("AGG-S40", "semi-honest", 16), ("AGG-M", "semi-honest", 4), ("AGG-M", "semi-honest", 8),
    ("AGG-M", "semi-honest", 12), ("AGG-M", "semi-honest", 16), ("AGG-M", "malicious", 4), ("AGG-M", "malicious", 8),
    ("AGG-M", "malicious", 12), ("AGG-M", "malicious", 16), ("AGG-L", "semi-honest", 8), ("AGG-L", "malicious", 8),
]  # fmt: skip


@pytest.mark.parametrize(("name", "members", "bits"), SETS)
def test_sum_of_random_and_extreme_updates_is_exact(name: str, members: str, bits: int) -> None:
    parameters = sum_parameters(name, bits, 16, 4, members)  # type: ignore[arg-type]
    federation = Federation.of(parameters)
    for kind in ("random", "lowest", "highest", "alternating"):
        values = [updates(parameters, kind, seed) for seed in range(16)]
        aggregate = sum_ciphertexts(parameters, [federation.encrypt(v) for v in values])
        assert np.array_equal(federation.decrypt(aggregate), sum(values))


def test_lanes_hold_as_many_members_as_promised() -> None:
    parameters = sum_parameters("AGG-M", 8, 16, 3, "semi-honest")
    federation = Federation.of(parameters)
    lowest = updates(parameters, "lowest", 0)
    ciphertext = federation.encrypt(lowest)
    assert np.array_equal(federation.decrypt(sum_ciphertexts(parameters, [ciphertext] * 16)), 16 * lowest)
    with pytest.raises(LaneOverflow, match="1 to 16"):
        sum_ciphertexts(parameters, [ciphertext] * 17)


def test_missing_share_is_noticed_and_decodes_to_nothing() -> None:
    parameters = sum_parameters("AGG-M", 8, 16, 4, "semi-honest")
    federation = Federation.of(parameters)
    aggregate = federation.encrypt(updates(parameters, "random", 1))
    shares = [decryption_share(parameters, s, aggregate.c1)[0] for s in federation.secrets]
    with pytest.raises(LaneOverflow):
        combine(parameters, aggregate, shares[:-1])


def test_share_for_another_ciphertext_is_noticed() -> None:
    parameters = sum_parameters("AGG-M", 8, 16, 3, "semi-honest")
    federation = Federation.of(parameters)
    first, second = (federation.encrypt(updates(parameters, "random", seed)) for seed in (1, 2))
    shares = [decryption_share(parameters, s, first.c1)[0] for s in federation.secrets]
    with pytest.raises(LaneOverflow):
        combine(parameters, Ciphertext(second.c0, second.c1), shares)


def test_every_member_computes_identical_sums_whatever_the_order() -> None:
    parameters = sum_parameters("AGG-M", 8, 16, 3, "semi-honest")
    federation = Federation.of(parameters)
    ciphertexts = [federation.encrypt(updates(parameters, "random", seed)) for seed in range(5)]
    one, other = (sum_ciphertexts(parameters, order) for order in (ciphertexts, ciphertexts[::-1]))
    assert np.array_equal(one.c0, other.c0)
    assert np.array_equal(one.c1, other.c1)


def test_value_outside_its_lane_is_refused() -> None:
    parameters = sum_parameters("AGG-M", 8, 16, 3, "semi-honest")
    noise = np.zeros(parameters.degree, np.int64)
    for wrong in (128, -129):
        values = updates(parameters, "random", 0)
        values[3, 7] = wrong
        with pytest.raises(LaneOverflow, match="clip"):
            encode(parameters, values, noise)
    with pytest.raises(LaneOverflow, match="shape"):
        encode(parameters, values[:-1], noise)


def test_decoding_finds_noise_and_messages_out_of_bounds() -> None:
    parameters = sum_parameters("AGG-M", 8, 16, 3, "semi-honest")
    ring = parameters_ring(parameters)
    values = updates(parameters, "random", 0)
    noise = np.zeros(parameters.degree, np.int64)
    good = encode(parameters, values, noise)
    assert np.array_equal(decode(parameters, good), values)
    unit = np.zeros(parameters.degree, np.int64)
    unit[5] = 1
    too_noisy = parameters.residual_bound + (1 << (parameters.delta_bits - 20))
    assert too_noisy < 1 << (parameters.delta_bits - 1)
    beyond_lanes = 1 << (parameters.delta_bits + parameters.lane_bits * parameters.lanes)
    for spoiled in (too_noisy, -too_noisy, beyond_lanes):
        with pytest.raises(LaneOverflow, match="1 coefficients"):
            decode(parameters, ring.add(good, ring.embed(unit, [spoiled])))


@pytest.mark.parametrize("bits", [4, 8, 12, 16])
@pytest.mark.parametrize(("counts", "values"), [(1, 1), (1, 1000), (300, 0), (7, 45_001), (0, 12)])
def test_layout_gives_back_the_sums_of_counts_and_values(bits: int, counts: int, values: int) -> None:
    layout = BlockLayout(sum_parameters("AGG-M", bits, 16, 3, "semi-honest"), counts, values)
    generator = np.random.default_rng(bits)
    half = 1 << (bits - 1)
    some_counts = generator.integers(0, 1 << COUNT_BITS, (16, counts))
    some_values = generator.integers(-half, half, (16, values))
    some_counts[0] = (1 << COUNT_BITS) - 1
    blocks = sum(layout.split(c, v) for c, v in zip(some_counts, some_values, strict=True))
    assert isinstance(blocks, np.ndarray)
    summed_counts, summed_values = layout.join(blocks)
    assert np.array_equal(summed_counts, some_counts.sum(axis=0))
    assert np.array_equal(summed_values, some_values.sum(axis=0))


def test_layout_refuses_what_does_not_fit() -> None:
    layout = BlockLayout(sum_parameters(), 2, 10)
    zero = np.zeros(10, np.int64)
    for count in (1 << COUNT_BITS, -1):
        with pytest.raises(LaneOverflow, match="a count is outside"):
            layout.split(np.array([0, count]), zero)
    with pytest.raises(LaneOverflow, match="not 2 and 9"):
        layout.split(np.zeros(2, np.int64), zero[1:])


def test_noise_of_a_sum_has_the_predicted_size() -> None:
    """The standard deviation of e0 + v e + e1 s, against sqrt(K sigma^2 (1 + 4/3 N n)), without floods."""
    parameters: SumParameters = sum_parameters("AGG-M", 8, 16, 8, "semi-honest")
    ring = parameters_ring(parameters)
    a = reference_string(parameters, b"noise", 1)
    keys = [generate_key(parameters, a) for _ in range(8)]
    key = joint_key(parameters, [b for _, b in keys])
    zero = np.zeros((parameters.lanes, parameters.degree), np.int64)
    total = sum_ciphertexts(parameters, [encrypt(parameters, a, key, zero)[0] for _ in range(16)])
    opened = ring.sum([total.c0, *(ring.multiply_add(s.evaluated(parameters), total.c1, ring.zero()) for s, _ in keys)])
    noise = np.array(ring.integers(ring.inverse(opened)), np.float64)
    predicted = (16 * 10.5 * (1 + 4 / 3 * parameters.degree * 8)) ** 0.5
    assert 0.9 < noise.std() / predicted < 1.1
