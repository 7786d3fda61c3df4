"""What all ledgers of computing have in common: whose key it is, whose word counts, and text that a terminal prints."""

import pytest

from medward.errors import printable
from medward.federation.computing.records import (
    MOST_REASON,
    KeyOnRecord,
    KeyPublished,
    faulty_of,
    number_of,
    oldest,
    stands,
    with_key,
    with_opened,
)
from medward.federation.errors import RecordRefused
from medward.federation.outsourced.records import (
    TaskDeclined,
    TaskEnded,
    decode_outsourced_record,
)
from medward.federation.scoring.records import BatchDeclined, decode_scoring_record
from medward.ledger.encoding import encode

DIGITS = "/0123456789abcdef"


def key(holder: str, outputs: int = 1024) -> KeyPublished:
    return KeyPublished("blob", holder, outputs)


def test_member_publishes_one_key_for_its_life() -> None:
    keys = with_key({}, key(f"east{DIGITS}"), "east")
    assert keys == {"east": KeyOnRecord(key(f"east{DIGITS}"))}
    for again in (key(f"east{DIGITS}"), key("east/fedcba9876543210")):
        with pytest.raises(RecordRefused, match="east has a key already"):
            with_key(keys, again, "east")
    assert set(with_key(keys, key(f"north{DIGITS}"), "north")) == {"east", "north"}


@pytest.mark.parametrize(
    "holder",
    [
        f"north{DIGITS}", f"eas{DIGITS}", f"eastern{DIGITS}", "east", "east/", "east/0123", f"east{DIGITS}0",
        f"east{DIGITS.upper()}", f"east/wing{DIGITS}", f"east{DIGITS}\n", f"/east{DIGITS}",
    ],
)  # fmt: skip
def test_key_of_another_owner_is_refused(holder: str) -> None:
    """The copy of the key of a member `east/wing` would be taken for one of `east`, and two owners had one name."""
    with pytest.raises(RecordRefused, match="is not one of east"):
        with_key({}, key(holder), "east")


def test_name_with_a_slash_has_a_key_of_its_own() -> None:
    assert set(with_key({}, key(f"east/wing{DIGITS}"), "east/wing")) == {"east/wing"}


def test_opened_outputs_are_added_up_for_one_member_alone() -> None:
    keys = with_key(with_key({}, key(f"east{DIGITS}"), "east"), key(f"north{DIGITS}"), "north")
    opened = with_opened(with_opened(keys, "east", 3), "east", 4)
    assert (opened["east"].opened, opened["north"].opened, keys["east"].opened) == (7, 0, 0)
    assert opened["east"].published == keys["east"].published


@pytest.mark.parametrize("faulty", [0, 1, 2])
def test_result_stands_once_more_than_f_others_have_it(faulty: int) -> None:
    others = [(f"member-{k}", "right") for k in range(faulty + 1)]
    assert stands(others, "right", "asker", faulty)
    assert not stands(others[:-1], "right", "asker", faulty)
    assert not stands([*others[:-1], ("asker", "right"), ("liar", "wrong")], "right", "asker", faulty)
    assert not stands([*others, ("liar", "wrong")], "wrong", "asker", faulty + 1)


def test_members_that_may_lie_are_fewer_than_a_third() -> None:
    assert [faulty_of("a" * count) for count in range(1, 11)] == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3]


def test_oldest_are_the_least_numbers_and_never_more_than_asked_for() -> None:
    numbers = ["00000010", "00000002", "00000009"]
    assert oldest(iter(numbers), 2) == ["00000002", "00000009"]
    assert oldest(numbers, 9) == sorted(numbers)
    assert oldest(numbers, 0) == oldest(numbers, -1) == []


def test_numbers_are_in_the_order_of_their_count_and_nothing_else_is_a_number() -> None:
    counts = [1, 9, 10, 99_999_999]
    assert sorted(map(number_of, counts)) == [number_of(count) for count in counts]
    assert decode_outsourced_record(encode(TaskEnded(number_of(7)))) == TaskEnded("00000007")
    for number in ("7", "000000007", "0000000x", "00000007\n", "\n00000007", "0000000٧", ""):
        assert decode_outsourced_record(encode(TaskEnded(number))) is None


@pytest.mark.parametrize(
    "reason",
    ["", "x" * (MOST_REASON + 1), "a\nb", "a\n", "\x1b[2J", "a\tb", "\x7f", "\x9b2J", "\u202egnp.exe", "a\u2028b"],
)
def test_reason_that_is_no_line_for_a_terminal_is_no_record(reason: str) -> None:
    """A member that declines chooses what others read of it on their terminals."""
    assert decode_outsourced_record(encode(TaskDeclined(number_of(1), reason))) is None
    assert decode_scoring_record(encode(BatchDeclined(number_of(1), reason))) is None


def test_reason_of_any_error_is_told_once_it_is_printable() -> None:
    for error in ("the disk is full: 'œ'\n[Errno 28]", "\x1b[2J\x9b\u202e\u2029", "x" * 900):
        reason = printable(error)[:MOST_REASON]
        assert decode_scoring_record(encode(BatchDeclined(number_of(1), reason))) == BatchDeclined("00000001", reason)
        assert decode_outsourced_record(encode(TaskDeclined(number_of(1), reason))) is not None
