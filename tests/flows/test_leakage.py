from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from medward.flows.datasets import DATASETS, WUSTL, Dataset
from medward.flows.history import FeatureSpace
from medward.flows.prepared import prepare
from medward.flows.reading import read_flows
from medward.flows.schema import Flows
from tests.flows.flow_files import assert_same, table_of, write

# What each data set's documentation forbids, or calls constant, label or provenance.
FORBIDDEN = {
    "wustl-ehms-2020": (
        *("Dir", "SrcAddr", "DstAddr", "Sport", "Dport", "SrcMac", "DstMac", "Packet_num", "Attack Category", "Label"),
        *("SrcGap", "DstGap", "DIntPktAct", "dMinPktSz", "Trans"),
    ),
    "x-iomt": (
        *("source_file", "frame.time", "ip.src_host", "ip.dst_host", "tcp.srcport", "tcp.dstport", "tcp.seq"),
        *("tcp.ack", "MAC_extracted", "mqtt.clientid", "http.host", "http.request.full_uri", "http.user_agent"),
        *("http.referer", "mqtt.msg", "http.file_data", "anomaly.layer", "anomaly.name", "anomaly.label"),
        *("tcp.flags.urg", "http.request.uri.query", "mqtt.conflags", "mqtt.msg_decoded_as", "mqtt.hdrflags"),
        *("mqtt.qos", "mqtt.retain", "mqtt.dupflag"),
    ),
    "ciciomt2024": (
        *("IAT", "Number", "Weight", "Drate", "Srate", "source_file", "official_split", "attack_class"),
        *("attack_category", "label"),
    ),
    "nsl-kdd": ("difficulty", "class", "num_outbound_cmds"),
    "medward-flow": ("capture", "device", "address", "start", "label", "label_source"),
    "ward": ("device", "time", "label"),
}
PAPER = {
    "wustl-ehms-2020": {"SrcMac", "Packet_num"},
    "x-iomt": {"frame.time", "ip.src_host", "tcp.srcport", "tcp.dstport", "tcp.seq", "tcp.ack"},
    "ciciomt2024": {"IAT", "Number", "Weight", "Drate", "Srate"},
}
EVERY = pytest.mark.parametrize("dataset", DATASETS.values(), ids=DATASETS.keys())


def columns_from(dataset: Dataset, history: bool) -> set[str]:
    """The names of the file's columns that a feature space draws on."""
    names = [column.name for column in FeatureSpace(dataset.schema, history).columns]
    return {name.rsplit(" (", 1)[0].split("=")[0] for name in names} | set(names)


@EVERY
def test_every_known_data_set_is_looked_at_here(dataset: Dataset) -> None:
    assert dataset.name in FORBIDDEN
    schema = dataset.schema
    assert set(FORBIDDEN[dataset.name]) == set(schema.never) | {schema.label}
    assert all(reason for reason in schema.never.values())


@EVERY
@pytest.mark.parametrize("history", [True, False])
def test_no_forbidden_column_is_a_feature_or_in_a_feature_space(dataset: Dataset, history: bool) -> None:
    forbidden = {name.lower() for name in FORBIDDEN[dataset.name]}
    assert not forbidden & {feature.name.lower() for feature in dataset.schema.features}
    assert not forbidden & {name.lower() for name in columns_from(dataset, history)}


@EVERY
def test_a_forbidden_column_cannot_become_a_feature_by_mistake(dataset: Dataset) -> None:
    schema = dataset.schema
    name = schema.features[0].name
    less = schema.without([name], "for this test")
    assert name in less.never
    assert all(feature.name != name for feature in less.features)
    fields = {key: value for key, value in less.__dict__.items() if key != "columns"}
    with pytest.raises(ValueError, match="may never be features"):
        type(schema)(**{**fields, "features": schema.features})


@EVERY
def test_what_stands_in_forbidden_columns_changes_no_feature(dataset: Dataset, tmp_path: Path) -> None:
    table = table_of(dataset, 80)
    rng = np.random.default_rng(1)
    schema = dataset.schema
    shuffled = {
        name: [cells[k] for k in rng.permutation(80)] if name in FORBIDDEN[dataset.name] else cells
        for name, cells in table.items()
    }
    assert shuffled != table
    one = read_flows(dataset, write(tmp_path / "a.csv", table))
    other = read_flows(dataset, write(tmp_path / "a.csv", shuffled))
    assert one.x.tobytes() == other.x.tobytes()
    # Columns that nothing reads may be absent or hold anything.
    read = {schema.label, schema.device, schema.order, schema.source}
    kept = {name: cells for name, cells in table.items() if name not in FORBIDDEN[dataset.name] or name in read}
    assert_same(read_flows(dataset, write(tmp_path / "a.csv", kept)), one)
    noise = table | {name: ["?"] * 80 for name in set(FORBIDDEN[dataset.name]) - read}
    assert_same(read_flows(dataset, write(tmp_path / "a.csv", noise)), one)


