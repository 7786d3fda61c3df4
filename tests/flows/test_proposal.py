import tracemalloc
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from medward.flows import cautions
from medward.flows.cautions import cautions_of
from medward.flows.errors import BadFile, BadSchema
from medward.flows.opening import open_data
from medward.flows.proposal import completed, propose
from medward.flows.schema_file import Columns, SchemaFile, dataset_of

ROWS = 4000


def table(rows: int = ROWS, seed: int = 0) -> pl.DataFrame:
    """A capture with all kinds of columns: features, copies of the label, a clock, addresses, text."""
    rng = np.random.default_rng(seed)
    attack = rng.random(rows) < 0.3
    return pl.DataFrame(
        {
            "bytes": rng.normal(100, 20, rows) + 15 * attack,
            "proto": np.where(rng.random(rows) < 0.7, "tcp", "udp"),
            "src_port": rng.integers(1024, 65536, rows),
            "note": [f"row {number}" for number in range(rows)],
            "constant": 7,
            "copy": attack.astype(int),
            "inside": 5 * attack + rng.normal(0, 0.9, rows),
            "clock": np.arange(rows) * 0.5,
            "attack": np.where(attack, "scan", "Benign"),
        }
    )


def write(frame: pl.DataFrame, path: Path) -> Path:
    frame.write_csv(path)
    return path


def test_columns_go_where_their_values_say(tmp_path: Path) -> None:
    proposal = propose(write(table(), tmp_path / "My Capture.csv"), "attack")
    file = proposal.file
    assert file.name == "my-capture"
    assert file.classes == ("Benign", "scan")
    assert file.columns.cheap == ("bytes", "inside")
    assert file.columns.categories == ("proto",)
    assert set(file.values["proto"]) == {"tcp", "udp"}
    assert set(file.columns.forbidden) == {"src_port", "note", "copy", "clock"}
    assert proposal.reasons["constant"] == "is constant"
    assert len(proposal.warnings) == 2
    assert "'copy' alone separates" in proposal.warnings[0]
    assert "'inside' alone separates" in proposal.warnings[1]
    dataset_of(file)


def test_column_that_tells_which_file_a_row_is_from_is_warned_of(tmp_path: Path) -> None:
    for number in range(2):
        rows = table(seed=number).with_columns(pl.lit(1000 * number).alias("offset") + pl.col("bytes"))
        write(rows, tmp_path / f"{number}.csv")
    proposal = propose(tmp_path, "attack")
    assert proposal.reasons["offset"] == "tells which file a row is from"
    assert any("'offset' alone tells which file" in warning for warning in proposal.warnings)


