"""A federation that computes: its members are those of its file, and stay the same."""

from collections.abc import Mapping

import pytest

from medward.federation.computing.records import ContactSaid
from medward.ledger.bank import Bank
from medward.ledger.encoding import decode, encode
from medward.ledger.signatures import AlgorithmBytes
from medward.ledger.types import Application, Member, MemberUpdate
from medward.node.computing.rules import ComputingRules, computing_parameters_of
from medward.node.errors import InvalidConfiguration, NodeError
from medward.node.home.cards import Contact

MEMBERS = [Member(name, 0, (AlgorithmBytes("ed25519", name[:1].encode() * 32),), b"", "x:1") for name in ("a", "b")]
DEEP = "[" * 100_000


class Rules(ComputingRules):
    def make_application(self) -> Application:
        return Bank()

    @property
    def accounts(self) -> Mapping[str, bytes]:
        return self._accounts


def test_members_speak_under_the_keys_that_the_file_says() -> None:
    assert Rules(computing_parameters_of(MEMBERS)).accounts == {"a": b"a" * 32, "b": b"b" * 32}


@pytest.mark.parametrize(
    "accounts", ["", "[]", "null", "3", "{", '{"a": 5}', '{"a": "zz"}', '{"a": null}', '{"a": ["00"]}', DEEP]
)
def test_file_that_names_no_keys_is_refused_in_one_sentence(accounts: str) -> None:
    with pytest.raises(InvalidConfiguration, match=r"does not say under which keys .*; get it again from a member"):
        Rules({"accounts": accounts})
    with pytest.raises(InvalidConfiguration, match="get it again from a member"):
        Rules({})


def test_members_never_change_and_their_stores_may_move() -> None:
    rules, contact = Rules(computing_parameters_of(MEMBERS)), Contact("a", "10.0.0.9:7451")
    for update in (MemberUpdate("a", None), MemberUpdate("c", MEMBERS[0])):
        with pytest.raises(NodeError, match="stay the same; found another one with the new members"):
            rules.change_members(update, contact)
    assert rules.retract_wish("a") is None
    said = decode(rules.announce(contact), ContactSaid)
    assert rules.contact("a", {"contact/a": said.contact}.get) == contact
    # Another's place is not believed under this name.
    assert rules.contact("b", {"contact/b": said.contact}.get) is None
    assert encode(contact) == said.contact
