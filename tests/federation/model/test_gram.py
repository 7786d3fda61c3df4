"""A model in closed form: the sum of moments leads all to the model of pooled rows; lies and small groups fail."""

import re
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from medward.agents.closed_form.features import states_of
from medward.agents.closed_form.moments import moments_size
from medward.agents.closed_form.own_rows import LEAST_CLASS_ROWS, least_rows, rows_of_large_classes
from medward.agents.sentinel.judgement import judge
from medward.agents.sentinel.model import load_model
from medward.federation.errors import FederationError, NothingToTrain
from medward.federation.model.courier import courier_of
from medward.federation.model.gram import ClosedForm, Gather, check_own_rows, in_one_place
from medward.federation.model.hospital import LEAST_VALIDATION_ROWS, Hospital, TrainingRows
from medward.federation.model.plan import TrainingPlan, plan_digest, training_plan
from medward.federation.model.shared_model_format import decode_model, encode_model
from medward.federation.model.survey import SIZES, Survey
from medward.federation.records import AT_ONCE, BeginRound
from medward.federation.round import exposure
from medward.federation.round.rules import FOUND_WORSE, TOO_CLOSE
from medward.federation.rules import SURVEY, unknowns
from medward.federation.simulation.training import FederatedTraining
from medward.fhe.packing import COUNT_BITS
from medward.flows.schema import UNLABELLED
from medward.flows.sketch import column_counts
from tests.agents.conftest import RECIPE
from tests.federation.conftest import Start

FEATURES = 32
#: So many that a hospital needs many more different rows than those of a class that it may add.
MANY_FEATURES = 48


def _quiet(_: object) -> None:
    return


@pytest.fixture
def gathering(federation: Start) -> FederatedTraining:
    """A federation whose next sum is that of moments."""
    training = federation(rounds=1, features=FEATURES)
    while training.shared.task == "survey":
        training._simulation.run_round()
    return training


def _stage(training: FederatedTraining) -> Gather:
    assert isinstance(training.shared, Gather)
    return training.shared


def _total(training: FederatedTraining) -> np.ndarray:
    stage = _stage(training)
    return np.sum([hospital.work(stage, 9) for hospital in training.hospitals], axis=0)


def _pooled(training: FederatedTraining, stage: Gather) -> ClosedForm:
    """The model of all hospitals' rows in one place, but for those that a hospital would have left out."""
    x, y = training.prepared.x, training.prepared.flows.y
    rows = np.concatenate([share[rows_of_large_classes(y[share])] for share in training.shares])
    pooled = stage.advance(stage.moments(x[rows], y[rows]))
    assert isinstance(pooled, ClosedForm)
    return pooled


@pytest.mark.parametrize("protect", ["none", pytest.param("aggregate", marks=pytest.mark.slow)])
def test_model_is_that_of_pooled_rows_bit_for_bit(federation: Start, protect: str, tmp_path: object) -> None:
    training = federation(rounds=1, features=FEATURES, protect=protect)
    model = training.run(None, _quiet)
    prepared, shared = training.prepared, training.shared
    assert isinstance(shared, ClosedForm)
    pooled = _pooled(training, Gather(shared.plan, shared.step - 1, shared.census))
    assert pooled.found.coefficients.tobytes() == shared.found.coefficients.tobytes()
    assert pooled.found.shortfall == shared.found.shortfall
    assert pooled.guard(model.provenance).files() == model.files()
    assert [report.task for report in training.reports] == ["survey"] * 3 + ["gram"]
    test = prepared.split.test
    assert judge(model, prepared.x[test], prepared.flows.y[test]).metrics["binary"]["macro_f1"] > 0.8
    model.save(tmp_path)
    assert load_model(tmp_path).files() == model.files()


def test_encoding_round_trips_before_and_after_the_sum(gathering: FederatedTraining) -> None:
    before = encode_model(gathering.shared)
    assert encode_model(decode_model(gathering.plan, before)) == before
    after = gathering.shared.advance(_total(gathering))
    assert encode_model(decode_model(gathering.plan, encode_model(after))) == encode_model(after)
    assert after.done
    wrong = replace(after, found=replace(after.found, coefficients=after.found.coefficients[:, 1:]))
    with pytest.raises(FederationError, match="damaged"):
        decode_model(gathering.plan, encode_model(wrong))
    broken = replace(after, found=replace(after.found, coefficients=after.found.coefficients * np.nan))
    with pytest.raises(FederationError, match="not finite"):
        decode_model(gathering.plan, encode_model(broken))


