"""Columns of the schema: each follows from sums or sketches that there are, over a view that is remembered."""

import pytest

from medward.traffic.columns import COLUMNS, EXPENSIVE_VIEWS, VIEWS, How, plan
from medward.traffic.sums import NUMBERS, SKETCHES

SKETCHED = {How.DISTINCT, How.SEEN_DISTINCT}
ARGUMENTS = {How.MEAN: 2, How.SEEN_MEAN: 2, How.SPREAD: 2, How.DEVIATION: 3}


@pytest.mark.parametrize("name", COLUMNS)
def test_arguments_are_places_that_there_are(name: str) -> None:
    measure, ticks = COLUMNS[name]
    assert len(measure.arguments) == ARGUMENTS.get(measure.how, 1)
    most = SKETCHES if measure.how in SKETCHED else NUMBERS
    assert all(0 <= argument < most for argument in measure.arguments)
    assert ticks in VIEWS.values()
    assert name.removeprefix(measure.name) in VIEWS
    assert measure.text
    assert measure.unit


def test_what_needs_payload_is_told_as_seen_and_never_of_a_minute() -> None:
    for name, (measure, ticks) in COLUMNS.items():
        assert measure.payload == (measure.how >= How.SEEN), name
        assert not measure.payload or ticks in {VIEWS[view] for view in EXPENSIVE_VIEWS}


def test_plan_says_the_same_to_the_kernel() -> None:
    rows = plan()
    assert rows.shape == (len(COLUMNS), 5)
    for row, (measure, ticks) in zip(rows.tolist(), COLUMNS.values(), strict=True):
        assert row[:2] == [ticks, measure.how]
        assert tuple(row[2 : 2 + len(measure.arguments)]) == measure.arguments
        assert not any(row[2 + len(measure.arguments) :])
