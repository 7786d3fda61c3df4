"""A node without anything to contribute does no work, even if a round asks it for some."""

import asyncio
from pathlib import Path

import polars as pl
import pytest

from medward.federation.blobs import blob_name
from medward.federation.model.shared_model_format import encode_model
from medward.federation.model.survey import first_model
from medward.federation.round.effects import Work
from medward.federation.stopwatch import Stopwatch
from medward.node.training.data import ParticipantSettings
from medward.node.training.files import TrainingFiles
from medward.node.training.work import TrainingWork
from medward.store.local import LocalStore, open_directory
from tests.node.training.test_data import side, surveyed, table

__all__ = ["table"]


async def never(_: str) -> bytes | None:
    raise AssertionError("a shared model that is here was asked for")


def at_work(folder: Path, rows: pl.DataFrame, store: LocalStore, features: int = 0) -> TrainingWork:
    """Return the bench of a node with these rows, which has read them."""
    rows.write_csv(folder / "own.csv")
    settings = ParticipantSettings(data=str(folder / "own.csv"), rounds=2, seed=1, features=features)
    bench = TrainingWork("d", settings, TrainingFiles(folder / "d"), store, Stopwatch(), never)
    asyncio.run(bench.prepare())
    return bench


@pytest.mark.parametrize("labelled", [True, False])
def test_survey_gets_nothing_of_rows_without_labels(tmp_path: Path, table: pl.DataFrame, labelled: bool) -> None:
    """A survey that was begun before the word that it observes would have such a hospital in its cohort."""
    with open_directory(tmp_path / "store") as store:
        bench = at_work(tmp_path, table if labelled else table.drop("label"), store)
        assert bench.observes is not labelled
        assert bench.own is not None
        first = blob_name(encode_model(first_model(bench.own.plan)))
        produced = asyncio.run(bench.work(Work(0, "survey", first)))
    assert (produced is not None) is labelled


@pytest.mark.parametrize(("features", "observes"), [(0, False), (16, False), (2048, True)])
def test_hospital_with_too_few_rows_for_a_model_in_closed_form_observes_from_the_start(
    tmp_path: Path, table: pl.DataFrame, features: int, observes: bool
) -> None:
    with open_directory(tmp_path / "store") as store:
        assert at_work(tmp_path, table, store, features).observes is observes


def test_latecomer_with_unknown_classes_observes_from_its_first_work_on(tmp_path: Path, table: pl.DataFrame) -> None:
    news = table.filter(pl.col("label") != "benign")["label"][0]
    founder = side(table.filter(pl.col("label") != news), tmp_path)
    model = surveyed(founder, founder)
    with open_directory(tmp_path / "store") as store:
        bench = at_work(tmp_path, table.filter(pl.col("label") == news), store)
        assert not bench.observes
        name = blob_name(encode_model(model))
        bench._models.use(name, model)
        assert asyncio.run(bench.work(Work(9, "train", name))) is None
    assert bench.observes
