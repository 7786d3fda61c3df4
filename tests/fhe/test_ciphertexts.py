"""Ciphertext blocks: their definition, exact sums, one error for each coefficient, and what is refused."""

import numpy as np
import pytest

from medward.fhe import ciphertexts
from medward.fhe.encoding import pack_residues, residue_bytes, unpack_residues
from medward.fhe.errors import LaneOverflow, MalformedEncoding
from medward.fhe.parameters import DEGREE
from medward.fhe.sampling import KeyStream
from tests.fhe.world import World

WORLD = World(4, values=9000)
CONTEXT, PARAMETERS = WORLD.context, WORLD.parameters
P = PARAMETERS.prime


def _values(fill: int) -> np.ndarray:
    return np.full((CONTEXT.blocks, PARAMETERS.lanes, DEGREE), fill, np.int64)


def _secret(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(-40, 41, DEGREE)


def _noise(packed: bytes, secret: np.ndarray) -> np.ndarray:
    """c_l - a_l s, balanced: the message and the error of each block."""
    ring, size = CONTEXT.ring, residue_bytes(DEGREE)
    out = []
    for number, a in enumerate(CONTEXT.block_elements):
        c = unpack_residues(packed[size * number : size * (number + 1)], P, DEGREE)[None]
        product = ring.multiply_add(ring.forward(ring.embed(secret)), a, ring.zero())
        out.append(ring.inverse(ring.subtract(c, product))[0])
    return np.stack(out).astype(np.int64)


def test_zeros_encrypt_to_errors_of_the_promised_width_that_no_two_blocks_share() -> None:
    errors = _noise(ciphertexts.encrypt(CONTEXT, _secret(1), _values(0), KeyStream(bytes(32))), _secret(1))
    assert CONTEXT.blocks == 2
    assert errors.shape == (2, DEGREE)
    assert abs(errors.std() - 7) < 0.4
    assert np.abs(errors).max() < 80
    assert abs(np.corrcoef(errors)[0, 1]) < 0.1


@pytest.mark.parametrize("sign", [1, -1])
def test_message_is_delta_times_the_lanes_in_their_radix(sign: int) -> None:
    largest = sign * PARAMETERS.largest_value
    plain = _noise(ciphertexts.encrypt(CONTEXT, _secret(2), _values(largest), KeyStream(bytes(32))), _secret(2))
    message = largest * sum(PARAMETERS.radix**lane for lane in range(PARAMETERS.lanes))
    assert np.abs(plain - message * PARAMETERS.delta).max() < 80


@pytest.mark.parametrize("sign", [1, -1])
def test_sum_of_the_largest_values_of_all_members_comes_back_exactly(sign: int) -> None:
    largest = sign * PARAMETERS.largest_value
    secrets = [_secret(seed) for seed in range(4)]
    packed = [
        ciphertexts.encrypt(CONTEXT, s, _values(largest), KeyStream(bytes([k]) * 32)) for k, s in enumerate(secrets)
    ]
    sums = ciphertexts.add_elements(CONTEXT, map(memoryview, packed))
    found = ciphertexts.decrypt(CONTEXT, sums, sum(secrets))
    assert np.array_equal(found, _values(4 * largest))


def test_sum_decrypts_to_noise_under_a_secret_that_is_off_by_one_unit() -> None:
    secret = _secret(3)
    sums = ciphertexts.add_elements(
        CONTEXT, [memoryview(ciphertexts.encrypt(CONTEXT, secret, _values(1), KeyStream(bytes(32))))]
    )
    off = secret.copy()
    off[5] += 1
    found = ciphertexts.decrypt(CONTEXT, sums, off)
    assert (found == 1).mean() < 0.5 + 0.1 * PARAMETERS.lanes / 4
    assert np.array_equal(ciphertexts.decrypt(CONTEXT, sums, secret), _values(1))


def test_value_beyond_its_lane_is_refused_and_the_text_names_no_value() -> None:
    for sign in (1, -1):
        values = _values(0)
        values[-1, -1, -1] = sign * (PARAMETERS.largest_value + 1)
        with pytest.raises(LaneOverflow, match=r"outside -127\.\.127"):
            ciphertexts.encrypt(CONTEXT, _secret(1), values, KeyStream(bytes(32)))


def test_blocks_of_another_number_are_refused() -> None:
    for values in (_values(0)[:1], np.concatenate([_values(0), _values(0)])):
        with pytest.raises(ValueError, match="zip"):
            ciphertexts.encrypt(CONTEXT, _secret(1), values, KeyStream(bytes(32)))


def test_check_block_is_its_definition() -> None:
    """b = a_0 s + e_0, coefficient by coefficient, in Python integers."""
    ring, secret, error = CONTEXT.ring, _secret(5), _secret(6)
    b = ring.integers(ring.inverse(ciphertexts.check_block(CONTEXT, secret, error)))
    a = ring.integers(ring.inverse(CONTEXT.check_element.copy()))
    for place in (0, 1, DEGREE - 1):
        product = sum(int(secret[k]) * (a[place - k] if k <= place else -a[place - k + DEGREE]) for k in range(DEGREE))
        assert (product + int(error[place]) - b[place]) % P == 0


def test_elements_add_up_to_balanced_residues_of_the_exact_sum() -> None:
    generator = np.random.default_rng(7)
    elements = [generator.integers(-(P // 2), P // 2 + 1, DEGREE).astype(float) for _ in range(5)]
    extremes = [np.full(DEGREE, float(P // 2))] * 40 + [np.full(DEGREE, -1.0)] * 40
    found = ciphertexts.add_elements(CONTEXT, [memoryview(pack_residues(e, P)) for e in elements + extremes])
    assert found.shape == (1, DEGREE)
    for place in range(0, DEGREE, 97):
        assert (int(found[0, place]) - sum(int(e[place]) for e in elements + extremes)) % P == 0
    assert np.abs(found).max() <= P // 2


def test_nothing_to_add_and_elements_of_other_lengths_or_with_a_residue_of_p_are_refused() -> None:
    with pytest.raises(ValueError, match="nothing to add"):
        ciphertexts.add_elements(CONTEXT, [])
    good = pack_residues(np.zeros(DEGREE), P)
    for wrong in (good[:-8], good + bytes(8), good + good, P.to_bytes(8, "little") + good[8:]):
        with pytest.raises(MalformedEncoding):
            ciphertexts.add_elements(CONTEXT, [memoryview(good), memoryview(wrong)])
