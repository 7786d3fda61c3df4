"""The 45 columns of CICIoMT2024 are those of spec/meter.md, and of the published files as far as these tell."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from medward.bench.traffic import generation
from medward.flows.datasets import CICIOMT
from medward.traffic.ciciomt import COLUMNS, CiciomtMeter
from tests.traffic.captures import BEGIN, SECOND, Timed, batch, mutated, odd_frames
from tests.traffic.reference_ciciomt import rows_of


def metered(packets: list[Timed], packets_per_row: int, step: int, **limits: int) -> np.ndarray:
    meter = CiciomtMeter(packets_per_row, **limits)
    rows = [meter.step(batch(packets[at : at + step]))[0] for at in range(0, len(packets), step)]
    return np.concatenate([*rows, meter.finish()[0]])


def traffic(seed: int) -> list[Timed]:
    rng = np.random.default_rng(seed)
    ward = [frame for _, frame in generation.ward(1500, seed)]
    frames = mutated(rng, odd_frames() + ward, 600) + ward
    times = BEGIN + np.cumsum(rng.integers(0, 10**8, len(frames)))
    return list(zip(times.tolist(), frames, strict=True))


@pytest.mark.parametrize(("seed", "packets_per_row", "step"), [(1, 10, 999), (2, 100, 7), (3, 10, 1)])
def test_rows_are_those_of_a_plain_program(seed: int, packets_per_row: int, step: int) -> None:
    packets = traffic(seed)
    rows = metered(packets, packets_per_row, step)
    expected = rows_of(packets, packets_per_row)
    assert len(rows) == len(expected)
    for k, name in enumerate(COLUMNS):
        wanted = np.array([row.get(name, 0.0) for row in expected])
        np.testing.assert_allclose(rows[:, k], wanted, rtol=1e-6, atol=1e-5, err_msg=name)


def test_a_flow_counts_back_to_its_first_packet_in_either_direction() -> None:
    there = generation.tcp(2, 3, (40000, 80), (1, 1), 2, b"")
    back = generation.tcp(3, 2, (80, 40000), (1, 2), 18, b"")
    rows = metered([(BEGIN, there), (BEGIN + SECOND // 2, back)], 1, 5)
    row = dict(zip(COLUMNS, rows[1], strict=True))
    assert (row["Rate"], row["Header_Length"], row["syn_count"]) == (4.0, 108.0, 2.0)


def test_columns_are_those_of_the_schema() -> None:
    features = {feature.name for feature in CICIOMT.schema.features}
    never = {"IAT", "Number", "Weight", "Drate", "Srate"}
    assert set(COLUMNS) == features | never
    assert len(COLUMNS) == 45


def test_a_full_table_forgets_and_tells() -> None:
    meter = CiciomtMeter(10, flows=16)
    packets = [(BEGIN, generation.udp(2, 3, (port, 53), b"x")) for port in range(1000, 1100)]
    meter.step(batch(packets))
    assert meter.flows_evicted > 0
    assert metered(packets, 10, 100)[-1, COLUMNS.index("Header_Length")] == 43.0


def test_published_rows_hold_what_the_formulas_say(data_folder: Path) -> None:
    """Only relations between columns: the packets of the published rows are not to be had."""
    files = sorted((data_folder / "ciciomt2024-wifi-mqtt-subset").glob("*.parquet"))
    if not files:
        pytest.skip("CICIoMT2024 is not in the folder")
    rows = pl.read_parquet(files[0])
    number, weight = rows["Number"].round(6), rows["Weight"].round(6)
    # Rows of 10 packets are the first or the second half of a list of 20; rows of 100 hold five lists.
    full = rows.filter(number.is_in([5.5, 13.5, 9.5]))
    assert full.height > 0.99 * rows.height
    expected = {5.5: [k * k for k in range(1, 11)], 13.5: [k * k for k in (*range(11, 20), 19)]}
    expected[9.5] = expected[5.5] + expected[13.5]
    for value, squares in expected.items():
        # The last row of a file may be of fewer packets.
        found = weight.filter(number == value).to_numpy()
        assert np.isclose(found, np.mean(squares), rtol=1e-6).mean() > 0.999
    assert (rows["Rate"] == rows["Srate"]).all()
    assert (rows["Drate"] == 0).all()
    assert (rows["IPv"] - rows["LLC"]).abs().max() == 0
    assert (rows["IPv"] + rows["ARP"]).max() <= 1 + 1e-9
    # The list of sizes begins anew, so a first half's sums grow from its own sizes: Magnitue is the root of twice the
    # mean of means, at most the root of twice the largest size.
    assert (rows["Magnitue"] ** 2 <= 2 * rows["Max"] + 1e-6).all()
    assert (rows["Covariance"] <= (rows["Max"] ** 2) + 1e-6).all()