def test_training_in_one_place_is_a_sum_over_one_hospital(gathering: FederatedTraining) -> None:
    stage, prepared = _stage(gathering), gathering.prepared
    rows = np.concatenate([share[rows_of_large_classes(prepared.flows.y[share])] for share in gathering.shares])
    x, y = prepared.x[rows], prepared.flows.y[rows]
    one = in_one_place(gathering.plan, x, y, stage.census.most_rows)
    whole = stage.advance(stage.moments(x, y))
    assert one.found.coefficients.tobytes() == whole.found.coefficients.tobytes()


def test_model_is_not_there_before_the_sum(gathering: FederatedTraining) -> None:
    with pytest.raises(FederationError, match="no model yet"):
        gathering.model()


def test_plan_tells_the_features_and_refuses_others(gathering: FederatedTraining) -> None:
    plan = gathering.plan
    assert plan_digest(plan) != plan_digest(replace(plan, features=64))
    for features in (-4, 15, 18, 4096):
        with pytest.raises(FederationError, match="multiple of 4"):
            training_plan(plan.space, RECIPE, 5, 1, features=features)
    with pytest.raises(FederationError, match="Courier"):
        training_plan(plan.space, RECIPE, 5, 1, courier=courier_of("every:1", 4), features=16)


# What a hospital adds.


def test_no_hospital_adds_more_than_a_count_holds(gathering: FederatedTraining) -> None:
    for hospital in gathering.hospitals:
        own = hospital.work(_stage(gathering), 9)
        counts, values = np.split(own, [_stage(gathering).counts])
        assert 0 <= own.min() <= counts.max() < 1 << COUNT_BITS
        assert values.max() < 1 << (gathering.plan.bits - 1)


def test_class_of_which_a_hospital_has_few_rows_is_left_out(gathering: FederatedTraining) -> None:
    stage, prepared = _stage(gathering), gathering.prepared
    rows = gathering.shares[0]
    x, y = prepared.x[rows], prepared.flows.y[rows]
    few = np.flatnonzero(y == 2)[: LEAST_CLASS_ROWS - 1]
    rest = np.concatenate([np.flatnonzero(y < 2), few])
    moments = stage.read(stage.contribution(x[rest], y[rest]))
    assert moments.rows[2] == 0
    assert not moments.sums[:, :, 2].any()
    with pytest.raises(NothingToTrain, match="rows: 0, in 0 of"):
        stage.contribution(x[few], y[few])


def test_hospital_with_too_few_rows_stands_aside_before_the_first_survey(federation: Start) -> None:
    training = federation(rounds=1, features=256)
    with pytest.raises(NothingToTrain, match="too few to hide"):
        training.run(None, _quiet)
    prepared = training.prepared
    rows = prepared.split.train
    small = training_plan(prepared.space, RECIPE, 1, 1, features=16)
    check_own_rows(small, prepared.x[rows], prepared.flows.y[rows])
    # One row many times is one row.
    same = np.repeat(rows[:1], len(rows))
    with pytest.raises(NothingToTrain, match="rows: 1, in 0 of"):
        check_own_rows(small, prepared.x[same], prepared.flows.y[same])


def test_refusal_names_how_many_features_would_do(federation: Start) -> None:
    training = federation(rounds=1, features=256)
    prepared, share = training.prepared, training.shares[0]
    x, y = prepared.x[share], prepared.flows.y[share]

    def checked(features: int) -> None:
        check_own_rows(training_plan(prepared.space, RECIPE, 1, 1, features=features), x, y)

    with pytest.raises(NothingToTrain) as refused:
        checked(256)
    fitting = int(re.findall(r"at most (\d+) features", str(refused.value))[0])
    checked(fitting)
    with pytest.raises(NothingToTrain, match=f"at most {fitting} features"):
        checked(fitting + 4)
    with pytest.raises(NothingToTrain, match="no number of features is small enough"):
        check_own_rows(training.plan, x[:45], y[:45] * 0)


