"""One member at a time lies or is silent behind the commitments: each round ends, and with the sum that all sent."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.e2e.ward import NAMES, Rounds, Ward, run, undisturbed

pytestmark = pytest.mark.processes

WITHHELD, SILENT_AGGREGATOR, WRONG_AGGREGATOR, SILENT_HOLDER, WRONG_SHARE = range(5)
# The aggregator of round r is member r mod 4.
FAULTS = {
    "h1": {"silent aggregator": [SILENT_AGGREGATOR]},
    "h2": {"wrong aggregator": [WRONG_AGGREGATOR]},
    "h0": {"withholds aggregate": [WITHHELD], "silent at share": [SILENT_HOLDER]},
    "h3": {"wrong share": [WRONG_SHARE]},
}


@dataclass
class Told:
    """What became of the rounds, and which key epoch was in use when each was under way."""

    rounds: Rounds = field(default_factory=dict)
    epochs: dict[int, int] = field(default_factory=dict)


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told:
    found = Told()

    async def tell(ward: Ward) -> None:
        def noted() -> bool:
            state = ward.state("h2")
            if state["round"] is not None and not state["done"]:
                found.epochs.setdefault(state["round"], state["epoch"])
            return bool(state["done"])

        await ward.until(noted, "the plan is fulfilled", 420)
        found.rounds = await ward.until_done()

    run(Path(tmp_path_factory.mktemp("liars")), 2, tell, faults=FAULTS)
    return found


def test_aggregator_that_withholds_what_it_named_is_followed_by_the_next(told: Told) -> None:
    assert told.rounds[WITHHELD]["failed_aggregators"] == 1
    assert told.rounds[WITHHELD]["outcome"] == "final"


def test_silent_aggregator_is_followed_by_the_next(told: Told) -> None:
    assert told.rounds[SILENT_AGGREGATOR]["failed_aggregators"] == 1
    assert told.rounds[SILENT_AGGREGATOR]["outcome"] == "final"


def test_wrong_aggregate_is_refused_and_the_next_member_adds(told: Told) -> None:
    assert told.rounds[WRONG_AGGREGATOR]["failed_aggregators"] == 1
    assert told.rounds[WRONG_AGGREGATOR]["outcome"] == "final"
    assert told.rounds[WRONG_AGGREGATOR]["opened"] == []


def test_silent_holder_is_opened_and_new_keys_follow(told: Told) -> None:
    assert told.rounds[SILENT_HOLDER]["opened"] == ["h0"]
    assert told.rounds[SILENT_HOLDER]["outcome"] == "final"
    assert told.epochs[SILENT_HOLDER] == told.epochs[0]
    assert told.epochs[SILENT_HOLDER + 1] > told.epochs[SILENT_HOLDER]


def test_holder_with_a_wrong_share_is_opened(told: Told) -> None:
    assert told.rounds[WRONG_SHARE]["opened"] == ["h3"]
    assert told.rounds[WRONG_SHARE]["outcome"] == "final"


def test_no_contribution_is_lost(told: Told) -> None:
    assert [one["cohort"] for one in told.rounds.values()] == [list(NAMES)] * 5
    assert told.rounds[max(told.rounds)]["model"] == undisturbed(2)
