"""Rows of residues: every balanced residue comes back, each value has one form, and what is no residue is refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medward.fhe.computing.formats.residue_rows import pack_rows, rows_bytes, unpack_rows
from medward.fhe.errors import MalformedEncoding

DEGREE = 64
PRIMES = (3, 97, 65537, 2**31 - 1, 1125899906842597)


@given(st.integers(0, 2**32), st.integers(1, len(PRIMES)))
def test_rows_come_back_and_fill_whole_words(seed: int, count: int) -> None:
    primes, rng = PRIMES[:count], np.random.default_rng(seed)
    rows = np.stack([rng.integers(-(q // 2), q // 2, DEGREE, endpoint=True) for q in primes]).astype(float)
    data = pack_rows(rows, primes)
    assert len(data) == rows_bytes(DEGREE, primes) == sum(8 * q.bit_length() for q in primes)
    np.testing.assert_array_equal(unpack_rows(memoryview(data), DEGREE, primes), rows)


@pytest.mark.parametrize("prime", PRIMES)
def test_ends_of_the_range_come_back(prime: int) -> None:
    rows = np.zeros((1, DEGREE))
    rows[0, ::3], rows[0, 1::3] = prime // 2, -(prime // 2)
    np.testing.assert_array_equal(unpack_rows(memoryview(pack_rows(rows, (prime,))), DEGREE, (prime,)), rows)


@given(st.binary(min_size=8 * 7, max_size=8 * 7))
def test_any_bytes_are_refused_or_are_what_is_written(data: bytes) -> None:
    prime = 97
    try:
        rows = unpack_rows(memoryview(data), DEGREE, (prime,))
    except MalformedEncoding:
        value = int.from_bytes(data, "little")
        assert any(value >> (7 * place) & 127 >= prime for place in range(DEGREE))
    else:
        assert pack_rows(rows, (prime,)) == data


@pytest.mark.parametrize("place", [0, 9, 31, 63])
def test_the_prime_itself_is_no_residue(place: int) -> None:
    good = ((1 << 7 * DEGREE) - 1) & 0
    for residue, is_one in ((96, True), (97, False), (127, False)):
        data = (good | residue << 7 * place).to_bytes(56, "little")
        if is_one:
            assert unpack_rows(memoryview(data), DEGREE, (97,))[0, place] == -1
        else:
            with pytest.raises(MalformedEncoding, match="not below its prime 97"):
                unpack_rows(memoryview(data), DEGREE, (97,))


@pytest.mark.parametrize("size", [0, 55, 57])
def test_other_lengths_are_refused(size: int) -> None:
    with pytest.raises(MalformedEncoding, match=f"have {size} bytes, not 56"):
        unpack_rows(memoryview(bytes(size)), DEGREE, (97,))
