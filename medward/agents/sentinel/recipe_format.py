"""How files and hashes hold a recipe: one flat table, with the names and in the order of the first release.

A federation's plan digest and a model's name for its settings hang on these keys and on their order, so both stay as
they are whatever the settings are called in the code.
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import msgspec

from medward.agents.sentinel.recipe import GROUPS, Recipe

#: For each key of the flat table, in its order, where the setting stands in a recipe.
_PLACES: dict[str, tuple[str, ...]] = {
    "scaler": ("scaling", "scaler"),
    "cells": ("scaling", "cells"),
    "surveys": ("scaling", "surveys"),
    "bins": ("scaling", "bins"),
    "embedding": ("network", "embedding"),
    "hidden": ("network", "hidden"),
    "layer": ("network", "layer"),
    "members": ("network", "ensemble"),
    "dropout": ("learning", "dropout"),
    "history_dropout": ("learning", "history_dropout"),
    "optimiser": ("learning", "optimiser"),
    "learning_rate": ("learning", "learning_rate"),
    "weight_decay": ("learning", "weight_decay"),
    "batch": ("learning", "batch"),
    "epochs": ("learning", "epochs"),
    "average": ("learning", "average"),
    "discount": ("learning", "discount"),
    "value_weight": ("learning", "value_weight"),
    "informed_share": ("learning", "informed_share"),
    "class_power": ("learning", "class_power"),
    "adversary": ("learning", "adversary"),
    "column_dropout": ("learning", "column_dropout"),
    "mixup": ("learning", "mixup"),
    "naming_weight": ("learning", "naming_weight"),
    "local_steps": ("federation", "local_steps"),
    "rounds": ("federation", "rounds"),
    "server_momentum": ("federation", "server_momentum"),
    "server_rate": ("federation", "server_rate"),
    "averaged_share": ("federation", "averaged_share"),
    "caution": ("deployment", "alert_bias"),
    "federated_caution": ("deployment", "federated_alert_bias"),
    "costs": ("costs",),
    "taught": ("training_costs",),
}
#: Settings that came after the first release; a table holds one only where it is not what it was before.
_LATER: dict[str, tuple[str, str]] = {
    "activation": ("network", "activation"),
    "inputs": ("network", "inputs"),
    "disturbs": ("federation", "disturbs"),
}


def flat_of(recipe: Recipe) -> dict[str, Any]:
    """Return a recipe's flat table, which JSON can hold."""
    tables = asdict(recipe)
    flat = {key: tables[place[0]][place[1]] if len(place) == 2 else tables[place[0]] for key, place in _PLACES.items()}
    usual = asdict(Recipe())
    later = {
        key: tables[group][name] for key, (group, name) in _LATER.items() if tables[group][name] != usual[group][name]
    }
    return flat | later


def recipe_from(flat: Mapping[str, Any]) -> Recipe:
    """Read a flat table; settings that it lacks are the usual ones, and keys that are unknown are passed over.

    Raises:
        msgspec.ValidationError: a setting is of a wrong type.
    """
    tables: dict[str, Any] = {name: {} for name in GROUPS}
    for key, place in (_PLACES | _LATER).items():
        if key in flat:
            inside = tables[place[0]] if len(place) == 2 else tables
            inside[place[-1]] = flat[key]
    return msgspec.convert(tables, Recipe)
