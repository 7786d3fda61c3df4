"""`medward evaluate`: labelled rows that a model never saw, and one sentence where it cannot score them."""

import random
from pathlib import Path

import polars as pl
import pytest

from medward.flows.datasets import ward
from tests.cli.conftest import Run


@pytest.mark.slow
def test_column_order_and_extra_columns_change_nothing(medward: Run, ward_model: Path, unseen: Path) -> None:
    frame = pl.read_csv(unseen, infer_schema=False)
    names = frame.columns
    random.Random(0).shuffle(names)
    other = unseen.with_name("shuffled.csv")
    frame.select(names).with_columns(pl.lit("x").alias("extra")).write_csv(other)
    first, second = (medward("evaluate", "--model", ward_model, "--data", path, "--json") for path in (unseen, other))
    assert first.document["metrics"] == second.document["metrics"]


def test_missing_classes_are_no_mistake(medward: Run, ward_model: Path, unseen: Path) -> None:
    some = unseen.with_name("some.csv")
    pl.read_csv(unseen, infer_schema=False).filter(pl.col("label").is_in(["benign", "flood"])).write_csv(some)
    done = medward("evaluate", "--model", ward_model, "--data", some, "--json")
    assert done.code == 0, done.err
    assert done.document["metrics"]["multiclass"]["per_class_recall"].keys() == {"benign", "flood"}
    benign = unseen.with_name("benign.csv")
    pl.read_csv(unseen, infer_schema=False).filter(pl.col("label") == "benign").write_csv(benign)
    done = medward("evaluate", "--model", ward_model, "--data", benign, "--json")
    assert done.code == 0, done.err
    assert done.document["metrics"]["binary"]["attack_recall"] is None


def test_history_is_used_only_where_device_and_order_are_named(medward: Run, ward_model: Path, unseen: Path) -> None:
    bare = unseen.with_name("bare.csv")
    pl.read_csv(unseen, infer_schema=False).drop("device").write_csv(bare)
    done = medward("evaluate", "--model", ward_model, "--data", bare, "--json")
    assert done.code == 0
    assert done.document["history"] is False
    assert "no history" in done.sentence


def test_missing_column_is_refused_in_one_sentence(medward: Run, ward_model: Path, unseen: Path) -> None:
    lacking = unseen.with_name("lacking.csv")
    name = ward.SCHEMA.features[3].name
    pl.read_csv(unseen, infer_schema=False).drop(name).write_csv(lacking)
    done = medward("evaluate", "--model", ward_model, "--data", lacking)
    assert done.code == 1
    assert name in done.sentence
    assert "lacking.csv" in done.sentence


def test_class_that_the_data_set_lacks_is_refused_with_its_row(medward: Run, ward_model: Path, unseen: Path) -> None:
    strange = unseen.with_name("strange.csv")
    frame = pl.read_csv(unseen, infer_schema=False).with_row_index("row")
    renamed = pl.when(pl.col("row") == 41).then(pl.lit("ransom")).otherwise(pl.col("label")).alias("label")
    frame.with_columns(renamed).drop("row").write_csv(strange)
    done = medward("evaluate", "--model", ward_model, "--data", strange)
    assert done.code == 1
    assert "strange.csv, row 42, column 'label': 'ransom' is no class" in done.sentence
    assert "benign" in done.sentence


def test_file_of_another_data_set_or_without_labels_is_refused(medward: Run, ward_model: Path, unseen: Path) -> None:
    other = unseen.with_name("other.csv")
    other.write_text("duration,protocol_type,class\n0,tcp,normal\n")
    done = medward("evaluate", "--model", ward_model, "--data", other)
    assert done.code == 1
    assert "the column is missing" in done.sentence
    assert ward.SCHEMA.title in done.sentence
    bare = unseen.with_name("unlabelled.csv")
    pl.read_csv(unseen, infer_schema=False).drop("label").write_csv(bare)
    done = medward("evaluate", "--model", ward_model, "--data", bare)
    assert done.code == 1
    assert "column 'label': the column is missing" in done.sentence


def test_order_of_rows_changes_nothing(medward: Run, ward_model: Path, unseen: Path) -> None:
    mixed = unseen.with_name("mixed.csv")
    pl.read_csv(unseen, infer_schema=False).sample(fraction=1.0, shuffle=True, seed=3).write_csv(mixed)
    first, second = (medward("evaluate", "--model", ward_model, "--data", path, "--json") for path in (unseen, mixed))
    assert first.document["metrics"]["multiclass"]["confusion"] == second.document["metrics"]["multiclass"]["confusion"]


def test_model_that_is_none_is_refused(medward: Run, tmp_path: Path, unseen: Path) -> None:
    done = medward("evaluate", "--model", tmp_path, "--data", unseen)
    assert done.code == 1
    assert "model.json" in done.sentence


def test_measures_are_shown_as_a_table_too(medward: Run, ward_model: Path, unseen: Path) -> None:
    document = medward("evaluate", "--model", ward_model, "--data", unseen, "--json").document
    shown = medward("evaluate", "--model", ward_model, "--data", unseen).out
    for name, value in (
        ("binary macro_f1", document["metrics"]["binary"]["macro_f1"]),
        ("multiclass accuracy", document["metrics"]["multiclass"]["accuracy"]),
        ("expected cost", document["expected_cost"]),
        ("escalation rate", document["escalation_rate"]),
    ):
        [line] = [line for line in shown.splitlines() if name in line]
        assert f"{value:.4f}" in line
