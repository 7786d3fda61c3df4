"""The bank as a node's rules: the governor changes the members, and contacts that others noted are read with care."""

import pytest

from medward.ledger.bank import NOT_ALLOWED, ChangeMembers, Note
from medward.ledger.encoding import decode_form, encode
from medward.ledger.types import Block, MemberUpdate, Transaction
from medward.node.bank import BankRules
from medward.node.errors import InvalidConfiguration
from medward.node.home.cards import Contact

GOVERNOR, CLIENT = bytes([1]) * 32, bytes([2]) * 32
LEAVES = MemberUpdate("north", None)


def transaction(client: bytes, payload: bytes) -> Transaction:
    return Transaction(client, 1, payload, ())


@pytest.mark.parametrize("governor", ["", "zz" * 32, "00" * 31, "00" * 33, "é"])
def test_governor_that_is_no_key_is_refused(governor: str) -> None:
    with pytest.raises(InvalidConfiguration, match="governor: expected a client's public key"):
        BankRules({"governor": governor})


@pytest.mark.parametrize(
    ("governor", "client", "code"),
    [(GOVERNOR, GOVERNOR, 0), (GOVERNOR, CLIENT, NOT_ALLOWED), (None, CLIENT, NOT_ALLOWED)],
)
def test_only_the_governor_changes_members(governor: bytes | None, client: bytes, code: int) -> None:
    rules = BankRules({} if governor is None else {"governor": governor.hex()})
    [order] = rules.change_members(LEAVES, None)
    applied = rules.make_application().apply(Block(1, 1, (transaction(client, order),)))
    assert applied.results[0].code == code
    assert applied.member_updates == (() if code else (LEAVES,))


def test_contact_is_noted_before_the_member_comes_and_read_back() -> None:
    rules, contact = BankRules({}), Contact("north", "10.0.0.7:4001", ("/ip4/10.0.0.7",))
    noted, order = rules.change_members(LEAVES, contact)
    assert isinstance(decode_form(order, ChangeMembers), ChangeMembers)
    bank = rules.make_application()
    bank.apply(Block(1, 1, (transaction(CLIENT, noted),)))
    assert rules.contact("north", bank.query) == contact
    assert rules.contact("south", bank.query) is None


@pytest.mark.parametrize("noted", [b"", b"\xff", encode(["north"]), encode(Contact("south", "10.0.0.7:1"))])
def test_whatever_else_somebody_notes_is_no_contact(noted: bytes) -> None:
    rules = BankRules({})
    bank = rules.make_application()
    bank.apply(Block(1, 1, (transaction(CLIENT, encode(Note("contact/north", noted))),)))
    assert bank.query("contact/north") == noted
    assert rules.contact("north", bank.query) is None
