"""The synthetic ward: medical devices, their traffic and their patients, made by a program from a seed.

The embedded data set for a machine that has no other. It has the shape of the real problem (several kinds of device,
shifts and ward rounds, harmless incidents, attacks that unfold over time, evidence that costs something), but nothing
in it was measured: a score on it says that a method works, not how well it would work in a hospital. Everything made
from it says that it is synthetic.

Rows come device by device, each device's in the order of time; a row is one device's window of about 10 s.
"""

import gzip
import io
from pathlib import Path

import numpy as np
import polars as pl
from jaxtyping import Float64
from numpy.random import Generator, SeedSequence, default_rng

from medward.flows.datasets._ward_attacks import ATTACKS, apply_attacks, apply_incidents
from medward.flows.datasets._ward_devices import (
    KINDS,
    PROTOCOLS,
    VITALS,
    WINDOW,
    Roster,
    WardTraffic,
    benign_traffic,
    clock,
    measured,
    roster,
)
from medward.flows.errors import FlowsError
from medward.flows.schema import Feature, Flows, Group, Schema
from medward.whole_file import write_whole

# Each number with the decimals that it is measured to; see `_measure` for units.
_CHEAP = {
    "packets_up": 0,
    "packets_down": 0,
    "bytes_up": 0,
    "bytes_down": 0,
    "packet_size_up_mean": 1,
    "packet_size_up_std": 1,
    "interarrival_mean": 2,
    "interarrival_std": 2,
    "peers": 0,
    "ports": 0,
    "failed_connections": 0,
    "retransmissions": 0,
    "rtt": 2,
}
_DEEP = {"payload_entropy": 3, "periodicity": 3}
_PATIENT = {"vitals_delay": 2, **dict.fromkeys(VITALS, 0), "temperature": 1}

SCHEMA = Schema(
    dataset="ward",
    title="Synthetic ward",
    features=(
        Feature("device_kind", categories=tuple(kind.name for kind in KINDS)),
        Feature("protocol", categories=PROTOCOLS),
        *(Feature(name) for name in _CHEAP),
        *(Feature(name, Group.EXPENSIVE) for name in _DEEP),
        *(Feature(name, Group.EXPENSIVE, optional=True) for name in _PATIENT),
    ),
    label="label",
    classes=("benign", *ATTACKS),
    never={
        "device": "an identity: it says which device it is, not what the device does",
        "time": "it says when something happened, not what",
    },
    device="device",
    order="time",
    # One second, not one window: longer memories tell devices apart and remember their past instead of attacks.
    # Validation macro-F1 of a pooled Sentinel was .938, .920 and .909 for 1, 2.5 and 5 s.
    step=1.0,
    history=True,
    synthetic=True,
)
HEADER = ("device", "time", *(feature.name for feature in SCHEMA.features), SCHEMA.label)
SOURCE = "synthetic ward"


