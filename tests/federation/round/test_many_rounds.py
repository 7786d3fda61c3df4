"""Over many rounds: what all sums tell together, and how a federation goes on without a hospital that was in one.

Threats of spec/round.md, "Many rounds". Each attack succeeds where the rule is left out, and fails with it.
"""

from collections.abc import Callable, Iterator
from typing import get_args

import numpy as np
import pytest

from medward.federation import records
from medward.federation.errors import FederationError
from medward.federation.model.shared_model import SharedModel
from medward.federation.model.survey import SIZES
from medward.federation.records import Answer, ModelVote, Resume
from medward.federation.round import exposure
from medward.federation.round.effects import OrderRecord, RoundEffect
from medward.federation.round.rules import FOUND_WORSE, TOO_CLOSE
from medward.federation.rules import SURVEY, WAY_OUT
from medward.federation.simulation.machines import RoundReport
from medward.federation.simulation.training import FederatedTraining
from medward.fhe.packing import PLAIN_BITS
from tests.federation.conftest import Start

LOST = "hospital-4"
OTHERS = ("hospital-1", "hospital-2", "hospital-3")


def _silence(training: FederatedTraining, says: Callable[[str, OrderRecord], bool]) -> None:
    """Drop what members order, where `says` is false for it."""
    simulation = training._simulation
    carry_out = simulation._carry_out

    def between(name: str, effect: RoundEffect) -> None:
        if not isinstance(effect, OrderRecord) or says(name, effect):
            carry_out(name, effect)

    simulation._carry_out = between  # type: ignore[method-assign]


def _lose(training: FederatedTraining, from_round: int, until: int = 10**9) -> None:
    """A hospital says nothing in these rounds."""
    _silence(
        training,
        lambda name, order: not (name == LOST and from_round <= training._simulation.state.number - 1 < until),
    )


def _rounds(training: FederatedTraining) -> Iterator[RoundReport]:
    while not training.shared.done:
        yield training._simulation.run_round()


@pytest.fixture
def surveyed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[SharedModel, np.ndarray]]:
    """The shared model before each survey that was decrypted, and what it told."""
    seen: list[tuple[SharedModel, np.ndarray]] = []
    advance = SharedModel.advance

    def watched(self: SharedModel, total: np.ndarray, *others: object) -> SharedModel:
        if self.task == "survey" and (not seen or seen[-1][0].step != self.step):
            seen.append((self, total))
        return advance(self, total, *others)  # type: ignore[arg-type]

    monkeypatch.setattr(SharedModel, "advance", watched)
    return seen


def _classes_of_the_lost(seen: list[tuple[SharedModel, np.ndarray]]) -> np.ndarray:
    """Subtract the second survey from the first: the classes are counted in both."""
    first, second = (total[shared.grid.size : -SIZES] for shared, total in seen[:2])
    return np.asarray(first - second)


