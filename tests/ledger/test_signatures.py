"""Signatures: each holds for one chain, kind, epoch, view and height, under all the algorithms that are asked for."""

from dataclasses import dataclass
from typing import get_args

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from medward.ledger.signatures import (
    CERTIFYING,
    ED25519,
    ML_DSA_65,
    AlgorithmBytes,
    Domain,
    MemberSigner,
    MemberVerifier,
    SignatureKind,
)

KINDS = get_args(SignatureKind)
NUMBERS = st.integers(0, 2**62)
DOMAINS = st.builds(Domain, st.binary(min_size=32, max_size=32), st.sampled_from(KINDS), NUMBERS, NUMBERS, NUMBERS)
DIGEST = bytes(range(32))
DOMAIN = Domain(bytes(32), "commit", 1, 2, 3)


@dataclass
class Signed:
    signer: MemberSigner
    signatures: tuple[AlgorithmBytes, ...]


@pytest.fixture(scope="module")
def plain() -> MemberSigner:
    return MemberSigner(Ed25519PrivateKey.generate())


@pytest.fixture(scope="module")
def hybrid() -> MemberSigner:
    return MemberSigner(Ed25519PrivateKey.generate(), MLDSA65PrivateKey.generate())


@given(DOMAINS, DOMAINS, st.binary(min_size=32, max_size=32), st.binary(min_size=32, max_size=32))
def test_no_two_things_that_can_be_signed_are_the_same_bytes(one: Domain, other: Domain, a: bytes, b: bytes) -> None:
    assert (one.preimage(a) == other.preimage(b)) == ((one, a) == (other, b))


def test_what_is_signed_has_its_kind_and_numbers_at_fixed_places() -> None:
    expected = b"medward/ledger/1" + b"commit".ljust(16, b"\0") + bytes(32)
    expected += bytes([0] * 7 + [1] + [0] * 7 + [2] + [0] * 7 + [3]) + DIGEST
    assert DOMAIN.preimage(DIGEST) == expected


@pytest.mark.parametrize("kind", KINDS)
def test_second_algorithm_signs_what_certificates_are_made_of_alone(
    plain: MemberSigner, hybrid: MemberSigner, kind: SignatureKind
) -> None:
    domain = msgspec.structs.replace(DOMAIN, kind=kind)
    verifier = MemberVerifier()
    both = [ED25519, ML_DSA_65] if kind in CERTIFYING else [ED25519]
    assert [one.algorithm for one in hybrid.sign(domain, DIGEST)] == both
    assert [one.algorithm for one in plain.sign(domain, DIGEST)] == [ED25519]
    assert verifier.valid(hybrid.public_keys, domain, DIGEST, hybrid.sign(domain, DIGEST))
    assert verifier.valid(plain.public_keys, domain, DIGEST, plain.sign(domain, DIGEST))


@pytest.mark.parametrize(
    "changed", [{"chain": bytes([1] * 32)}, {"kind": "checkpoint"}, {"epoch": 0}, {"view": 3}, {"height": 4}]
)
def test_signature_holds_in_no_other_place(plain: MemberSigner, changed: dict[str, object]) -> None:
    signatures = plain.sign(DOMAIN, DIGEST)
    other = msgspec.structs.replace(DOMAIN, **changed)
    assert not MemberVerifier().valid(plain.public_keys, other, DIGEST, signatures)
    assert not MemberVerifier().valid(plain.public_keys, DOMAIN, bytes(32), signatures)


def test_half_a_signature_and_more_than_is_asked_for_are_none(plain: MemberSigner, hybrid: MemberSigner) -> None:
    first, second = hybrid.sign(DOMAIN, DIGEST)
    stranger = plain.sign(DOMAIN, DIGEST)[0]
    keys, verifier = hybrid.public_keys, MemberVerifier()
    assert verifier.valid(keys, DOMAIN, DIGEST, (first, second))
    for wrong in (
        (first,),
        (second,),
        (second, first),
        (first, first),
        (first, second, second),
        (stranger, second),
        (),
    ):
        assert not verifier.valid(keys, DOMAIN, DIGEST, wrong)
    assert not verifier.valid(keys[:1], DOMAIN, DIGEST, (first, second))
    renamed = AlgorithmBytes(ED25519, second.data)
    assert not verifier.valid(keys, DOMAIN, DIGEST, (first, renamed))
    prepare = msgspec.structs.replace(DOMAIN, kind="prepare")
    [alone] = hybrid.sign(prepare, DIGEST)
    assert not verifier.valid(keys, prepare, DIGEST, (alone, second))


@settings(max_examples=30)
@given(st.data())
def test_changed_bit_of_signature_or_key_is_refused_also_after_the_right_one(
    plain: MemberSigner, hybrid: MemberSigner, data: st.DataObject
) -> None:
    signer = data.draw(st.sampled_from([plain, hybrid]))
    verifier, signatures = MemberVerifier(), list(signer.sign(DOMAIN, DIGEST))
    assert verifier.valid(signer.public_keys, DOMAIN, DIGEST, tuple(signatures))
    place = data.draw(st.integers(0, len(signatures) - 1))
    keys = list(signer.public_keys)
    changed = data.draw(st.sampled_from([signatures, keys]))
    content = bytearray(changed[place].data)
    content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    changed[place] = AlgorithmBytes(changed[place].algorithm, bytes(content))
    assert not verifier.valid(tuple(keys), DOMAIN, DIGEST, tuple(signatures))


@pytest.mark.parametrize("algorithm", [ED25519, ML_DSA_65, "rsa", "none"])
@pytest.mark.parametrize("length", [1, 31, 33, 1952, 4096])
def test_key_that_is_none_verifies_nothing_and_raises_nothing(algorithm: str, length: int) -> None:
    keys = (AlgorithmBytes(algorithm, bytes([7]) * length),)
    assert not MemberVerifier().valid(keys, DOMAIN, DIGEST, (AlgorithmBytes(algorithm, bytes(64)),))


def test_known_signature_of_rfc_8032_verifies() -> None:
    """Section 7.1, test 1: the key pair; the signature is over this ledger's bytes and verified independently."""
    secret = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
    public = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
    signer = MemberSigner(Ed25519PrivateKey.from_private_bytes(secret))
    assert signer.public_keys == (AlgorithmBytes(ED25519, public),)
    [signed] = signer.sign(DOMAIN, DIGEST)
    Ed25519PrivateKey.from_private_bytes(secret).public_key().verify(signed.data, DOMAIN.preimage(DIGEST))


def test_valid_signature_is_checked_once_and_invalid_ones_are_never_remembered(plain: MemberSigner) -> None:
    verifier, signatures = MemberVerifier(), plain.sign(DOMAIN, DIGEST)
    for _ in range(3):
        assert verifier.valid(plain.public_keys, DOMAIN, DIGEST, signatures)
    assert verifier.checks == 1
    wrong = (AlgorithmBytes(ED25519, bytes(64)),)
    for _ in range(3):
        assert not verifier.valid(plain.public_keys, DOMAIN, DIGEST, wrong)
    assert verifier.checks == 4


def test_what_is_remembered_is_bounded(plain: MemberSigner) -> None:
    verifier = MemberVerifier()
    verifier._remembered = 5
    for height in range(20):
        domain = msgspec.structs.replace(DOMAIN, height=height)
        assert verifier.valid(plain.public_keys, domain, DIGEST, plain.sign(domain, DIGEST))
    assert len(verifier._valid) == 5
    verifier.remember_proved(range(10_000))
    assert list(verifier.proved) == list(range(10_000 - 2048, 10_000))
