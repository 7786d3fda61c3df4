import csv
import gzip
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import balanced_accuracy_score, f1_score
from sklearn.tree import DecisionTreeClassifier

from medward.flows.datasets import ward
from medward.flows.errors import FlowsError
from medward.flows.schema import Flows, Group

ROWS = 20_000
NAMES = [column.name for column in ward.SCHEMA.columns]
CLINICAL = [feature.name for feature in ward.SCHEMA.features if feature.optional]


@pytest.fixture(scope="module")
def flows() -> Flows:
    return ward.generate(ROWS, seed=7)


def part_in_time(flows: Flows) -> np.ndarray:
    """0, 1 or 2 for the first 70 %, the next 15 % and the last 15 % of each device's stream."""
    length = np.bincount(flows.device)
    place = np.arange(len(flows)) - np.repeat(np.cumsum(length) - length, length)
    return np.asarray(np.digitize(place / length[flows.device], [0.7, 0.85]))


def kinds(flows: Flows) -> np.ndarray:
    at = [i for i, name in enumerate(NAMES) if name.startswith("device_kind=")]
    names = np.array([NAMES[i].removeprefix("device_kind=") for i in at])
    return np.asarray(names[flows.x[:, at].argmax(axis=1)])


def test_same_seed_gives_the_same_rows_and_another_seed_others(flows: Flows) -> None:
    again, other = ward.generate(ROWS, seed=7), ward.generate(ROWS, seed=8)
    np.testing.assert_array_equal(again.x, flows.x)
    np.testing.assert_array_equal(again.y, flows.y)
    np.testing.assert_array_equal(again.order, flows.order)
    assert (again.devices, again.device.tolist()) == (flows.devices, flows.device.tolist())
    assert not np.array_equal(other.x, flows.x, equal_nan=True)
    assert not np.array_equal(other.y, flows.y)


@pytest.mark.parametrize("rows", [1, 2, 7, 41, 999, 10_001, 20_017])
def test_gives_exactly_the_rows_asked_for(rows: int) -> None:
    made = ward.generate(rows, seed=0)
    assert made.x.shape == (rows, len(ward.SCHEMA.columns))
    assert made.x.dtype == np.float32
    assert made.order is not None
    assert len(made.y) == len(made.device) == len(made.source) == len(made.order) == rows
    assert set(np.unique(made.device)) == set(range(len(made.devices)))


@pytest.mark.parametrize(("rows", "seed"), [(0, 0), (-5, 0), (10, -1)])
def test_refuses_a_size_or_seed_out_of_range(rows: int, seed: int) -> None:
    with pytest.raises(FlowsError, match=str(min(rows, seed))):
        ward.generate(rows, seed)


def test_says_everywhere_that_it_is_synthetic(flows: Flows) -> None:
    assert ward.SCHEMA.synthetic
    assert "synthetic" in ward.SCHEMA.title.lower()
    assert all("synthetic" in name for name in (*flows.devices, *flows.sources))


def test_rows_come_by_device_and_in_the_order_of_time(flows: Flows) -> None:
    assert flows.order is not None
    step = np.diff(flows.order)
    same = np.diff(flows.device) == 0
    assert (np.diff(flows.device) >= 0).all()
    assert (step[same] > 0).all()
    assert np.median(step[same]) == pytest.approx(10.0, abs=0.1)
    assert step[same].std() > 0.1
    assert flows.order.min() >= 0


def test_several_dozen_devices_of_every_kind_stand_in_several_wards(flows: Flows) -> None:
    assert len(flows.devices) >= 36
    assert len({name.split("-")[1] for name in flows.devices}) >= 4
    assert set(kinds(flows)) == {"patient_monitor", "infusion_pump", "ventilator", "wearable", "imaging"}


@pytest.mark.parametrize("seed", range(4))
def test_attacks_are_an_eighth_to_a_fifth_and_no_class_is_rare(seed: int) -> None:
    y = ward.generate(ROWS, seed).y
    assert 0.12 <= (y > 0).mean() <= 0.18
    assert np.bincount(y, minlength=len(ward.SCHEMA.classes)).min() >= 100


@pytest.mark.parametrize("seed", range(4))
def test_every_class_is_in_each_part_of_a_cut_in_time(seed: int) -> None:
    made = ward.generate(ROWS, seed)
    part = part_in_time(made)
    for i in range(3):
        counts = np.bincount(made.y[part == i], minlength=len(ward.SCHEMA.classes))
        assert counts.min() >= 10, f"part {i}: {counts}"


def test_every_class_meets_every_kind_of_device_that_it_can(flows: Flows) -> None:
    kind = kinds(flows)
    clinical = {"patient_monitor", "ventilator", "wearable"}
    expected = {
        **{name: set(kind) for name in ("benign", "scan", "brute_force", "flood", "exfiltration")},
        "mitm_delay": set(kind) - {"imaging"},
        "data_alteration": clinical,
    }
    for i, name in enumerate(ward.SCHEMA.classes):
        assert set(kind[flows.y == i]) == expected[name], name


def test_attacks_last_and_grow(flows: Flows) -> None:
    begins = np.r_[True, (np.diff(flows.y) != 0) | (np.diff(flows.device) != 0)]
    first = np.flatnonzero(begins)
    length = np.diff(np.r_[first, len(flows)])
    attack = flows.y[first] > 0
    assert length[attack].min() >= 3
    long = first[(flows.y[first] == ward.SCHEMA.classes.index("mitm_delay")) & (length >= 12)]
    rtt = flows.x[:, NAMES.index("rtt")]
    assert np.mean([rtt[i] for i in long]) < np.mean([rtt[i + 6] for i in long])


