"""Nodes are killed at random, also more at once than a quorum can spare: the first rounds of a campaign of 50."""

from pathlib import Path

import pytest

from benchmarks.node.round_campaign import Campaign

pytestmark = [pytest.mark.processes, pytest.mark.usefixtures("short_training")]


@pytest.mark.parametrize("rounds", [2, pytest.param(5, marks=pytest.mark.release)])
def test_killed_nodes_come_back_and_the_model_is_the_one_without_a_kill(tmp_path: Path, rounds: int) -> None:
    campaign = Campaign(rounds=rounds, hospitals=4, seed=5, pause=8.0)
    campaign.live(tmp_path, seconds=1200)
    told = campaign.told()
    assert told["nodes killed"] > 0
    assert (
        told["rounds that are final"] == told["rounds with every hospital in the sum"] == told["rounds"] == rounds + 3
    )
    assert told["model as without a kill"]
