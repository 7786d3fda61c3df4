"""From rows to the columns that an owner encrypts, and from opened numbers to a model in closed form.

A plan's preparation is a model whose network is zero: it says which columns rows have, how they are scaled, which
classes there are and what decisions cost. Nothing in it derives from a row, unless its author chose so.
"""

from collections.abc import Sequence
from dataclasses import fields, replace

import numpy as np
from numpy.typing import NDArray

from medward.agents.closed_form.features import RandomFeatures, inputs_of, random_features, states_of
from medward.agents.closed_form.model import Regression, network_of, recipe_in_closed_form, regress
from medward.agents.closed_form.moments import ImpossibleMoments, unpacked
from medward.agents.closed_form.own_rows import LEAST_CLASS_ROWS, different_rows, least_rows, rows_of_large_classes
from medward.agents.sentinel.model import BadModel, Provenance, SentinelModel
from medward.agents.sentinel.recipe import Recipe
from medward.federation.computing.preparation import model_without_weights
from medward.federation.errors import FederationError, NothingToTrain
from medward.federation.outsourced.terms import BadOutsourcing, OutsourcedTerms
from medward.fhe.arrays import Integers
from medward.flows.history import FeatureSpace
from medward.flows.scaling import Scaler, fit_scaler
from medward.flows.schema import UNLABELLED
from medward.flows.sketch import coarse_grid


def public_scaler(space: FeatureSpace, recipe: Recipe) -> Scaler:
    """Return a scaler that no row has been counted for: one of the public grid."""
    scaling = recipe_in_closed_form(recipe).scaling
    grid = coarse_grid(len(space.columns))
    return fit_scaler(space.columns, grid, np.ones(grid.size, np.int64), scaling.scaler, scaling.bins)


def plan_model(space: FeatureSpace, scaler: Scaler, recipe: Recipe, terms: OutsourcedTerms) -> SentinelModel:
    """Return the preparation of a plan.

    Args:
        space: the columns of rows.
        scaler: of the quantile kind.
        recipe: whose costs decide.
        terms: of the plan.

    Raises:
        BadOutsourcing: the terms are of other columns, states or classes.
    """
    schema, changed = space.schema, recipe_in_closed_form(recipe)
    _check(space, scaler, schema.classes, terms)
    nothing = Regression(np.zeros((terms.states, 1 + terms.features, terms.classes)), 0.0)
    weights = network_of(_states(space, scaler, terms), nothing, scaler, changed.costs)
    provenance = Provenance("federated", None, 0, "outsourced", schema.synthetic, terms.seed)
    return SentinelModel(space, schema.classes, scaler, weights, changed, provenance)


def read_plan(data: bytes, terms: OutsourcedTerms) -> SentinelModel:
    """Return the preparation that a plan's blob holds.

    Args:
        data: from the plan's author, who is not trusted with this member's memory.
        terms: of the plan.

    Raises:
        BadOutsourcing: it is none, or does not fit the terms.
    """
    try:
        model = model_without_weights(data, "the plan")
    except BadModel as error:
        raise BadOutsourcing(f"the plan does not say how rows are prepared: {error}") from None
    _check(model.space, model.scaler, model.classes, terms)
    return model


def check_plan(model: SentinelModel, space: FeatureSpace, scaler: Scaler) -> None:
    """Refuse a plan that prepares rows otherwise than this hospital knows it.

    Who proposes a plan chooses the scaling, and one that maps all values of a column to one place but those beyond a
    threshold counts rows of others there, be it one.

    Args:
        model: the preparation.
        space, scaler: what this hospital knows.

    Raises:
        BadOutsourcing: the plan has other columns, or another scaling.
    """
    if (model.space.schema, model.space.history) != (space.schema, space.history):
        raise BadOutsourcing(
            f"the plan is not of the columns of {space.schema.dataset}: say by --train, --schema or --model what your "
            "rows are, or ask its author for another"
        )
    if not all(np.array_equal(getattr(model.scaler, one.name), getattr(scaler, one.name)) for one in fields(Scaler)):
        raise BadOutsourcing(
            "the plan has a scaling of its own, and one that somebody chose may single out a row: give your copy of "
            "the model that it comes from by --model, if you trust that one, or ask for a plan with the public scaling"
        )


