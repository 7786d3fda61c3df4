"""Where a member's store is reached by the ledger: what was announced may be anything, and only its own word counts."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medward.ledger.encoding import encode
from medward.ledger.types import Application
from medward.node.home.cards import Contact
from medward.node.interfaces import Rules


class Plain(Rules):
    def make_application(self) -> Application:
        raise NotImplementedError

    def change_members(self, update: Any, contact: Contact | None) -> Sequence[bytes]:
        return ()

    def announce(self, contact: Contact) -> bytes | None:
        return None


def contact_of(name: str, state: Mapping[str, bytes]) -> Contact | None:
    return Plain().contact(name, state.get)


HERE = Contact("north", "10.0.0.1:4001")


def test_contact_is_what_the_member_announced() -> None:
    assert contact_of("north", {"contact/north": encode(HERE)}) == HERE
    assert contact_of("south", {"contact/north": encode(HERE)}) is None


def test_contact_under_anothers_name_is_none() -> None:
    assert contact_of("south", {"contact/south": encode(HERE)}) is None


@given(st.binary(max_size=80))
def test_anything_else_is_none(said: bytes) -> None:
    found = contact_of("north", {"contact/north": said})
    assert found is None or encode(found) == said


@pytest.mark.parametrize("said", [encode(HERE)[:-1], encode(HERE) + b"\0", encode(["north"]), b""])
def test_damaged_contact_is_none(said: bytes) -> None:
    assert contact_of("north", {"contact/north": said}) is None


def test_rules_without_wishes_take_none_back() -> None:
    assert Plain().retract_wish("north") is None
