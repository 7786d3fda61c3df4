"""Threat T5: a node has no more connections than it may open files, and says so where it may open too few."""

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from medward.ledger.pbft.runtime.listener import ListenerRooms
from medward.node.api.server import ApiRooms
from medward.node.descriptors import OWN_FILES, PLACES, places_share, raise_limit
from medward.node.errors import NodeError
from medward.node.trial.founding import found_on_one_machine
from medward.node.trial.launcher import free_seats
from medward.store.gateway.server import GatewayRooms


@pytest.mark.parametrize("limit", [1024, 900, 700, 496, 65_536])
def test_places_for_callers_fit_beside_the_node_s_own_files(limit: int) -> None:
    share = places_share(limit)
    rooms = (*ListenerRooms.of(share), *GatewayRooms.of(share), *ApiRooms.of(share))
    assert OWN_FILES + sum(room.places for room in rooms) <= limit


def test_usual_places_fit_under_the_usual_limit() -> None:
    assert places_share(1024) == 1.0
    assert OWN_FILES + PLACES <= 1024


@pytest.mark.parametrize("limit", [0, 256, 495])
def test_too_few_files_are_refused_in_one_sentence(limit: int) -> None:
    with pytest.raises(NodeError, match=rf"may have {limit} files open, and a node needs \d+, .*raise the limit"):
        places_share(limit)


def test_soft_limit_is_raised_to_the_hard_one() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(512, hard), hard))
        assert raise_limit() == min(hard, 65_536)
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == min(hard, 65_536)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_node_that_may_open_too_few_files_says_so_and_stops(tmp_path: Path) -> None:
    home = found_on_one_machine(tmp_path / "ward", "ward", free_seats(["h0"]), "bank")["h0"]
    words = ["/bin/sh", "-c", 'ulimit -n 300 && exec "$0" "$@"', sys.executable, "-m", "medward.node"]
    done = subprocess.run(
        [*words, str(home.folder), "--until-stdin-closes"], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 1
    [line] = [line for line in done.stderr.splitlines() if "error" in line]
    assert "this process may have 300 files open" in line
    assert "Traceback" not in done.stderr
