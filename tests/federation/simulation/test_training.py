"""Whole federations: what is learned, who may be silent or lie, and what a kill leaves."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from itertools import chain, repeat
from pathlib import Path

import numpy as np
import pytest

import medward.federation.model.hospital
from medward.agents.costs import Costs
from medward.agents.sentinel.central import train_centrally
from medward.agents.sentinel.judgement import judge
from medward.agents.sentinel.model import Provenance
from medward.errors import MedwardError
from medward.federation.errors import FederationError
from medward.federation.model.shared_model import SharedModel
from medward.federation.model.shared_model_format import encode_model
from medward.federation.model.train import Train
from medward.federation.round.rules import FOUND_WORSE
from medward.federation.simulation.machines import RoundReport
from medward.federation.simulation.training import FederatedTraining, Options
from medward.federation.sums.interface import IntVector, SumTerms
from medward.federation.sums.plain import PlainSum
from medward.flows.datasets import Cut, Dataset
from medward.flows.prepared import PreparedData, prepare
from tests.agents.conftest import RECIPE, SCHEMA, toy_flows
from tests.federation.conftest import Start


def _quiet(_: object) -> None:
    return


def _score(training: FederatedTraining) -> float:
    prepared = training.prepared
    test = prepared.split.test
    result = judge(training.model(), prepared.x[test], prepared.flows.y[test])
    return float(result.metrics["binary"]["macro_f1"])


@pytest.mark.slow
def test_federation_learns_nearly_as_well_as_pooled_training(federation: Start) -> None:
    training = federation(rounds=12)
    training.run(None, _quiet)
    prepared, recipe = training.prepared, training.plan.recipe
    provenance = Provenance("central", None, 1, "none", True, 1)
    pooled = train_centrally(prepared, prepared.split.train, recipe, provenance)
    test = prepared.split.test
    best = judge(pooled, prepared.x[test], prepared.flows.y[test]).metrics["binary"]["macro_f1"]
    assert best > 0.9
    assert _score(training) > best - 0.03


@pytest.mark.slow
def test_same_seed_gives_the_same_model_and_another_seed_another(federation: Start) -> None:
    names = []
    for seed in (1, 1, 2):
        training = federation(rounds=2, seed=seed)
        names.append(training.run(None, _quiet).name)
    assert names[0] == names[1]
    assert names[0] != names[2]


def test_silent_hospital_holds_nobody_up(federation: Start) -> None:
    training = federation(silent=("hospital-2",))
    training.run(None, _quiet)
    assert all(report.cohort == ("hospital-1", "hospital-3", "hospital-4") for report in training.reports)
    assert all(report.outcome == "final" for report in training.reports)


def test_two_silent_of_four_stop_the_federation_in_one_sentence(federation: Start) -> None:
    training = federation(silent=("hospital-1", "hospital-2"))
    with pytest.raises(FederationError, match="has stopped") as stopped:
        training.run(None, _quiet)
    assert "\n" not in str(stopped.value)
    assert training.shared.step == 0


@pytest.mark.slow
def test_sampling_invites_a_share(federation: Start) -> None:
    training = federation(sites=8, sample=0.75, rounds=6)
    training.run(None, _quiet)
    cohorts = [report.cohort for report in training.reports if report.task == "train"]
    assert {len(cohort) for cohort in cohorts} == {6}
    assert len(set(cohorts)) > 1


class _Spoils(PlainSum):
    """Contributes what is malformed."""

    def contribute(self, terms: SumTerms, values: IntVector) -> bytes:
        return super().contribute(terms, values)[:-1]

    def contributed(self, terms: SumTerms) -> bytes | None:
        content = super().contributed(terms)
        return None if content is None else content[:-1]


def test_malformed_contribution_is_left_out_and_the_round_goes_on(federation: Start) -> None:
    training = federation()
    training._simulation._participants["hospital-3"]._member._sums = _Spoils("hospital-3")
    report = training._simulation.run_round()
    assert (report.outcome, report.cohort) == ("final", ("hospital-1", "hospital-2", "hospital-4"))


def test_model_that_a_majority_finds_worse_is_rolled_back(federation: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """One round's sum is spoiled beyond what a clipped update can do; the hospitals notice on their own rows."""
    training = federation(rounds=12)
    spoiled = 9 + training.plan.recipe.scaling.surveys
    advance = SharedModel.advance

    def spoil(self: SharedModel, total: IntVector, *others: object) -> SharedModel:
        after = advance(self, total, *others)  # type: ignore[arg-type]
        if training._simulation.state.number - 1 != spoiled or not isinstance(after, Train):
            return after
        return replace(after, weights=-10 * after.weights)

    monkeypatch.setattr(SharedModel, "advance", spoil)
    training.run(None, _quiet)
    outcomes = {report.round: report.outcome for report in training.reports}
    assert "majority" in outcomes.pop(spoiled)
    assert set(outcomes.values()) == {"final"}
    assert len(outcomes) == training.plan.steps


