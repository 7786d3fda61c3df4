"""What is known of a data set beyond its schema: its files, and the columns that are left out or leak."""

import pytest

from medward.flows.datasets import DATASETS


@pytest.mark.parametrize("name", DATASETS)
def test_columns_that_leak_are_features_of_the_literatures_habit_alone(name: str) -> None:
    own = DATASETS[name]
    names, habit = ({feature.name for feature in schema.features} for schema in (own.schema, own.paper_schema()))
    assert habit - names == {feature.name for feature in own.paper_extra}
    assert not names & own.schema.never.keys()
    assert not habit & own.paper_schema().never.keys()


@pytest.mark.parametrize("name", DATASETS)
def test_features_that_are_left_out_may_still_be_in_the_files(name: str) -> None:
    own = DATASETS[name]
    first = own.schema.features[0].name
    without = own.without([first, "is no column"])
    assert first not in {feature.name for feature in without.schema.features}
    assert first in without.schema.never
    assert "is no column" not in without.schema.never
    assert own.without([]).schema.features == own.schema.features
