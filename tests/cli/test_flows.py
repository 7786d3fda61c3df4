"""`medward flows`: a table for every capture that can be read, as far as it can be read."""

import json
from pathlib import Path

import polars as pl
import pytest

from medward.bench.traffic import generation
from medward.cli.traffic._table_files import _PIECE_ROWS, TableFile
from medward.flows.datasets import CICIOMT
from medward.flows.reading import read_flows
from medward.traffic import ciciomt
from medward.traffic.columns import COLUMNS
from tests.cli.conftest import Run

IDENTITY = ["capture", "device", "address", "start"]


@pytest.fixture(scope="module")
def ward(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("captures") / "ward.pcap"
    generation.write_ward(path, 4000)
    return path


@pytest.fixture(scope="module")
def attacks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("labels") / "ward.json"
    entry = {"class": "scan", "start": 0, "end": 2e9, "attacker": "10.77.0.9", "mac": "02:00:00:00:00:09"}
    path.write_text(json.dumps([{**entry, "victim": ""}]))
    return path


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".csv.gz"])
def test_table_has_the_columns_of_the_schema(medward: Run, ward: Path, tmp_path: Path, suffix: str) -> None:
    out = tmp_path / "made" / f"ward{suffix}"
    done = medward("flows", "--pcap", ward, "--out", out, "--json")
    assert done.code == 0, done.err
    table = pl.read_parquet(out) if suffix == ".parquet" else pl.read_csv(out)
    assert table.columns == [*IDENTITY, *COLUMNS]
    assert table.height == done.document["rows"] == done.document["counters"]["windows"]
    assert done.document["counters"]["packets"] >= 4000
    assert done.document["damage"] is None
    assert [path.name for path in out.parent.iterdir()] == [out.name]


def test_capture_may_stand_without_an_option(medward: Run, ward: Path, tmp_path: Path) -> None:
    done = medward("flows", ward, "--out", tmp_path / "ward.csv", "--no-payload", "--devices", "ip")
    assert done.code == 0, done.err
    assert "rows of medward-flow from" in done.out
    table = pl.read_csv(tmp_path / "ward.csv", infer_schema_length=None)
    assert table["device"].str.starts_with("10.77.").all()
    assert table["rewritten"].null_count() == table.height


def test_labels_stand_in_a_column(medward: Run, ward: Path, attacks: Path, tmp_path: Path) -> None:
    done = medward("flows", "--pcap", ward, "--labels", attacks, "--out", tmp_path / "ward.parquet")
    assert done.code == 0, done.err
    table = pl.read_parquet(tmp_path / "ward.parquet")
    assert set(table.filter(pl.col("label") == "scan")["device"]) == {"02:00:00:00:00:09"}
    assert set(table["label_source"]) == {"list"}


def test_quiet_capture_is_labelled_benign_and_the_table_says_why(
    medward: Run, ward: Path, attacks: Path, tmp_path: Path
) -> None:
    done = medward("flows", ward, "--quiet", "--no-payload", "--out", tmp_path / "quiet.parquet")
    assert done.code == 0, done.err
    table = pl.read_parquet(tmp_path / "quiet.parquet")
    assert set(table["label"]) == {"benign"}
    assert set(table["label_source"]) == {"quiet"}
    both = medward("flows", ward, "--quiet", "--labels", attacks, "--out", tmp_path / "both.parquet")
    assert (both.code, "give one of them" in both.sentence) == (2, True)


def test_labelled_tables_are_a_known_data_set(medward: Run, ward: Path, attacks: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        assert (
            medward("flows", ward, "--labels", attacks, "--out", tmp_path / f"{name}.parquet", "--no-payload").code == 0
        )
    done = medward("data", "check", tmp_path, "--json")
    assert done.code == 0, done.err
    assert done.document["data"] == "medward-flow"
    assert set(done.document["classes"]) == {"benign", "scan"}
    assert done.document["ignored"] == []
    assert "No row has evidence" in done.document["cautions"][0]
    done = medward("federation", "init", "--name", "wards", "--out", tmp_path / "federation", "--train", "medward-flow",
                   *[word for i in range(4) for word in ("--member", f"h{i}=127.0.0.1:{7450 + 4 * i}")])  # fmt: skip
    assert done.code == 0, done.err


def test_ciciomt_tables_are_read_as_the_data_set(medward: Run, ward: Path, attacks: Path, tmp_path: Path) -> None:
    out = tmp_path / "ward.csv"
    done = medward("flows", "--pcap", ward, "--schema", "ciciomt2024", "--labels", attacks, "--out", out)
    assert done.code == 0, done.err
    table = pl.read_csv(out)
    assert table.columns[:45] == list(ciciomt.COLUMNS)
    assert len(read_flows(CICIOMT, out, labels="ignored")) == table.height >= 400


def test_damaged_capture_gives_the_rows_before_the_damage_and_exit_code_1(
    medward: Run, ward: Path, tmp_path: Path
) -> None:
    cut = tmp_path / "cut.pcap"
    cut.write_bytes(ward.read_bytes()[:-20])
    done = medward("flows", "--pcap", cut, "--out", tmp_path / "cut.parquet", "--json")
    assert done.code == 1
    assert "cannot be read beyond packet" in done.sentence
    assert done.document["damage"] in done.sentence
    assert pl.read_parquet(tmp_path / "cut.parquet").height == done.document["rows"] > 100


def test_nothing_is_written_where_there_is_nothing_to_write(medward: Run, tmp_path: Path) -> None:
    capture, out = tmp_path / "capture", tmp_path / "out.parquet"
    for content, said in (
        (b"no capture", "is no capture"),
        (next(generation.pcap(iter([]))), "holds no packet of a device"),
    ):
        capture.write_bytes(content)
        done = medward("flows", "--pcap", capture, "--out", out)
        assert (done.code, said in done.sentence) == (1, True)
    assert "cannot use" in medward("flows", "--pcap", tmp_path / "none", "--out", out).sentence
    assert [path.name for path in tmp_path.iterdir()] == ["capture"]


def test_wrong_usage_is_told(medward: Run, ward: Path, tmp_path: Path) -> None:
    for words, said in (
        (["--pcap", ward, "--out", tmp_path / "ward.txt"], "give a name that ends in .parquet"),
        (["--out", tmp_path / "ward.csv"], "Name one capture"),
        ([ward, "--pcap", ward, "--out", tmp_path / "ward.csv"], "Name one capture"),
    ):
        done = medward("flows", *words)
        assert (done.code, said in done.sentence) == (2, True)


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_long_tables_are_written_in_pieces(tmp_path: Path, suffix: str) -> None:
    frame = pl.DataFrame({"x": range(10_000)})
    path = tmp_path / f"long{suffix}"
    with TableFile(path) as table:
        for _ in range(10):
            table.add(frame)
        assert table.rows > 2 * _PIECE_ROWS
    written = pl.read_parquet(path) if suffix == ".parquet" else pl.read_csv(path)
    assert written["x"].to_list() == list(range(10_000)) * 10
