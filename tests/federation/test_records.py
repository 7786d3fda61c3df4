"""Records of a federation as bytes: one encoding each, bounded, and digests that no two lists of names share."""

from typing import get_args

import pytest

from medward.federation.records import (
    MOST_BLOCKS,
    Announce,
    Answer,
    Attest,
    BeginRound,
    Change,
    Commitment,
    Complain,
    DataKey,
    Dispatch,
    Finish,
    ModelVote,
    Next,
    NoFit,
    Observe,
    Record,
    Respond,
    Resume,
    Retract,
    RoundTick,
    SealedData,
    SealingKey,
    Show,
    Submit,
    Withdraw,
    audit_beacon_of,
    beacon_of,
    commitment_to,
    decode_record,
    encode_record,
)
from medward.ledger.encoding import encode
from tests.bombs import crowd_of_lists, most_memory_of

NUMBER, NAME, BLOB = 2**62, "n" * 64, "b" * 128
THEN = Next("gram", NUMBER, NUMBER, Dispatch(NUMBER, tuple(range(MOST_BLOCKS)), NUMBER))
#: The largest record of each kind.
RECORDS: tuple[Record, ...] = (
    BeginRound(NUMBER, "survey", BLOB, (NAME,) * 64, NUMBER, NUMBER, THEN.dispatch),
    Commitment(NUMBER, NAME, bytes(32)),
    Submit(NUMBER, NAME, BLOB, BLOB),
    Attest(NUMBER, NAME, (NAME,), (NAME,), (NAME,)),
    Show(NUMBER, NAME, BLOB),
    Answer(NUMBER, NAME, BLOB),
    NoFit(NUMBER, NAME, (NAME,) * 64),
    Respond(NUMBER, NAME, bytes(4096)),
    Complain(NUMBER, NAME, NAME, BLOB),
    Finish(NUMBER, NAME, BLOB, THEN),
    ModelVote(NUMBER, NAME, False),
    RoundTick(NUMBER),
    DataKey(BLOB),
    SealedData(BLOB, bytes(32), NUMBER, (NAME,) * 256),
    Withdraw(BLOB),
    SealingKey(NAME, bytes(4096)),
    Announce(bytes(1024)),
    Change(NAME, bytes(32), bytes(8192), bytes(1024)),
    Retract(NAME),
    Resume(),
    Observe(True),
)


def test_there_is_one_of_each_kind() -> None:
    assert {type(record) for record in RECORDS} == set(get_args(Record))


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_largest_records_come_back_from_their_one_encoding(record: Record) -> None:
    payload = encode_record(record)
    assert decode_record(payload) == record
    # Fields that may be left out are written all the same, and a list has no other length.
    for wrong in (payload[:-1], payload + b"\0", payload[:1], b"\x98" + payload[1:]):
        assert decode_record(wrong) is None
    assert payload[0] == 0x81 + len(record.__struct_fields__)
    assert decode_record(bytes([payload[0] + 1]) + payload[1:] + b"\0") is None


@pytest.mark.parametrize(
    "record",
    [
        Finish(0, NAME, "m" * 129, None),
        Finish(0, NAME, "m", Next("train", 0, 1, Dispatch(16, tuple(range(MOST_BLOCKS + 1))))),
        Finish(0, NAME, "", None), RoundTick(2**62 + 1), RoundTick(-1), Commitment(0, NAME, bytes(31)),
        Commitment(0, NAME, bytes(33)), Submit(0, NAME, "", BLOB), Submit(0, NAME, BLOB, BLOB + "b"),
        Respond(0, NAME, bytes(4097)), SealingKey(NAME, bytes(4097)), Announce(bytes(1025)), Retract(""),
        Retract(NAME + "n"), Change(NAME + "n", None, None), Change(NAME, None, bytes(8193)),
        Change(NAME, None, None, bytes(1025)), SealedData(BLOB, bytes(33), 0, (NAME,)), SealedData(BLOB, b"", 0, ()),
        SealedData(BLOB, b"", 0, (NAME,) * 257), DataKey(""), Withdraw(BLOB + "b"),
        BeginRound(0, "trees", BLOB, (NAME,), 1, 1),  # type: ignore[arg-type]
    ],
    ids=lambda record: type(record).__name__,
)  # fmt: skip
def test_record_that_names_more_than_it_can_is_none(record: Record) -> None:
    """Threat T4: what a member says is kept with the round for ever."""
    assert decode_record(encode_record(record)) is None


def test_bytes_of_nothing_are_no_record() -> None:
    for payload in (
        b"",
        b"\x80",
        b"\xff",
        encode("tick"),
        encode(["tock", 1]),
        encode(["tick", "1"]),
        encode([1, "tick"]),
    ):
        assert decode_record(payload) is None


def test_crowd_of_empty_lists_is_refused_before_it_is_made() -> None:
    """What comes from a member costs what it weighs."""
    crowd = crowd_of_lists()
    assert decode_record(crowd) is None
    assert most_memory_of(lambda: decode_record(crowd)) < 10 * len(crowd)


def test_commitment_is_to_one_blob_of_one_member_in_one_round_of_one_federation() -> None:
    """Parts that run into each other, as a name that ends with a digit and a number do, are others."""
    said = [
        ("ward", 1, "north", "blob"), ("ward", 2, "north", "blob"), ("ward", 1, "south", "blob"),
        ("ward", 1, "north", "b"),
        ("ward1", 1, "north", "blob"), ("ward", 11, "north", "blob"), ("ward", 1, "1north", "blob"),
        ("ward", 1, "northb", "lob"), ("", 1, "wardnorth", "blob"),
    ]  # fmt: skip
    commitments = {commitment_to(*one) for one in said}
    assert len(commitments) == len(said)
    assert {len(one) for one in commitments} == {32}


def test_beacons_follow_from_all_that_was_said_in_whatever_order() -> None:
    said = {"a": b"1" * 32, "b": b"2" * 32}
    beacon = beacon_of("ward", 1, b"block", said)
    assert beacon == beacon_of("ward", 1, b"block", dict(reversed(said.items())))
    others = [
        beacon_of("ward", 1, b"another", said), beacon_of("ward", 2, b"block", said), beacon_of("w", 1, b"block", said),
        beacon_of("ward", 1, b"block", {"a": said["b"], "b": said["a"]}),
        beacon_of("ward", 1, b"block", {"a": said["a"]}),
        beacon_of("ward", 1, b"block", {}), beacon_of("ward", 1, b"blocka", {"": said["a"], "b": said["b"]}),
        audit_beacon_of("ward", 1, b"block", {name: one.decode() for name, one in said.items()}),
        commitment_to("ward", 1, "block", "a"),
    ]  # fmt: skip
    assert len({beacon, *others}) == 1 + len(others)


def test_beacon_of_an_audit_follows_from_all_answers_in_whatever_order() -> None:
    said = {"a": "one", "b": "other"}
    beacon = audit_beacon_of("ward", 1, b"block", said)
    assert beacon == audit_beacon_of("ward", 1, b"block", dict(reversed(said.items())))
    swapped, fewer = {"a": "other", "b": "one"}, {"a": "one"}
    assert beacon not in [
        audit_beacon_of("ward", 1, b"block", other) for other in (swapped, fewer, {"a": "oneb", "": "other"})
    ]
