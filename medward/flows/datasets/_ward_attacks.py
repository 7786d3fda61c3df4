"""Interruptions of the ward's routine: attacks, and the harmless incidents that look like them.

Both come as episodes on one device, with an onset, a growth and an end. Every attack has a harmless neighbour (scan and
asset inventory, brute force and a reconnecting monitor, flood and a firmware update, delay and noisy Wi-Fi, altered
and truly deteriorating vital signs, exfiltration and a log upload), so that no single column tells them apart.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int32
from numpy.random import Generator

from medward.flows.datasets._ward_devices import KINDS, PROTOCOLS, VITALS, WARDS, Roster, WardTraffic

HEART_RATE, SPO2, RESPIRATION, SYSTOLIC, DIASTOLIC, TEMPERATURE = range(len(VITALS))
TLS, UDP, TCP = (PROTOCOLS.index(name) for name in ("tls", "udp", "tcp"))

FEWEST_EPISODES = 28  # so many, evenly spread, that each part of a 70/15/15 cut in time gets at least one


@dataclass(frozen=True)
class WardIncident:
    """One attack or incident on one device.

    Args:
        device: which device.
        at: its windows.
        force: the effect in each window, 0 to about 2: the episode's strength times its onset, growth and end.
        variant: a number in [0, 1) that chooses between the forms an attack may take.
        rng: the source of randomness for what the episode draws itself.
    """

    device: int
    at: slice
    force: Float64[np.ndarray, " windows"]
    variant: float
    rng: Generator

    @property
    def rows(self) -> tuple[int, slice]:
        """The index of the episode's windows in an array of devices by windows."""
        return self.device, self.at


@dataclass(frozen=True)
class IncidentPlan:
    """How often something happens, for how long, and what it does.

    Args:
        share: the share of all rows.
        length: the shortest and the longest episode, windows.
        ramps: the shares of the episode that its onset and its end take.
        effect: changes the traffic in place.
        kinds: the kinds of device that it happens to.
        strength: the spread of the episodes' strengths (lognormal).
    """

    share: float
    length: tuple[int, int]
    ramps: tuple[float, float]
    effect: Callable[[WardTraffic, WardIncident], None]
    kinds: tuple[str, ...] = tuple(kind.name for kind in KINDS)
    strength: float = 0.25


def _scan(traffic: WardTraffic, it: WardIncident) -> None:
    traffic.ports[it.rows] += 12.0 * it.force
    traffic.peers[it.rows] += 0.7 * it.force
    traffic.failed[it.rows] += 5.5 * it.force
    traffic.packets_down[it.rows] += 25.0 * it.force
    traffic.size_down[it.rows] *= 1.0 - 0.15 * np.minimum(it.force, 1.5)
    traffic.periodicity[it.rows] -= 0.08 * it.force


def _brute_force(traffic: WardTraffic, it: WardIncident) -> None:
    traffic.failed[it.rows] += 8.0 * it.force
    traffic.packets_down[it.rows] += 22.0 * it.force
    traffic.packets_up[it.rows] += 18.0 * it.force
    traffic.size_spread[it.rows] *= 1.0 - 0.15 * np.minimum(it.force, 1.5)
    traffic.peers[it.rows] += 0.2 * it.force
    traffic.entropy[it.rows] += 0.1 * it.force


def _flood(traffic: WardTraffic, it: WardIncident) -> None:
    traffic.packets_down[it.rows] *= 1.0 + 5.0 * it.force
    traffic.size_down[it.rows] *= 1.0 - 0.25 * np.minimum(it.force, 1.5)
    traffic.rtt[it.rows] *= 1.0 + 0.6 * it.force
    traffic.loss[it.rows] *= 1.0 + 1.0 * it.force
    traffic.delay[it.rows] *= 1.0 + 0.5 * it.force
    traffic.periodicity[it.rows] -= 0.1 * it.force
    if it.variant < 0.5:
        _speak(traffic, it, UDP, 0.5)


