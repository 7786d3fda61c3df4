"""Whatever bytes come in: a reader takes what was written, or refuses with this part's own error and allocates little.

Inputs are arbitrary bytes, true encodings cut, extended, spliced with other kinds or with bits flipped, and a hundred
megabytes.
"""

import hashlib
import tracemalloc
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medward.federation.encrypted_sum import EncryptedSum, EpochMaterial
from medward.federation.interfaces import Slot, WrongSum
from medward.federation.key_ceremony import _decode_key
from medward.fhe import dealing, proofs, sealing
from medward.fhe.encoding import Kind, decode_ciphertext, decode_elements, encode_elements
from medward.fhe.epoch import KeyContribution, check_contribution, contribute
from medward.fhe.errors import FheError
from medward.fhe.keys import parameters_ring, reference_string
from medward.fhe.member import Submission
from medward.fhe.parameters import sum_parameters
from medward.fhe.sumcheck import decode_statement, encode_statement, sum_statement

from .rounds import FEDERATION, MemoryJournal, Ward

TRUSTING = sum_parameters("AGG-S40", 8, 16, 3, "semi-honest")
WARD = Ward.of(TRUSTING)
SEALED = WARD.sealed()
CHECKED = WARD.checked(SEALED)
CONTEXT = dealing.DealingContext(FEDERATION, 1, 3, (1, 2, 3), 3)
DEALT = dealing.deal(TRUSTING, CONTEXT, WARD.secrets[3])
RESPONSE = dealing.respond(TRUSTING, DEALT, b"beacon")
TRANSPORT = sealing.TransportKey()
_, CONTRIBUTION = contribute(TRUSTING, FEDERATION, 1, 1)
STATEMENT = encode_statement(
    TRUSTING, sum_statement(TRUSTING, decode_ciphertext(TRUSTING, SEALED[1].ciphertext), b"beacon")
)
NUMBERS = {"one": 1, "two": 2, "three": 3}
SUMS = EncryptedSum(EpochMaterial(WARD.keys, NUMBERS), "one", MemoryJournal(), 3)
PLACE = Slot("ward", 1, 0, 100, 8)


def _contributed(data: bytes) -> None:
    contribution = KeyContribution(data, CONTRIBUTION.proof)
    commitment = contribution.commitment(TRUSTING, FEDERATION, 1, 1)
    check_contribution(TRUSTING, FEDERATION, 1, 1, contribution=contribution, commitment=commitment)


def _proved(data: bytes) -> None:
    a = reference_string(TRUSTING, FEDERATION, 1)
    digest = hashlib.sha256(CONTRIBUTION.public).digest()
    (b,) = decode_elements(TRUSTING, Kind.PUBLIC_KEY, CONTRIBUTION.public)
    proofs.verify_key(TRUSTING, proofs.Context(FEDERATION, 1, 0, 0, 1), a, b, digest=digest, proof=data)


def _dealt(data: bytes) -> None:
    """A share whose hash the dealer published, whatever it is."""
    digest = dealing.share_digest(CONTEXT, 2, data)
    dealing.check_dealt_share(TRUSTING, CONTEXT, 2, data, digest=digest, beacon=b"beacon", response=RESPONSE)


def _responded(data: bytes) -> None:
    dealing.check_dealt_share(
        TRUSTING, CONTEXT, 2, DEALT.shares[2], digest=DEALT.digests[2], beacon=b"beacon", response=data
    )


READERS: dict[str, tuple[Callable[[bytes], object], bytes]] = {
    "ciphertext": (lambda data: WARD.members[1].verify_submission(1, 0, 2, Submission(data)), SEALED[2].ciphertext),
    "public key": (_contributed, CONTRIBUTION.public),
    "proof": (_proved, CONTRIBUTION.proof),
    "decryption share": (lambda data: WARD.members[1].verify(CHECKED[1], 2, data), WARD.members[2].share(CHECKED[2])),
    "dealt share": (_dealt, DEALT.shares[2]),
    "answer to the beacon": (_responded, RESPONSE),
    "sealed share": (
        lambda data: TRANSPORT.unseal(CONTEXT, 2, data, dealing.dealt_share_bytes(TRUSTING)),
        sealing.seal(CONTEXT, 2, TRANSPORT.public, DEALT.shares[2]),
    ),
    "transport key": (lambda data: sealing.check_public(2, data), TRANSPORT.public),
    "statement": (lambda data: decode_statement(TRUSTING, data), STATEMENT),
    "contribution": (lambda data: SUMS.examine(PLACE, "two", data), SEALED[2].ciphertext),
}
NAMES = sorted(READERS)


def _refused_or_read(name: str, data: bytes) -> bool:
    """Whether a reader took the data; any other error than this part's fails the test."""
    try:
        READERS[name][0](data)
    except (FheError, WrongSum) as error:
        text = str(error)
    else:
        return True
    assert "\n" not in text
    assert len(text) < 300
    return False


@pytest.mark.parametrize("name", NAMES)
def test_what_was_written_is_read(name: str) -> None:
    assert _refused_or_read(name, READERS[name][1])


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(NAMES), st.binary(max_size=400))
def test_arbitrary_bytes_are_refused(name: str, data: bytes) -> None:
    assert not _refused_or_read(name, data)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(NAMES), st.sampled_from(NAMES), st.data())
def test_cut_extended_and_spliced_encodings_are_refused(name: str, other: str, data: st.DataObject) -> None:
    true, foreign = READERS[name][1], READERS[other][1]
    at = data.draw(st.integers(0, len(true) - 1))
    assert not _refused_or_read(name, true[:at])
    assert not _refused_or_read(name, true + data.draw(st.binary(min_size=1, max_size=9)))
    spliced = true[:at] + foreign[at : at + 64] + true[at + 64 :]
    if name not in ("ciphertext", "contribution") and spliced != true:  # c0 of another sum is as good as any
        _refused_or_read(name, spliced)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(NAMES), st.data())
def test_flipped_bits_are_refused_where_something_proves_the_content(name: str, data: st.DataObject) -> None:
    changed = bytearray(READERS[name][1])
    changed[data.draw(st.integers(0, len(changed) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    read = _refused_or_read(name, bytes(changed))
    if name in ("public key", "proof", "dealt share", "answer to the beacon", "sealed share"):
        assert not read or name == "dealt share"  # its salt is only hashed


@pytest.mark.parametrize("name", [name for name in NAMES if name != "dealt share"])
def test_hundred_megabytes_are_refused_before_anything_is_allocated(name: str) -> None:
    huge = READERS[name][1] + bytes(100_000_000)
    tracemalloc.start()
    try:
        assert not _refused_or_read(name, huge)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4_000_000


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200))
def test_blob_of_a_key_that_cannot_be_read_matches_no_commitment(data: bytes) -> None:
    contribution, transport = _decode_key(data)
    assert isinstance(contribution.public, bytes)
    assert isinstance(transport, bytes)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 3), st.integers(0, 3), st.integers(0, 7))
def test_kinds_are_never_taken_for_each_other(kind: int, other: int, byte: int) -> None:
    kinds = (Kind.CIPHERTEXT, Kind.PUBLIC_KEY, Kind.DECRYPTION_SHARE)
    ring = parameters_ring(TRUSTING)
    written = kinds[kind % 3]
    data = encode_elements(TRUSTING, written, *[ring.zero()] * (2 if written is Kind.CIPHERTEXT else 1))
    if kinds[other % 3] is not written:
        with pytest.raises(FheError):
            decode_elements(TRUSTING, kinds[other % 3], data)
    assert data[byte] == (b"MWF1" + bytes([written, 0, 0, 0]))[byte]
