"""A recipe's flat table keeps the bytes of the first release, and nothing of a recipe is lost in it."""

import hashlib
import json
from dataclasses import fields

import msgspec
import pytest

from medward.agents.sentinel.recipe import ENSEMBLES, GROUPS, RECIPES, WITHOUT_FINGERPRINTS, Recipe
from medward.agents.sentinel.recipe_format import flat_of, recipe_from
from tests.agents.conftest import RECIPE

TOY = (
    '{"scaler": "quantile", "cells": 64, "surveys": 3, "bins": 4, "embedding": 2, "hidden": [16, 16], "layer": "real", '
    '"members": 1, "dropout": 0.0, "history_dropout": 0.0, "optimiser": "adamw", "learning_rate": 0.01, '
    '"weight_decay": 0.001, "batch": 64, "epochs": 30, "average": 0.995, "discount": 0.9, "value_weight": 0.05, '
    '"informed_share": 0.5, "class_power": 0.0, "adversary": 0.0, "column_dropout": 0.0, "mixup": 0.0, '
    '"naming_weight": 0.0, "local_steps": 20, "rounds": 50, "server_momentum": 0.6, "server_rate": 1.5, '
    '"averaged_share": 0.2, "caution": 0.0, "federated_caution": null, "costs": {"miss": 1.0, "false_alarm": 1.0, '
    '"wrong_class": 0.5, "escalation": 0.01}, "taught": null}'
)
#: SHA-256 of each kept recipe's table, as JSON; models and federations from before hang on them.
KEPT = [
    (RECIPES["wustl-ehms-2020"], "efea8fec9a85e32694673e4acb619f20dfba2e74f5f9ceb4007e0a9c4c48d3d8"),
    (RECIPES["x-iomt"], "d986c49469df799c53653aeeec85c75642fade02114ba1bdfd6eaa6440bc21b1"),
    (RECIPES["ciciomt2024"], "108fed560a43b4a549b184fa1349d39dbc01120dc27bced655e0231c92653692"),
    (RECIPES["nsl-kdd"], "7bd4c8888b6982eabfb4f8ed70d32ce9faf39f9675abbfa45c7aa61ed52f890f"),
    (RECIPES["ward"], "24990cee22ef31731c4f723cf2f99e454a5eb5916b863b838e56bf5aa7349989"),
    (WITHOUT_FINGERPRINTS["wustl-ehms-2020"], "bd5e8becd55b8b238919cd0e99491f4a6705cd4c820676da09a3403a7bbd099e"),
    (WITHOUT_FINGERPRINTS["x-iomt"], "b3029dbddd2ecbc2a1e2a764c0bca624548f060833115ce163a2e44e406631ac"),
    (ENSEMBLES["ciciomt2024"], "add2f0dba929da6e8a228e43e05b3435cd4a6a860e2a8c84b2cfbeaaa38ceaa8"),
]


def test_table_is_the_one_of_the_first_release() -> None:
    assert json.dumps(flat_of(RECIPE)) == TOY


@pytest.mark.parametrize(("recipe", "digest"), KEPT)
def test_kept_recipes_have_the_bytes_of_the_first_release(recipe: Recipe, digest: str) -> None:
    text = json.dumps(flat_of(recipe))
    assert hashlib.sha256(text.encode()).hexdigest() == digest
    assert recipe_from(json.loads(text)) == recipe


def test_every_setting_is_in_the_table_once() -> None:
    names = [field.name for group in GROUPS for field in fields(getattr(RECIPE, group))]
    later = RECIPE.change(layer="quaternion", activation="square", inputs=3, disturbs=False)
    assert len(set(names)) == len(names) == len(flat_of(later)) - len(("costs", "taught"))


def test_settings_that_a_table_lacks_are_the_usual_ones_and_unknown_keys_are_passed_over() -> None:
    assert recipe_from({"members": 3, "trees": None}) == Recipe().change(ensemble=3)


def test_hospitals_of_a_federation_learn_undisturbed_where_the_recipe_says_so() -> None:
    disturbed = RECIPE.change(column_dropout=0.3, mixup=0.2)
    assert disturbed.of_hospitals == disturbed
    calm = disturbed.change(disturbs=False)
    assert recipe_from(flat_of(calm)) == calm
    assert calm.of_hospitals == RECIPE.change(disturbs=False)


def test_setting_of_a_wrong_type_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError):
        recipe_from({"scaler": 3})


def test_change_of_a_setting_that_no_group_has_is_refused() -> None:
    with pytest.raises(TypeError, match="caution"):
        RECIPE.change(caution=2.0)