def _mitm_delay(traffic: WardTraffic, it: WardIncident) -> None:
    traffic.rtt[it.rows] *= 1.0 + 1.8 * it.force  # a detour, not a bad link: nothing more is lost
    traffic.gap_spread[it.rows] *= 1.0 + 0.45 * it.force
    traffic.delay[it.rows] += 2.8 * it.force
    traffic.periodicity[it.rows] -= 0.12 * it.force
    start, stop = it.at.start, it.at.stop
    late = np.maximum(np.arange(start, stop) - np.round(2.0 * it.force).astype(np.intp), 0)
    traffic.vitals[it.rows] = traffic.vitals[it.device, late]


def _data_alteration(traffic: WardTraffic, it: WardIncident) -> None:
    vitals = traffic.vitals[it.rows]
    if it.variant < 0.4:  # a fast heart is hidden, or a slow one
        vitals[:, HEART_RATE] += np.where(it.variant < 0.25, -36.0, 36.0) * it.force
        vitals[:, SPO2] += 1.0 * it.force
    elif it.variant < 0.75:  # a patient in trouble is made to look well
        vitals[:, SPO2] += 3.0 * it.force
        vitals[:, RESPIRATION] -= 8.0 * it.force
        vitals[:, DIASTOLIC] += 16.0 * it.force
    else:  # an old stretch is sent again in the place of some signs
        old = vitals[0, [HEART_RATE, RESPIRATION, TEMPERATURE]] + np.array((22.0, -6.0, 0.8))
        weight = np.minimum(it.force, 1.0)[:, None]
        at = [HEART_RATE, RESPIRATION, TEMPERATURE]
        vitals[:, at] = (1.0 - weight) * vitals[:, at] + weight * old
    traffic.delay[it.rows] += 0.3 * it.force
    traffic.entropy[it.rows] += 0.2 * it.force
    traffic.periodicity[it.rows] -= 0.04 * it.force


def _exfiltration(traffic: WardTraffic, it: WardIncident) -> None:
    traffic.size_up[it.rows] *= 1.0 + 0.5 * it.force
    traffic.packets_up[it.rows] *= 1.0 + 0.3 * it.force
    traffic.entropy[it.rows] += 1.0 * it.force
    traffic.periodicity[it.rows] -= 0.15 * it.force
    traffic.peers[it.rows] += 0.4 * it.force


def _firmware(traffic: WardTraffic, it: WardIncident) -> None:
    traffic.packets_down[it.rows] *= 1.0 + 5.0 * it.force
    traffic.packets_up[it.rows] *= 1.0 + 1.2 * it.force
    traffic.size_down[it.rows] *= 1.0 + 3.0 * it.force
    traffic.entropy[it.rows] += 0.8 * it.force
    traffic.peers[it.rows] += 0.6 * it.force
    traffic.rtt[it.rows] *= 1.0 + 0.3 * it.force
    _speak(traffic, it, TLS, 0.7)


def _reconnect(traffic: WardTraffic, it: WardIncident) -> None:
    traffic.failed[it.rows] += 2.0 * it.force
    traffic.loss[it.rows] *= 1.0 + 2.5 * it.force
    traffic.ports[it.rows] += 1.2 * it.force
    traffic.packets_down[it.rows] *= 1.0 - 0.35 * np.minimum(it.force, 1.5)
    traffic.packets_up[it.rows] *= 1.0 - 0.25 * np.minimum(it.force, 1.5)
    traffic.delay[it.rows] += 1.5 * it.force
    traffic.silent[it.rows] += 0.5 * it.force


def _manual_check(traffic: WardTraffic, it: WardIncident) -> None:
    vitals = traffic.vitals[it.rows]
    vitals[:, SPO2] -= np.abs(it.rng.normal(0.0, 2.0, len(vitals))) * it.force
    vitals[:, [SYSTOLIC, DIASTOLIC]] += it.rng.normal(0.0, 6.0, (len(vitals), 2)) * it.force[:, None]
    vitals[:, HEART_RATE] += it.rng.normal(3.0, 4.0) * it.force
    traffic.packets_up[it.rows] *= 1.0 + 0.4 * it.force
    traffic.packets_down[it.rows] *= 1.0 + 0.5 * it.force
    traffic.peers[it.rows] += 0.6 * it.force
    traffic.ports[it.rows] += 0.6 * it.force
    traffic.silent[it.rows] += 0.15 * it.force


