"""Attacks by bytes: seeds used twice, keys under other names, bounds that lie, parts of other results, bombs."""

import hashlib
import os
import struct
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from medward.fhe.computing.ciphertexts import Ciphertext, decrypt, encrypt, encrypt_for, expanded_c1
from medward.fhe.computing.context import computing_context
from medward.fhe.computing.evaluation import add, lower, multiply
from medward.fhe.computing.flooding import FloodShape
from medward.fhe.computing.formats.ciphertexts import read_ciphertext, write_ciphertext
from medward.fhe.computing.formats.fields import HEADER_BYTES, MOST_OWNERS
from medward.fhe.computing.formats.keys import (
    read_evaluation_key,
    read_public_key,
    write_evaluation_key,
    write_public_key,
)
from medward.fhe.computing.formats.opened_parts import read_opened_part, write_opened_part
from medward.fhe.computing.formats.residue_rows import rows_bytes
from medward.fhe.computing.keys import PublicElements, SecretKey
from medward.fhe.computing.opening import OpenedPart, combine
from medward.fhe.computing.parameters import BASE_PRIMES
from medward.fhe.errors import CiphertextMismatch, MalformedEncoding
from tests.fhe.computing.samples import (
    PRIMES,
    TINY,
    by_owner,
    computed,
    elements,
    evaluation_key,
    for_owner,
    opened_part,
    public_key,
)
from tests.fhe.computing.world import LABEL, owners, small


def test_seed_halves_a_ciphertext_and_is_gone_after_any_operation() -> None:
    world = owners(1)
    fresh = encrypt(world.secret(0), [0.5])
    whole = replace(fresh, seed=None)
    assert len(write_ciphertext(fresh)) < 0.55 * len(write_ciphertext(whole))
    for result in (add(fresh, fresh), lower(fresh, 1), multiply(fresh, fresh, world.keys)):
        assert result.seed is None
    assert lower(fresh, fresh.level).seed == fresh.seed


def test_seed_belongs_to_its_owner_level_and_parameters() -> None:
    """The same 32 bytes with another owner, level or set are another element."""
    seed, names = bytes(32), ("a/0123456789abcdef", "b/0123456789abcdef")
    found = {
        expanded_c1(parameters, owner, level, seed)[0].tobytes()
        for parameters in (small(levels=2), small(levels=2, digit=3))
        for owner in names
        for level in (1, 2)
    }
    found |= {
        PublicElements(names[0], small(levels=2), seed).expand(*purpose)[0, 0].tobytes()
        for purpose in (("d1",), ("square",), ("automorphism", 5), ("automorphism", 125))
    }
    assert len(found) == 12


def test_clone_of_a_machine_never_has_one_seed_or_one_error_for_two_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the system's randomness cloned, too: the same message is the same ciphertext, another shares nothing."""
    world = owners(1)
    secret, parameters = world.secret(0), world.parameters
    monkeypatch.setattr(os, "urandom", bytes)
    first, again, other = (encrypt(secret, [value]) for value in (0.5, 0.5, 0.25))
    assert write_ciphertext(first) == write_ciphertext(again)
    assert first.seed != other.seed
    context, at = computing_context(parameters), slice(0, BASE_PRIMES)

    def phase(x: Ciphertext) -> list[int]:
        found = context.ring.multiply_add(x.parts[1, at], secret.s[at], x.parts[0, at].copy(), at)
        return context.ring.integers(context.ring.inverse(found, at), at)

    # The second message is half the first: under one error e, 2 m_2 + 2 e - (m_1 + e) would be e and roundings.
    doubled = np.array([2 * b - a for a, b in zip(phase(first), phase(other), strict=True)], float)
    assert float(np.std(doubled)) > 1.5 * 11**0.5
    public = secret.public_key()
    one, two = (encrypt_for(public, [value]) for value in (0.5, 0.25))
    assert not np.array_equal(one.parts[1], two.parts[1])


