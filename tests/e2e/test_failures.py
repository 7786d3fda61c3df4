"""Every row of "What happens when" (spec/round.md), with real node processes, n = 4 and 7: plan.py, troubles.py."""

import asyncio
import re
import warnings
from pathlib import Path

import pytest
from medward.federation.round_rules import FOUND_WORSE

from tests.e2e.faulty_node import ASKED_FOR
from tests.e2e.plan import (
    AFTER_POISON,
    AGGREGATORS,
    HOLDERS,
    KEY_MAKERS,
    ONE_SHARE,
    POISON,
    TOO_FEW,
    TOO_MANY_SILENT,
    Plan,
)
from tests.e2e.troubles import ROUNDS, Told, Troubles, look_back
from tests.e2e.ward import NAMES, PATIENT, Ward, run, undisturbed

pytestmark = pytest.mark.processes


@pytest.fixture(scope="module", params=[4, 7], ids=["n4", "n7"])
def told(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Told:
    """What became of a federation with all its troubles."""
    plan = Plan(request.param)
    found, folder = Told(plan), Path(tmp_path_factory.mktemp("troubles"))
    spare = folder / "spare"
    spare.mkdir()
    if plan.names != NAMES:
        undisturbed(1, request.param)  # compiles what the nodes train

    async def tell(ward: Ward) -> None:
        await Troubles(ward, found, spare).live()
        await asyncio.to_thread(look_back, ward, found)

    run(folder, ROUNDS, tell, names=plan.names, deadline=PATIENT, faults=plan.faults, keep_time=True)
    return found


# A member is silent at commit or submit.


@pytest.mark.parametrize("fault", ["silent at commit", "silent at submit"])
def test_member_that_is_silent_is_not_in_the_cohort_and_the_round_goes_on(told: Told, fault: str) -> None:
    one, [silent] = told.rounds[told.plan.at[fault]], told.plan.by[fault]
    assert one["outcome"] == "final"
    assert silent not in one["contributions"]
    assert silent not in one["cohort"]
    assert len(one["cohort"]) == len(told.plan.names) - told.plan.f


# A key holder is silent at share, or its share is worth nothing.


@pytest.mark.parametrize("fault", HOLDERS)
def test_holder_without_a_good_share_is_opened_by_the_others_and_new_keys_follow(told: Told, fault: str) -> None:
    number, [silent] = told.plan.at[fault], told.plan.by[fault]
    one = told.rounds[number]
    assert one["outcome"] == "final"
    assert silent in one["opened"]
    assert one["cohort"] == list(told.plan.names)
    assert told.epoch_at(number + 1) > told.epoch_at(number)


# The aggregator is silent, slow or wrong.


@pytest.mark.parametrize("fault", AGGREGATORS)
def test_aggregator_that_fails_is_followed_by_the_next(told: Told, fault: str) -> None:
    one = told.rounds[told.plan.at[fault]]
    assert one["outcome"] == "final"
    assert one["failed_aggregators"] == told.plan.f  # as many as there are faults in this round
    assert one["cohort"] == list(told.plan.names)
    assert one["opened"] == []


def test_wrong_sum_is_kept_as_evidence(told: Told) -> None:
    [culprit] = told.plan.by["wrong aggregator"]
    kept = {name for name, has in told.evidence.items() if has}
    assert len(kept - {culprit}) > told.plan.f  # all who rejected it, of whom there are f + 1


# Fewer than min_cohort submits, or more than n - t silent at share.


def test_round_with_too_few_contributions_is_void_and_says_so(told: Told) -> None:
    one, n = told.rounds[told.plan.at[TOO_FEW]], len(told.plan.names)
    least = max(3, told.plan.f + 2)
    assert one["outcome"] == f"{least - 1} of {n} contributed; {least} are needed"
    assert one["model"] is None


def test_round_with_more_silent_holders_than_may_be_opened_is_void_and_says_so(told: Told) -> None:
    one = told.rounds[told.plan.at[TOO_MANY_SILENT]]
    assert one["outcome"] == "too few key holders checked the aggregate"
    assert one["model"] is None
    assert told.rounds[told.plan.at[TOO_MANY_SILENT] + 1]["outcome"] == "final"


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
        assert told.rounds[number]["opened"] == []


# A node's disk is lost, or restored from a backup.


def test_lost_disk_is_replaced_by_a_new_incarnation_with_new_keys(told: Told) -> None:
    victim, number, incarnation = told.replaced
    assert incarnation == 1
    assert victim in told.rounds[number]["opened"]
    assert told.rounds[number]["outcome"] == "final"
    assert victim in told.rounds[number + 1]["shares"]
    assert told.epoch_at(number + 1) > told.epoch_at(number)
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


# A share, key or ciphertext is malformed.


def test_malformed_contribution_is_left_out_by_name(told: Told) -> None:
    one, [liar] = told.rounds[told.plan.at["malformed contribution"]], told.plan.by["malformed contribution"]
    assert one["outcome"] == "final"
    assert liar in one["contributions"]
    assert liar not in one["cohort"]


def test_members_with_malformed_keys_are_left_out_by_name(told: Told) -> None:
    _, number, _ = told.replaced
    liars = {kind: told.plan.by[kind][0] for kind in KEY_MAKERS[: told.plan.f]}
    left_out = told.left_out[number + 1]
    assert set(left_out) == set(liars.values())
    assert set(told.rounds[number + 1]["shares"]) == set(told.plan.names) - set(liars.values())
    assert "proof" in left_out[liars["malformed key"]]
    assert told.rounds[number + 1]["outcome"] == "final"


def test_who_was_left_out_of_the_keys_asks_for_new_ones_and_holds_a_part_of_them(told: Told) -> None:
    _, number, _ = told.replaced
    last = told.rounds[max(told.rounds)]
    assert told.epoch_at(max(told.rounds)) > told.epoch_at(number + 1)
    assert set(last["shares"]) == set(told.plan.names)


def test_malformed_dealt_share_is_shown_to_all_and_nobody_is_left_out(told: Told) -> None:
    assert ONE_SHARE in told.plan.faults[told.plan.names[0]]
    assert told.left_out.get(0, {}) == {}


# Too few members are left in one ceremony after the other.


def test_federation_stops_after_three_ceremonies_without_keys_and_says_so(told: Told) -> None:
    assert set(told.stopped) == set(told.plan.names)
    [reason] = set(told.stopped.values())
    assert reason == "3 key ceremonies in a row led to no keys"
    code, text = told.status
    assert code == 1
    assert f"the federation has stopped: {reason}" in text
    assert "medward federation resume" in text
    assert "medward_federation_stopped 1.0" in told.metrics


def test_federation_goes_on_once_enough_members_have_said_so(told: Told) -> None:
    assert [code for code, _ in told.resumed] == [0] * (told.plan.f + 1)
    assert all(f"{told.plan.f + 1} members have said so" in text for _, text in told.resumed)
    assert told.rounds[0]["outcome"] == "final"
    assert set(told.rounds[0]["shares"]) == set(told.plan.names)
    assert "other members must say it too" in told.refusals["twice"]
    assert "has not stopped" in told.refusals["not stopped"]


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
    assert one["opened"] == []


# And in all of it:


def test_every_model_is_the_one_of_plain_addition_so_nothing_acknowledged_is_lost(told: Told) -> None:
    assert {number: one["model"] for number, one in told.rounds.items() if one["model"]} == told.computed


def test_audit_of_all_homes_finds_everything_in_order(told: Told) -> None:
    assert told.problems == []