def _noisy_wifi(traffic: WardTraffic, it: WardIncident) -> None:
    traffic.rtt[it.rows] *= 1.0 + 1.1 * it.force
    traffic.gap_spread[it.rows] *= 1.0 + 0.35 * it.force
    traffic.loss[it.rows] *= 1.0 + 6.0 * it.force
    traffic.failed[it.rows] += 0.4 * it.force
    traffic.delay[it.rows] += 1.4 * it.force
    traffic.periodicity[it.rows] -= 0.08 * it.force
    traffic.silent[it.rows] += 0.08 * it.force


def _inventory(traffic: WardTraffic, it: WardIncident) -> None:
    traffic.ports[it.rows] += 3.0 * it.force
    traffic.peers[it.rows] += 0.9 * it.force
    traffic.failed[it.rows] += 0.8 * it.force
    traffic.packets_down[it.rows] += 10.0 * it.force
    traffic.packets_up[it.rows] += 8.0 * it.force


def _log_upload(traffic: WardTraffic, it: WardIncident) -> None:
    traffic.size_up[it.rows] *= 1.0 + 0.2 * it.force
    traffic.packets_up[it.rows] *= 1.0 + 0.35 * it.force
    traffic.entropy[it.rows] += 0.1 * it.force
    traffic.peers[it.rows] += 0.3 * it.force


def _deterioration(traffic: WardTraffic, it: WardIncident) -> None:
    vitals = traffic.vitals[it.rows]
    worse = (
        np.array((20.0, -2.6, 5.5, -14.0, -9.0, 0.3)) if it.variant < 0.7 else np.array((-16.0, 0, -4, -9, -6, -0.2))
    )
    vitals += it.force[:, None] * worse
    traffic.packets_up[it.rows] *= 1.0 + 0.5 * it.force  # alarms


def _speak(traffic: WardTraffic, it: WardIncident, protocol: int, share: float) -> None:
    """In that share of the windows, at full force, another protocol has most packets."""
    switched = it.rng.random(len(it.force)) < share * it.force
    traffic.protocol[it.rows] = np.where(switched, protocol, traffic.protocol[it.rows])


_WITH_VITALS = tuple(kind.name for kind in KINDS if kind.vitals)
_CLINICAL = tuple(kind.name for kind in KINDS if kind.name != "imaging")

ATTACKS: dict[str, IncidentPlan] = {
    "scan": IncidentPlan(0.014, (6, 25), (0.2, 0.2), _scan),
    "brute_force": IncidentPlan(0.020, (15, 60), (0.2, 0.15), _brute_force),
    "flood": IncidentPlan(0.018, (8, 40), (0.05, 0.15), _flood),
    # Nobody delays a therapy with a scanner's images: the clinical value lies in what arrives at once.
    "mitm_delay": IncidentPlan(0.032, (30, 120), (0.25, 0.15), _mitm_delay, _CLINICAL),
    "data_alteration": IncidentPlan(0.028, (25, 100), (0.3, 0.1), _data_alteration, _WITH_VITALS),
    "exfiltration": IncidentPlan(0.040, (50, 220), (0.2, 0.1), _exfiltration),
}

INCIDENTS: dict[str, IncidentPlan] = {
    "firmware": IncidentPlan(0.020, (10, 50), (0.1, 0.1), _firmware),
    "reconnect": IncidentPlan(0.025, (3, 15), (0.2, 0.4), _reconnect),
    "manual_check": IncidentPlan(0.040, (3, 15), (0.2, 0.2), _manual_check, _CLINICAL),
    "noisy_wifi": IncidentPlan(0.040, (10, 60), (0.3, 0.3), _noisy_wifi),
    "inventory": IncidentPlan(0.025, (4, 20), (0.2, 0.2), _inventory),
    "log_upload": IncidentPlan(0.035, (15, 100), (0.2, 0.1), _log_upload),
    "deterioration": IncidentPlan(0.040, (30, 120), (0.4, 0.3), _deterioration, _WITH_VITALS),
}


