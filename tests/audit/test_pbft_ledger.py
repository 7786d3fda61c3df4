"""Which transaction of a block was altered, from a whole copy of it."""

import pytest

from medward.audit.pbft_ledger import differing
from medward.ledger.encoding import encode

BATCH = (b"first", b"", b"third" * 60)


@pytest.mark.parametrize("bit", [0x01, 0x80])
def test_the_transaction_with_the_altered_byte_is_found_wherever_it_is(bit: int) -> None:
    whole = encode(list(BATCH))
    lengths = [len(encode(one)) for one in BATCH]
    places = [place for place, length in enumerate(lengths) for _ in range(length)]
    head = len(whole) - sum(lengths)
    for at, place in enumerate(places):
        stored = bytearray(whole)
        stored[head + at] ^= bit
        assert differing(BATCH, bytes(stored)) == [place], at


def test_every_altered_transaction_is_found() -> None:
    assert differing(BATCH, encode([b"fIrst", b"", b"Third" * 60])) == [0, 2]


def test_one_that_is_cut_off_or_added_is_told() -> None:
    assert differing(BATCH, encode(list(BATCH[:2]))) == [0]
    assert differing(BATCH, encode(list(BATCH))[:-1]) == [2]
    assert differing(BATCH, encode(list(BATCH)) + b"\x00") == [2]
