"""Bytes: one encoding for every object, and nothing else is let in."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medward.fhe.encoding import (
    HEADER_BYTES,
    Kind,
    decode_ciphertext,
    decode_elements,
    element_bytes,
    encode_ciphertext,
    encode_elements,
    pack_words,
    unpack_words,
)
from medward.fhe.encryption import Ciphertext
from medward.fhe.errors import MalformedEncoding
from medward.fhe.keys import parameters_ring
from medward.fhe.parameters import sum_parameters
from medward.fhe.sampling import KeyStream, uniform_element

PARAMETERS = sum_parameters("AGG-S40", 8, 16, 3, "semi-honest")
RING = parameters_ring(PARAMETERS)


def _ciphertext(seed: int = 0) -> Ciphertext:
    stream = KeyStream(bytes([seed]) * 32)
    return Ciphertext(uniform_element(stream, RING), uniform_element(stream, RING))


@pytest.mark.parametrize("name", ["AGG-S40", "AGG-M", "AGG-L"])
def test_ciphertext_round_trips_in_50_bits_a_residue(name: str) -> None:
    parameters = sum_parameters(name, 8, 64, 64, "semi-honest")
    ring = parameters_ring(parameters)
    half = np.array([(q - 1) // 2 for q in ring.primes], np.float64)[:, None]
    extreme = np.tile(half, (1, ring.degree))
    extreme[:, ::3] *= -1
    extreme[:, 1::3] = 0
    data = encode_ciphertext(parameters, Ciphertext(extreme, uniform_element(KeyStream(), ring)))
    assert len(data) == HEADER_BYTES + 2 * ring.degree * ring.limbs * 50 // 8
    again = decode_ciphertext(parameters, data)
    assert np.array_equal(again.c0, extreme)
    assert encode_ciphertext(parameters, again) == data


def test_packing_puts_low_bits_first() -> None:
    element = RING.zero()
    element[0, 0], element[0, 1], element[0, 2] = 5, -1, 3
    data = encode_elements(PARAMETERS, Kind.PUBLIC_KEY, element)[HEADER_BYTES:]
    number = int.from_bytes(data, "little")
    mask = (1 << 50) - 1
    assert [(number >> (50 * k)) & mask for k in range(4)] == [5, RING.primes[0] - 1, 3, 0]


def test_residue_of_q_or_more_is_refused() -> None:
    data = bytearray(encode_elements(PARAMETERS, Kind.PUBLIC_KEY, RING.zero()))
    for value in (RING.primes[0], (1 << 50) - 1):
        data[HEADER_BYTES : HEADER_BYTES + 7] = value.to_bytes(7, "little")
        with pytest.raises(MalformedEncoding, match="residue"):
            decode_elements(PARAMETERS, Kind.PUBLIC_KEY, bytes(data))


def test_other_parameters_kind_version_or_reserved_bytes_are_refused() -> None:
    data = encode_ciphertext(PARAMETERS, _ciphertext())
    for wrong in (b"MWF2" + data[4:], data[:4] + b"\x02" + data[5:], data[:6] + b"\x01" + data[7:]):
        with pytest.raises(MalformedEncoding):
            decode_ciphertext(PARAMETERS, wrong)
    with pytest.raises(MalformedEncoding, match="another parameter set"):
        decode_ciphertext(sum_parameters("AGG-S40", 8, 64, 3, "semi-honest"), data)
    with pytest.raises(MalformedEncoding, match="bytes here"):
        decode_ciphertext(sum_parameters("AGG-M", 8, 16, 3, "semi-honest"), data)


def test_wrong_length_is_refused_before_anything_is_allocated() -> None:
    huge = bytes(50_000_000)
    tracemalloc.start()
    for data in (huge, b"", b"MWF1", huge[: element_bytes(PARAMETERS)]):
        with pytest.raises(MalformedEncoding):
            decode_ciphertext(PARAMETERS, data)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 200_000


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2 * element_bytes(PARAMETERS) + HEADER_BYTES - 1), st.integers(0, 7))
def test_flipped_bit_is_refused_or_decodes_to_another_object(position: int, bit: int) -> None:
    data = bytearray(encode_ciphertext(PARAMETERS, _ciphertext()))
    data[position] ^= 1 << bit
    try:
        again = decode_ciphertext(PARAMETERS, bytes(data))
    except MalformedEncoding:
        return
    assert encode_ciphertext(PARAMETERS, again) == bytes(data)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_arbitrary_bytes_never_crash_the_decoder(data: bytes) -> None:
    with pytest.raises(MalformedEncoding):
        decode_ciphertext(PARAMETERS, data)


@settings(deadline=None)
@given(st.integers(1, 63), st.randoms(use_true_random=False))
def test_words_of_any_width_round_trip(width: int, random: object) -> None:
    values = np.array([random.getrandbits(width) for _ in range(128)], np.uint64)  # type: ignore[attr-defined]
    packed = pack_words(values, width)
    assert len(packed) == 16 * width
    assert np.array_equal(unpack_words(memoryview(packed), width, 128), values)