def test_key_under_the_name_of_another_is_refused() -> None:
    public, other = public_key("ahus"), public_key("bergen")
    with pytest.raises(MalformedEncoding, match="is not the one of bergen/"):
        read_public_key(TINY, write_public_key(replace(public, owner=other.owner)))
    with pytest.raises(MalformedEncoding, match="is not the one of ahus/"):
        read_public_key(TINY, write_public_key(replace(public, label=b"another label")))
    key = evaluation_key()
    crafted = replace(key, b=np.concatenate([elements("crafted", 1, TINY.primes), key.b[1:]]))
    with pytest.raises(MalformedEncoding, match="evaluation key that is not the one of ahus/"):
        read_evaluation_key(TINY, write_evaluation_key(crafted))


@pytest.mark.parametrize("powers", [(127, 5), (5, 5), (4, 5), (0, 5), (5, 129)])
def test_powers_of_automorphisms_that_are_not_odd_and_rising_are_refused(powers: tuple[int, int]) -> None:
    key = evaluation_key()
    key = replace(key, automorphisms={5: key.automorphisms[127], 127: key.automorphisms[127]})
    data = write_evaluation_key(key)
    good, bad = (b"".join(power.to_bytes(4, "little") for power in pair) for pair in ((5, 127), powers))
    assert data.count(good) == 1
    with pytest.raises(MalformedEncoding, match=r"not odd and rising|power"):
        read_evaluation_key(TINY, data.replace(good, bad))


def test_ciphertext_that_says_less_noise_than_it_can_have_is_refused() -> None:
    """Flooding follows from the bound: an input that lies about it would have a key open too much."""
    bound = computing_context(TINY).noise.fresh(1.0, 1)
    for noise in (0.0, 1.0, bound.noise * 0.99):
        data = write_ciphertext(replace(by_owner(), seed=None, bound=replace(bound, noise=noise)))
        with pytest.raises(MalformedEncoding, match="less noise than any encryption"):
            read_ciphertext(TINY, data)
    seeded = write_ciphertext(replace(by_owner(), bound=replace(bound, noise=0.0)))
    assert read_ciphertext(TINY, seeded).bound == bound, "what its owner encrypted has the bound of its size"


def test_input_is_what_was_encrypted_and_has_the_bounds_of_that() -> None:
    for good in (by_owner(), for_owner()):
        data = write_ciphertext(good)
        assert read_ciphertext(TINY, data, input_only=True).bound == good.bound
        assert struct.pack("<d", good.bound.noise) not in data, "nobody is asked what is known"
    with pytest.raises(MalformedEncoding, match="that somebody computed: an input is as its owner encrypted it"):
        read_ciphertext(TINY, write_ciphertext(computed()), input_only=True)
    # The form of what was computed, with the bounds of an encryption, would be a second encoding.
    good, end = for_owner(), -2 * rows_bytes(64, PRIMES)
    data = write_ciphertext(good)
    bounds = struct.pack("<dd", good.bound.noise, good.bound.coding)
    second = data[: HEADER_BYTES + 1] + b"\0" + data[HEADER_BYTES + 2 : end] + bounds + data[end:]
    with pytest.raises(MalformedEncoding, match="in the form of what was computed"):
        read_ciphertext(TINY, second)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (0, -1.0),
        (0, -0.0),
        (0, float("nan")),
        (0, float("inf")),
        (0, 2.0**60),
        (1, float("nan")),
        (1, 1e300),
        (2, 1e40),
    ],
)
def test_bounds_that_are_no_bounds_are_refused(place: int, value: float) -> None:
    good = computed()
    at = len(write_ciphertext(good)) - 3 * rows_bytes(64, TINY.primes[:BASE_PRIMES]) - 24 + 8 * place
    data = bytearray(write_ciphertext(good))
    data[at : at + 8] = struct.pack("<d", value)
    with pytest.raises(MalformedEncoding, match=r"it is finite and not negative|bounds that no operation gives"):
        read_ciphertext(TINY, bytes(data))