def test_identifiers_and_copies_of_one_class_are_warned_of(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    kind = rng.choice(["Benign", "scan", "flood"], ROWS, p=[0.5, 0.3, 0.2])
    rows = table().with_columns(
        pl.Series("flow", rng.permutation(ROWS) * 7919),
        pl.Series("size", np.where(kind == "flood", 60, rng.integers(61, 80, ROWS))),
        pl.Series("attack", kind),
    )
    path = write(rows.drop("copy", "inside"), tmp_path / "t.csv")
    proposal = propose(path, "attack")
    assert "flow" in proposal.file.columns.cheap
    identifier, copy = sorted(proposal.warnings)
    assert identifier.startswith("'flow' has a value of its own in nearly every row (4000 in 4000 rows)")
    assert copy.startswith("'size' alone tells 'flood' from all other rows")
    _, flows = open_data(str(path), 0, schema=proposal.file)
    [caution] = cautions_of(flows)
    assert caution.startswith("size alone tells flood from all other rows")


def test_values_that_never_come_back_tell_nothing(tmp_path: Path) -> None:
    facts = {fact.name: fact for fact in propose(write(table(), tmp_path / "t.csv"), "attack").columns}
    assert facts["note"].tells_label == pytest.approx(0.5, abs=0.05)
    assert facts["copy"].tells_label == pytest.approx(1.0)


def test_time_and_device_give_a_history(tmp_path: Path) -> None:
    frame = table().with_columns(
        pl.Series("device", [f"pump-{number % 3}" for number in range(ROWS)]),
        pl.Series("timestamp", [f"2026-01-01 00:{number // 120:02}:{number % 120 // 2:02}" for number in range(ROWS)]),
    )
    path = write(frame, tmp_path / "t.csv")
    file = propose(path, "attack").file
    assert (file.time, file.device) == ("timestamp", "device")
    assert file.step == pytest.approx(2.0, abs=1)
    dataset, flows = open_data(str(path), 0, schema=file)
    assert dataset.schema.history
    assert flows.order is not None
    assert flows.order[120] - flows.order[0] == 60
    assert flows.devices == ("pump-0", "pump-1", "pump-2")


def test_what_a_file_leaves_out_is_taken_from_rows(tmp_path: Path) -> None:
    path = write(table(), tmp_path / "t.csv")
    file = SchemaFile("mine", Columns(("bytes",), (), ("proto",)), "attack", ("Benign",))
    whole = completed(file, path)
    assert whole.classes == ("Benign", "scan")
    assert set(whole.values["proto"]) == {"tcp", "udp"}
    assert completed(whole, tmp_path / "not even there") == whole


def test_cautions_say_what_scores_are_worth(tmp_path: Path) -> None:
    frame = pl.concat([table(2000)] * 5)
    file = SchemaFile("mine", Columns(("bytes", "inside")), "attack", ("Benign",))
    _, flows = open_data(str(write(frame, tmp_path / "t.csv")), 0, schema=file)
    assert [caution.split()[0] for caution in cautions_of(flows)] == ["80%", "inside"]


def test_unlabelled_table_is_proposed_and_read_without_labels(tmp_path: Path) -> None:
    path = write(table().drop("attack"), tmp_path / "t.csv")
    proposal = propose(path, None)
    assert proposal.file.label is None
    _, flows = open_data(str(path), 0, schema=proposal.file)
    assert (flows.y == -1).all()


@pytest.mark.parametrize(
    ("label", "sentence"),
    [("missing", "the label's column is missing"), ("note", "different values"), ("proto", "looks benign")],
)
def test_label_that_is_none_gets_one_sentence(tmp_path: Path, label: str, sentence: str) -> None:
    with pytest.raises((BadFile, BadSchema), match=sentence):
        propose(write(table(), tmp_path / "t.csv"), label)


def test_classes_whose_names_do_not_say_that_they_are_benign_can_be_named(tmp_path: Path) -> None:
    third = pl.when(pl.int_range(pl.len()) % 3 == 0).then(pl.lit("quiet")).otherwise(pl.lit("idle"))
    named = pl.when(pl.col("attack") == "Benign").then(third).otherwise("attack")
    path = write(table().with_columns(attack=named), tmp_path / "t.csv")
    with pytest.raises(BadSchema, match="say which one is, with --benign"):
        propose(path, "attack")
    with pytest.raises(BadSchema, match="has no value 'Quiet'; it has"):
        propose(path, "attack", benign=("Quiet",))
    proposal = propose(path, "attack", benign=("quiet",))
    assert (proposal.file.benign, proposal.file.classes) == (("quiet",), ("quiet", "idle", "scan"))
    proposal = propose(path, "attack", benign=("quiet", "idle"))
    both = proposal.file
    assert any("separates attacks from benign rows" in warning for warning in proposal.warnings)
    assert (both.benign, both.classes) == (("quiet", "idle"), ("quiet", "scan"))
    assert any(
        "separates attacks from benign rows" in warning
        for warning in propose(path, "attack", benign=both.benign).warnings
    )
    _, flows = open_data(str(path), 0, schema=both)
    assert set(flows.y.tolist()) == {0, 1}


def test_files_of_other_columns_and_columns_of_other_kinds_are_refused(tmp_path: Path) -> None:
    write(table(), tmp_path / "a.csv")
    write(table().drop("bytes"), tmp_path / "b.csv")
    with pytest.raises(BadFile, match="differ from those of the first file"):
        propose(tmp_path, "attack")
    nested = tmp_path / "nested.parquet"
    table().with_columns(pl.concat_list("bytes", "bytes").alias("pair")).write_parquet(nested)
    with pytest.raises(BadFile, match="numbers or text"):
        propose(nested, "attack")


@pytest.mark.parametrize(
    ("data", "label", "numbers", "categories", "told"),
    [
        ("nf-ton-iot-v2-sample30k", "Attack", 27, 9, {"Label"}),
        ("ecu-ioht-encoded-sample", "Type of attack", 2, 1, {"Type", "Length", "Protocol", "Info"}),
        ("ul-ece-mqtt-ddos-h-iot2025", "outcome", 3, 0, {"node", "frequency"}),
    ],
)
def test_published_tables_are_proposed_with_their_leaks(
    data_folder: Path, data: str, label: str, numbers: int, categories: int, told: set[str]
) -> None:
    if not (data_folder / data).is_dir():
        pytest.skip(f"{data_folder / data} is not there")
    proposal = propose(data_folder / data, label)
    assert (len(proposal.file.columns.cheap), len(proposal.file.columns.categories)) == (numbers, categories)
    assert told <= {warning.split("'")[1] for warning in proposal.warnings}


def test_one_long_cell_in_every_column_of_text_costs_no_memory(tmp_path: Path) -> None:
    """A text of 200,000 characters, with as much room for each of 1,000 rows, would take 800 megabytes a column."""
    rows = 1_000
    long = "x" * 200_000
    frame = table(rows).with_columns(
        timestamp=pl.col("clock"),
        device=pl.Series([long, *(f"pump-{number % 3}" for number in range(rows - 1))]),
        note=pl.Series([*(f"row {number % 50}" for number in range(rows - 1)), long]),
    )
    path = tmp_path / "long.parquet"
    frame.write_parquet(path)
    tracemalloc.start()
    try:
        proposed = propose(path, "attack").file
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (proposed.time, proposed.device) == ("timestamp", "device")
    assert most < 2**28


def test_cautions_about_many_rows_look_at_some_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(table(), tmp_path / "t.csv")
    file = SchemaFile("mine", Columns(("bytes", "copy", "inside"), (), ()), "attack", ("Benign",))
    flows = open_data(str(path), 0, schema=completed(file, path))[1]
    alone = [[one.partition(" alone ")[0] for one in cautions_of(flows) if " alone " in one]]
    monkeypatch.setattr(cautions, "_MOST_ROWS", ROWS // 8)
    alone += [[one.partition(" alone ")[0] for one in cautions_of(flows) if " alone " in one]]
    assert alone == [["copy", "inside"]] * 2
