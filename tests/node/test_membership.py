"""Whom a node calls of those that the ledger names."""

import pytest

from medward.node.home.cards import Contact
from medward.node.membership import _can_be_called


@pytest.mark.parametrize(
    "gateway",
    [
        "nowhere",
        "a/b:1",
        "user@host:1",
        "host:0",
        "a b:1",
        "host:1/x",
        "#:1",
        "[x:1",
        "x]:1",
        "a[b]c:1",
        "[::1:1",
        "ü:1",
        "a\n:1",
        "a\t:1",
    ],
)
def test_a_contact_that_is_no_address_is_not_called(gateway: str) -> None:
    assert not _can_be_called(Contact("north", gateway))
    for good in ("10.0.0.1:7451", "[fd00::1]:1", "ward.example:1"):
        assert _can_be_called(Contact("north", good))