def test_levels_owners_and_names_that_no_ciphertext_has_are_refused() -> None:
    good, data = computed(), write_ciphertext(computed())
    for level, text in ((1, "bytes, not"), (2, "level 2: it is 0 to 1")):
        with pytest.raises(MalformedEncoding, match=text):
            read_ciphertext(TINY, data[:HEADER_BYTES] + bytes([level]) + data[HEADER_BYTES + 1 :])
    with pytest.raises(MalformedEncoding, match="several owners"):
        read_ciphertext(TINY, data[: HEADER_BYTES + 1] + b"\1" + data[HEADER_BYTES + 2 :])
    for names in (good.owners[::-1], (good.owners[0],) * 2):
        with pytest.raises(MalformedEncoding, match="alphabetical order, each once"):
            read_ciphertext(TINY, write_ciphertext(replace(good, owners=names)))
    for name in ("ahus", "ahus/", "/0123456789abcdef", "ahus/0123456789ABCDEF", "a\nb/0123456789abcdef",
                 "a" * 300 + "/0123456789abcdef", "\x1b[2J/0123456789abcdef"):  # fmt: skip
        with pytest.raises(MalformedEncoding, match="names no key"):
            write_ciphertext(replace(good, owners=(name, good.owners[1])))
    many = tuple(f"{k:03}/0123456789abcdef" for k in range(MOST_OWNERS + 1))
    with pytest.raises(MalformedEncoding, match="65 owners"):
        write_ciphertext(replace(good, owners=many, parts=np.zeros((66, BASE_PRIMES, 64))))
    no_text = data.replace(b"ahus/", b"ah\xff\xfe/")
    with pytest.raises(MalformedEncoding, match="no UTF-8"):
        read_ciphertext(TINY, no_text)
    for name in ("", "two\nlines", "a" * 240):
        with pytest.raises(CiphertextMismatch, match="name of its owner"):
            SecretKey(name, TINY, LABEL)


def test_part_of_another_ciphertext_opens_nothing() -> None:
    world = owners(1)
    first, second = (encrypt(world.secret(0), [value]) for value in (0.5, 0.25))
    digest = hashlib.sha256(write_ciphertext(first)).digest()
    part = OpenedPart(first.owners[0], world.parameters, digest, FloodShape(1, 1), first.parts[0, :BASE_PRIMES])
    combine(first, [part])
    with pytest.raises(CiphertextMismatch, match="of another ciphertext"):
        combine(second, [part])
    with pytest.raises(CiphertextMismatch, match="of another ciphertext"):
        combine(replace(first, bound=replace(first.bound, size=1.5)), [part])


def test_part_with_noise_of_no_shape_is_refused() -> None:
    for shape in (FloodShape(1, 2), FloodShape(2, 1), FloodShape(31, 4), FloodShape(0, 1), FloodShape(5, 64)):
        with pytest.raises(MalformedEncoding, match="noise"):
            read_opened_part(TINY, write_opened_part(replace(opened_part(), flood=shape)))


def test_what_is_too_short_for_what_it_says_is_refused_before_memory_is_taken() -> None:
    """A head that tells of four thousand automorphisms, of 64 owners, or of much data behind it."""
    parameters = small(degree=4096)
    key = write_evaluation_key(owners(1, parameters).keys[owners(1, parameters).secret(0).owner])
    head = HEADER_BYTES + 1 + key[HEADER_BYTES] + 2 + len(LABEL) + 32 + 1
    many = key[:head] + (4096).to_bytes(4, "little") + b"".join(
        (2 * k + 1).to_bytes(4, "little") for k in range(4096)
    )  # fmt: skip
    data = write_ciphertext(computed())
    names = b"".join(b"\x14" + f"{k:03}/0123456789abcdef".encode() for k in range(64))
    crowd = data[: HEADER_BYTES + 2] + b"\x40" + names + data[-400 - 24 :]
    long = data + bytes(50_000_000)
    computing_context(parameters)
    tracemalloc.start()
    with pytest.raises(MalformedEncoding, match="bytes, not"):
        read_evaluation_key(parameters, many)
    for short in (crowd, long):
        with pytest.raises(MalformedEncoding):
            read_ciphertext(TINY, short)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000


def test_errors_of_ciphertexts_show_no_residues() -> None:
    world = owners(1)
    assert "array" not in repr(encrypt(world.secret(0), [0.5]))
    assert str(encrypt(world.secret(0), [0.5]).seed) not in repr(encrypt(world.secret(0), [0.5]))
    assert np.abs(decrypt(encrypt(world.secret(0), [0.5]), world.secrets)[0] - 0.5) < 1e-9
