"""The messages between replicas: one form each, and one that is too long or too empty costs no decoding."""

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medward.ledger.encoding import encode
from medward.ledger.errors import NotCanonical
from medward.ledger.pbft.messages import (
    MAX_FRAME,
    ChunkAnswer,
    Echo,
    FetchBlocks,
    FetchChunk,
    Message,
    Prepare,
    Request,
    Status,
    decode_message,
    encode_message,
)
from medward.ledger.signatures import AlgorithmBytes

SIGNED = (AlgorithmBytes("ed25519", bytes(64)),)
COUNTS = st.one_of(st.integers(0, 30), st.integers(0, 2**62))
MESSAGES = st.one_of(
    st.builds(FetchBlocks, COUNTS, COUNTS),
    st.builds(FetchChunk, COUNTS, COUNTS),
    st.builds(Status, COUNTS, COUNTS, st.booleans(), COUNTS, COUNTS, COUNTS, st.booleans(), COUNTS),
    st.builds(ChunkAnswer, COUNTS, COUNTS, st.binary(max_size=80)),
    st.builds(Request, st.lists(st.binary(max_size=80), max_size=4).map(tuple)),
)
VOTE = Prepare(0, 0, 1, bytes(32), "h00", SIGNED)


@given(MESSAGES)
def test_message_comes_back_from_its_one_form(message: Message) -> None:
    data = encode_message(message)
    assert decode_message(data) == message
    for other in (data + b"\0", data[:-1], b"\x98" + data):
        with pytest.raises(NotCanonical):
            decode_message(other)


@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_refused_or_are_exactly_what_they_say(data: bytes) -> None:
    try:
        message = decode_message(data)
    except NotCanonical:
        return
    assert encode_message(message) == data


@pytest.mark.parametrize("kind", ["prepare", "commit", "status", "fetch-blocks", "checkpoint", "unknown", ""])
def test_small_kind_that_is_long_is_refused_by_its_length_alone(kind: str) -> None:
    data = encode([kind, bytes(20_000)])
    with pytest.raises(NotCanonical, match="longer than its kind may be, 16384 bytes"):
        decode_message(data)


def test_chunk_and_batch_may_be_as_long_as_a_frame_and_no_longer() -> None:
    longest = ChunkAnswer(1, 1, bytes(MAX_FRAME - 100))
    assert decode_message(encode_message(longest)) == longest
    with pytest.raises(NotCanonical, match="longer than its kind"):
        decode_message(encode_message(ChunkAnswer(1, 1, bytes(MAX_FRAME))))


@pytest.mark.parametrize("kind", ["request", "pre-prepare", "view-change", "new-view", "echo", "batch", "manifest"])
def test_message_of_empty_lists_is_refused_before_they_are_all_read(kind: str) -> None:
    count = 2**19
    data = b"\x82" + encode(kind) + b"\x9a" + count.to_bytes(4, "big") + b"\x80" * count
    with pytest.raises(NotCanonical, match="more items than anything of that length says"):
        decode_message(data)


@pytest.mark.parametrize(
    "altered",
    [
        ["fetch-blocks", 1],
        ["fetch-blocks", 1, 2, 3],
        ["fetch-blocks", -1, 2],
        ["fetch-blocks", 2**62 + 1, 2],
        ["fetch-blocks", "1", 2],
        ["fetch-blocks", True, 2],
        ["prepare", 0, 0, 1, bytes(31), "h00", [["ed25519", bytes(64)]]],
        ["prepare", 0, 0, 1, bytes(32), "", [["ed25519", bytes(64)]]],
        ["prepare", 0, 0, 1, bytes(32), "h" * 65, [["ed25519", bytes(64)]]],
        ["prepare", 0, 0, 1, bytes(32), "h00", []],
        ["prepare", 0, 0, 1, bytes(32), "h00", [["ed25519", bytes(64)]] * 3],
        ["prepare", 0, 0, 1, bytes(32), "h00", [["ed25519", b""]]],
        ["prepare", 0, 0, 1, bytes(32), "h00", [["ed25519", bytes(4097)]]],
        ["chunk", 1, 1, "text"],
        ["request", None],
        ["echo", [["status", 0, 0, False, 0, 0, 0, False, 0]]],
    ],
)
def test_field_out_of_its_range_is_refused(altered: object) -> None:
    with pytest.raises(NotCanonical):
        decode_message(encode(altered))


def test_echo_holds_no_more_votes_than_a_peer_can_have_given() -> None:
    most = 4 * 1024
    assert len(encode_message(Echo((VOTE,) * most))) < 2**22
    decode_message(encode_message(Echo((VOTE,) * most)))
    with pytest.raises(NotCanonical):
        decode_message(encode_message(Echo((VOTE,) * (most + 1))))


def test_every_kind_has_a_name_short_enough_that_its_limit_is_found() -> None:
    names = [kind.__struct_config__.tag for kind in get_args(Message)]
    assert len(set(names)) == len(names) == 18
    assert all(len(name) < 24 for name in names)