def test_columns_that_are_computed_from_other_rows_hide_nobody(federation: Start) -> None:
    training = federation(rounds=1, features=FEATURES)
    prepared, space = training.prepared, training.prepared.space
    numbers = moments_size(states_of(space), FEATURES, len(space.schema.classes))
    own, all_columns = len(space.schema.columns), len(space.columns)
    few = training.shares[0][: least_rows(numbers, own) - 1]
    assert len(few) > least_rows(numbers, all_columns)
    x, y = prepared.x[few].copy(), np.zeros(len(few), np.int32)
    with pytest.raises(NothingToTrain, match="too few to hide"):
        check_own_rows(training.plan, x, y)
    # Rows that differ in nothing of their own are one row, whatever came before each.
    x = prepared.x[training.shares[0]].copy()
    x[:, :own] = x[0, :own]
    with pytest.raises(NothingToTrain, match="rows: 1, in 0 of"):
        check_own_rows(training.plan, x, np.zeros(len(x), np.int32))


def test_rows_that_are_not_added_hide_nobody(federation: Start) -> None:
    prepared, plan = (training := federation(rounds=1, features=MANY_FEATURES)).prepared, training.plan
    rows = prepared.split.train
    x, y = prepared.x[rows], prepared.flows.y[rows]
    columns = len(prepared.flows.schema.columns)
    least = least_rows(
        moments_size(states_of(prepared.space), plan.features, len(prepared.flows.schema.classes)), columns
    )
    large, small = np.flatnonzero(y == 0), np.flatnonzero(y == 2)
    check_own_rows(plan, x[large[:least]], y[large[:least]])
    mixed = np.concatenate([large[: least - LEAST_CLASS_ROWS + 1], small[: LEAST_CLASS_ROWS - 1]])
    assert len(mixed) == least
    with pytest.raises(NothingToTrain, match=f"rows: {least - LEAST_CLASS_ROWS + 1}, in"):
        check_own_rows(plan, x[mixed], y[mixed])


def test_surveys_count_the_rows_that_are_added_and_no_others(federation: Start) -> None:
    """What only one of two sums counted, their difference would tell: rows of small classes, and without a class."""
    training = federation(rounds=1, features=FEATURES)
    survey, share = training.shared, training.shares[0]
    assert isinstance(survey, Survey)
    x, y = training.prepared.x[share], training.prepared.flows.y[share].copy()
    y[np.flatnonzero(y == 1)[LEAST_CLASS_ROWS - 1 :]] = UNLABELLED
    kept = np.flatnonzero((y == 0) | (y == 2))
    assert set(np.bincount(y[y != UNLABELLED])) >= {LEAST_CLASS_ROWS - 1}

    def surveyed(rows: np.ndarray, plan: TrainingPlan) -> np.ndarray:
        own = TrainingRows(x[rows], y[rows], np.zeros(len(rows), np.int32), None)
        return Hospital(b"", own).work(replace(survey, plan=plan), 0)

    assert surveyed(np.arange(len(y)), survey.plan).tolist() == surveyed(kept, survey.plan).tolist()
    rounds = replace(survey.plan, features=0)
    assert surveyed(np.arange(len(y)), rounds).tolist() != surveyed(kept, rounds).tolist()


def test_sum_is_of_as_many_rows_of_each_class_as_the_surveys_counted(federation: Start) -> None:
    training = federation(rounds=1, features=FEATURES)
    assert any(np.bincount(training.prepared.flows.y[share]).min() < LEAST_CLASS_ROWS for share in training.shares)
    shared, held = training.shared, None
    while isinstance(shared, Survey):
        total = np.sum([hospital.work(shared, shared.step) for hospital in training.hospitals], axis=0)
        held = total[shared.grid.size :][: len(training.prepared.flows.schema.classes)]
        shared = shared.advance(total)
    assert isinstance(shared, Gather)
    added = shared.read(np.sum([hospital.work(shared, 9) for hospital in training.hospitals], axis=0))
    assert added.rows.tolist() == held.tolist()


def test_hospitals_without_forty_attacks_of_a_kind_are_told_what_counts(federation: Start) -> None:
    training = federation(rounds=1, features=FEATURES)

    def no_attacks(survey: Survey, total: np.ndarray) -> None:
        total[survey.grid.size + 1 :][:2] = 0

    with pytest.raises(FederationError, match=r"no attack rows .* at least 40 of it"):
        _after_surveys(training, no_attacks)


# Liars.


def _after_surveys(training: FederatedTraining, lie: Callable[[Survey, np.ndarray], None]) -> Gather:
    """The stage to which surveys lead whose sums a liar changed."""
    shared = training.shared
    while isinstance(shared, Survey):
        total = np.sum([hospital.work(shared, shared.step) for hospital in training.hospitals], axis=0)
        lie(shared, total)
        shared = shared.advance(total)
    assert isinstance(shared, Gather)
    return shared


