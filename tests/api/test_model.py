"""Training in one place, keeping the model, and deciding tables of every kind with it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import medward
from tests.api.conftest import QUICK, Files, own_rows


@pytest.fixture(scope="module")
def model(split: Any) -> medward.Model:
    return medward.train(split, recipe=QUICK)


class OtherFrame:
    """A frame as other libraries have it: named columns of objects, in which a missing text is NaN."""

    def __init__(self, columns: dict[str, list[Any]]) -> None:
        self._columns = columns

    @property
    def columns(self) -> Iterator[str]:
        return iter(self._columns)

    def __getitem__(self, name: str) -> Any:
        return np.array(self._columns[name], dtype=object)


def test_model_learns_and_survives_its_folder(model: medward.Model, split: Any, tmp_path: Path) -> None:
    judged = model.evaluate(split)
    assert judged.metrics["multiclass"]["macro_f1"] > 0.9
    name = model.save(tmp_path / "model")
    again = medward.load_model(tmp_path / "model")
    assert again.name == name == model.name
    assert again.evaluate(split) == judged


def test_every_kind_of_table_gets_the_same_decisions(model: medward.Model, tmp_path: Path) -> None:
    frame = own_rows(500, 9)
    frame.write_parquet(tmp_path / "new.parquet")
    unlabelled = frame.drop("what")
    decided = model.predict(frame)
    assert decided.columns[:4] == ["decision", "class", "evidence", "suspicion"]
    assert set(decided["decision"]) == {"ALLOW", "ALERT"}
    assert (decided["class"] == frame["what"]).mean() > 0.9
    for table in (
        tmp_path / "new.parquet",
        str(tmp_path / "new.parquet"),
        unlabelled,
        unlabelled.to_dict(as_series=False),
        {name: unlabelled[name].to_numpy() for name in unlabelled.columns},
        OtherFrame(unlabelled.to_dict(as_series=False)),
    ):
        assert model.predict(table).equals(decided)


def test_highest_score_decides(model: medward.Model) -> None:
    decided = model.predict(own_rows(500, 9))
    scores = decided.select([f"score {name}" for name in model.classes]).to_numpy()
    assert [model.classes[k] for k in scores.argmax(axis=1)] == decided["class"].to_list()


def test_evaluating_a_table_counts_all_its_rows(model: medward.Model, files: Files) -> None:
    rows = own_rows(400, 5)
    judged = model.evaluate(rows)
    assert np.sum(judged.metrics["multiclass"]["confusion"]) == len(rows)
    whole = model.evaluate(files.table)
    assert whole == model.evaluate(medward.load(files.table, files.schema))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda rows: rows.drop("noise"), "the table, column 'noise': the column is missing"),
        (lambda rows: rows.head(0), "there are no rows"),
        (lambda rows: rows.with_columns(size=pl.lit("large")), "row 1, column 'size': 'large' is no number"),
        (lambda rows: {"size": [1.0, 2.0], "noise": [1.0]}, "make no table"),
        (lambda rows: 7, "int is no table"),
        (lambda rows: OtherFrame({"size": [float("nan")], "proto": ["udp"]}), "column 'noise': the column is missing"),
    ],
)
def test_wrong_table_gets_one_sentence(model: medward.Model, change: Any, sentence: str) -> None:
    with pytest.raises(medward.MedwardError, match=sentence) as found:
        model.predict(change(own_rows(10, 1)))
    assert "\n" not in str(found.value)
