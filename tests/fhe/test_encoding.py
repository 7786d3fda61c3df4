"""Bytes: one encoding for every object, and nothing else is let in."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medward.fhe.encoding import (
    HEADER_BYTES,
    EncodingKind,
    add_residues,
    body,
    check_residues,
    header,
    pack_residues,
    residue_bytes,
    unpack_residues,
)
from medward.fhe.errors import MalformedEncoding

P = 1125899906802689
DIGEST = bytes(range(16))


def _residues(count: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).integers(-(P // 2), P // 2 + 1, count).astype(float)


@pytest.mark.parametrize("count", [1, 2, 31, 32, 33, 64, 579, 2051, 2243, 2048, 8256])
def test_residues_round_trip_in_50_bits_each(count: int) -> None:
    vector = _residues(count)
    vector[:: max(1, count // 5)] = P // 2
    vector[1 :: max(1, count // 5)] = -(P // 2)
    data = pack_residues(vector, P)
    assert len(data) == residue_bytes(count) == 8 * -(-50 * count // 64)
    assert np.array_equal(unpack_residues(data, P, count), vector)
    check_residues(data, P, count)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(-(P // 2), P // 2), min_size=1, max_size=80))
def test_packing_is_the_little_endian_number_of_the_residues(values: list[int]) -> None:
    number = sum((v % P) << (50 * k) for k, v in enumerate(values))
    assert int.from_bytes(pack_residues(np.array(values, float), P), "little") == number


@pytest.mark.parametrize("count", [7, 32, 2051])
@pytest.mark.parametrize("value", [P, P + 1, (1 << 50) - 1])
def test_residue_of_p_or_more_is_refused_wherever_it_stands(count: int, value: int) -> None:
    number = int.from_bytes(pack_residues(np.zeros(count), P), "little")
    for place in (0, count // 2, count - 1):
        data = (number | value << (50 * place)).to_bytes(residue_bytes(count), "little")
        for read in (unpack_residues, check_residues):
            with pytest.raises(MalformedEncoding, match="residue"):
                read(data, P, count)
        with pytest.raises(MalformedEncoding, match="residue"):
            add_residues(data, P, np.zeros(count, np.uint64))


@pytest.mark.parametrize("count", [1, 7, 31, 2051, 2243])
def test_bits_behind_the_last_residue_are_refused(count: int) -> None:
    for bit in range(50 * count, 8 * residue_bytes(count)):
        with pytest.raises(MalformedEncoding):
            unpack_residues((1 << bit).to_bytes(residue_bytes(count), "little"), P, count)


def test_thousand_contributions_add_up_exactly() -> None:
    totals = np.zeros(64, np.uint64)
    vectors = [_residues(64, seed) for seed in range(40)] + [np.full(64, -1.0)] * 984
    for vector in vectors:
        add_residues(pack_residues(vector, P), P, totals)
    expected = [sum(int(v[j]) % P for v in vectors) for j in range(64)]
    assert totals.tolist() == expected


def test_header_says_kind_version_and_sum() -> None:
    good = header(EncodingKind.ANSWER, DIGEST) + bytes(8)
    assert len(good) == HEADER_BYTES + 8
    assert bytes(body(EncodingKind.ANSWER, DIGEST, good, 8)) == bytes(8)
    for wrong, text in (
        (b"MWF1" + good[4:], "version"),
        (good[:4] + b"\x01" + good[5:], "kind"),
        (good[:6] + b"\x01" + good[7:], "kind"),
        (good[:8] + bytes(16) + good[24:], "another sum"),
        (good + b"\0", "bytes"),
        (good[:-1], "bytes"),
        (b"", "bytes"),
    ):
        with pytest.raises(MalformedEncoding, match=text):
            body(EncodingKind.ANSWER, DIGEST, wrong, 8)


def test_wrong_length_is_refused_before_anything_is_allocated() -> None:
    huge = bytes(50_000_000)
    tracemalloc.start()
    with pytest.raises(MalformedEncoding):
        body(EncodingKind.CONTRIBUTION, DIGEST, huge, 1000)
    with pytest.raises(MalformedEncoding):
        unpack_residues(huge, P, 2048)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 200_000
