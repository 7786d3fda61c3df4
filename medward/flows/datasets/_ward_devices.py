"""The devices of the synthetic ward, and what they do while nobody attacks them.

`WardTraffic` is the state that lies behind the measurements: rates, sizes, delays and vital signs for each device and
window. Incidents and attacks (`_ward_attacks.py`) change it in place; `ward.py` then measures it, with noise. Keeping
the state apart from the measurement keeps the columns consistent: a flood that raises a packet rate also raises bytes
and shortens the gaps between packets, because all three are read from the same rate.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int8, Int64
from numpy.random import Generator

WINDOW = 10.0  # seconds
START_HOUR = 18.5  # half an hour before the evening handover, so that a short recording sees day and night
WARDS = ("icu", "surgery", "medicine", "emergency")
VITALS = ("heart_rate", "spo2", "respiration", "systolic", "diastolic", "temperature")
PROTOCOLS = ("hl7", "mqtt", "dicom", "tls", "udp", "tcp")

MOST_DEVICES = 40
WINDOWS_PER_DEVICE = 250  # fewer than this, and the ward gets fewer devices instead


@dataclass(frozen=True)
class DeviceKind:
    """What the devices of one kind have in common.

    Args:
        name: the kind, as the column `device_kind` says it.
        packets: packets sent in a usual window.
        reply: packets received for each one sent.
        size_up: mean size of a sent packet, bytes.
        size_down: mean size of a received packet, bytes.
        rtt: usual round-trip time, ms.
        peers: mean number of peers beyond the first.
        ports: mean number of ports beyond the first.
        entropy: entropy of the payload, bits per byte, 0 to 8.
        periodicity: how regular the traffic is, 0 to 1.
        period: windows between two summaries; every device of the kind has its own phase.
        protocols: the protocols one of which is a device's usual one.
        vitals: the vital signs that it measures, a subset of `VITALS`.
        rounds: how strongly a ward round raises its load.
        transfers: share of the windows in which a large transfer begins.
    """

    name: str
    packets: float
    reply: float
    size_up: float
    size_down: float
    rtt: float
    peers: float
    ports: float
    entropy: float
    periodicity: float
    period: int
    protocols: tuple[str, ...]
    vitals: tuple[str, ...] = ()
    rounds: float = 0.2
    transfers: float = 0.0


KINDS = (
    DeviceKind("patient_monitor", 110, 0.7, 310, 95, 5, 0.7, 0.8, 5.2, 0.80, 6, ("hl7", "tls", "udp"), VITALS, 0.35),
    DeviceKind("infusion_pump", 22, 0.8, 180, 120, 8, 0.3, 0.4, 5.8, 0.85, 3, ("tls", "hl7"), (), 0.6),
    DeviceKind("ventilator", 70, 0.6, 250, 90, 4, 0.4, 0.5, 5.0, 0.88, 6, ("hl7", "tcp"), VITALS[:3], 0.2),
    DeviceKind(
        "wearable", 30, 0.9, 140, 80, 22, 0.4, 0.3, 6.5, 0.65, 4, ("mqtt", "udp"), (*VITALS[:3], VITALS[5]), 0.1
    ),
    DeviceKind("imaging", 18, 0.6, 420, 140, 3, 0.8, 1.0, 6.2, 0.45, 12, ("dicom", "tcp"), (), 0.1, 0.004),
)


@dataclass(frozen=True)
class Roster:
    """The devices: for each its name, the index into `KINDS` and the index into `WARDS`."""

    names: tuple[str, ...]
    kind: Int64[np.ndarray, " devices"]
    ward: Int64[np.ndarray, " devices"]

    def __len__(self) -> int:
        return len(self.names)


@dataclass
class WardTraffic:
    """What goes on in each device's windows, before it is measured; changed in place by incidents and attacks.

    Args:
        packets_up: expected packets sent.
        packets_down: expected packets received.
        size_up: mean size of a sent packet, bytes.
        size_down: mean size of a received packet, bytes.
        size_spread: spread of the packet sizes, relative to their mean.
        gap_spread: spread of the gaps between packets, relative to their mean.
        rtt: round-trip time, ms.
        loss: share of the packets that are sent again.
        peers: expected peers beyond the first.
        ports: expected ports beyond the first.
        failed: expected failed connections.
        entropy: entropy of the payload, bits per byte.
        periodicity: regularity, 0 to 1.
        delay: seconds between a vital sign's measurement and its arrival.
        silent: probability that a window brings no vital signs.
        protocol: index into `PROTOCOLS` of the protocol with most packets.
        vitals: the vital signs as sent.
    """

    packets_up: Float64[np.ndarray, "devices windows"]
    packets_down: Float64[np.ndarray, "devices windows"]
    size_up: Float64[np.ndarray, "devices windows"]
    size_down: Float64[np.ndarray, "devices windows"]
    size_spread: Float64[np.ndarray, "devices windows"]
    gap_spread: Float64[np.ndarray, "devices windows"]
    rtt: Float64[np.ndarray, "devices windows"]
    loss: Float64[np.ndarray, "devices windows"]
    peers: Float64[np.ndarray, "devices windows"]
    ports: Float64[np.ndarray, "devices windows"]
    failed: Float64[np.ndarray, "devices windows"]
    entropy: Float64[np.ndarray, "devices windows"]
    periodicity: Float64[np.ndarray, "devices windows"]
    delay: Float64[np.ndarray, "devices windows"]
    silent: Float64[np.ndarray, "devices windows"]
    protocol: Int8[np.ndarray, "devices windows"]
    vitals: Float64[np.ndarray, "devices windows vitals"]


def roster(rows: int) -> Roster:
    """Return the devices of a recording with that many rows: 40, or fewer where their streams would be short.

    The kinds take turns, so that five devices are enough to have all of them.
    """
    count = min(rows, MOST_DEVICES, max(len(KINDS), rows // WINDOWS_PER_DEVICE))
    kind = np.arange(count) % len(KINDS)
    ward = (np.arange(count) // len(KINDS)) % len(WARDS)
    names = tuple(
        # The name says "synthetic" because a CSV file has no other place to say it.
        f"synthetic-{WARDS[w]}-{KINDS[k].name}-{i:02d}"
        for i, (k, w) in enumerate(zip(kind, ward, strict=True))
    )
    return Roster(names, kind, ward)


def clock(rng: Generator, devices: int, windows: int) -> Float64[np.ndarray, "devices windows"]:
    """Return when each window ended, seconds since the start to the millisecond; strictly increasing per device."""
    phase = rng.uniform(1.0, 9.0, (devices, 1))
    jitter = rng.uniform(-0.8, 0.8, (devices, windows))
    return np.round(WINDOW * np.arange(windows) + phase + jitter, 3)


def drift(rng: Generator, memory: Sequence[float], streams: int, windows: int) -> Float64[np.ndarray, "p streams w"]:
    """Return stationary AR(1) processes of mean 0 and variance 1.

    x[t] = r x[t-1] + sqrt(1 - r^2) e[t] with r = exp(-1 / memory).

    Args:
        rng: the source of randomness.
        memory: for each process, the windows after which its correlation has fallen to 1/e.
        streams: how many independent copies.
        windows: how many steps.
    """
    r = np.exp(-1.0 / np.asarray(memory, np.float64))[:, None]
    x = rng.standard_normal((windows, len(memory), streams))
    x[1:] *= np.sqrt(1.0 - r**2)
    for t in range(1, windows):
        x[t] += r * x[t - 1]
    return np.ascontiguousarray(np.moveaxis(x, 0, 2))


def night(time: Float64[np.ndarray, "*shape"]) -> Float64[np.ndarray, "*shape"]:
    """Return how much of the night shift it is: 0 by day, 1 from about 19:30 to 6:30, with smooth handovers."""
    hour = (START_HOUR + time / 3600.0) % 24.0
    from_noon = np.abs(hour - 13.0)  # the day shift is 7:00 to 19:00
    return np.asarray(1.0 / (1.0 + np.exp(-(from_noon - 6.0) / 0.15)))


def rounds(
    time: Float64[np.ndarray, "devices windows"], ward: Int64[np.ndarray, " devices"]
) -> Float64[np.ndarray, "devices windows"]:
    """Return how busy the staff is at the bedside, 0 to about 1: a round every two hours, each ward at its own time."""
    hour = START_HOUR + time / 3600.0 - 0.25 - 0.4 * ward[:, None]
    from_round = np.abs((hour + 1.0) % 2.0 - 1.0)
    return np.asarray(np.exp(-0.5 * (from_round / 0.12) ** 2))


def benign_traffic(rng: Generator, devices: Roster, time: Float64[np.ndarray, "devices windows"]) -> WardTraffic:
    """Return what the devices do when nothing happens: periodic traffic over the shifts, and drifting vital signs."""
    count, windows = time.shape
    load, link, regular = drift(rng, (20.0, 15.0, 40.0), count, windows)
    air = drift(rng, (80.0,), len(WARDS), windows)[0][devices.ward]  # a ward shares its access points
    dark, busy = night(time), rounds(time, devices.ward)

    def kinds(name: str, spread: float) -> Float64[np.ndarray, "devices 1"]:
        """One value for each device: its kind's, times its own lognormal offset."""
        usual = np.array([getattr(KINDS[k], name) for k in devices.kind], np.float64)
        return np.asarray((usual * np.exp(spread * rng.standard_normal(count)))[:, None])

    period = np.array([KINDS[k].period for k in devices.kind])[:, None]
    phase = rng.integers(0, 12, (count, 1))
    summary = ((np.arange(windows) + phase) % period == 0) * rng.uniform(0.2, 0.6, (count, 1))
    work = np.exp(0.14 * load - 0.15 * dark + kinds("rounds", 0.3) * busy + summary)
    transfer = _transfers(rng, devices, windows, dark)
    packets_up = kinds("packets", 0.2) * work * (1.0 + transfer)
    size_up = kinds("size_up", 0.08) * np.exp(0.05 * summary) * (1.0 + 1.2 * (transfer > 0))
    trouble = np.exp(0.16 * link + 0.16 * air)
    return WardTraffic(
        packets_up=packets_up,
        packets_down=kinds("reply", 0.2) * packets_up,
        size_up=size_up,
        size_down=kinds("size_down", 0.2) * np.ones_like(work),
        size_spread=rng.uniform(0.3, 0.8, (count, 1)) * np.exp(0.06 * load),
        gap_spread=rng.uniform(0.6, 1.2, (count, 1)) * np.exp(0.12 * link + 0.1 * air),
        rtt=kinds("rtt", 0.12) * trouble * (1.0 + 0.1 * busy),
        loss=rng.uniform(0.003, 0.012, (count, 1)) * trouble**1.5,
        peers=kinds("peers", 0.2) * (1.0 + 0.6 * busy),
        ports=kinds("ports", 0.2) * (1.0 + 0.4 * busy),
        failed=rng.uniform(0.02, 0.15, (count, 1)) * trouble,
        entropy=np.array([KINDS[k].entropy for k in devices.kind])[:, None]
        + rng.normal(0.0, 0.15, (count, 1))
        + 0.08 * regular,
        periodicity=np.clip(kinds("periodicity", 0.06) + 0.05 * regular - 0.1 * busy, 0.05, 0.98),
        delay=rng.uniform(0.3, 0.9, (count, 1)) * trouble**0.8,
        silent=np.broadcast_to(rng.uniform(0.005, 0.03, (count, 1)), time.shape).copy(),
        protocol=_protocols(rng, devices, windows),
        vitals=_vital_signs(rng, count, windows, dark, busy),
    )


