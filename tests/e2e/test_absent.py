"""Members that are away or send what is worth nothing: the others go on without them, or say why they cannot."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from medward.federation.shared_model import SharedModel
from tests.e2e.ward import NAMES, Rounds, Ward, run

pytestmark = pytest.mark.processes

STOPPED, TOO_FEW, MALFORMED, OUTVOTED, POISONED = 0, 3, 4, 5, 6
FAULTS = {
    "h0": {"silent at commit": [TOO_FEW], "votes against": [OUTVOTED]},
    "h1": {"dies at commit": [STOPPED], "votes against": [OUTVOTED]},
    "h2": {"malformed contribution": [MALFORMED]},
    "h3": {"silent at commit": [TOO_FEW], "votes against": [OUTVOTED], "poisons": [POISONED]},
}


class Told:
    """What became of the rounds, how far the poisoned one moved a weight, and how far any round can."""

    rounds: Rounds
    moved: float
    bound: float


def bound(before: SharedModel, rows: Sequence[int]) -> float:
    """How far a round can move a weight if one member sends the worst that fits: clipped, it has a range."""
    recipe, largest = before.plan.recipe, before.plan.clip(before.round)
    # An honest member's part of the mean is weighted by its rows, the worst one by the bound of the largest hospital.
    mean = largest * (sum(rows) + before.most_rows) / sum(rows)
    kept = recipe.server_momentum
    return float(recipe.server_rate * (kept * np.max(np.abs(before.momentum)) + (1 - kept) * mean))


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told:
    found = Told()

    async def tell(ward: Ward) -> None:
        await ward.until(lambda: not ward.launcher.running("h1"), "h1 is gone")
        others = ("h0", "h2", "h3")
        await ward.until(
            lambda: all(ward.state(n)["phase"] not in ("committing", "submitting") for n in others), "it is left out"
        )
        ward.launcher.start("h1")
        found.rounds = await ward.until_done()
        before = ward.model("h2", found.rounds[MALFORMED]["model"])
        after = ward.model("h2", found.rounds[POISONED]["model"])
        assert before.weights is not None
        assert after.weights is not None
        found.moved = float(np.max(np.abs(after.weights - before.weights)))
        found.bound = bound(before, [ward.state(name)["training_rows"] for name in NAMES])

    run(Path(tmp_path_factory.mktemp("absent")), 2, tell, faults=FAULTS)
    return found


def test_member_stopped_before_its_commit_is_left_out_and_comes_back(told: Told) -> None:
    assert told.rounds[STOPPED]["outcome"] == "final"
    assert told.rounds[STOPPED]["cohort"] == ["h0", "h2", "h3"]
    assert told.rounds[POISONED]["cohort"] == list(NAMES)


def test_too_few_commits_make_the_round_void_and_it_says_so(told: Told) -> None:
    assert told.rounds[TOO_FEW]["outcome"] == "2 of 4 contributed; 3 are needed"
    assert told.rounds[TOO_FEW]["model"] is None
    assert told.rounds[TOO_FEW + 1]["task"] == told.rounds[TOO_FEW]["task"]


def test_malformed_contribution_is_left_out_by_name(told: Told) -> None:
    assert "h2" in told.rounds[MALFORMED]["contributions"]
    assert told.rounds[MALFORMED]["cohort"] == ["h0", "h1", "h3"]
    assert told.rounds[MALFORMED]["outcome"] == "final"


def test_model_that_a_majority_finds_worse_is_rolled_back(told: Told) -> None:
    assert told.rounds[OUTVOTED]["outcome"] == "a majority found the next model worse"
    assert told.rounds[OUTVOTED]["model"] is None
    assert told.rounds[OUTVOTED + 1]["outcome"] == "final"


def test_poisoned_update_moves_no_weight_further_than_one_round_may(told: Told) -> None:
    assert told.rounds[POISONED]["outcome"] == "final"
    assert 0 < told.moved <= told.bound
