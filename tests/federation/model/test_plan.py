from dataclasses import replace

import pytest

from medward.federation.model.plan import TrainingPlan, plan_digest
from medward.flows.history import FeatureSpace
from medward.flows.schema import Feature, Group, Schema
from tests.agents.conftest import RECIPE, SCHEMA


def digest(schema: Schema) -> str:
    return plan_digest(TrainingPlan(FeatureSpace(schema, True), RECIPE, rounds=5, seed=3))


def dearer(schema: Schema) -> Schema:
    first, *rest = schema.features
    return replace(schema, features=(Feature(first.name, Group.EXPENSIVE), *rest))


@pytest.mark.parametrize(
    "changed",
    [
        dearer(SCHEMA),
        replace(SCHEMA, step=60.0),
        replace(SCHEMA, order="another clock"),
        replace(SCHEMA, aliases={"scan": "flood"}),
    ],
    ids=["evidence that others see for nothing", "step", "clock", "aliases"],
)
def test_members_whose_schema_files_differ_have_no_plan_in_common_though_columns_and_classes_are_the_same(
    changed: Schema,
) -> None:
    assert [column.name for column in changed.columns] == [column.name for column in SCHEMA.columns]
    assert digest(changed) != digest(SCHEMA)


def test_what_a_known_data_set_means_is_not_asked() -> None:
    known = replace(SCHEMA, dataset="ward")
    assert digest(replace(known, step=60.0)) == digest(known)
