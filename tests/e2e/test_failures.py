"""Every row of "What happens when" (spec/round.md), with real node processes, n = 4 and 7: plan.py, troubles.py.

Seven run in CI; four, which every other federation of real nodes here has, are for releases.
"""

import asyncio
import re
import warnings
from pathlib import Path

import pytest

from medward.federation.round.rules import FOUND_WORSE
from tests.e2e.faulty_node import ASKED_FOR
from tests.e2e.plan import AFTER_POISON, FRUITLESS, HOLDERS, LOSING, POISON, SETTLED, TOO_FEW, TOO_FEW_ANSWERS, Plan
from tests.e2e.troubles import ROUNDS, Told, Troubles, compile_ahead, look_back
from tests.e2e.ward import PATIENT, Ward, run

pytestmark = pytest.mark.processes


@pytest.fixture(scope="module", params=[pytest.param(4, marks=pytest.mark.release, id="n4"), pytest.param(7, id="n7")])
def told(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Told:
    """What became of a federation with all its troubles."""
    plan = Plan(request.param)
    found, folder = Told(plan), Path(tmp_path_factory.mktemp("troubles"))
    spare = folder / "spare"
    spare.mkdir()
    compile_ahead(plan)

    async def tell(ward: Ward) -> None:
        await Troubles(ward, found, spare).live()
        await asyncio.to_thread(look_back, ward, found)

    run(folder, ROUNDS, tell, names=plan.names, deadline=PATIENT, faults=plan.faults, keep_time=True)
    return found


# A member is silent, withholds what it named, or contributes or deals something that is wrong.


@pytest.mark.parametrize("fault", LOSING)
def test_member_at_fault_is_not_in_the_cohort_and_the_round_goes_on(told: Told, fault: str) -> None:
    number = told.plan.at[fault]
    one, losing = told.rounds[number], told.plan.losing(number)
    assert one["outcome"] == "final"
    assert losing == set(told.plan.names) - set(one["cohort"])
    assert told.plan.by[fault][0] in losing


@pytest.mark.parametrize("fault", ["silent at commit", "silent at submit"])
def test_member_that_is_silent_shows_no_contribution(told: Told, fault: str) -> None:
    assert told.plan.by[fault][0] not in told.rounds[told.plan.at[fault]]["contributions"]


@pytest.mark.parametrize(
    "fault", ["malformed contribution", "response that is too large", "withholds its contribution"]
)
def test_member_whose_blob_is_withheld_or_wrong_is_out_without_a_complaint(told: Told, fault: str) -> None:
    one, [liar] = told.rounds[told.plan.at[fault]], told.plan.by[fault]
    assert liar in one["contributions"]
    assert liar not in one["complaints"]


def test_dealer_of_too_many_bad_shares_is_out_and_shows_nothing(told: Told) -> None:
    one, [dealer] = told.rounds[told.plan.at["spoils too many shares"]], told.plan.by["spoils too many shares"]
    assert len(one["complaints"][dealer]) > told.plan.threshold - 1 - told.plan.f
    assert dealer not in one["shown"]


def test_dealer_that_is_complained_of_and_does_not_show_is_out(told: Told) -> None:
    fault = "spoils a share and does not show"
    one, [dealer] = told.rounds[told.plan.at[fault]], told.plan.by[fault]
    assert one["complaints"][dealer] == [told.plan.names[0]]
    assert dealer not in one["shown"]
    assert dealer not in one["cohort"]


# Complaints that are settled.


def test_dealer_of_one_bad_share_shows_it_and_stays(told: Told) -> None:
    one, [dealer] = told.rounds[told.plan.at["spoils a share"]], told.plan.by["spoils a share"]
    assert one["complaints"][dealer] == [told.plan.names[0]]
    assert dealer in one["shown"]
    assert one["cohort"] == list(told.plan.names)
    assert one["outcome"] == "final"


def test_dealer_that_is_complained_of_falsely_shows_and_stays(told: Told) -> None:
    one, [liar] = told.rounds[told.plan.at["complains falsely"]], told.plan.by["complains falsely"]
    [accused] = [dealer for dealer, holders in one["complaints"].items() if holders == [liar]]
    assert accused in one["shown"]
    assert one["cohort"] == list(told.plan.names)
    assert one["outcome"] == "final"


def test_complaints_come_of_those_faults_alone(told: Told) -> None:
    dealt = [*SETTLED, "spoils too many shares", "spoils a share and does not show"]
    complained = {number for number, one in told.rounds.items() if one["complaints"]}
    assert complained == {told.plan.at[fault] for fault in dealt}


# A holder is silent, answers wrongly, or withholds its answer.


@pytest.mark.parametrize("fault", HOLDERS)
def test_holder_without_a_good_answer_changes_nothing_about_the_sum(told: Told, fault: str) -> None:
    number, [holder] = told.plan.at[fault], told.plan.by[fault]
    one = told.rounds[number]
    assert one["outcome"] == "final"
    assert one["cohort"] == list(told.plan.names)
    assert (holder in one["answers"]) <= (fault != "silent at answer")
    assert one["audited"] == []


# Fewer than least_cohort contribute, or fewer than t answer.


def test_round_with_too_few_contributions_is_void_and_says_so(told: Told) -> None:
    one, n, least = told.rounds[told.plan.at[TOO_FEW]], len(told.plan.names), told.plan.least
    assert one["outcome"] == f"{least - 1} of {n} contributed; {least} are needed"
    assert one["model"] is None


def test_round_with_too_few_answers_is_void_and_says_so(told: Told) -> None:
    number, threshold = told.plan.at[TOO_FEW_ANSWERS], told.plan.threshold
    one = told.rounds[number]
    assert one["outcome"] == f"{threshold - 1} holders answered; {threshold} are needed"
    assert one["model"] is None
    assert told.rounds[number + 1]["outcome"] == "final"
    assert told.rounds[number + 1]["cohort"] == list(told.plan.names)


# Three rounds in a row lead to no model.


def test_federation_stops_after_three_rounds_without_a_result_and_says_so(told: Told) -> None:
    assert set(told.stopped) == set(told.plan.names)
    [reason] = set(told.stopped.values())
    assert reason.startswith(f"round {FRUITLESS - 1} and the {FRUITLESS - 1} before it led to no model (")
    code, text = told.status
    assert code == 1
    assert f"the federation has stopped: {reason}" in text
    assert "medward federation resume" in text
    assert "medward_federation_stopped 1.0" in told.metrics


def test_federation_goes_on_once_enough_members_have_said_so(told: Told) -> None:
    assert [code for code, _ in told.resumed] == [0] * (told.plan.f + 1)
    assert all(f"{told.plan.f + 1} members have said so" in text for _, text in told.resumed)
    assert told.rounds[FRUITLESS]["outcome"] == "final"
    assert "other members must say it too" in told.refusals["twice"]
    assert "has not stopped" in told.refusals["not stopped"]


# Fewer than a quorum of replicas.


def test_ledger_waits_without_a_quorum_and_what_is_overdue_ends_with_the_first_tick(told: Told) -> None:
    before, after = told.still
    assert before == after
    number, away = told.overdue
    assert told.kept.items() <= told.rounds.items()
    one = told.rounds[number]
    # The first record of a time after the deadline ends the phase; it may be a commitment of one who came back.
    assert len(set(away) & set(one["contributions"])) <= 1
    assert one["outcome"] == "final" or "contributed" in one["outcome"]
    assert told.rounds[number + 1]["outcome"] == "final"
    assert told.rounds[number + 1]["cohort"] == list(told.plan.names)


# A node is killed at any instant.


def test_killed_nodes_come_back_and_their_rounds_end_with_everybody(told: Told) -> None:
    assert told.killed
    for number in told.killed:
        assert told.rounds[number]["outcome"] == "final"
        assert told.rounds[number]["cohort"] == list(told.plan.names), "\n".join(told.waited)


# A node's disk is lost, or restored from a backup.


def test_lost_disk_is_replaced_by_a_new_incarnation_with_new_keys(told: Told) -> None:
    victim, number, incarnation = told.replaced
    assert incarnation == 1
    assert told.rounds[number]["outcome"] == "final"
    assert victim not in told.rounds[number]["cohort"]
    assert told.absent == ([victim], [])
    assert told.rounds[max(told.rounds)]["cohort"] == list(told.plan.names)


@pytest.mark.parametrize(
    ("home", "sentence"),
    [
        ("an empty disk", "make a home with"),
        ("an old copy", "disk was rolled back|journal has none|restored from an old copy"),
        ("an old incarnation", "must neither vote nor answer"),
    ],
)
def test_home_without_its_memory_refuses_to_start_in_one_sentence(told: Told, home: str, sentence: str) -> None:
    assert re.search(sentence, told.refusals[home])


# A poisoned update.


def test_poisoned_model_is_noticed_by_the_others_and_rolled_back(told: Told) -> None:
    one, poisoners = told.rounds[told.plan.at[POISON]], told.plan.by[POISON]
    assert one["outcome"] == FOUND_WORSE
    assert one["model"] is None
    against = {name for name, accepts in one["votes"].items() if not accepts}
    assert not against & set(poisoners)
    assert len(against) * 2 > len(told.plan.names)
    assert told.rounds[told.plan.at[AFTER_POISON]]["outcome"] == "final"


# A part of a node fails while nothing is ordered that others would notice.


def test_participant_that_fails_is_started_again_at_once_and_its_round_loses_nobody(told: Told) -> None:
    one, [failing] = told.rounds[told.plan.at[AFTER_POISON]], told.plan.by[AFTER_POISON]
    assert one["cohort"] == list(told.plan.names)
    assert any(ASKED_FOR in crash for crash in told.crashed[failing])
    others = {name: [crash for crash in found if ASKED_FOR not in crash] for name, found in told.crashed.items()}
    if any(others.values()):
        # Nobody was lost by it, or the tests of the other rounds would say so; but it is to be known.
        warnings.warn(f"crashes that nobody asked for: {others}", stacklevel=1)


# The store loses a CID.


def test_blobs_that_a_store_lost_come_from_others_and_the_round_loses_nobody(told: Told) -> None:
    one = told.rounds[told.lost_store]
    assert one["outcome"] == "final"
    assert one["cohort"] == list(told.plan.names)


# And in all of it:


def test_every_model_is_the_one_of_plain_addition_so_nothing_acknowledged_is_lost(told: Told) -> None:
    assert {number: one["model"] for number, one in told.rounds.items() if one["model"]} == told.computed


def test_audit_of_all_homes_finds_everything_in_order(told: Told) -> None:
    assert told.problems == []