def _few_rows(survey: Survey, total: np.ndarray) -> None:
    """No hospital has more than 16 rows: each would add the moments of its first 16."""
    sizes = total[-SIZES:]  # of a plan without Courier
    sizes[:] = 0
    sizes[4] = 1


def _nobodys_class(survey: Survey, total: np.ndarray) -> None:
    """Nobody has rows of a class, which would be left out of the sum alone."""
    total[survey.grid.size + 1] = 0


@pytest.mark.parametrize("lie", [_few_rows, _nobodys_class])
def test_hospital_adds_exactly_the_rows_that_it_counted_or_none(
    federation: Start, lie: Callable[[Survey, np.ndarray], None]
) -> None:
    training = federation(rounds=1, features=FEATURES)
    stage = _after_surveys(training, lie)
    with pytest.raises(NothingToTrain, match="a member gave false counts"):
        training.hospitals[0].work(stage, 9)


def test_hospital_with_one_row_more_than_the_surveys_say_adds_none(gathering: FederatedTraining) -> None:
    stage, rows = _stage(gathering), gathering.shares[0]
    x, y = gathering.prepared.x[rows], gathering.prepared.flows.y[rows]
    exact = replace(stage, census=replace(stage.census, most_rows=len(rows)))
    whole = exact.read(exact.contribution(x, y))
    # What it would tell to add all but the last: the class of that row.
    alone = whole.rows - exact.read(exact.moments(x[:-1], y[:-1])).rows
    assert alone.tolist() == [int(k == y[-1]) for k in range(3)]
    with pytest.raises(NothingToTrain, match="a member gave false counts"):
        replace(stage, census=replace(stage.census, most_rows=len(rows) - 1)).contribution(x, y)


def _two_values(survey: Survey, total: np.ndarray) -> None:
    """Nothing is left but two cells of one column: rows come to be equal."""
    middle = len(survey.grid.edges[0]) // 2
    total[: survey.grid.size] = 0
    total[[middle - 1, middle]] = 500


def _one_number(survey: Survey, total: np.ndarray) -> None:
    """All columns but one have the two highest cells alone: one number and what is not scaled tells rows apart."""
    for own, _ in column_counts(survey.grid, total[: survey.grid.size])[1:]:
        own[:] = 0
        own[-2:] = 500


@pytest.mark.parametrize("lie", [_two_values, _one_number])
def test_survey_whose_scaling_leaves_too_little_different_gets_no_moments(
    federation: Start, lie: Callable[[Survey, np.ndarray], None]
) -> None:
    """From an earlier sum a liar knows what honest hospitals count, and takes it away."""
    training = federation(rounds=1, features=MANY_FEATURES)
    stage = _after_surveys(training, lambda survey, total: lie(survey, total) if survey.step == 2 else None)
    for hospital in training.hospitals:
        with pytest.raises(NothingToTrain, match=r"rows as the surveys scale them, .* too few to hide"):
            hospital.work(stage, 9)


def _not_of_rows(total: np.ndarray, stage: Gather) -> np.ndarray:
    """Two features whose difference would have a negative square, all else within bounds."""
    moments = stage.read(total)
    squares = moments.squares[1]
    busy = np.argsort(np.diagonal(squares))[-3:]
    for i in busy:
        for j in busy:
            sign = 1 if i == j or busy[0] in (i, j) else 0
            squares[i, j] = sign * int(np.sqrt(float(squares[i, i]) * float(squares[j, j])) * 0.999)
    return stage.written(moments)


def _too_many_rows(total: np.ndarray, stage: Gather) -> np.ndarray:
    return total * 2


def _sum_without_rows(total: np.ndarray, stage: Gather) -> np.ndarray:
    moments = stage.read(total)
    moments.sums[0, 5, 1] = stage.largest * moments.rows[1] + 1
    return stage.written(moments)


def _product_too_large(total: np.ndarray, stage: Gather) -> np.ndarray:
    moments = stage.read(total)
    moments.squares[0, 4, 4] = stage.largest**2 * int(moments.rows.sum()) + 1
    return stage.written(moments)


def _nobody(total: np.ndarray, stage: Gather) -> np.ndarray:
    return total * 0


def _negative(total: np.ndarray, stage: Gather) -> np.ndarray:
    total[0] = -1
    return total


