"""Reading and splitting tables from Python: what comes back, and the one sentence where nothing does."""

from pathlib import Path

import pytest

import medward
from tests.api.conftest import Files


def test_synthetic_ward_needs_no_file() -> None:
    data = medward.load("ward", seed=3, rows=2000)
    assert (data.name, len(data), data.synthetic) == ("ward", 2000, True)
    assert repr(data).startswith("Data(ward: 2000 rows")


def test_table_of_a_schema_file_is_read_and_split(files: Files) -> None:
    data = medward.load(files.table, schema=files.schema)
    assert data.classes == ("Benign", "flood", "sweep")
    assert data.features == ("size", "noise", "proto")
    split = medward.split(data, seed=2)
    parts = [split.split.train, split.split.validation, split.split.test]
    assert sorted(row for part in parts for row in part.tolist()) == list(range(len(data)))


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ({"path": "nowhere.csv"}, "nowhere.csv is neither a file or folder nor a data set's name"),
        ({"path": "ward", "protocol": "lenient"}, "A protocol is one of honest, random, paper, not lenient."),
        ({"path": "x.csv", "schema": "s.toml", "protocol": "paper"}, "A schema file says itself"),
        ({"path": "ward", "schema": "absent.toml"}, "absent.toml"),
    ],
)
def test_what_cannot_be_read_is_said_in_one_sentence(words: dict[str, str], sentence: str) -> None:
    with pytest.raises(medward.MedwardError, match=sentence) as found:
        medward.load(**words)  # type: ignore[arg-type]
    assert "\n" not in str(found.value)


def test_known_table_that_needs_no_schema_is_not_confused_with_an_own_one(files: Files) -> None:
    with pytest.raises(medward.MedwardError, match="holds the columns of no data set that medward knows"):
        medward.load(Path(files.table))


def test_columns_of_one_protocol_are_not_split_under_another() -> None:
    data = medward.load("ward", rows=2000)
    with pytest.raises(medward.MedwardError, match="load it with protocol='paper'"):
        medward.split(data, "paper")
