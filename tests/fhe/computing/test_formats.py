"""Keys, ciphertexts and opened parts as bytes: one encoding for every value, and nothing else is let in."""

import hashlib
import io
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medward.fhe.computing.ciphertexts import encrypt, encrypt_for
from medward.fhe.computing.evaluation import add, conjugate, multiply
from medward.fhe.computing.formats.ciphertext_files import write_ciphertexts
from medward.fhe.computing.formats.ciphertexts import most_ciphertext_bytes, read_ciphertext, write_ciphertext
from medward.fhe.computing.formats.fields import HEADER_BYTES
from medward.fhe.computing.formats.keys import (
    read_evaluation_key,
    read_public_key,
    write_evaluation_key,
    write_public_key,
)
from medward.fhe.computing.formats.residue_rows import pack_rows, rows_bytes, unpack_rows
from medward.fhe.computing.keys import GadgetKey, SwitchingKey
from medward.fhe.errors import MalformedEncoding
from tests.fhe.computing.samples import TINY, by_owner, computed, for_owner, formats
from tests.fhe.computing.world import owners, small, unit_slots

_NAMES = ("public key", "evaluation key", "key with a gadget", "encrypted", "encrypted for", "computed", "opened part")
_KNOWN = {
    "public key": "f9f1cf4f4e9c3ab2ba1e14c31226a9535bb8c56a65f6b45911d8ae02bd1a5d7e",
    "evaluation key": "8123c416b69c06734af5ac4234105d014062733dcd2da9638f04be88568b1d9b",
    "key with a gadget": "4875732c55e17d2b652492fcc4026d346dc31a89518ad87dbc5e62e1ca74224d",
    "encrypted": "49765a6d959a1550916111e6fdf39409dbfaf8151ff06f448b50a2a35a71142f",
    "encrypted for": "4ea81891c44dfb05585d778d4552506fa0b58690078834e25275e25c50b7083a",
    "computed": "20dfe8af6b81015345627da6a257e519af581a304ae6dd7874a65ab824d9d349",
    "opened part": "969ab42c25a7ee9529ea9cd0918a3575012f43fdf0585e9a1c227f60277c1dd4",
}


@pytest.mark.parametrize("name", _NAMES)
def test_known_object_has_its_known_bytes_and_comes_back_whole(name: str) -> None:
    write, read, value = formats()[name]
    data = write(value)
    assert hashlib.sha256(data).hexdigest() == _KNOWN[name]
    again = read(TINY, data)
    assert write(again) == data
    assert _arrays(again) == _arrays(value)
    assert read(TINY, memoryview(b"x" + data)[1:]) is not None, "also where words are not aligned"


def test_known_file_has_its_known_bytes() -> None:
    file = io.BytesIO()
    digest = write_ciphertexts(file, TINY, [by_owner(), for_owner(), computed()])
    assert (
        hashlib.sha256(file.getvalue()).hexdigest()
        == "1945422514d1be562019cc7deee4593812590787a0f6222d822f7ad7866ae844"
    )
    assert file.getvalue()[:8] == b"MWC1\x05\0\0\0"
    assert file.getvalue()[-44:] == bytes(4) + (3).to_bytes(8, "little") + digest


def _arrays(value: object) -> list[object]:
    """All that an object holds, in an order."""
    out: list[object] = []
    for name, field in vars(value).items():
        if isinstance(field, np.ndarray):
            out.append((name, field.tolist()))
        elif isinstance(field, SwitchingKey | GadgetKey):
            out.append((name, _arrays(field)))
        elif isinstance(field, dict):
            out.append((name, [(k, _arrays(v)) for k, v in sorted(field.items())]))
        else:
            out.append((name, field))
    return out


def test_head_of_a_ciphertext_is_laid_out_as_the_specification_says() -> None:
    data, good = write_ciphertext(computed()), computed()
    names = b"".join(bytes([len(owner)]) + owner.encode() for owner in good.owners)
    head = b"MWC1\x03\0\0\0" + TINY.digest[:16] + bytes([0, 0, 2]) + names + struct.pack("<ddd", 2.0, 1000.0, 0.5)
    assert data.startswith(head)
    assert len(data) == len(head) + 3 * 2 * 64 * 50 // 8


