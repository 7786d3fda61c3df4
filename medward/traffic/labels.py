"""Labels for windows, from a list of the attacks that were injected while a capture was made.

The list is JSON: objects of `class`, `start` and `end` (seconds since 1970), `attacker` (IP address), `mac` (the
attacker's) and `victim` (IP address). A window of 2 s is of an attack's class where the attack covers more than 30 % of
it and the device is the attacker or the victim; a device is known by its MAC address, by its IP address, or by being
the first that was seen to send from the address. Of several attacks the one that covers most of the window counts.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medward.traffic.columns import TICK_SECONDS
from medward.traffic.errors import TrafficError
from medward.traffic.meter import WindowTable

BENIGN = "benign"
_SHARE = 0.3
_TEXTS, _TIMES = ("class", "attacker", "mac", "victim"), ("start", "end")


class BadLabels(TrafficError):
    """A file of labels that does not hold what it should."""


@dataclass(frozen=True)
class InjectedAttack:
    """An attack that was made on purpose.

    Args:
        name: its class.
        start, end: seconds since 1970.
        parties: the MAC and IP addresses of who attacked and who was attacked, in small letters.
    """

    name: str
    start: float
    end: float
    parties: frozenset[str]


def read_labels(path: Path) -> list[InjectedAttack]:
    """Read a file of labels.

    Raises:
        BadLabels: it is no JSON, or an entry lacks a field or has one of another kind.
    """
    expected = f"a list of objects with {', '.join(_TEXTS + _TIMES)}"
    try:
        entries: Any = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise BadLabels(f"{path} is no JSON ({error}): give {expected}.") from None
    if not isinstance(entries, list):
        raise BadLabels(f"{path} holds no list: give {expected}.")
    return [_attack(path, number, entry) for number, entry in enumerate(entries, 1)]


def _attack(path: Path, number: int, entry: Any) -> InjectedAttack:
    where = f"{path}, entry {number}"
    if not isinstance(entry, dict):
        raise BadLabels(f"{where} is no object: give {', '.join(_TEXTS + _TIMES)}.")
    for name in _TEXTS:
        if not isinstance(entry.get(name), str):
            raise BadLabels(f"{where} has no text {name!r}: give one.")
    for name in _TIMES:
        if not isinstance(entry.get(name), int | float) or isinstance(entry[name], bool):
            raise BadLabels(f"{where} has no number {name!r}: give seconds since 1970.")
    if not entry["start"] <= entry["end"]:
        raise BadLabels(f"{where} ends before it starts: mend its times.")
    parties = frozenset(entry[name].lower() for name in ("attacker", "mac", "victim") if entry[name])
    return InjectedAttack(entry["class"], float(entry["start"]), float(entry["end"]), parties)


class WindowLabels:
    """Labels windows in the order in which they ended.

    Args:
        attacks: what was injected.
    """

    def __init__(self, attacks: Sequence[InjectedAttack]) -> None:
        self._attacks = attacks
        self._first: dict[str, str] = {}  # of the attacks' addresses, the device that sent from it first
        self._parties = frozenset().union(*(attack.parties for attack in attacks))

    def label(self, windows: WindowTable) -> list[str]:
        """Return the class of each window, `BENIGN` where no attack was."""
        labels = []
        for device, address, start in zip(windows.device, windows.address, windows.start.tolist(), strict=True):
            if address in self._parties:
                self._first.setdefault(address, device)
            name, most = BENIGN, _SHARE * TICK_SECONDS
            for attack in self._attacks:
                covered = min(start + TICK_SECONDS, attack.end) - max(start, attack.start)
                if covered > most and self._takes_part(device, attack):
                    name, most = attack.name, covered
            labels.append(name)
        return labels

    def _takes_part(self, device: str, attack: InjectedAttack) -> bool:
        return device in attack.parties or any(self._first.get(party) == device for party in attack.parties)


def label_times(attacks: Sequence[InjectedAttack], times: NDArray[np.float64], benign: str) -> list[str]:
    """Return the class of the attack that was under way at each time, for rows that are of no one device."""
    return [
        next((attack.name for attack in attacks if attack.start <= time <= attack.end), benign)
        for time in times.tolist()
    ]
