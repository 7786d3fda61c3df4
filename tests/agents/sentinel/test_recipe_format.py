"""The flat table of a recipe: no setting is lost, old tables are read, and what is of a wrong type is refused."""

import json
from collections.abc import Iterator
from dataclasses import asdict, fields, is_dataclass, replace
from typing import Any

import msgspec
import pytest

from medward.agents.costs import Costs
from medward.agents.sentinel.recipe import RECIPES, Recipe
from medward.agents.sentinel.recipe_format import flat_of, recipe_from

_OTHER = {"relu": "square", "quantile": "standard", "real": "quaternion", "adamw": "muon"}


def _other(value: Any) -> Any:
    if isinstance(value, str):
        return _OTHER[value]
    if isinstance(value, bool):
        return not value
    if isinstance(value, tuple):
        return (*value, 8)
    return 0.25 if value is None else value + 1


def changed() -> Iterator[tuple[str, Recipe]]:
    """Yield recipes of which each has one setting that is not the usual one."""
    usual = Recipe()
    for group in fields(Recipe):
        settings = getattr(usual, group.name)
        if not is_dataclass(settings) or isinstance(settings, type):
            yield group.name, replace(usual, **{group.name: Costs(miss=3.0)})
            continue
        for one in fields(settings):
            values = {one.name: _other(getattr(settings, one.name))}
            # Squares are of quaternion layers alone.
            other = replace(settings, **values, **({"layer": "quaternion"} if one.name == "activation" else {}))
            yield f"{group.name}.{one.name}", replace(usual, **{group.name: other})


@pytest.mark.parametrize(("name", "recipe"), list(changed()), ids=[name for name, _ in changed()])
def test_every_setting_survives_and_changes_the_table(name: str, recipe: Recipe) -> None:
    flat = flat_of(recipe)
    assert recipe_from(json.loads(json.dumps(flat))) == recipe, name
    assert flat != flat_of(Recipe()), name


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_recipes_of_the_data_sets_survive(name: str) -> None:
    assert recipe_from(flat_of(RECIPES[name])) == RECIPES[name]


def test_tables_of_the_first_release_keep_their_keys_in_their_order() -> None:
    keys = list(flat_of(Recipe()))
    assert keys[:4] == ["scaler", "cells", "surveys", "bins"]
    assert keys[-4:] == ["caution", "federated_caution", "costs", "taught"]
    assert "activation" not in keys


def test_settings_that_a_table_lacks_are_the_usual_ones_and_unknown_keys_are_passed_over() -> None:
    assert recipe_from({}) == Recipe()
    assert recipe_from({"of a later release": 1, "cells": 77}) == Recipe().change(cells=77)


@pytest.mark.parametrize(
    "flat", [{"cells": "many"}, {"hidden": 3}, {"layer": "octonion"}, {"costs": [1]}, {"batch": 1.5}, {"epochs": None}]
)
def test_setting_of_a_wrong_type_is_refused(flat: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        recipe_from(flat)


def test_table_holds_nothing_but_json() -> None:
    assert json.loads(json.dumps(flat_of(Recipe())))["costs"] == asdict(Costs())
