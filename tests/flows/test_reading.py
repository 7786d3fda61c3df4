import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from medward.flows import reading
from medward.flows.datasets import CICIOMT, DATASETS, NSLKDD, WUSTL, XIOMT, Dataset
from medward.flows.errors import UnknownDataset
from medward.flows.reading import read_batches, read_flows, recognise, source_files
from medward.flows.schema import UNLABELLED, Flows
from tests.flows.flow_files import assert_same, table_of, text_of, typed, write

EVERY = pytest.mark.parametrize("dataset", DATASETS.values(), ids=DATASETS.keys())
REAL = {
    "wustl-ehms-2020": {"normal": 12131, "Spoofing": 955, "Data Alteration": 784},
    "x-iomt": {
        **{"Normal": 218446, "FIN_Flood": 25500, "SYN_Flood": 25500, "Slowloris": 25500, "ReconAttack": 25331},
        **{"Overheating": 21360, "MQTTBruteForce": 12749, "Weak_Signal": 11798, "CPUSpike": 11798, "Clinical": 6830},
    },
    "ciciomt2024": {
        **{"Benign": 31966, "MQTT-DDoS-Connect_Flood": 24487, "MQTT-DoS-Connect_Flood": 13518},
        **{"MQTT-DoS-Publish_Flood": 7229, "MQTT-DDoS-Publish_Flood": 7154, "MQTT-Malformed_Data": 5845},
        **{"Recon-OS_Scan": 3259, "Recon-VulScan": 2726, "ARP_Spoofing": 1482, "Recon-Ping_Sweep": 787},
    },
}


@EVERY
def test_every_form_of_a_file_gives_the_same_flows(dataset: Dataset, tmp_path: Path) -> None:
    table = table_of(dataset, 60)
    backwards = dict(reversed(table.items()))
    extra = {"id": [str(i) for i in range(60)], **table, "note": ['a, b "c"\nd'] * 60}
    whole = read_flows(dataset, write(tmp_path / "a.csv", table))
    assert len(whole) == 60
    typed(dataset, table).write_parquet(tmp_path / "a.typed.parquet")
    forms = [
        write(tmp_path / "a.csv.gz", table),
        write(tmp_path / "a.parquet", table),
        tmp_path / "a.typed.parquet",
        write(tmp_path / "a.CSV.GZ", table),
        write(tmp_path / "a.PARQUET", table),
        write(tmp_path / "a.v1.csv", text_of(table, end="\r\n")),
        write(tmp_path / "a.v2.csv", b"\xef\xbb\xbf" + text_of(table).encode()),
        write(tmp_path / "a.v3.csv", text_of(table, quoting=csv.QUOTE_ALL)),
        write(tmp_path / "a.v4.csv", text_of(table).removesuffix("\n")),
        write(tmp_path / "a.v5.csv", text_of(table) + "\n\r\n\n"),
        write(tmp_path / "a.v6.csv", backwards),
        write(tmp_path / "a.v7.csv", extra),
    ]
    for path in forms:
        flows = read_flows(dataset, path)
        if dataset is CICIOMT:
            assert flows.sources == whole.sources
        assert_same(flows, whole)


@EVERY
def test_numbers_indicators_and_labels_are_what_the_cells_say(dataset: Dataset, tmp_path: Path) -> None:
    table = table_of(dataset, 40, seed=3)
    flows = read_flows(dataset, write(tmp_path / "a.csv", table))
    at = 0
    for feature in dataset.schema.features:
        cells = table[feature.name]
        if feature.categories:
            width = len(feature.categories)
            expected = [[float(cell == value) for value in feature.categories] for cell in cells]
        else:
            width, expected = 1, [[float(cell) if cell else np.nan] for cell in cells]
        np.testing.assert_array_equal(flows.x[:, at : at + width], np.array(expected, np.float32), feature.name)
        at += width
    assert at == flows.x.shape[1]
    assert [dataset.schema.classes[k] for k in flows.y] == table[dataset.schema.label]
    if dataset.schema.device is not None:
        assert [flows.devices[k] for k in flows.device] == table[dataset.schema.device]
    if dataset.schema.source is not None:
        assert [flows.sources[k] for k in flows.source] == table[dataset.schema.source]
    if dataset.schema.order is not None:
        assert flows.order is not None
        assert flows.order.tolist() == [float(cell) for cell in table[dataset.schema.order]]