def own_columns(
    model: SentinelModel,
    terms: OutsourcedTerms,
    known: tuple[FeatureSpace, Scaler],
    x: NDArray[np.float32],
    y: NDArray[np.int32],
) -> Integers:
    """Return the columns that an owner encrypts, int64[rows, columns].

    Args:
        model: the preparation.
        terms: of the plan.
        known: the columns and the scaling that the owner expects (`check_plan`).
        x, y: the owner's rows and their classes.

    Raises:
        NothingToTrain: its rows are too few to hide in what is opened.
        BadOutsourcing: the plan prepares rows otherwise than the owner expects.
    """
    check_plan(model, *known)
    kept = np.flatnonzero((y != UNLABELLED) & (y < terms.classes))[: terms.most_rows]
    kept = kept[rows_of_large_classes(y[kept])]
    own, columns = different_rows(model.scaler, x[kept], terms.columns)
    least = least_rows(terms.numbers, columns)
    if own < least:
        raise NothingToTrain(
            f"{terms.numbers:,} numbers are opened. Labelled rows here that the plan's scaling leaves different, of "
            f"classes with at least {LEAST_CLASS_ROWS} rows: {own:,}, in {columns} of {terms.columns} columns. They "
            f"are too few to hide in these numbers: it takes {least:,} of them, a plan of fewer features, or one with "
            "the scaling of a model of such rows."
        )
    inputs = inputs_of(model.scaler, x[kept])
    features = [state.of(inputs) for state in _states(model.space, model.scaler, terms)]
    return np.concatenate([*features, np.eye(terms.classes)[y[kept]]], axis=1).astype(np.int64)


def trained_model(
    model: SentinelModel, terms: OutsourcedTerms, numbers: list[int], rows: Sequence[int]
) -> SentinelModel:
    """Return the model that opened numbers lead to.

    Args:
        model: the preparation.
        terms: of the plan.
        numbers: what the owners opened, in the order of `OutsourcedTerms.entries`.
        rows: how many each owner's table has.

    Raises:
        BadOutsourcing: the numbers are the moments of no rows, or nothing is learned from them.
    """
    try:
        moments = unpacked(np.array(numbers, np.int64), terms.states, terms.features, terms.classes)
        moments.check(terms.largest)
        if int(moments.rows.sum()) != sum(rows):
            raise ImpossibleMoments(f"it counts {moments.rows.sum():,} rows, and the tables have {sum(rows):,}")
        held = np.flatnonzero(moments.rows)
        if held[0] != 0 or len(held) < 2:
            raise FederationError("the owners together hold no attack rows or no benign ones")
        known = replace(moments, rows=moments.rows[held], sums=moments.sums[:, :, held])
        found = regress(known, terms.largest)
    except (ImpossibleMoments, FederationError, OverflowError) as error:
        raise BadOutsourcing(f"what was opened leads to no model: {error}") from None
    weights = network_of(_states(model.space, model.scaler, terms), found, model.scaler, model.recipe.costs)
    provenance = Provenance("federated", 1, len(rows), "outsourced", model.space.schema.synthetic, terms.seed)
    classes = tuple(model.classes[k] for k in held)
    return replace(model, classes=classes, weights=weights, provenance=provenance)


def _states(space: FeatureSpace, scaler: Scaler, terms: OutsourcedTerms) -> tuple[RandomFeatures, ...]:
    return random_features(space, scaler, terms.features, terms.seed, terms.largest)


def _check(space: FeatureSpace, scaler: Scaler, classes: tuple[str, ...], terms: OutsourcedTerms) -> None:
    """Refuse a preparation of other terms."""
    fits = (
        scaler.kind == "quantile"
        and classes == space.schema.classes
        and len(classes) == terms.classes
        and len(space.schema.columns) == terms.columns
        and states_of(space) == terms.states
    )
    if not fits:
        raise BadOutsourcing("the plan's terms are not of the columns, scaling and classes that it comes with")
