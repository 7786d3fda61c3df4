"""Cautions: what a reader of results must know of rows, told from the rows themselves."""

from dataclasses import replace

import numpy as np
import pytest

from medward.flows.cautions import cautions_about, cautions_of, cautions_of_evidence, repeated_share
from medward.flows.datasets import DATASETS, Cut, Dataset
from medward.flows.schema import Flows
from tests.agents.conftest import SCHEMA, toy_flows


def flows(rows: int = 400, **changes: object) -> Flows:
    rng = np.random.default_rng(1)
    plain = replace(toy_flows(rows, 1), x=rng.normal(size=(rows, 5)).astype(np.float32))
    return replace(plain, **changes)  # type: ignore[arg-type]


def test_rows_that_tell_nothing_raise_no_caution() -> None:
    assert cautions_of(flows()) == ()
    assert cautions_of(flows(0)) == ()


@pytest.mark.parametrize(("copies", "share"), [(1, 0.0), (2, 0.5), (4, 0.75)])
def test_share_of_repeats_counts_rows_after_the_first(copies: int, share: float) -> None:
    x = np.repeat(np.arange(500, dtype=np.float32).reshape(100, 5), copies, axis=0)
    own = flows(100 * copies, x=x)
    assert repeated_share(own) == pytest.approx(share)
    assert any("repeat another" in caution for caution in cautions_of(own)) == (share > 0.2)


def test_zeros_of_both_signs_are_the_same_row() -> None:
    x = np.zeros((10, 5), np.float32)
    x[1::2] = -0.0
    assert repeated_share(flows(10, x=x)) == 0.9


def test_column_that_tells_attacks_is_named() -> None:
    own = flows()
    x = own.x.copy()
    x[:, 1] = own.y > 0
    (caution,) = cautions_of(replace(own, x=x))
    assert caution.startswith("size alone separates attacks from benign rows (area under its curve 1.000)")


def test_class_and_column_are_shown_without_what_changes_a_terminal() -> None:
    schema = replace(SCHEMA, features=(replace(SCHEMA.features[0], name="\x1b[2Jrate"), *SCHEMA.features[1:]))
    own = flows(schema=schema)
    x = own.x.copy()
    x[:, 0] = own.y > 0
    assert all(caution.isprintable() for caution in cautions_of(replace(own, x=x)))


@pytest.mark.parametrize("y", [0, 1])
def test_rows_of_one_kind_have_nothing_to_separate(y: int) -> None:
    assert cautions_of(flows(y=np.full(400, y, np.int32))) == ()


def test_tables_without_evidence_are_told_apart_from_those_with_some() -> None:
    own = toy_flows(300, 2)
    assert cautions_of_evidence(own) == ()
    blind = own.x.copy()
    blind[:, 4] = np.nan
    (caution,) = cautions_of_evidence(replace(own, x=blind))
    assert caution.startswith("No row has evidence")
    half = np.where((np.arange(300) < 150)[:, None], own.x, blind)
    two = replace(own, x=half, source=(np.arange(300) >= 150).astype(np.int32), sources=("one", "\x1btwo"))
    (caution,) = cautions_of_evidence(two)
    assert caution.startswith(r"\x1btwo was metered without a look into payload")


def test_known_data_sets_have_their_own_cautions() -> None:
    known = next(dataset for dataset in DATASETS.values() if dataset.cautions)
    assert cautions_about(known, flows())[: len(known.cautions)] == known.cautions
    assert cautions_about(Dataset(SCHEMA, "nowhere", Cut.BLOCKS), flows()) == ()