def test_vital_signs_are_missing_only_where_they_may_be(flows: Flows) -> None:
    missing = np.isnan(flows.x)
    may = np.isin(NAMES, CLINICAL)
    assert not missing[:, ~may].any()
    kind, rate = kinds(flows), NAMES.index("heart_rate")
    assert missing[np.isin(kind, ["infusion_pump", "imaging"])][:, may].all()
    for name in ("patient_monitor", "ventilator", "wearable"):
        share = missing[kind == name, rate].mean()
        assert 0.0 < share < 0.15, name
    assert missing[kind == "wearable", NAMES.index("systolic")].all()
    monitor = missing[kind == "patient_monitor"][:, may]
    assert (monitor.all(axis=1) == monitor.any(axis=1)).all(), "a monitor sends all vital signs or none"


def test_vital_signs_are_plausible_and_move_together(flows: Flows) -> None:
    quiet = flows.x[(kinds(flows) == "patient_monitor") & (flows.y == 0)]
    value = {name: quiet[:, NAMES.index(name)] for name in CLINICAL}
    sent = ~np.isnan(value["heart_rate"])
    for name, low, high in (("heart_rate", 40, 140), ("spo2", 85, 100), ("temperature", 35, 40)):
        assert low < np.nanpercentile(value[name], 1)
        assert np.nanpercentile(value[name], 99) <= high
    assert np.corrcoef(value["heart_rate"][sent], value["respiration"][sent])[0, 1] > 0.4
    assert np.corrcoef(value["systolic"][sent], value["diastolic"][sent])[0, 1] > 0.4


def test_no_single_column_tells_attacks_from_routine(flows: Flows) -> None:
    attack = flows.y > 0
    for i, name in enumerate(NAMES):
        column = flows.x[:, [i]]
        tree = DecisionTreeClassifier(max_depth=3, class_weight="balanced", random_state=0).fit(column, attack)
        # Scored on the rows that it was fitted on, which flatters the column: the harsher bound.
        assert balanced_accuracy_score(attack, tree.predict(column)) <= 0.75, name


@pytest.mark.slow
def test_expensive_evidence_is_worth_something_and_cheap_is_not_worthless(flows: Flows) -> None:
    part, attack = part_in_time(flows), flows.y > 0
    cheap = np.array([column.group is Group.CHEAP for column in ward.SCHEMA.columns])

    def score(columns: np.ndarray) -> float:
        trees = HistGradientBoostingClassifier(max_iter=60, random_state=0, early_stopping=False)
        trees.fit(flows.x[part == 0][:, columns], attack[part == 0])
        return float(f1_score(attack[part > 0], trees.predict(flows.x[part > 0][:, columns]), average="macro"))

    everything, only_cheap = score(np.ones_like(cheap)), score(cheap)
    assert 0.8 < everything < 0.96
    assert 0.7 < only_cheap < everything - 0.02


def read(path: Path) -> tuple[list[str], list[list[str]]]:
    opened: Callable[..., object] = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", newline="") as file:  # type: ignore[attr-defined]
        header, *rows = csv.reader(file)
    return header, rows


@pytest.mark.parametrize("name", ["ward.csv", "ward.csv.gz"])
def test_csv_gives_back_the_same_numbers(tmp_path: Path, name: str) -> None:
    made = ward.generate(1503, seed=3)
    assert made.order is not None
    ward.write_csv(tmp_path / name, 1503, seed=3)
    header, rows = read(tmp_path / name)
    assert tuple(header) == ward.HEADER
    column = dict(zip(header, zip(*rows, strict=True), strict=True))
    assert list(column["device"]) == [made.devices[d] for d in made.device]
    assert list(column["label"]) == [ward.SCHEMA.classes[y] for y in made.y]
    np.testing.assert_array_equal(np.array(column["time"], np.float64), made.order)
    for feature in ward.SCHEMA.features:
        if feature.categories:
            for value in feature.categories:
                found = np.array(column[feature.name]) == value
                np.testing.assert_array_equal(found, made.x[:, NAMES.index(f"{feature.name}={value}")] == 1)
        else:
            found = np.array([np.float32(cell) if cell else np.nan for cell in column[feature.name]], np.float32)
            np.testing.assert_array_equal(found, made.x[:, NAMES.index(feature.name)])


def test_compressed_file_has_the_same_bytes_each_time(tmp_path: Path) -> None:
    for name in ("a.csv.gz", "b.csv.gz"):
        ward.write_csv(tmp_path / name, 500, seed=0)
    assert (tmp_path / "a.csv.gz").read_bytes() == (tmp_path / "b.csv.gz").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv.gz", "b.csv.gz"]


def test_interrupted_writing_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "ward.csv"
    target.write_text("old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(FlowsError, match=r"ward\.csv: No space left on device; .*\.$"):
        ward.write_csv(target, 100, seed=0)
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_refuses_a_folder_that_does_not_exist_or_is_a_file(tmp_path: Path) -> None:
    with pytest.raises(FlowsError, match="absent"):
        ward.write_csv(tmp_path / "absent" / "ward.csv", 100, seed=0)
    (tmp_path / "file").write_text("old")
    with pytest.raises(FlowsError, match="file"):
        ward.write_csv(tmp_path / "file" / "ward.csv", 100, seed=0)
    assert (tmp_path / "file").read_text() == "old"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write to any folder")
def test_unwritable_folder_keeps_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "ward.csv"
    target.write_text("old")
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(FlowsError, match="Permission denied"):
            ward.write_csv(target, 100, seed=0)
    finally:
        tmp_path.chmod(0o700)
    assert target.read_text() == "old"
