"""Opening a data set by its name or its place: which is found, what is read of it, and what is told where none is."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from medward.errors import MedwardError
from medward.flows.datasets import DATASETS, NSLKDD, WUSTL, XIOMT
from medward.flows.errors import BadFile
from medward.flows.opening import dataset_with, known_place, open_data
from medward.flows.schema_file import Columns, SchemaFile
from tests.flows.flow_files import table_of, write


@pytest.fixture
def wustl(tmp_path: Path) -> Path:
    return write(tmp_path / "wustl.csv", table_of(WUSTL, 40))


def test_synthetic_ward_is_the_same_for_a_seed_and_of_the_size_asked_for() -> None:
    (dataset, one), (_, again), (_, other) = (open_data("ward", seed, rows=300) for seed in (4, 4, 5))
    assert (dataset.name, len(one)) == ("ward", 300)
    np.testing.assert_array_equal(one.x, again.x)
    assert not np.array_equal(one.x, other.x)


def test_path_is_recognised_by_its_columns_and_read_under_the_protocol(wustl: Path) -> None:
    dataset, flows = open_data(str(wustl), 0)
    assert (dataset.name, len(flows)) == ("wustl-ehms-2020", 40)
    paper, more = open_data(str(wustl), 0, "paper")
    extra = {feature.name for feature in WUSTL.paper_extra}
    assert {feature.name for feature in paper.schema.features} - {f.name for f in dataset.schema.features} == extra
    assert more.x.shape[1] > flows.x.shape[1]


@pytest.mark.parametrize("protocol", ["honest", "paper"])
def test_features_that_identify_a_tool_can_be_left_out(tmp_path: Path, protocol: str) -> None:
    assert XIOMT.fingerprints
    path = write(tmp_path / "x.csv", table_of(replace(XIOMT, schema=XIOMT.paper_schema()), 30))
    dataset, flows = open_data(str(path), 0, protocol, without_fingerprints=True)  # type: ignore[arg-type]
    assert not {feature.name for feature in dataset.schema.features} & set(XIOMT.fingerprints)
    assert flows.x.shape[1] == len(dataset.schema.columns)


def test_table_of_a_schema_file_without_a_label_has_no_classes_even_where_labels_are_asked_for(tmp_path: Path) -> None:
    path = write(tmp_path / "own.csv", {"size": ["1", "2"], "what": ["ok", "bad"]})
    _, flows = open_data(str(path), 0, schema=SchemaFile("own", Columns(("size",)), classes=("ok", "bad")))
    assert flows.y.tolist() == [-1, -1]
    labelled = SchemaFile("own", Columns(("size",)), "what", ("ok",))
    dataset, flows = open_data(str(path), 0, schema=labelled)
    assert (dataset.schema.classes, flows.y.tolist()) == (("ok", "bad"), [0, 1])
    _, flows = open_data(str(path), 0, schema=labelled, labels="ignored")
    assert flows.y.tolist() == [-1, -1]


def test_own_names_of_attacks_are_no_classes_where_a_data_set_knows_its_own(tmp_path: Path) -> None:
    table = table_of(WUSTL, 10)
    table[WUSTL.schema.label][3] = "ransom"
    path = write(tmp_path / "w.csv", table)
    with pytest.raises(BadFile, match="'ransom' is no class"):
        open_data(str(path), 0, own_classes=True)


def test_known_name_is_found_below_the_folder_of_data_sets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("wustl-ehms-2020.csv", "x-iomt", "x-iomt-subset"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("MEDWARD_DATA", str(tmp_path))
    assert known_place("wustl-ehms-2020") == tmp_path / "wustl-ehms-2020.csv"
    assert known_place("x-iomt") == tmp_path / "x-iomt"
    write(tmp_path / "nsl-kdd.csv", table_of(NSLKDD, 20))
    assert open_data("nsl-kdd", 0)[0].name == "nsl-kdd"


def test_path_goes_before_a_name(wustl: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(wustl.parent)
    monkeypatch.delenv("MEDWARD_DATA", raising=False)
    Path("nsl-kdd").mkdir()
    write(Path("nsl-kdd/a.csv"), table_of(WUSTL, 20))
    assert open_data("nsl-kdd", 0)[0].name == "wustl-ehms-2020"


@pytest.mark.parametrize(
    ("name", "folder", "told"),
    [
        ("nsl-kdd", None, "nsl-kdd is known but MEDWARD_DATA names no folder: get it from "),
        ("nsl-kdd", "", "nsl-kdd is known but MEDWARD_DATA names no folder"),
        ("nsl-kdd", "empty", "holds no nsl-kdd"),
        ("nsl-kdd", "nowhere", "holds no nsl-kdd"),
        ("nslkdd", "empty", "nslkdd is neither a file or folder nor a data set's name"),
        ("*", "full", "is neither a file or folder nor a data set's name"),
        ("../secret", "full", "is neither a file or folder nor a data set's name"),
        ("", "full", "is neither a file or folder nor a data set's name"),
    ],
)
def test_name_that_leads_nowhere_is_told_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, folder: str | None, told: str
) -> None:
    for made in ("empty", "full", "secret"):
        (tmp_path / made).mkdir()
    (tmp_path / "full" / "wustl-ehms-2020").mkdir()
    (tmp_path / "secret" / "nsl-kdd").mkdir()
    monkeypatch.chdir(tmp_path / "secret")  # no folder is not the folder that somebody happens to be in
    if folder is None:
        monkeypatch.delenv("MEDWARD_DATA", raising=False)
    else:
        monkeypatch.setenv("MEDWARD_DATA", folder and str(tmp_path / folder))
    with pytest.raises(MedwardError) as found:
        known_place(name)
    assert told in str(found.value)
    assert "\n" not in str(found.value)


def test_data_set_of_a_models_schema_is_the_known_one_or_the_hospitals_own() -> None:
    fewer = WUSTL.schema.without([WUSTL.schema.features[0].name], "is left out")
    known = dataset_with(fewer)
    assert (known.home, known.schema) == (WUSTL.home, fewer)
    assert not known.own
    own = dataset_with(replace(fewer, dataset="ours"))
    assert own.own
    assert own.schema.dataset == "ours" not in DATASETS
