"""From rows to encrypted columns and from opened numbers to a model: few rows, foreign plans, numbers of no rows."""

from dataclasses import replace

import msgspec
import numpy as np
import pytest

from medward.agents.sentinel.model import SentinelModel
from medward.federation.computing.preparation import write_preparation
from medward.federation.errors import NothingToTrain
from medward.federation.outsourced import training
from medward.federation.outsourced.terms import BadOutsourcing
from medward.federation.outsourced.training import (
    check_plan,
    own_columns,
    plan_model,
    public_scaler,
    read_plan,
    trained_model,
)
from tests.federation.outsourced.world import (
    COHORT,
    TERMS,
    columns_of,
    plain_numbers,
    rows_of,
    toy_data,
    toy_plan,
)

KNOWN = (toy_plan().space, toy_plan().scaler)


def test_hospital_with_few_rows_encrypts_none() -> None:
    """Two honest owners' rows must hold as many unknowns as numbers are opened, and each class 40 rows."""
    data, rows = toy_data(), rows_of("south")
    x, y = data.x[rows], data.flows.y[rows]
    with pytest.raises(NothingToTrain, match="rows: 0, in 0 of"):
        own_columns(toy_plan(), TERMS, KNOWN, x[:39], y[:39])
    with pytest.raises(NothingToTrain, match="rows: 1, in 0 of"):
        own_columns(toy_plan(), TERMS, KNOWN, np.repeat(x[:1], 200, axis=0), np.repeat(y[:1], 200))
    # Of another class there are 39 different rows, and none of them is encrypted: the one row hides behind nothing.
    mixed = np.concatenate([np.repeat(np.flatnonzero(y == 0)[:1], 60), np.flatnonzero(y == 1)[:39]])
    with pytest.raises(NothingToTrain, match="rows: 1, in 0 of"):
        own_columns(toy_plan(), TERMS, KNOWN, x[mixed], y[mixed])
    few = np.concatenate([np.flatnonzero(y == 0)[:80], np.flatnonzero(y == 1)[:10]])
    columns = own_columns(toy_plan(), TERMS, KNOWN, x[few], y[few])
    assert columns.shape == (80, TERMS.table_columns)
    assert columns[:, -TERMS.classes :].sum(axis=0).tolist() == [80, 0, 0]
    assert columns.min() >= 0
    assert columns.max() <= TERMS.largest


def test_plan_that_does_not_fit_its_terms_is_refused_in_one_sentence() -> None:
    data = write_preparation(toy_plan())
    for wrong in (
        msgspec.structs.replace(TERMS, classes=4),
        msgspec.structs.replace(TERMS, columns=TERMS.columns + 1),
        msgspec.structs.replace(TERMS, states=1),
    ):
        with pytest.raises(BadOutsourcing, match="not of the columns"):
            read_plan(data, wrong)
    for damaged in (b"", data[:-1], data[:100] + b"x" + data[101:]):
        with pytest.raises(BadOutsourcing, match="does not say how rows are prepared") as found:
            read_plan(damaged, TERMS)
        assert "\n" not in str(found.value)


def test_numbers_of_no_rows_lead_to_no_model() -> None:
    numbers, counts = plain_numbers(*COHORT), [len(columns_of(member)) for member in COHORT]
    for place, value in ((0, -1), (0, 10**6), (5, 10**15), (-1, 0)):
        wrong = list(numbers)
        wrong[place] = value
        with pytest.raises(BadOutsourcing, match="leads to no model"):
            trained_model(toy_plan(), TERMS, wrong, counts)


def _scaling_that_counts_one_row() -> tuple[SentinelModel, int]:
    """A plan whose scaling maps all numbers to one place, but the largest one of a column; and that row's class."""
    data, plan = toy_data(), toy_plan()
    rows = np.concatenate([rows_of(member) for member in COHORT])
    scaler, place = plan.scaler, 0
    values = data.x[rows][:, scaler.numbers[place]]
    second, largest = np.sort(values[~np.isnan(values)])[-2:]
    assert second < largest
    knots = np.tile(np.linspace(1e30, 2e30, scaler.knots.shape[1], dtype=np.float32), (len(scaler.knots), 1))
    knots[place] = np.linspace(second, largest, scaler.knots.shape[1])
    crafted = replace(
        scaler, knots=knots, indicators=scaler.indicators[:0], flags=scaler.flags[:0],
        knot_count=np.full_like(scaler.knot_count, knots.shape[1]),
    )  # fmt: skip
    alone = int(data.flows.y[rows][int(np.nanargmax(values))])
    return plan_model(data.space, crafted, plan.recipe, TERMS), alone


def test_scaling_that_its_author_crafted_tells_the_class_of_one_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a hospital's check of the plan prevents: all features are alike, but those of one row of somebody."""
    plan, alone = _scaling_that_counts_one_row()
    data, rows = toy_data(), rows_of("south")
    with pytest.raises(NothingToTrain, match="too few to hide"):  # this scaling shows for what it is, too
        own_columns(plan, TERMS, (plan.space, plan.scaler), data.x[rows], data.flows.y[rows])
    monkeypatch.setattr(training, "different_rows", lambda scaler, x, columns: (len(x), columns))
    columns = [
        own_columns(plan, TERMS, (plan.space, plan.scaler), data.x[rows_of(one)], data.flows.y[rows_of(one)])
        for one in COHORT
    ]
    opened = np.concatenate(columns)
    last = TERMS.features * TERMS.states
    counts, sums = opened[:, last:].sum(axis=0), opened[:, : TERMS.features].T @ opened[:, last:]
    alike = np.median(opened[:, : TERMS.features], axis=0)
    assert np.flatnonzero(np.abs(sums - np.outer(alike, counts)).sum(axis=0)).tolist() == [alone]


def test_hospital_encrypts_nothing_for_a_plan_with_a_scaling_that_it_does_not_know() -> None:
    plan, known, data, rows = toy_plan(), toy_data().space, toy_data(), rows_of("south")
    with pytest.raises(BadOutsourcing, match="may single out a row"):
        own_columns(_scaling_that_counts_one_row()[0], TERMS, KNOWN, data.x[rows], data.flows.y[rows])
    with pytest.raises(BadOutsourcing, match="may single out a row"):
        check_plan(plan, known, public_scaler(known, plan.recipe))
    with pytest.raises(BadOutsourcing, match="not of the columns"):
        check_plan(plan, replace(known, history=not known.history), plan.scaler)
