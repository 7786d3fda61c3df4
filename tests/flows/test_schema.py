"""A schema: every column has a place and a meaning, and a digest that changes with what a row means."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from medward.flows.datasets import DATASETS
from medward.flows.schema import Feature, Group
from tests.agents.conftest import SCHEMA, toy_flows


def test_categories_have_an_indicator_each_and_numbers_a_column() -> None:
    assert [column.name for column in SCHEMA.columns] == ["rate", "size", "flag=a", "flag=b", "pulse"]
    assert [column.indicator for column in SCHEMA.columns] == [False, False, True, True, False]
    assert [column.event for column in SCHEMA.columns] == [False, False, True, True, False]
    assert SCHEMA.columns[-1].group is Group.EXPENSIVE


@pytest.mark.parametrize("name", DATASETS)
def test_columns_of_a_data_set_have_names_of_their_own(name: str) -> None:
    names = [column.name for column in DATASETS[name].schema.columns]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    "changes",
    [
        {"features": (Feature("rate"), Feature("rate"))},
        {"features": (Feature("id"),)},
        {"features": (Feature("class"),)},
        {"aliases": {"x": "no class"}},
    ],
)
def test_schema_that_contradicts_itself_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="schema toy"):
        replace(SCHEMA, **changes)


def test_digest_changes_with_what_a_row_means_and_not_with_texts() -> None:
    meaning: list[dict[str, Any]] = [
        {"features": SCHEMA.features[:-1]}, {"features": SCHEMA.features[::-1]}, {"label": "kind"}, {"step": 2.0},
        {"classes": (*SCHEMA.classes, "more")}, {"aliases": {"x": "flood"}}, {"never": {}}, {"order": None},
        {"device": None}, {"source": "file"}, {"history": False}, {"synthetic": False},
        {"features": (replace(SCHEMA.features[0], optional=True), *SCHEMA.features[1:])},
    ]  # fmt: skip
    digests = {replace(SCHEMA, **changes).digest for changes in meaning}
    assert len(digests | {SCHEMA.digest}) == len(meaning) + 1
    for texts in ({"title": "Other"}, {"citation": "a paper"}, {"never": {"id": "for another reason"}}):
        assert replace(SCHEMA, **texts).digest == SCHEMA.digest


def test_feature_that_is_left_out_is_named_with_its_reason() -> None:
    without = SCHEMA.without(["flag", "pulse"], "is left out")
    assert [column.name for column in without.columns] == ["rate", "size"]
    assert without.never == {"id": "is the label", "flag": "is left out", "pulse": "is left out"}
    with pytest.raises(ValueError, match=r"has no features \['x'\]"):
        SCHEMA.without(["x", "flag"], "is left out")


def test_rows_are_taken_with_all_that_belongs_to_them() -> None:
    flows = replace(toy_flows(50, 1), official=np.zeros(50, np.int8), trust=np.linspace(0.1, 1, 50, dtype=np.float32))
    rows = np.array([7, 3, 3])
    taken = flows.take(rows)
    assert len(taken) == 3
    for name in ("x", "y", "source", "device", "order", "official", "trust"):
        np.testing.assert_array_equal(getattr(taken, name), getattr(flows, name)[rows])
    assert len(flows.take(np.zeros(50, bool))) == 0