def measured(devices: Roster) -> Bool[np.ndarray, "devices vitals"]:
    """Return which vital signs each device measures."""
    return np.array([[name in KINDS[k].vitals for name in VITALS] for k in devices.kind])


def _transfers(
    rng: Generator, devices: Roster, windows: int, dark: Float64[np.ndarray, "devices windows"]
) -> Float64[np.ndarray, "devices windows"]:
    """Return by what multiple large transfers (imaging studies) raise the packets sent; 0 where there is none."""
    share = np.array([KINDS[k].transfers for k in devices.kind])[:, None] * (1.0 - 0.6 * dark)
    out = np.zeros((len(devices), windows))
    for device, start in np.argwhere(rng.random((len(devices), windows)) < share):
        out[device, start : start + rng.integers(3, 25)] = rng.uniform(5.0, 60.0)
    return out


def _protocols(rng: Generator, devices: Roster, windows: int) -> Int8[np.ndarray, "devices windows"]:
    """Return the usual protocol of each device, in a few windows in a hundred another one."""
    usual = [PROTOCOLS.index(str(rng.choice(KINDS[k].protocols))) for k in devices.kind]
    out = np.repeat(np.array(usual, np.int8)[:, None], windows, axis=1)
    other = rng.random(out.shape) < 0.04
    out[other] = rng.integers(0, len(PROTOCOLS), int(other.sum()))
    return out