@pytest.mark.parametrize("name", ["wustl-ehms-2020", "x-iomt", "ciciomt2024"])
def test_shuffled_forbidden_columns_of_real_files_change_no_feature(
    name: str, real_path: Callable[[str], Path], tmp_path: Path
) -> None:
    dataset = DATASETS[name]
    file = next(file for file in real_path(name).iterdir() if file.name != "SOURCE.md")
    whole = pl.read_parquet(file) if file.suffix == ".parquet" else pl.read_csv(file, infer_schema=False)
    frame = whole.gather_every(max(1, len(whole) // 3000))
    assert set(FORBIDDEN[name]) <= set(frame.columns)
    frame.write_parquet(tmp_path / "a.parquet")
    mixed = frame.with_columns(pl.col(column).shuffle(seed=k) for k, column in enumerate(FORBIDDEN[name]))
    mixed.write_parquet(tmp_path / "b.parquet")
    one, other = read_flows(dataset, tmp_path / "a.parquet"), read_flows(dataset, tmp_path / "b.parquet")
    assert one.y.tolist() != other.y.tolist()
    assert one.x.tobytes() == other.x.tobytes()


def test_the_attackers_address_does_not_reach_the_features_of_wustl_under_the_honest_protocol(tmp_path: Path) -> None:
    table = table_of(WUSTL, 900, seed=4)
    honest = prepare(WUSTL, read_flows(WUSTL, write(tmp_path / "a.csv", table)), "honest", 0)
    table["SrcMac"] = [
        "d8:9e:f3:95:02:75" if name != "normal" else "84:3a:4b:0f:5b:94" for name in table[WUSTL.schema.label]
    ]
    again = prepare(WUSTL, read_flows(WUSTL, write(tmp_path / "a.csv", table)), "honest", 0)
    assert honest.x.tobytes() == again.x.tobytes()
    # The order key orders rows; its level and its unit of origin must not show.
    table["Packet_num"] = [str(int(cell) + 5000) for cell in table["Packet_num"]]
    moved = prepare(WUSTL, read_flows(WUSTL, write(tmp_path / "a.csv", table)), "honest", 0)
    assert honest.x.tobytes() == moved.x.tobytes()


@EVERY
def test_the_papers_habit_feeds_the_leaking_columns_and_says_so(dataset: Dataset, tmp_path: Path) -> None:
    paper = dataset.paper_schema()
    extra = {feature.name for feature in paper.features} - {feature.name for feature in dataset.schema.features}
    assert extra == PAPER.get(dataset.name, set())
    assert extra <= set(FORBIDDEN[dataset.name])
    assert not extra & set(paper.never)
    assert dataset.schema.label not in extra
    table = table_of(dataset, 30)
    table |= {name: [str(i) for i in range(30)] for name in extra}
    path = write(tmp_path / "a.csv", table)
    flows = read_flows(replace(dataset, schema=paper), path)
    assert flows.x.shape[1] == len(paper.columns)
    honest = read_flows(dataset, path)
    assert flows.x[:, : honest.x.shape[1]].tobytes() == honest.x.tobytes()
    for feature in dataset.paper_extra:
        if not feature.categories:
            place = [column.name for column in paper.columns].index(feature.name)
            assert flows.x[:, place].tolist() == list(range(30))


def test_the_papers_schema_knows_the_attacker_by_its_address(real_path: Callable[[str], Path]) -> None:
    flows: Flows = read_flows(replace(WUSTL, schema=WUSTL.paper_schema()), real_path("wustl-ehms-2020"))
    place = [column.name for column in flows.schema.columns].index("SrcMac=d8:9e:f3:95:02:75")
    np.testing.assert_array_equal(flows.x[:, place] == 1, flows.y > 0)


@pytest.mark.parametrize("name", ["wustl-ehms-2020", "x-iomt"])
def test_without_fingerprints_no_column_draws_on_them_and_the_same_file_is_read(name: str, tmp_path: Path) -> None:
    dataset = DATASETS[name]
    bare = dataset.without(dataset.fingerprints)
    assert columns_from(bare, True).isdisjoint(dataset.fingerprints)
    assert columns_from(dataset, True).issuperset(dataset.fingerprints)
    path = write(tmp_path / "rows.csv", table_of(dataset, 40))
    full, flows = read_flows(dataset, path), read_flows(bare, path)
    kept = [i for i, column in enumerate(dataset.schema.columns) if column in bare.schema.columns]
    assert len(kept) == flows.x.shape[1] < full.x.shape[1]
    np.testing.assert_array_equal(flows.x, full.x[:, kept])
    np.testing.assert_array_equal(flows.y, full.y)
