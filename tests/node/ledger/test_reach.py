from typing import Any

import pytest

from medward.node.ledger.reach import SILENCE_SECONDS, clock_warnings, no_quorum, problem_of, silence_warnings


def ledger(heard: dict[str, float], ahead: dict[str, float | None] | None = None, **fields: Any) -> dict[str, Any]:
    """What an engine of four says of itself, with these peers."""
    peers = {
        name: {"heard_seconds": seconds, "clock_ahead_seconds": (ahead or {}).get(name), "height": 3}
        for name, seconds in heard.items()
    }
    reached = 1 + sum(seconds <= 5 for seconds in heard.values())
    told = {"peers": peers, "in_reach": reached, "quorum": 3, "has_quorum": reached >= 3, "clock_drift_seconds": 10.0}
    return told | fields


def test_lost_quorum_is_told_of_within_ten_seconds() -> None:
    """A member that dies may have spoken just before: it is silent from then on, and whoever looks sees it then.

    Twice the silence is within the ten seconds that operators are promised, even if a look takes as long again.
    """
    assert 2 * SILENCE_SECONDS <= 10
    just_silent = SILENCE_SECONDS + 0.1
    assert no_quorum(ledger({"b": 0.4, "c": just_silent, "d": just_silent})) is not None


def test_two_of_four_out_of_reach_are_named() -> None:
    assert no_quorum(ledger({"b": 0.4, "c": 0.1, "d": 60.0})) is None
    sentence = no_quorum(ledger({"b": 0.4, "c": 8.0, "d": 60.0}))
    assert sentence is not None
    assert "2 of 4 members are in reach and 3 are needed" in sentence
    assert sentence.endswith("not heard of: c, d")
    assert no_quorum({"engine": "cometbft"}) is None


def test_node_that_waits_for_others_to_catch_up_says_that_they_are_gone() -> None:
    reached, alone = ledger({"b": 0.4, "c": 0.1, "d": 60.0}), ledger({"b": 0.4, "c": 8.0, "d": 60.0})
    assert problem_of("running", reached) is None
    assert problem_of("catching up", reached) == "the node is catching up"
    assert problem_of("running", alone) == no_quorum(alone)
    assert problem_of("catching up", alone) == f"the node is catching up; {no_quorum(alone)}"


def test_clock_is_told_of_where_it_is_wrong() -> None:
    heard = {"b": 0.1, "c": 0.1, "d": 0.1}
    assert clock_warnings(ledger(heard, {"b": 0.2, "c": -0.3, "d": 0.0}, clock_behind_seconds=0.1)) == []
    (own,) = clock_warnings(ledger(heard, {"b": 300.0, "c": 300.0, "d": 300.0}, clock_behind_seconds=300.0))
    assert own.startswith("this node's clock is 300.0 s behind the others'")
    assert "beyond 10 s" in own
    (other,) = clock_warnings(ledger(heard, {"b": 0.0, "c": 0.0, "d": -2.5}, clock_behind_seconds=0.0))
    assert other == "the clock of d is 2.5 s behind this node's"


@pytest.mark.parametrize("told", [{}, {"engine": "cometbft"}])
def test_engine_that_does_not_say_has_no_warnings(told: dict[str, Any]) -> None:
    assert clock_warnings(told) == []


def test_clock_of_one_that_is_gone_is_not_told_of() -> None:
    assert clock_warnings(ledger({"b": 0.1, "c": 0.1, "d": 99.0}, {"d": 500.0}, clock_behind_seconds=0.0)) == []


def test_one_silent_member_is_told_of_while_there_is_a_quorum() -> None:
    assert silence_warnings(ledger({"b": 0.4, "c": 0.1, "d": 4.9})) == []
    assert silence_warnings(ledger({"b": 0.4, "c": 61.2, "d": 7.0})) == [
        "out of reach: c (last heard of 61 s ago), d (last heard of 7 s ago)"
    ]
    assert silence_warnings({"engine": "cometbft"}) == []