@pytest.mark.slow
def test_alert_bias_has_no_part_in_judging_a_round(prepared: PreparedData) -> None:
    """So cautious that it alerts on everything, a model still trains to the end: hospitals judge it without that."""
    recipe = RECIPE.change(alert_bias=2.0, federated_alert_bias=1000.0)
    training = FederatedTraining(prepared, recipe, Options(sites=4, rounds=6, protect="none", seed=1))
    training.run(None, _quiet)
    assert {report.outcome for report in training.reports} == {"final"}
    assert (training.model().scorer().score(prepared.x).decision > 0).all()
    assert np.mean(training.hospitals[0].tried(training.shared)) < 0.2


@pytest.mark.slow
def test_training_costs_train_and_costs_vote(prepared: PreparedData) -> None:
    dear = Costs(miss=3.0, false_alarm=3.0, wrong_class=3.0)
    trainings = [
        FederatedTraining(prepared, recipe, Options(sites=4, rounds=2, protect="none", seed=1))
        for recipe in (RECIPE, RECIPE.change(training_costs=dear), RECIPE.change(costs=dear))
    ]
    plain, taught, priced = (training.run(None, _quiet).name for training in trainings)
    assert taught == priced != plain
    own, dearer = (training.hospitals[0].tried(training.shared) for training in trainings[1:])
    assert (own >= 0.5).any()
    assert own.max() <= 1.0 + RECIPE.costs.escalation
    np.testing.assert_array_equal(own >= 0.5, dearer >= 3.0)


def test_a_member_weighs_as_much_as_it_has_rows(federation: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    training = federation()
    while training.shared.task == "survey":
        training._simulation.run_round()
    weights: list[int] = []
    weighted = medward.federation.model.hospital.weighted

    def watched(update: np.ndarray, rows: int, most_rows: int) -> np.ndarray:
        weights.append(rows)
        return weighted(update, rows, most_rows)

    monkeypatch.setattr(medward.federation.model.hospital, "weighted", watched)
    for hospital in training._hospitals:
        hospital.work(training.shared, training.shared.step)
    assert weights == [len(rows) for rows in training.shares]
    assert training.shared.census.rows == sum(weights)


def test_repeating_a_round_never_repeats_an_update(federation: Start) -> None:
    training = federation()
    while training.shared.task == "survey":
        training._simulation.run_round()
    first, again = (training._hospitals[0].work(training.shared, number) for number in (7, 8))
    assert not np.array_equal(first, again)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"sites": 2}, "at least 3"),
        ({"rounds": 0}, "at least 1 round"),
        ({"sample": 0.0}, "above 0"),
        ({"silent": ("hospital-9",)}, "hospital-9"),
        ({"protect": "outsourced"}, "which a simulation has not"),
        ({"bits": 32, "protect": "aggregate"}, "32 bits are not offered"),
        ({"bits": 7}, "7 bits are not offered"),
        ({"sites": 1025, "protect": "aggregate"}, "1025 contributors do not fit"),
        ({"sites": 8, "sample": 0.5}, "use at least --sample 0.75"),
        ({"sites": 500}, "hospitals"),
    ],
)
def test_impossible_options_are_refused_in_one_sentence(
    federation: Start, fields: dict[str, object], message: str
) -> None:
    with pytest.raises(MedwardError, match=message) as refused:
        federation(**fields)
    assert "\n" not in str(refused.value)


@pytest.mark.slow
def test_resumed_run_ends_as_an_uninterrupted_one(federation: Start, tmp_path: Path) -> None:
    whole = federation(silent=("hospital-3",))
    whole.run(None, _quiet)

    class Stop(Exception):
        pass

    def stop_in_the_middle(report: object) -> None:
        if broken.shared.round == 2:
            raise Stop

    broken = federation(silent=("hospital-3",))
    with pytest.raises(Stop):
        broken.run(tmp_path, stop_in_the_middle)
    resumed = federation(silent=("hospital-3",))
    resumed.resume(tmp_path)
    assert 0 < resumed.shared.step < resumed.plan.steps
    resumed.run(tmp_path, _quiet)
    assert encode_model(resumed.shared) == encode_model(whole.shared)
    assert [report.round for report in resumed.reports] == list(range(resumed.plan.steps))


