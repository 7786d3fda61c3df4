"""Homes of nodes that do not run, for commands that need a running one."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from medward.node.computing.rules import computing_parameters_of
from medward.node.trial.founding import Seat, found_on_one_machine
from medward.node.trial.ports import free_ports

Homes = Callable[[str], dict[str, Path]]

_PEERS = {name: {"heard_seconds": seconds} for name, seconds in (("b", 0.4), ("c", 80.0), ("d", 90.0))}
#: What a node of four says while two are silent, and what it says else.
NO_QUORUM: dict[str, Any] = {"ledger": {"has_quorum": False, "in_reach": 2, "quorum": 3, "peers": _PEERS}}
QUORUM: dict[str, Any] = {"ledger": {"has_quorum": True, "in_reach": 3, "quorum": 3, "peers": {}}}


@pytest.fixture
def homes_of(tmp_path: Path) -> Homes:
    """Return what founds a federation of an application that computes, and another of the bank's, by name."""

    def found(computing: str) -> dict[str, Path]:
        ports, homes = iter(free_ports(6)), {}
        for application, agree in ((computing, computing_parameters_of), ("bank", None)):
            seat = Seat("north", *(f"127.0.0.1:{next(ports)}" for _ in range(3)))
            founded = found_on_one_machine(tmp_path / application, application, [seat], application, agree=agree)
            homes[application] = founded["north"].folder
        return homes

    return found