def generate(rows: int, seed: int) -> Flows:
    """Return that many rows of the synthetic ward; the same arguments give the same arrays.

    The ward has 40 devices in four wards, fewer where there are under 10,000 rows; their streams are of equal length,
    give or take a row, and all start at 18:30 of a simulated clock. About 15 % of the rows belong to an attack.
    With 20,000 rows or more, each class has at least 100 rows and is in each part of a 70/15/15 cut in time.

    Args:
        rows: how many rows, 1 or more.
        seed: 0 or more.

    Returns:
        Flows sorted by device, then by time; `order` is the time in seconds since the start, to the millisecond.

    Raises:
        FlowsError: `rows` or `seed` is out of range.
    """
    if rows < 1:
        raise FlowsError(f"The synthetic ward can't have {rows} rows; ask for at least 1.")
    if seed < 0:
        raise FlowsError(f"The synthetic ward can't be made from the seed {seed}; a seed is 0 or more.")
    devices = roster(rows)
    windows = -(-rows // len(devices))
    routine, trouble, attack, noise = (default_rng(child) for child in SeedSequence(seed).spawn(4))

    time = clock(routine, len(devices), windows)
    traffic = benign_traffic(routine, devices, time)
    apply_incidents(trouble, traffic, devices)
    y = apply_attacks(attack, traffic, devices)
    x = _matrix(devices, traffic, _measure(noise, traffic, devices))

    # Where the rows don't divide evenly, the last devices' streams end one window earlier.
    length = rows // len(devices) + (np.arange(len(devices)) < rows % len(devices))
    seen = np.less(np.arange(windows)[None, :], length[:, None])
    return Flows(
        schema=SCHEMA,
        x=x[seen],
        y=y[seen],
        source=np.zeros(rows, np.int32),
        sources=(SOURCE,),
        device=np.repeat(np.arange(len(devices), dtype=np.int32), length),
        devices=devices.names,
        order=time[seen],
    )


def write_csv(path: Path | str, rows: int, seed: int) -> None:
    """Write the rows of `generate(rows, seed)` as CSV with the columns `HEADER`, compressed where the name ends in .gz.

    A missing vital sign is an empty cell. Numbers have the digits that give back the same float32 (`time`: float64).
    The file appears whole or not at all: a file of that name stays as it was until the new one is complete on disk.

    Raises:
        FlowsError: the file can't be written, or `rows` or `seed` is out of range.
    """
    target = Path(path)
    content = _csv(generate(rows, seed))
    if target.suffix == ".gz":
        # No time of writing inside: the same rows give the same bytes.
        content = gzip.compress(content, compresslevel=6, mtime=0)
    try:
        write_whole(target, content)
    except OSError as error:
        reason = error.strerror or str(error)
        raise FlowsError(
            f"The synthetic ward can't be written to {target}: {reason}; choose a file in a folder that exists and "
            "that you may write to, with room for it."
        ) from error


def _measure(
    rng: Generator, traffic: WardTraffic, devices: Roster
) -> dict[str, Float64[np.ndarray, "devices windows"]]:
    """Return what a gateway would note of each window: counts, sizes in bytes, times in ms (`vitals_delay` in s)."""
    shape = traffic.rtt.shape

    def around(value: Float64[np.ndarray, "devices windows"], spread: float) -> Float64[np.ndarray, "devices windows"]:
        return np.asarray(value * np.exp(spread * rng.standard_normal(shape)))

    up = 1.0 + rng.poisson(around(traffic.packets_up, 0.12))
    down = rng.poisson(around(traffic.packets_down, 0.15)).astype(np.float64)
    bytes_up = up * around(traffic.size_up, 0.06)
    bytes_down = down * around(traffic.size_down, 0.08)
    packets = up + down
    size = bytes_up / up
    gap = 1000.0 * WINDOW / packets
    out = {
        "packets_up": up,
        "packets_down": down,
        "bytes_up": bytes_up,
        "bytes_down": bytes_down,
        "packet_size_up_mean": size,
        "packet_size_up_std": size * around(traffic.size_spread, 0.1),
        "interarrival_mean": around(gap, 0.03),
        "interarrival_std": gap * around(traffic.gap_spread, 0.12),
        "peers": 1.0 + rng.poisson(traffic.peers),
        "ports": 1.0 + rng.poisson(traffic.ports),
        "failed_connections": rng.poisson(traffic.failed).astype(np.float64),
        "retransmissions": rng.poisson(np.minimum(traffic.loss, 0.3) * packets).astype(np.float64),
        "rtt": around(traffic.rtt, 0.12),
        "payload_entropy": np.clip(traffic.entropy + rng.normal(0.0, 0.1, shape), 0.0, 8.0),
        "periodicity": np.clip(traffic.periodicity + rng.normal(0.0, 0.05, shape), 0.0, 1.0),
    }
    silent = np.less(rng.random(shape), traffic.silent)
    has = measured(devices)
    out["vitals_delay"] = np.where(silent | ~has.any(axis=1, keepdims=True), np.nan, around(traffic.delay, 0.35))
    error = rng.normal(0.0, (0.8, 0.3, 0.4, 1.8, 1.3, 0.05), (*shape, len(VITALS)))
    # (lowest, highest) that a sensor reports, in the order of VITALS
    sent = np.clip(traffic.vitals + error, (25, 60, 4, 50, 25, 33), (220, 100, 60, 240, 150, 42.5))
    sent[silent[:, :, None] | ~has[:, None, :]] = np.nan
    return out | {name: sent[:, :, i] for i, name in enumerate(VITALS)}


def _matrix(
    devices: Roster, traffic: WardTraffic, numbers: dict[str, Float64[np.ndarray, "devices windows"]]
) -> np.ndarray:
    """Return the feature matrix, devices by windows by columns, float32, rounded as a gateway would write it."""
    shape = traffic.rtt.shape
    codes = {
        "device_kind": np.broadcast_to(devices.kind[:, None], shape),
        "protocol": traffic.protocol,
    }
    decimals = _CHEAP | _DEEP | _PATIENT
    x = np.empty((*shape, len(SCHEMA.columns)), np.float32)
    at = 0
    for feature in SCHEMA.features:
        if feature.categories:
            width = len(feature.categories)
            x[:, :, at : at + width] = codes[feature.name][:, :, None] == np.arange(width)
            at += width
        else:
            x[:, :, at] = np.round(numbers[feature.name], decimals[feature.name])
            at += 1
    return x


def _csv(flows: Flows) -> bytes:
    """Return the flows as a CSV file with the columns `HEADER`."""
    columns = {
        "device": pl.Series(np.array(flows.devices, object)[flows.device], dtype=pl.String),
        "time": pl.Series(flows.order),
    }
    at = 0
    for feature in flows.schema.features:
        if feature.categories:
            width = len(feature.categories)
            names = np.array(feature.categories, object)[flows.x[:, at : at + width].argmax(axis=1)]
            columns[feature.name] = pl.Series(names, dtype=pl.String)
            at += width
        else:
            columns[feature.name] = pl.Series(flows.x[:, at], nan_to_null=True)
            at += 1
    columns[flows.schema.label] = pl.Series(np.array(flows.schema.classes, object)[flows.y], dtype=pl.String)
    out = io.BytesIO()
    pl.DataFrame(columns).select(HEADER).write_csv(out)
    return out.getvalue()
