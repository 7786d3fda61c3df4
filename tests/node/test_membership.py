"""Whom a node calls of those that the ledger names, and changes of the members that are not ordered in time."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from medward.ledger.types import Receipt
from medward.node.api import client
from medward.node.errors import NodeError
from medward.node.home.cards import Card, Contact
from medward.node.home.folder import Home
from medward.node.interfaces import Rules
from medward.node.ledger.pbft import Consensus
from medward.node.ledger.submitter import ORDER_SECONDS, Submitter
from medward.node.membership import MembershipWatcher, _can_be_called
from medward.node.store.blobs import NodeStore
from medward.node.trial.founding import Seat, found_on_one_machine
from medward.node.trial.ports import free_ports


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


class WithoutQuorum(Submitter):
    """Hands in what is never ordered."""

    def __init__(self) -> None:
        self.handed_in: list[bytes] = []

    async def submit(self, payload: bytes) -> Receipt:
        self.handed_in.append(payload)
        await asyncio.Event().wait()
        raise AssertionError


@pytest.fixture
def founded(tmp_path: Path) -> dict[str, Home]:
    """Homes of two members and of one who wants to come."""
    ports = iter(free_ports(9))
    seats = [Seat(name, *(f"127.0.0.1:{next(ports)}" for _ in range(3))) for name in ("north", "south", "east")]
    return found_on_one_machine(tmp_path, "ward", seats, "bank")


Change = Callable[[MembershipWatcher, Card, Submitter], Awaitable[Any]]


@pytest.mark.parametrize(
    "change",
    [
        lambda watcher, card, submitter: watcher.admit(card, submitter),
        lambda watcher, _, submitter: watcher.remove("south", submitter),
        lambda watcher, _, submitter: watcher.remove("north", submitter),  # as `leave` does
        lambda watcher, _, submitter: watcher.retract("south", submitter),
    ],
)
def test_change_that_is_not_ordered_in_time_is_told_so(
    founded: dict[str, Home], monkeypatch: pytest.MonkeyPatch, change: Change
) -> None:
    monkeypatch.setattr("medward.node.ledger.submitter.ORDER_SECONDS", 0.01)
    cards = {name: home.card() for name, home in founded.items()}
    consensus = SimpleNamespace(members=[cards[name].member for name in ("north", "south")])
    rules = SimpleNamespace(change_members=lambda *_: [b"change"], retract_wish=lambda _: b"retract")
    watcher = MembershipWatcher(
        founded["north"],
        cards["north"],
        founded["north"].federation(),
        cast(Rules, rules),
        cast(Consensus, consensus),
        lambda _: None,
        cast(NodeStore, None),
    )
    submitter = WithoutQuorum()

    async def run() -> None:
        async with asyncio.timeout(20):
            await change(watcher, cards["east"], submitter)

    with pytest.raises(NodeError, match=r"the ledger ordered nothing within .* the change may still be ordered"):
        asyncio.run(run())
    assert len(submitter.handed_in) == 1


def test_time_out_of_an_order_ends_before_that_of_the_command() -> None:
    """Else the command says that the node does not answer, where it is the ledger that orders nothing."""
    assert ORDER_SECONDS < client._ORDER_SECONDS < client._DATA_SECONDS
