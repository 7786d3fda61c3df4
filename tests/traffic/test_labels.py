"""Labels name the windows of an attack's parties while it lasts, and a file of labels that is wrong is told of."""

import json
from pathlib import Path

import numpy as np
import pytest

from medward.bench.traffic import generation
from medward.traffic.labels import BadLabels, InjectedAttack, WindowLabels, label_times, read_labels
from medward.traffic.meter import Meter, MeterSettings, meter_windows
from tests.traffic.captures import BEGIN, SECOND, batch

START = BEGIN / SECOND
ENTRY = {
    "class": "scan", "start": START + 2, "end": START + 5, "attacker": "10.77.0.9", "mac": "02:00:00:00:00:09",
    "victim": "10.77.0.3",
}  # fmt: skip


def labelled(tmp_path: Path, *entries: object) -> list[InjectedAttack]:
    path = tmp_path / "labels.json"
    path.write_text(json.dumps(list(entries)))
    return read_labels(path)


def test_windows_of_both_parties_are_labelled_while_the_attack_covers_them(tmp_path: Path) -> None:
    pairs = ((9, 3), (3, 4))
    packets = [
        (BEGIN + second * SECOND, generation.udp(source, target, (4000, 53), b"x"))
        for second in range(0, 10, 2)
        for source, target in pairs
    ]
    meter = Meter(MeterSettings(flows=64, devices=64, addresses=64, segments=64))
    labels = WindowLabels(labelled(tmp_path, ENTRY))
    found: dict[str, list[str]] = {}
    for table in meter_windows([batch(packets)], meter):
        for device, label in zip(table.device, labels.label(table), strict=True):
            found.setdefault(device[-2:], []).append(label)
    expected = ["benign", "scan", "scan", "benign", "benign"]
    assert found == {"09": expected, "03": expected, "04": ["benign"] * 5}


def test_rows_of_no_device_are_labelled_by_their_time(tmp_path: Path) -> None:
    attacks = labelled(tmp_path, ENTRY)
    assert label_times(attacks, np.array([START, START + 3, START + 6]), "Benign") == ["Benign", "scan", "Benign"]


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("scan", "entry 1 is no object"),
        ({**ENTRY, "class": 3}, "entry 1 has no text 'class'"),
        ({**ENTRY, "start": "noon"}, "entry 1 has no number 'start'"),
        ({**ENTRY, "end": True}, "entry 1 has no number 'end'"),
        ({**ENTRY, "end": 0}, "entry 1 ends before it starts"),
        ({key: value for key, value in ENTRY.items() if key != "victim"}, "entry 1 has no text 'victim'"),
    ],
)
def test_entry_that_is_wrong_is_told_of(tmp_path: Path, entry: object, said: str) -> None:
    with pytest.raises(BadLabels, match=said):
        labelled(tmp_path, entry)


@pytest.mark.parametrize(
    ("content", "said"), [("{", "is no JSON"), ("{}", "holds no list"), ("[" * 10**5, "is no JSON")]
)
def test_file_that_is_wrong_is_told_of(tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / "labels.json").write_text(content)
    with pytest.raises(BadLabels, match=said):
        read_labels(tmp_path / "labels.json")