@settings(max_examples=60, deadline=None)
@given(st.sampled_from([q for bits in (30, 45, 76) for q in small(1, bits).primes]), st.data())
def test_packing_is_the_little_endian_number_of_the_residues(prime: int, data: st.DataObject) -> None:
    values = data.draw(st.lists(st.integers(-(prime // 2), prime // 2), min_size=64, max_size=64))
    packed = pack_rows(np.array([values], float), [prime])
    number = sum((v % prime) << (prime.bit_length() * k) for k, v in enumerate(values))
    assert int.from_bytes(packed, "little") == number
    assert len(packed) == rows_bytes(64, [prime]) == 8 * prime.bit_length()
    assert unpack_rows(memoryview(packed), 64, (prime,)).tolist() == [values]


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(TINY.primes), st.integers(0, 63), st.integers(0, 1 << 20))
def test_residue_of_the_prime_or_more_is_refused_wherever_it_stands(prime: int, place: int, above: int) -> None:
    bits = prime.bit_length()
    value = min(prime + above, (1 << bits) - 1)
    data = (value << (bits * place)).to_bytes(8 * bits, "little")
    with pytest.raises(MalformedEncoding, match="below its prime"):
        unpack_rows(memoryview(data), 64, (prime,))


def _refused_or_canonical(name: str, data: bytes) -> bool:
    """Whether bytes are refused; if not they must be the one encoding of what they hold."""
    write, read, _ = formats()[name]
    try:
        value = read(TINY, data)
    except MalformedEncoding:
        return True
    assert write(value) == data
    return False


@pytest.mark.parametrize("name", _NAMES)
def test_every_byte_of_the_head_altered_is_refused_or_another_value(name: str) -> None:
    data = formats()[name][0](formats()[name][2])
    refused = [
        _refused_or_canonical(name, data[:k] + bytes([data[k] ^ flip]) + data[k + 1 :])
        for k in range(min(len(data), 160))
        for flip in (1, 0x80, 0xFF)
    ]
    assert all(refused[: 3 * HEADER_BYTES])


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(_NAMES), st.data())
def test_altered_bytes_are_refused_or_the_encoding_of_another_value(name: str, data: st.DataObject) -> None:
    good = bytearray(formats()[name][0](formats()[name][2]))
    kind = data.draw(st.sampled_from(["flip", "cut", "longer", "insert"]))
    place = data.draw(st.integers(0, len(good) - 1))
    if kind == "flip":
        good[place] ^= data.draw(st.integers(1, 255))
    elif kind == "cut":
        del good[place:]
    elif kind == "longer":
        good += bytes(data.draw(st.integers(1, 100)))
    else:
        good.insert(place, data.draw(st.integers(0, 255)))
    refused = _refused_or_canonical(name, bytes(good))
    assert refused or kind == "flip"


@pytest.mark.parametrize("name", _NAMES)
def test_bytes_of_another_kind_or_of_other_parameters_are_refused(name: str) -> None:
    write, read, value = formats()[name]
    data = write(value)
    for other in _NAMES:
        if formats()[other][0] is not write:
            with pytest.raises(MalformedEncoding, match="something else than a"):
                read(TINY, formats()[other][0](formats()[other][2]))
    with pytest.raises(MalformedEncoding, match="made with other parameters"):
        read(small(levels=2, degree=64), data)
    with pytest.raises(MalformedEncoding, match="take the newest medward"):
        read(TINY, b"MWC2" + data[4:])


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 3), st.integers(0, 3), st.integers(0, 1 << 16), st.booleans())
def test_ciphertexts_of_real_keys_come_back_the_same(count: int, level: int, seed: int, by_public: bool) -> None:
    world = owners(3)
    values = unit_slots(world.parameters.slots, seed)
    result = encrypt(world.secret(0), values, level=level)
    for k in range(1, count):
        secret = world.secret(k)
        other = (encrypt_for(secret.public_key(), values, level=level) if by_public
                 else encrypt(secret, values, level=level))  # fmt: skip
        assert len(write_ciphertext(other)) <= most_ciphertext_bytes(world.parameters, 1)
        result = add(result, other)
    if level and seed % 2:
        result = multiply(result, result, world.keys)
    again = read_ciphertext(world.parameters, write_ciphertext(result))
    assert (again.level, again.owners, again.bound, again.seed) == (
        result.level, result.owners, result.bound, result.seed,
    )  # fmt: skip
    assert np.array_equal(again.parts, result.parts)


def test_keys_that_were_written_encrypt_and_multiply() -> None:
    world = owners(2)
    parameters = world.parameters
    keys = {o: read_evaluation_key(parameters, write_evaluation_key(key)) for o, key in world.keys.items()}
    public = read_public_key(parameters, write_public_key(world.secret(1).public_key()))
    a, b = unit_slots(parameters.slots, 1), unit_slots(parameters.slots, 2)
    x, y = encrypt(world.secret(0), a), encrypt_for(public, b)
    result = conjugate(multiply(x, y, keys), keys)
    assert np.array_equal(result.parts, conjugate(multiply(x, y, world.keys), world.keys).parts)
    assert world.error(result, np.conj(a * b)) <= result.slot_error
