"""What a node tells of wishes for other members: in `status`, the API and the log."""

import logging

import pytest

from medward.federation.membership import LIFETIME
from medward.federation.records import Change
from medward.node.ledger.wishes import log_wishes, sentence, told
from tests.federation.test_membership import comes, founded, goes, key, next_epoch

TIME = 1_700_000_000.0


def test_pending_wishes_say_who_wants_what_how_many_are_missing_and_until_when() -> None:
    ledger = founded("abcdefg")
    begin = ledger.application.federation.expected()
    ledger.order(("a", goes("g")), ("b", comes("x")), ("c", comes("f'")), ("d", begin), time=TIME)
    ledger.order(("c", goes("g")), ("e", goes("e")), time=TIME + 60)
    shown = told(ledger.application.federation.membership, TIME + 60)
    assert [sentence(one) for one in shown] == [
        "e wants e to go: agreed on, and made once the round and the ledger's epoch are over",
        "a and c want g to go: 1 more member must want it, until 2023-11-21 22:13 UTC",
        "b wants x to come: 2 more members must want it, until 2023-11-21 22:13 UTC",
        "c wants f to come back with new keys: 2 more members must want it, until 2023-11-21 22:13 UTC",
    ]
    assert shown[1] == {
        "member": "g",
        "wants": "to go",
        "incarnation": None,
        "by": ["a", "c"],
        "needed": 3,
        "more": 1,
        "until": TIME + LIFETIME,
        "agreed": False,
    }
    assert shown[2]["incarnation"] == 0
    assert told(ledger.application.federation.membership, TIME + LIFETIME + 60) == []


def test_wishes_that_became_enough_because_a_member_went_say_that_one_must_ask_again() -> None:
    ledger = founded("abcdefg")
    ledger.order(("a", goes("g")), ("c", goes("g")), ("e", goes("e")), time=TIME)
    (shown,) = told(ledger.application.federation.membership, TIME)
    enough = "a and c want g to go: enough, now that there are fewer members, once one of them asks for it again"
    assert sentence(shown) == enough
    next_epoch(ledger)
    ledger.order(("c", goes("g")), time=TIME)
    assert "g" not in ledger.application.federation.terms.members


def test_new_wishes_and_changes_are_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "medward.node")
    ledger = founded("abcd")
    for author, record in (("a", comes("x")), ("b", goes("d")), ("c", comes("x")), ("c", Change("b", key("b"), b"?"))):
        before = ledger.application.federation.membership
        ledger.order((author, record), time=TIME)
        log_wishes(before, ledger.application.federation.membership, TIME)
    assert [record.getMessage() for record in caplog.records] == [
        "a wants x to come: 1 more member must want it, until 2023-11-21 22:13 UTC",
        "b wants d to go: 1 more member must want it, until 2023-11-21 22:13 UTC",
        "x comes; the ledger follows at a checkpoint",
    ]