@given(st.lists(st.floats(width=64, allow_nan=False), min_size=1, max_size=20))
@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_number_becomes_the_nearest_finite_float32(tmp_path: Path, values: list[float]) -> None:
    table = table_of(WUSTL, len(values)) | {"Rate": [repr(value) for value in values]}
    x = read_flows(WUSTL, write(tmp_path / "a.csv", table)).x
    limit = float(np.finfo(np.float32).max)
    column = [column.name for column in WUSTL.schema.columns].index("Rate")
    np.testing.assert_array_equal(x[:, column], np.clip(np.array(values), -limit, limit).astype(np.float32))


@given(
    block=st.integers(1, 1500), rows=st.integers(1, 14), seed=st.integers(0, 99), end=st.sampled_from(["\n", "\r\n"])
)
@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_where_a_file_is_cut_into_blocks_does_not_show(
    tmp_path: Path, block: int, rows: int, seed: int, end: str
) -> None:
    table = table_of(XIOMT, rows, seed)
    rng = np.random.default_rng(seed)
    # Texts of an MQTT message that no simple cut at line breaks or commas survives.
    pieces = ["\n", "\r\n", '"', ",", "36.0", "\n\n"]
    table["mqtt.msg"] = ["".join(rng.choice(pieces, rng.integers(0, 6))) for _ in range(rows)]
    path = write(tmp_path / "a.csv", text_of(table, end=end))
    whole = read_flows(XIOMT, path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "BLOCK_BYTES", block)
        batches = list(read_batches(XIOMT, path))
        pieced = read_flows(XIOMT, path)
    assert sum(map(len, batches)) == rows
    assert block > 500 or len(batches) >= rows // 5
    assert_same(pieced, whole)


