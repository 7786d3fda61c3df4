"""The metrics of a node, as Prometheus reads them, and the same in words."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from medward.cli.running import _show
from medward.node.api.metrics import NodeCollector, render_metrics
from medward.node.api.server import ApiServer
from medward.node.interfaces import Participant
from medward.node.ledger.pbft import Consensus
from medward.node.node import Node
from medward.node.refused_requests import RefusedRequests
from medward.node.store.disk_space import disk_warnings
from medward.node.supervision import Restarts

PEER = {"heard_seconds": 0.4, "clock_ahead_seconds": 0.0, "height": 9}


def status(**participant: Any) -> dict[str, Any]:
    """What a node of four says of itself."""
    return {
        "node": "trial/a",
        "name": "a",
        "incarnation": 0,
        "federation": "ward",
        "fingerprint": "1f0a",
        "phase": "running",
        "problem": None,
        "uptime_seconds": 5.0,
        "members": ["a", "b", "c", "d"],
        "ledger": {
            **{"height": 9, "stable_height": 0, "epoch": 0, "view": 0, "votes": True},
            **{"has_quorum": True, "in_reach": 4, "quorum": 3, "peers": {"b": PEER, "c": PEER, "d": PEER}},
        },
        "store": {"blocks": 3, "bytes": 2**20, "disk_free": 3 * 2**30},
        "participant": participant,
        "waiting": 0,
        "warnings": [],
    }


TRAINED = {
    "round": 7,
    "phase": "committing",
    "last_final_round": 6,
    "last_final_seconds": 30.0,
    "model_round": 5,
    "model_seconds": 400.0,
    "validation": {"rows": 200, "expected_cost": 0.05, "attack_recall": 0.9, "false_alarm_rate": 0.01},
}


def lines_of(told: dict[str, Any]) -> set[str]:
    return set(render_metrics(NodeCollector(told, {}, {}, {}, True)).decode().splitlines())


def test_rounds_model_and_disk_are_told() -> None:
    assert lines_of(status(**TRAINED)) >= {
        "medward_round 7.0",
        'medward_round_phase{phase="committing"} 1.0',
        "medward_last_final_round 6.0",
        "medward_last_final_round_age_seconds 30.0",
        "medward_model_age_seconds 400.0",
        'medward_model_validation{measure="attack_recall"} 0.9',
        "medward_disk_free_bytes 3.221225472e+09",
        "medward_ledger_quorum 1.0",
        'medward_peer_heard_seconds{peer="b"} 0.4',
    }


def without_a_quorum() -> dict[str, Any]:
    """What a node of four says of itself while two are silent."""
    told = status()
    silent = PEER | {"heard_seconds": 70.0}
    told["ledger"] |= {"has_quorum": False, "in_reach": 2, "peers": {"b": PEER, "c": silent, "d": silent}}
    return told


class Metered(Node):
    """A node of which nothing is there but what it says of itself, and what works out whether that is well."""

    def __init__(self, told: dict[str, Any]) -> None:
        self._told = told
        self._phase = "running"
        self._participant = cast(Participant, object())
        self._consensus = cast(Consensus, SimpleNamespace(failure=lambda: None))
        self._api = cast(ApiServer, SimpleNamespace(guard=SimpleNamespace(refused={})))
        self._refused_requests = RefusedRequests()
        self._restarts = Restarts()

    async def status(self) -> dict[str, Any]:
        return self._told | {"problem": self._problem(self._told["ledger"])}


@pytest.mark.parametrize(("told", "healthy"), [(status(), "1.0"), (without_a_quorum(), "0.0")])
def test_node_is_healthy_only_while_a_quorum_is_in_reach(told: dict[str, Any], healthy: str) -> None:
    assert f"medward_healthy {healthy}" in asyncio.run(Metered(told).metrics()).decode().splitlines()


def test_clocks_are_told_with_their_sign() -> None:
    """Operators alert on them: a sign the wrong way round sends them to the wrong hospital."""
    told = status()
    ahead, unknown = PEER | {"clock_ahead_seconds": 2.5}, PEER | {"clock_ahead_seconds": None}
    told["ledger"] |= {"clock_off_seconds": -300.0, "peers": {"b": ahead, "c": PEER, "d": unknown}}
    clocks = {line for line in lines_of(told) if "clock" in line and not line.startswith("#")}
    assert clocks == {
        'medward_peer_clock_ahead_seconds{peer="b"} 2.5',
        'medward_peer_clock_ahead_seconds{peer="c"} 0.0',
        "medward_ledger_clock_off_seconds -300.0",
    }


@pytest.mark.parametrize("participant", [{}, {"doing": "reading its data"}, dict.fromkeys(TRAINED)])
def test_node_without_rounds_has_no_numbers_of_them(participant: dict[str, Any]) -> None:
    assert not any("round" in line or "model" in line for line in lines_of(status(**participant)))


def test_status_says_it_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    _show([{**status(**TRAINED), "known_members": [], "datasets": []}])
    told = capsys.readouterr().out
    assert "7 committing" in told
    assert "4 of 4" in told
    assert "3.0 GiB" in told
    assert (
        "a: the last final round is 6, 30 s ago; the model is of round 5, 7 minutes ago; on 200 own validation rows: "
        "attack recall 0.9000, false alarms 0.0100, cost of a window 0.0500\n"
    ) in told


def test_disk_that_is_nearly_full_is_told_of() -> None:
    assert disk_warnings({"disk_free": 2**30}) == disk_warnings({}) == []
    (warning,) = disk_warnings({"disk_free": 2**28})
    assert warning.startswith("the disk has 256 MiB left")