def _vital_signs(
    rng: Generator,
    patients: int,
    windows: int,
    dark: Float64[np.ndarray, "devices windows"],
    busy: Float64[np.ndarray, "devices windows"],
) -> Float64[np.ndarray, "devices windows vitals"]:
    """Return vital signs that move together: arousal (minutes) and illness (hours) drive all of them.

    Units as in `VITALS`: beats a minute, percent, breaths a minute, mmHg, mmHg, degrees Celsius.
    """
    arousal, illness, *own = drift(rng, (25.0, 400.0, 40.0, 40.0, 40.0, 40.0, 40.0, 120.0), patients, windows)
    arousal = arousal + 1.2 * busy - 0.8 * dark
    base = rng.normal((78.0, 97.2, 16.0, 122.0, 76.0, 36.8), (3.0, 0.3, 0.7, 4.0, 2.0, 0.1), (patients, 6))[:, None, :]
    #        heart rate, SpO2, respiration, systolic, diastolic, temperature
    per_arousal = np.array((7.0, -0.1, 1.7, 6.0, 3.5, 0.03))
    per_illness = np.array((6.0, -0.8, 1.6, -4.0, -2.5, 0.35))
    wander = np.array((1.6, 0.35, 0.5, 2.0, 1.3, 0.05))
    return np.asarray(
        base + arousal[:, :, None] * per_arousal + illness[:, :, None] * per_illness + np.stack(own, axis=2) * wander
    )
