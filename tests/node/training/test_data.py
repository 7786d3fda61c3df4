"""A hospital's own rows, of whatever kinds they are, and its part in sums."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from medward.federation.errors import NothingToTrain
from medward.federation.model.shared_model import SharedModel
from medward.federation.model.survey import first_model
from medward.federation.model.train import Train, training_stage
from medward.flows.datasets import ward
from medward.flows.errors import BadFile, BadSplit
from medward.node.training.data import OwnSide, ParticipantSettings, own_side


@pytest.fixture
def table(tmp_path: Path) -> pl.DataFrame:
    """Rows of a ward, as text."""
    path = tmp_path / "ward.csv"
    ward.write_csv(path, 600, seed=3)
    return pl.read_csv(path, infer_schema=False)


def side(frame: pl.DataFrame, folder: Path) -> OwnSide:
    path = folder / "own.csv"
    frame.write_csv(path)
    return own_side(ParticipantSettings(data=str(path), rounds=2, seed=1), b"secret")


def surveyed(*sides: OwnSide) -> Train:
    """Return the shared model after the surveys of these hospitals."""
    model: SharedModel = first_model(sides[0].plan)
    while model.task == "survey":
        model = model.advance(np.sum([one.hospital.work(model, model.step) for one in sides], axis=0))
    return training_stage(model)


def test_rows_without_classes_alone_are_nothing_to_train_on(table: pl.DataFrame, tmp_path: Path) -> None:
    labelled = side(table, tmp_path)
    bare = side(table.drop("label"), tmp_path)
    assert (labelled.own.labels, bare.own.labels) == ("both", "none")
    assert bare.rows == labelled.rows
    together = surveyed(labelled, labelled)
    with pytest.raises(NothingToTrain, match="nothing to train on"):
        bare.hospital.work(together, 9)
    update = labelled.hospital.work(together, 9)
    assert bare.hospital.accepts(together, together.advance(update))
    assert bare.hospital.carried is None


def test_latecomer_whose_classes_nobody_had_has_nothing_to_train_on(table: pl.DataFrame, tmp_path: Path) -> None:
    """Zeros in their place would leave the others' sum with one hospital less in it than anybody sees."""
    news = table.filter(pl.col("label") != "benign")["label"][0]
    founder = side(table.filter(pl.col("label") != news), tmp_path)
    late = side(table.filter(pl.col("label") == news), tmp_path)
    with pytest.raises(NothingToTrain):
        late.hospital.work(surveyed(founder, founder), 9)


def test_empty_cells_are_rows_without_a_class(table: pl.DataFrame, tmp_path: Path) -> None:
    gaps = table.with_row_index("row").with_columns(
        pl.when(pl.col("row") % 2 == 0).then(pl.lit("")).otherwise(pl.col("label")).alias("label")
    )
    some = side(gaps.drop("row"), tmp_path)
    assert some.own.labels == "both"
    assert some.own.attacks + some.own.benign < some.rows
    assert side(table.with_columns(pl.lit("").alias("label")), tmp_path).own.labels == "none"


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["benign", "attacks"])
def test_rows_of_one_kind_train_and_vote_against_nothing(table: pl.DataFrame, tmp_path: Path, kind: str) -> None:
    both = side(table, tmp_path)
    one = side(table.filter((pl.col("label") == "benign") == (kind == "benign")), tmp_path)
    assert one.own.labels == kind
    model = surveyed(both, one)
    update = one.hospital.work(model, 9)
    assert update.any()
    assert one.hospital.accepts(model, model.advance(update + both.hospital.work(model, 9)))


def test_rows_that_are_wrong_are_still_refused(table: pl.DataFrame, tmp_path: Path) -> None:
    with pytest.raises(BadFile, match="'ransom' is no class"):
        side(table.with_columns(pl.lit("ransom").alias("label")), tmp_path)
    with pytest.raises(BadSplit, match="too few to train on"):
        side(table.head(1), tmp_path)