@pytest.mark.parametrize("rows", [7, 50, 100])
def test_where_a_parquet_file_is_cut_does_not_show(rows: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.parquet", table_of(XIOMT, 100))
    whole = read_flows(XIOMT, path)
    monkeypatch.setattr(reading, "PARQUET_ROWS", rows)
    assert len(list(read_batches(XIOMT, path))) == -(-100 // rows)
    assert_same(read_flows(XIOMT, path), whole)


def test_a_folder_is_read_file_by_file_in_the_order_of_names(tmp_path: Path) -> None:
    (tmp_path / "data" / "b").mkdir(parents=True)
    tables = [table_of(WUSTL, rows, seed=rows) for rows in (5, 6, 7)]
    for name, table in zip(["a.csv", "b/a.parquet", "c.csv.gz"], tables, strict=True):
        write(tmp_path / "data" / name, table)
    write(tmp_path / "data" / "SOURCE.md", "no data")
    flows = read_flows(WUSTL, tmp_path / "data")
    joined = {name: [cell for table in tables for cell in table[name]] for name in tables[0]}
    whole = read_flows(WUSTL, write(tmp_path / "joined.csv", joined))
    assert flows.x.tobytes() == whole.x.tobytes()
    assert flows.y.tolist() == whole.y.tolist()
    assert flows.devices == whole.devices


def test_nsl_kdd_is_read_as_published_without_a_header(tmp_path: Path) -> None:
    named = table_of(NSLKDD, 12)
    header = source_files(NSLKDD, write(tmp_path / "any.txt", "x"))[0].header
    assert header is not None
    assert len(header) == 43
    named = {name: named[name] for name in header} | {"class": ["neptune", "normal"] * 6, "difficulty": ["21"] * 12}
    bare = text_of(named, header=False)
    train = read_flows(NSLKDD, write(tmp_path / "KDDTrain+_20Percent.txt", bare))
    test = read_flows(NSLKDD, write(tmp_path / "KDDTest+.txt.gz", bare))
    headed = read_flows(NSLKDD, write(tmp_path / "train.csv", named))
    assert train.x.tobytes() == test.x.tobytes() == headed.x.tobytes()
    assert train.y.tolist() == [1, 0] * 6
    assert train.official is not None
    assert test.official is not None
    assert (set(train.official.tolist()), set(test.official.tolist())) == ({0}, {1})


def test_parts_of_one_x_iomt_capture_share_its_name(tmp_path: Path) -> None:
    table = table_of(XIOMT, 5)
    del table["source_file"]
    for name in ("NormalTrafficMQTT_part_001.csv", "NormalTrafficMQTT_part_012.csv", "PhysicalAnomaliesHTTP.csv"):
        write(tmp_path / name, table)
    flows = read_flows(XIOMT, tmp_path)
    assert flows.sources == ("NormalTrafficMQTT", "PhysicalAnomaliesHTTP")
    assert flows.source.tolist() == [0] * 10 + [1] * 5


def test_x_iomt_fillers_are_one_and_rows_without_a_label_are_passed_over(tmp_path: Path) -> None:
    fillers = ["", "0", "0.0"]
    table = table_of(XIOMT, 6) | {"anomaly.name": ["Normal", "", "Clinical", "nan", "Normal", ""]}
    texts = [feature.name for feature in XIOMT.schema.features if feature.fillers]
    table |= {name: [fillers[(i // 2) % 3] for i in range(6)] for name in texts}
    # What stands on rows without a label is nobody's business.
    table["frame.len"] = ["60", "", "61", "no number", "62", "x"]
    flows = read_flows(XIOMT, write(tmp_path / "a.csv", table))
    names = [column.name for column in XIOMT.schema.columns]
    assert [XIOMT.schema.classes[k] for k in flows.y] == ["Normal", "Clinical", "Normal"]
    assert flows.x[:, names.index("frame.len")].tolist() == [60, 61, 62]
    assert not flows.x[:, [i for i, name in enumerate(names) if name.split("=")[0] in texts]].any()


@EVERY
def test_rows_without_a_label_column_can_be_read_to_be_judged(dataset: Dataset, tmp_path: Path) -> None:
    table = table_of(dataset, 20)
    labelled = read_flows(dataset, write(tmp_path / "a.csv", table))
    del table[dataset.schema.label]
    flows = read_flows(dataset, write(tmp_path / "a.csv", table), "ignored")
    assert flows.x.tobytes() == labelled.x.tobytes()
    assert set(flows.y.tolist()) == {UNLABELLED}


@EVERY
def test_a_data_set_is_recognised_by_its_columns(dataset: Dataset, tmp_path: Path) -> None:
    table = table_of(dataset, 3)
    for name in ("a.csv", "b.csv.gz", "c.parquet"):
        assert recognise(write(tmp_path / name, table)) is dataset
    (tmp_path / "folder").mkdir()
    write(tmp_path / "folder" / "x.csv", dict(reversed(table.items())))
    assert recognise(tmp_path / "folder") is dataset


def test_a_file_of_no_known_data_set_is_not_recognised(tmp_path: Path) -> None:
    with pytest.raises(UnknownDataset) as caught:
        recognise(write(tmp_path / "a.csv", "a,b\n1,2\n"))
    assert str(tmp_path / "a.csv") in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("name", REAL)
def test_real_files_have_the_rows_and_classes_their_source_page_tells(
    name: str, real_flows: Callable[[str], Flows]
) -> None:
    flows = real_flows(name)
    classes = flows.schema.classes
    counts = {classes[k]: int(n) for k, n in enumerate(np.bincount(flows.y, minlength=len(classes))) if n}
    assert counts == REAL[name]
    missing = {column.name for column, some in zip(flows.schema.columns, np.isnan(flows.x).any(0), strict=True) if some}
    assert missing <= {feature.name for feature in flows.schema.features if feature.optional}


def test_real_nsl_kdd_comes_as_its_official_files(real_flows: Callable[[str], Flows]) -> None:
    flows = real_flows("nsl-kdd")
    assert flows.official is not None
    assert np.bincount(flows.official).tolist() == [25192, 15780]
    assert np.bincount(flows.y[flows.official == 0])[0] == 13449


@pytest.mark.parametrize("name", ["x-iomt", "ciciomt2024"])
def test_a_real_parquet_file_and_its_text_give_the_same_flows(
    name: str, real_path: Callable[[str], Path], tmp_path: Path
) -> None:
    frame = pl.read_parquet(next(real_path(name).glob("*.parquet"))).gather_every(37)
    frame.write_parquet(tmp_path / "a.parquet")
    frame.write_csv(tmp_path / "a.csv")
    assert_same(read_flows(DATASETS[name], tmp_path / "a.csv"), read_flows(DATASETS[name], tmp_path / "a.parquet"))


def test_nsl_kdd_excerpts_are_left_out_where_the_whole_files_are(tmp_path: Path) -> None:
    names = ("KDDTrain+.txt", "KDDTrain+_20Percent.txt", "KDDTest+.txt", "KDDTest-21.txt")
    for name in names:
        (tmp_path / name).write_text("")
    assert [file.path.name for file in source_files(NSLKDD, tmp_path)] == ["KDDTest+.txt", "KDDTrain+.txt"]
    (tmp_path / "KDDTrain+.txt").unlink()
    found = [file.path.name for file in source_files(NSLKDD, tmp_path)]
    assert found == ["KDDTest+.txt", "KDDTrain+_20Percent.txt"]


def test_any_text_file_is_not_taken_for_nsl_kdd(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("one,two,three\n")
    with pytest.raises(UnknownDataset):
        recognise(tmp_path / "notes.txt")
