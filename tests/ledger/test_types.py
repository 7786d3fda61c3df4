"""What comes from others is no longer than its form allows, and a block's root is that of the state after it."""

from typing import Any

import pytest
from msgspec.structs import replace

from medward.ledger.bank import Bank, Deposit
from medward.ledger.encoding import decode, encode
from medward.ledger.errors import NotCanonical
from medward.ledger.signatures import AlgorithmBytes
from medward.ledger.types import MAX_TRANSACTION_BYTES, Block, Member, Transaction, TxResult

TRANSACTION = Transaction(bytes(32), 1, b"payload", (AlgorithmBytes("ed25519", bytes(64)),))
MEMBER = Member("north", 0, (AlgorithmBytes("ed25519", bytes(32)),), b"", "host:1")
RESULT = TxResult(0, b"")


@pytest.mark.parametrize(
    ("form", "most"),
    [
        (TRANSACTION, {"payload": bytes(MAX_TRANSACTION_BYTES)}),
        (MEMBER, {"certificate": bytes(4096), "address": "x" * 256}),
        (RESULT, {"code": 2**62, "data": bytes(4096)}),
    ],
)
def test_largest_form_is_read_back(form: Any, most: dict[str, Any]) -> None:
    largest = replace(form, **most)
    assert decode(encode(largest), type(form)) == largest


@pytest.mark.parametrize(
    ("form", "change"),
    [
        (TRANSACTION, {"client": bytes(31)}),
        (TRANSACTION, {"client": bytes(33)}),
        (TRANSACTION, {"nonce": -1}),
        (TRANSACTION, {"payload": bytes(MAX_TRANSACTION_BYTES + 1)}),
        (TRANSACTION, {"payload": "text"}),
        (MEMBER, {"certificate": bytes(4097)}),
        (MEMBER, {"address": "x" * 257}),
        (MEMBER, {"name": ""}),
        (MEMBER, {"name": "x" * 1000}),
        (MEMBER, {"incarnation": -1}),
        (RESULT, {"data": bytes(4097)}),
        (RESULT, {"code": -1}),
    ],
)
def test_form_with_a_part_that_none_has_is_not_read(form: Any, change: dict[str, Any]) -> None:
    with pytest.raises(NotCanonical):
        decode(encode(replace(form, **change)), type(form))


def test_root_of_what_was_applied_is_that_of_the_state_after_it() -> None:
    bank = Bank()
    before = bank.snapshot().app_hash
    applied = bank.apply(Block(1, 1, (replace(TRANSACTION, payload=encode(Deposit("a", 1))),)))
    assert applied.app_hash == bank.snapshot().app_hash != before