def test_finished_run_is_resumed_with_its_model_and_no_more_rounds(federation: Start, tmp_path: Path) -> None:
    whole = federation(rounds=1)
    model = whole.run(tmp_path, _quiet)
    resumed = federation(rounds=1)
    resumed.resume(tmp_path)
    assert resumed.shared.done
    more: list[RoundReport] = []
    assert resumed.run(tmp_path, more.append).name == model.name
    assert more == []
    assert resumed.reports == whole.reports


@pytest.mark.slow
@pytest.mark.release
def test_a_hundred_hospitals_train_in_one_process_and_each_round_is_told() -> None:
    """More than the 64 who hold keys where sums are encrypted; here they are in the open."""
    prepared = prepare(Dataset(SCHEMA, home="nowhere", cut=Cut.BLOCKS, block_rows=20), toy_flows(4000, 0), "honest", 0)
    training = FederatedTraining(prepared, RECIPE, Options(sites=100, rounds=2, protect="none", seed=1))
    told: list[tuple[str, str, int]] = []
    training.run(None, lambda report: told.append((report.task, report.outcome, len(report.cohort))))
    assert [task for task, *_ in told][-2:] == ["train", "train"]
    assert {(outcome, cohort) for _, outcome, cohort in told} == {("final", 100)}


def _refusing(training: FederatedTraining, times: int) -> FederatedTraining:
    """Let all hospitals refuse the first so many models that are proposed for the second round of training."""
    for hospital in training.hospitals:
        verdicts = chain([False] * times, repeat(True))
        hospital.accepts = lambda before, after, own=verdicts: before.round != 1 or next(own)  # type: ignore[method-assign]
    return training


@pytest.mark.slow
def test_run_that_was_stopped_after_a_refused_model_resumes_with_the_shorter_step(
    federation: Start, tmp_path: Path
) -> None:
    whole = _refusing(federation(), 1)
    whole.run(None, _quiet)
    undisturbed = _refusing(federation(), 0)
    undisturbed.run(None, _quiet)
    assert encode_model(whole.shared) != encode_model(undisturbed.shared)

    class Stop(Exception):
        pass

    def stop_at_the_repetition(report: RoundReport) -> None:
        if broken.reports[-2:-1] and broken.reports[-2].outcome == FOUND_WORSE:
            raise Stop

    broken = _refusing(federation(), 1)
    with pytest.raises(Stop):
        broken.run(tmp_path, stop_at_the_repetition)
    resumed = _refusing(federation(), 0)
    resumed.resume(tmp_path)
    assert resumed.reports[-1].outcome == FOUND_WORSE
    resumed.run(tmp_path, _quiet)
    assert encode_model(resumed.shared) == encode_model(whole.shared)


@pytest.mark.slow
def test_checkpoint_of_other_options_is_refused(federation: Start, tmp_path: Path) -> None:
    federation(rounds=1).run(tmp_path, _quiet)
    with pytest.raises(FederationError, match="other options"):
        federation(rounds=2).resume(tmp_path)
    with pytest.raises(FederationError, match="no checkpoint"):
        federation().resume(tmp_path / "nothing")


def _demo(out: Path, *more: str) -> list[str]:
    code = "from medward.cli import main; main()"
    options = [
        "demo",
        "--rows",
        "4000",
        "--rounds",
        "3",
        "--seed",
        "3",
        "--simulate",
        "--out",
        str(out),
        "--json",
        *more,
    ]
    return [sys.executable, "-c", code, *options]


@pytest.mark.slow
def test_killed_demo_resumes_to_the_same_model(tmp_path: Path) -> None:
    whole = subprocess.run(_demo(tmp_path / "whole"), capture_output=True, text=True, check=True)
    expected = json.loads(whole.stdout)
    process = subprocess.Popen(_demo(tmp_path / "killed"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    state = tmp_path / "killed" / "checkpoint" / "state"
    deadline = time.monotonic() + 300
    while not (state.exists() and b'"round": 2' in state.read_bytes()[:20000]):
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "killed" / "model" / "model.json").exists()
    resumed = subprocess.run(_demo(tmp_path / "killed", "--resume"), capture_output=True, text=True, check=True)
    got = json.loads(resumed.stdout)
    assert got["model_name"] == expected["model_name"]
    assert got["metrics"] == expected["metrics"]
    assert len(got["rounds_log"]) == len(expected["rounds_log"])
