"""Tables of the meter as a data set: what a feature is, what an attack is called, and how captures are split."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from medward.flows.cautions import cautions_about
from medward.flows.datasets import MEDWARD_FLOW
from medward.flows.datasets.medward_flow import CLASSES, OTHER_ATTACK
from medward.flows.errors import BadFile, BadSchema, BadSplit
from medward.flows.opening import open_data
from medward.flows.reading import read_flows
from medward.flows.schema import Flows
from medward.flows.splits import Split, honest_split
from medward.traffic.columns import CHEAP, CHEAP_VIEWS, COLUMNS, EXPENSIVE, EXPENSIVE_VIEWS

IDENTITIES = {"capture", "device", "address", "start", "label", "label_source"}


def table(labels: list[str], begin: float = 1.8e9, payload: bool = True) -> pl.DataFrame:
    """Two devices' windows, one after another, with these labels."""
    rows = len(labels)
    rng = np.random.default_rng(rows)
    columns: dict[str, object] = {
        "capture": ["ward.pcap"] * rows,
        "device": [f"02:00:00:00:00:0{i % 2}" for i in range(rows)],
        "address": [""] * rows,
        "start": [begin + i // 2 * 2 for i in range(rows)],
        **{name: rng.random(rows) for name in COLUMNS},
        "label": labels,
    }
    if not payload:
        columns |= {name: [None] * rows for name, (measure, _) in COLUMNS.items() if measure.payload}
    return pl.DataFrame(columns)


def write(folder: Path, **tables: pl.DataFrame) -> Path:
    for name, frame in tables.items():
        frame.write_parquet(folder / f"{name}.parquet")
    return folder


def mixed(rows: int, attack: str = "Recon-Port_Scan") -> list[str]:
    return [attack if i % 20 < 6 else "benign" for i in range(rows)]


def test_features_are_the_columns_of_the_meter_and_no_identity() -> None:
    schema = MEDWARD_FLOW.schema
    names = [feature.name for feature in schema.features]
    assert names == list(COLUMNS)
    assert not IDENTITIES & set(names)
    assert sum(column.group.value == "cheap" for column in schema.columns) == len(CHEAP) * len(CHEAP_VIEWS)
    assert sum(column.group.value == "expensive" for column in schema.columns) == len(EXPENSIVE) * len(EXPENSIVE_VIEWS)


def test_folder_is_recognised_and_an_unknown_attack_is_an_attack(tmp_path: Path) -> None:
    folder = write(tmp_path, a=table(["benign", "Recon-Port_Scan", "an attack of ours"]), b=table(["ARP_Spoofing"]))
    dataset, flows = open_data(str(folder), seed=0)
    assert dataset.name == "medward-flow"
    assert flows.schema.digest == MEDWARD_FLOW.schema.digest
    assert [CLASSES[k] for k in flows.y] == ["benign", "Recon-Port_Scan", OTHER_ATTACK, "ARP_Spoofing"]
    assert len(flows.sources) == 2
    assert flows.order is not None
    own, flows = open_data(str(folder), seed=0, own_classes=True)
    assert own.schema.classes == (*CLASSES, "an attack of ours")
    assert own.schema.classes[flows.y[2]] == "an attack of ours"


def test_empty_label_and_empty_count_are_wrong_and_an_empty_mean_is_not(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match="label"):
        read_flows(MEDWARD_FLOW, write(tmp_path, a=table(["benign", ""])))
    nulls = table(["benign"]).with_columns(pl.lit(None).alias("gap_up_mean"))
    flows = read_flows(MEDWARD_FLOW, write(tmp_path, a=nulls))
    assert np.isnan(flows.x).sum() == 1
    with pytest.raises(BadFile, match="'packets_up': the cell is empty"):
        read_flows(MEDWARD_FLOW, write(tmp_path, a=nulls.with_columns(pl.lit(None).alias("packets_up"))))


def test_too_many_names_are_refused(tmp_path: Path) -> None:
    folder = write(tmp_path, a=table([f"attack {i}" for i in range(200)]))
    with pytest.raises(BadSchema, match="200 names of attacks"):
        open_data(str(folder), seed=0, own_classes=True)


def parts_of(flows: Flows, split: Split) -> dict[str, Flows]:
    return {name: flows.take(getattr(split, name)) for name in ("train", "validation", "test")}


def test_whole_captures_are_dealt_where_enough_hold_attacks(tmp_path: Path) -> None:
    tables = {f"lab{i}": table(mixed(60), 1.8e9 + 1000 * i) for i in range(5)}
    quiet = {f"quiet{i}": table(["benign"] * 40, 1.9e9 + 1000 * i) for i in range(4)}
    flows = read_flows(MEDWARD_FLOW, write(tmp_path, **tables, **quiet))
    for seed in range(5):
        split = honest_split(flows, MEDWARD_FLOW, seed)
        parts = parts_of(flows, split)
        sources = [set(part.source) for part in parts.values()]
        assert sum(len(part) for part in parts.values()) == len(flows)
        assert sum(map(len, sources)) == 9
        assert all((part.y > 0).any() for part in parts.values())
        assert split.stream is not None
        for stream in np.unique(split.stream):
            own = flows.take(split.stream == stream)
            assert len(set(own.device)) == len(set(own.source)) == 1


def test_few_captures_are_cut_in_time_and_no_window_looks_back_over_a_cut(tmp_path: Path) -> None:
    flows = read_flows(MEDWARD_FLOW, write(tmp_path, day=table(mixed(2000))))
    parts = parts_of(flows, honest_split(flows, MEDWARD_FLOW, 0))
    ends = [np.array([part.order.min(), part.order.max()]) for part in parts.values() if part.order is not None]
    for before, after in pairwise(ends):
        assert after[0] - 58 >= before[1] + 2
    assert len(parts["train"]) == pytest.approx(0.7 * len(flows), rel=0.05)


def test_short_capture_cannot_be_tested_on_but_trained_on(tmp_path: Path) -> None:
    flows = read_flows(MEDWARD_FLOW, write(tmp_path, short=table(mixed(60))))
    with pytest.raises(BadSplit, match="give more rows"):
        honest_split(flows, MEDWARD_FLOW, 0)
    assert len(honest_split(flows, MEDWARD_FLOW, 0, both_kinds=False).train)
    with pytest.raises(BadSplit, match="give the column 'start'"):
        honest_split(replace(flows, order=None), MEDWARD_FLOW, 0)


def test_tables_without_a_look_into_payload_are_told(tmp_path: Path) -> None:
    folder = write(tmp_path, bare=table(mixed(40), payload=False))
    [caution] = cautions_about(MEDWARD_FLOW, read_flows(MEDWARD_FLOW, folder))
    assert "No row has evidence" in caution
    write(folder, full=table(mixed(40)))
    [caution] = cautions_about(MEDWARD_FLOW, read_flows(MEDWARD_FLOW, folder))
    assert f"{folder.name}/bare was metered without" in caution
    assert cautions_about(MEDWARD_FLOW, read_flows(MEDWARD_FLOW, folder / "full.parquet")) == ()


def test_where_a_label_is_from_says_how_far_it_is_trusted(tmp_path: Path) -> None:
    quiet = table(["benign"] * 4).with_columns(pl.lit("quiet").alias("label_source"))
    listed = table(mixed(4)).with_columns(pl.lit("list").alias("label_source"))
    flows = read_flows(MEDWARD_FLOW, write(tmp_path, a=quiet, b=listed, c=table(["benign"])))
    assert flows.trust is not None
    assert flows.trust.tolist() == [0.5] * 4 + [1.0] * 5
    taken = flows.take(np.array([8, 0])).trust
    assert taken is not None
    assert taken.tolist() == [1.0, 0.5]
    assert read_flows(MEDWARD_FLOW, tmp_path / "c.parquet").trust is None
    assert read_flows(MEDWARD_FLOW, tmp_path / "a.parquet", "ignored").trust is None