def apply_incidents(rng: Generator, traffic: WardTraffic, devices: Roster) -> None:
    """Let the harmless incidents happen, anywhere and anytime; noisy Wi-Fi meets all devices of a ward at once."""
    windows = traffic.rtt.shape[1]
    for name, plan in INCIDENTS.items():
        suitable = _suitable(devices, plan)
        groups = [[d] for d in suitable]
        if name == "noisy_wifi":
            groups = [list(np.flatnonzero(devices.ward == w)) for w in range(len(WARDS)) if (devices.ward == w).any()]
        for length in _lengths(rng, plan, windows * len(groups)):
            start = int(rng.integers(0, windows))
            force = _force(rng, plan, length)[: windows - start]
            variant = rng.random()
            for device in groups[int(rng.integers(len(groups)))]:
                at = slice(start, start + len(force))
                plan.effect(traffic, WardIncident(int(device), at, force, variant, rng))


def apply_attacks(rng: Generator, traffic: WardTraffic, devices: Roster) -> Int32[np.ndarray, "devices windows"]:
    """Let the attacks happen, evenly spread over time and the kinds of device, at most one at once on a device.

    Returns:
        For each window 0, or 1 + the index of the attack in `ATTACKS`.
    """
    count, windows = traffic.rtt.shape
    y = np.zeros((count, windows), np.int32)
    for code, plan in enumerate(ATTACKS.values(), start=1):
        suitable = _suitable(devices, plan)
        lengths = _lengths(rng, plan, count * windows, FEWEST_EPISODES)
        turns = rng.permutation(np.unique(devices.kind[suitable]))
        for k, length in enumerate(lengths):
            middle = (k + rng.uniform(0.3, 0.7)) / len(lengths) * windows
            start = int(np.clip(middle - length / 2, 0, windows - length))
            at = slice(start, start + length)
            turn = turns[k % len(turns)]
            device = _free(rng, y[:, max(0, start - 2) : start + length + 2] == 0, devices, suitable, int(turn))
            if device is None:
                continue
            episode = WardIncident(device, at, _force(rng, plan, length), rng.random(), rng)
            plan.effect(traffic, episode)
            y[episode.rows] = code
    return y


def _suitable(devices: Roster, plan: IncidentPlan) -> list[int]:
    """Return the devices that such an episode may happen to."""
    return [d for d, kind in enumerate(devices.kind) if KINDS[kind].name in plan.kinds]


def _free(
    rng: Generator,
    quiet: Bool[np.ndarray, "devices stretch"],
    devices: Roster,
    suitable: list[int],
    kind: int,
) -> int | None:
    """Return a suitable device with no other attack in that stretch, of that kind where one is free."""
    free = np.array([d for d in suitable if quiet[d].all()], np.intp)
    if not len(free):
        return None
    preferred = free[devices.kind[free] == kind]
    return int(rng.choice(preferred if len(preferred) else free))


def _lengths(rng: Generator, plan: IncidentPlan, rows: int, fewest: int = 1) -> list[int]:
    """Return lengths of episodes that sum to the plan's share of that many rows.

    Where the rows are few, the episodes get shorter before they get fewer than `fewest`.
    """
    total = round(plan.share * rows)
    episodes = min(total, max(fewest, round(total / (sum(plan.length) / 2))))
    if episodes == 0:
        return []
    draw = rng.uniform(*plan.length, episodes)
    ends = np.round(np.cumsum(draw) / draw.sum() * total).astype(int)
    return [int(length) for length in np.diff(ends, prepend=0) if length > 0]


def _force(rng: Generator, plan: IncidentPlan, length: int) -> Float64[np.ndarray, " windows"]:
    """Return the episode's strength times a trapezoid: onset, plateau, end."""
    onset, end = (max(1.0, share * length) for share in plan.ramps)
    step = np.arange(length) + 0.5
    shape = np.minimum(1.0, np.minimum(step / onset, (length - step) / end))
    return np.asarray(shape * np.clip(np.exp(plan.strength * rng.standard_normal()), 0.5, 2.0))
