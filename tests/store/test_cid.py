"""Content identifiers and the varints in them."""

import hashlib
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multiformats import CID, multibase

from medward.store.cid import DAG_CBOR, DAG_PB, IDENTITY, RAW, SHA2_256, Cid
from medward.store.errors import InvalidCid
from medward.store.varint import decode_varint, encode_varint

digests = st.binary(min_size=32, max_size=32)
cids = st.one_of(
    st.builds(lambda digest: Cid(0, DAG_PB, SHA2_256, digest), digests),
    st.builds(
        lambda codec, digest: Cid(1, codec, SHA2_256, digest), st.sampled_from([RAW, DAG_PB, DAG_CBOR, 0x0129]), digests
    ),
    st.builds(lambda content: Cid(1, RAW, IDENTITY, content), st.binary(max_size=128)),
)


@pytest.mark.parametrize(
    ("value", "encoded"), [(1, "01"), (127, "7f"), (128, "8001"), (255, "ff01"), (300, "ac02"), (16384, "808001")]
)
def test_varints_have_the_published_form(value: int, encoded: str) -> None:
    assert encode_varint(value).hex() == encoded
    assert decode_varint(bytes.fromhex(encoded)) == (value, len(encoded) // 2)


@pytest.mark.parametrize("encoded", ["", "80", "8000", "ff00", "ffffffffffffffffff01", "80808080808080808001"])
def test_varints_that_are_cut_off_over_long_or_not_minimal_are_refused(encoded: str) -> None:
    with pytest.raises(ValueError, match="varint"):
        decode_varint(bytes.fromhex(encoded))


@given(st.integers(0, (1 << 63) - 1))
def test_every_varint_comes_back(value: int) -> None:
    encoded = encode_varint(value)
    assert decode_varint(encoded) == (value, len(encoded))


def test_the_published_cids_are_read_and_written() -> None:
    raw = Cid.parse("zb2rhe5P4gXftAwvA4eXQ5HJwsER2owDyS9sKaQRRVQPn93bA")
    assert (raw.version, raw.codec) == (1, RAW)
    assert raw.digest.hex() == "6e6ff7950a36187a801613426e858dce686cd7d7e3c0fc42ee0330072d245c95"
    assert str(Cid.of(b"")) == "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"
    assert str(Cid.of(b"\xa0", DAG_CBOR)) == "bafyreigbtj4x7ip5legnfznufuopl4sg4knzc2cof6duas4b3q2fy6swua"
    assert Cid.parse("bafkqaaa").inline == b""
    assert (
        Cid.of(b"multihash").multihash.hex() == "12209cbc07c3f991725836a3aa2a581ca2029198aa420b9d99bc0e131d9f3e2cbe47"
    )


@given(cids)
def test_text_and_bytes_come_back_and_agree_with_another_library(cid: Cid) -> None:
    assert Cid.parse(str(cid)) == cid
    assert Cid.decode(bytes(cid)) == cid
    if cid.codec != 0x0129:
        theirs = CID.decode(bytes(cid))
        assert str(theirs if cid.version == 0 else theirs.set(base="base32")) == str(cid)


@given(cids, st.sampled_from(["base16", "base32", "base32upper", "base36", "base58btc"]))
def test_every_base_that_kubo_writes_is_read(cid: Cid, base: str) -> None:
    if cid.version == 1:
        assert Cid.parse(multibase.encode(bytes(cid), base)) == cid


@given(st.binary(max_size=60))
def test_arbitrary_bytes_give_a_cid_with_these_bytes_or_a_clear_error(data: bytes) -> None:
    with suppress(InvalidCid):
        assert bytes(Cid.decode(data)) == data


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "begins like no CID"),
        ("hello", "begins like no CID"),
        ("Qm" + "1" * 43, "begins like no CID"),
        ("bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvykv", "bits that belong to no byte"),
        ("bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku=", "lower case and without padding"),
        ("bAFKREIHDWDCEFGH4DQKJV67UZCMW7OJEE6XEDZDETOJUZJEVTENXQUVYKU", "lower case"),
        ("b" * 600, "longer than any"),
        ("bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvy", "cut off"),
        ("é", "begins like no CID"),
    ],
)
def test_texts_that_are_no_cid_are_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(InvalidCid, match=reason):
        Cid.parse(text)


@pytest.mark.parametrize("hash_code", [0x11, 0x13, 0x1E, 0xB220])
def test_a_hash_function_that_cannot_be_checked_is_refused(hash_code: int) -> None:
    encoded = b"\x01\x55" + encode_varint(hash_code) + b"\x20" + bytes(32)
    with pytest.raises(InvalidCid, match="cannot be checked"):
        Cid.decode(encoded)


def test_a_shortened_sha256_is_refused() -> None:
    with pytest.raises(InvalidCid, match="cannot be checked"):
        Cid.decode(b"\x01\x55\x12\x10" + hashlib.sha256(b"").digest()[:16])


def test_versions_and_codecs_of_one_content_share_a_key() -> None:
    old, new = Cid.of(b"block", DAG_PB, 0), Cid.of(b"block", RAW)
    assert old != new
    assert old.key == new.key


def test_a_cid_knows_its_content_from_any_other() -> None:
    cid = Cid.of(b"ciphertext")
    assert cid.matches(b"ciphertext")
    assert not cid.matches(b"ciphertexT")