def test_survey_without_a_hospital_that_was_in_the_one_before_is_not_answered(
    federation: Start, surveyed: list[tuple[SharedModel, np.ndarray]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the rule, two surveys subtract to one hospital's classes; with it the second is never opened."""
    truth = None
    for weakened in (True, False):
        surveyed.clear()
        with monkeypatch.context() as patch:
            if weakened:
                patch.setattr(exposure, "isolates", lambda known, cohort, least: False)
            training = federation(rounds=1)
            _lose(training, from_round=1)
            first, second = training._simulation.run_round(), training._simulation.run_round()
        assert first.outcome == "final"
        if weakened:
            y = training.prepared.flows.y[training.shares[3]]
            truth = np.bincount(y, minlength=len(training.plan.space.schema.classes))
            np.testing.assert_array_equal(_classes_of_the_lost(surveyed), truth)
        else:
            assert second.outcome == f"{TOO_CLOSE}; bring back {LOST}, or the federation goes on without this sum"
            assert not second.answers
            assert len(surveyed) == 1
    assert truth is not None
    assert truth.sum() > 0


@pytest.mark.slow
def test_no_training_sum_holds_what_is_the_same_in_every_round(federation: Start) -> None:
    """Row counts summed over cohorts that sampling draws would solve to every hospital's; so none are summed.

    With Courier one count is left, the cost of the model at hand, another with every model.
    """
    for options, counts in (({}, 0), ({"courier": "every:1"}, 1)):
        training = federation(rounds=2, **options)
        reports = list(_rounds(training))
        assert {report.outcome for report in reports} == {"final"}
        assert training.shared.counts == counts
        assert training.shared.census.rows == sum(map(len, training.shares))


def test_nothing_is_asked_of_single_nodes_of_trees() -> None:
    """A liar could steer what was asked to single rows of another hospital."""
    # "gram" sums over all rows of a class at once; what it is asked of follows from public numbers.
    assert set(get_args(records.Task)) == {"survey", "train", "gram", "skip"}


@pytest.mark.slow
def test_repeated_step_invites_the_same_hospitals(federation: Start) -> None:
    training = federation(sites=8, sample=0.75, rounds=3)
    simulation = training._simulation
    while training.shared.task == "survey":
        simulation.run_round()
    first = simulation.state.invited()
    lost = first[0]
    _silence(training, lambda name, order: not (name == lost and isinstance(order.record, Answer)))
    _silence(training, lambda name, order: not (isinstance(order.record, Answer) and name in first[:3]))
    assert "holders answered" in simulation.run_round().outcome
    assert simulation.state.invited() == first


@pytest.mark.parametrize("protect", [pytest.param("none", marks=pytest.mark.slow), "aggregate"])
def test_training_goes_on_without_a_hospital_that_was_in_a_decrypted_round_that_led_nowhere(
    federation: Start, protect: str
) -> None:
    """Two holders name no answer: the others' are known to somebody, and the round is void. Then a hospital is lost.

    Its cohort without it is refused; the model goes on by what is public, and the next sum is of another model.
    """
    training = federation(rounds=2, protect=protect)
    simulation = training._simulation
    surveys = training.plan.recipe.scaling.surveys
    _silence(
        training,
        lambda name, order: (
            not (isinstance(order.record, Answer) and order.record.round == surveys and name in OTHERS[:2])
        ),
    )
    _lose(training, from_round=surveys + 1)
    reports = list(_rounds(training))[surveys:]
    told = [(report.task, report.outcome.partition(";")[0], len(report.cohort)) for report in reports]
    assert told[0][1] == "2 holders answered"
    assert told[1:3] == [("train", TOO_CLOSE, 0), ("skip", "final", 0)]
    assert told[3:] == [("train", "final", 3)] * 2
    assert simulation.state.stopped is None


def test_training_goes_on_without_a_hospital_whose_round_was_voted_down(federation: Start) -> None:
    training = federation(rounds=2)
    surveys = training.plan.recipe.scaling.surveys
    simulation = training._simulation
    carry_out = simulation._carry_out

    def votes_against(name: str, effect: RoundEffect) -> None:
        if isinstance(effect, OrderRecord) and isinstance(effect.record, ModelVote) and effect.record.round == surveys:
            effect = OrderRecord(ModelVote(surveys, name, accept=False))
        carry_out(name, effect)

    simulation._carry_out = votes_against  # type: ignore[method-assign]
    _lose(training, from_round=surveys + 1)
    told = [(report.task, report.outcome.partition(";")[0]) for report in list(_rounds(training))[surveys:]]
    assert told == [("train", FOUND_WORSE), ("train", TOO_CLOSE), ("skip", "final"), *[("train", "final")] * 2]


def test_hospital_that_comes_back_in_time_is_summed_again_and_nothing_is_skipped(federation: Start) -> None:
    training = federation(rounds=2, bits=PLAIN_BITS)
    _lose(training, from_round=1, until=2)
    told = [(report.task, report.outcome.partition(";")[0], len(report.cohort)) for report in _rounds(training)]
    assert told[:3] == [("survey", "final", 4), ("survey", TOO_CLOSE, 0), ("survey", "final", 4)]
    assert {task for task, _, _ in told} == {"survey", "train"}


@pytest.mark.parametrize("task", ["survey", "train"])
def test_hospital_that_was_away_when_a_sum_was_decrypted_in_vain_does_not_stop_the_others_when_it_is_back(
    federation: Start, task: str
) -> None:
    """With all four the sum would tell of it alone; without it, it is the one that may be known already."""
    training = federation(rounds=2)
    opened = 0 if task == "survey" else training.plan.recipe.scaling.surveys
    _silence(
        training,
        lambda name, order: (
            not (isinstance(order.record, Answer) and order.record.round == opened and name in OTHERS[:2])
        ),
    )
    _lose(training, from_round=opened, until=opened + 1)
    reports = list(_rounds(training))[opened:]
    told = [(report.task, report.outcome.partition(";")[0], report.cohort) for report in reports]
    assert told[0][:2] == (task, "1 holders answered")
    assert told[1] == (task, "final", OTHERS)
    assert {outcome for _, outcome, _ in told[1:]} == {"final"}
    assert training._simulation.state.stopped is None


def test_surveyed_hospital_that_is_lost_is_waited_for_and_then_the_last_survey_stays_in_use(federation: Start) -> None:
    training = federation(rounds=1)
    _lose(training, from_round=1)
    told = [(report.task, report.outcome.partition(";")[0], len(report.cohort)) for report in _rounds(training)]
    assert told == [
        ("survey", "final", 4),
        ("survey", TOO_CLOSE, 0),
        ("survey", TOO_CLOSE, 0),
        ("skip", "final", 0),
        ("train", "final", 3),
    ]
    assert training.shared.census.hospitals == 4
    training.model()


@pytest.mark.slow
def test_first_survey_that_was_decrypted_in_vain_waits_for_its_hospitals_and_goes_on_without_it_once_resumed(
    federation: Start,
) -> None:
    """There is no model yet that could go on: the federation stops until its members say that it shall."""
    training = federation(rounds=1)
    simulation = training._simulation
    _silence(
        training,
        lambda name, order: not (isinstance(order.record, Answer) and order.record.round == 0 and name in OTHERS[:2]),
    )
    _lose(training, from_round=1)
    with pytest.raises(FederationError) as stopped:
        list(_rounds(training))
    assert WAY_OUT in str(stopped.value)
    assert "\n" not in str(stopped.value)
    assert simulation.state.exposed == {SURVEY: (frozenset({*OTHERS, LOST}),)}
    for name in OTHERS[:2]:
        simulation._carry_out(name, OrderRecord(Resume()))
    told = [(report.task, report.outcome.partition(";")[0], len(report.cohort)) for report in _rounds(training)]
    assert told == [("survey", TOO_CLOSE, 0), ("skip", "final", 0), ("train", "final", 3)]
    assert training.shared.census.rows == training.shared.census.hospitals == 1
    classes = training.plan.space.schema.classes
    assert training.model().classes == classes


def test_what_was_decrypted_counts_after_the_federation_was_resumed(federation: Start) -> None:
    training = federation(rounds=1)
    simulation = training._simulation
    _lose(training, from_round=1, until=4)
    _silence(
        training,
        lambda name, order: not (isinstance(order.record, Answer) and order.record.round == 0 and name in OTHERS[:2]),
    )
    for _ in range(3):
        simulation.run_round()
    assert simulation.state.stopped is not None
    for name in OTHERS[:2]:
        simulation._log.append(records.Resume(), name)
    assert simulation.run_round().outcome.startswith(TOO_CLOSE)
    assert simulation.run_round().outcome == "final"
    assert {report.outcome for report in _rounds(training)} == {"final"}