@pytest.mark.parametrize(
    ("lie", "told"),
    [
        (_not_of_rows, "not positive definite"),
        (_too_many_rows, "rows where the surveys counted"),
        (_sum_without_rows, "sum of a feature"),
        (_product_too_large, "product of features"),
        (_nobody, "counts no rows"),
        (_negative, "negative counts"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_sum_that_no_rows_give_leads_to_no_model(
    gathering: FederatedTraining, lie: Callable[[np.ndarray, Gather], np.ndarray], told: str
) -> None:
    total = _total(gathering)
    gathering.shared.advance(total.copy())
    with pytest.raises(FederationError, match=told):
        gathering.shared.advance(lie(total.copy(), _stage(gathering)))


def test_hospitals_vote_against_a_model_that_is_worse_than_none(gathering: FederatedTraining) -> None:
    """Liars whose rows outweigh the others' call attacks benign and benign rows attacks."""
    stage, total = _stage(gathering), _total(gathering)
    lie = stage.read(total)
    lie.sums[:, :, [0, 1]] = lie.sums[:, :, [1, 0]]
    lie.rows[[0, 1]] = lie.rows[[1, 0]]
    honest, poisoned = stage.advance(total), stage.advance(stage.written(lie))
    asked = [hospital for hospital in gathering.hospitals if len(hospital._validation) >= LEAST_VALIDATION_ROWS]
    assert asked
    assert all(hospital.accepts(stage, honest) for hospital in asked)
    votes = [hospital.accepts(stage, poisoned) for hospital in asked]
    assert votes.count(False) > len(gathering.hospitals) / 2, votes


# Groups.


def test_sum_of_moments_is_of_the_surveys_unknowns() -> None:
    begun = BeginRound(4, "gram", "model", ("a", "b"), 10, 0, AT_ONCE)
    assert unknowns(begun) == SURVEY


def _lose_one(training: FederatedTraining) -> None:
    simulation = training._simulation
    carry_out = simulation._carry_out
    simulation._carry_out = lambda name, effect: None if name == "hospital-4" else carry_out(name, effect)  # type: ignore[method-assign]


def test_sum_beside_a_survey_of_one_more_hospital_is_refused(gathering: FederatedTraining) -> None:
    """The survey counted four hospitals' classes; moments of three hold the counts of three."""
    _lose_one(gathering)
    report = gathering._simulation.run_round()
    assert report.outcome.startswith(TOO_CLOSE)
    assert not report.cohort


def test_without_the_rule_the_difference_is_one_hospitals_rows(
    gathering: FederatedTraining, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The attack succeeds where the rule is left out."""
    monkeypatch.setattr("medward.federation.round.exposure.isolates", lambda *_: False)
    assert not exposure.isolates((), frozenset(), 3)
    census = _stage(gathering).census
    totals: list[np.ndarray] = []
    advance = Gather.advance
    monkeypatch.setattr(
        Gather, "advance", lambda self, total, *rest: (totals.append(total), advance(self, total, *rest))[1]
    )
    _lose_one(gathering)
    assert gathering._simulation.run_round().outcome == "final"
    stage, prepared = Gather(gathering.plan, gathering.plan.recipe.scaling.surveys, census), gathering.prepared
    others = [len(rows_of_large_classes(prepared.flows.y[share])) for share in gathering.shares[:3]]
    counted = int(stage.read(totals[0]).rows.sum())
    # Whoever compares the two sums has the rows of the fourth.
    assert counted == sum(others)
    assert census.rows - counted == len(rows_of_large_classes(prepared.flows.y[gathering.shares[3]]))


def test_federation_whose_hospitals_do_not_come_back_says_what_to_do(gathering: FederatedTraining) -> None:
    with pytest.raises(FederationError, match="bring them back"):
        gathering.shared.advance(None)


def test_fewer_than_the_least_cohort_lead_to_nothing(federation: Start) -> None:
    training = federation(rounds=1, features=FEATURES, silent=("hospital-1", "hospital-2"))
    report = training._simulation.run_round()
    assert report.outcome != "final"
    assert FOUND_WORSE not in report.outcome


def test_refused_model_is_followed_by_one_with_a_stronger_penalty(gathering: FederatedTraining) -> None:
    total = _total(gathering)
    first, second = gathering.shared.advance(total), gathering.shared.advance(total, refused=1)
    assert np.abs(second.found.coefficients).sum() < np.abs(first.found.coefficients).sum()
