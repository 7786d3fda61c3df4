"""Incidents: the alerts about one device and one class that follow each other are one alert with a count.

    first window                        an alert, count 1
    further windows                     the same alert again with its count, when that is a power of two, and when the
                                        last line about it is ten seconds old
    a minute without such a window      the incident is over; what comes then is another one

`Incidents` is a pure machine over the windows that Sentinel alerts on; its clock is the windows'. It remembers a fixed
number of incidents: where there is no place, the one that was quiet for longest is forgotten, and counted. A tick gives
a fixed number of reports at most, of incidents that go on before those that begin, so that a flood of invented devices
fills neither the memory nor the file; what was not reported is counted, and is due in the incident's next window.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from medward.alerts.deciding import DecidedWindow

#: Seconds after which an incident is over, and after which a line about it is repeated.
QUIET_SECONDS = 60.0
REPEAT_SECONDS = 10.0
MOST_INCIDENTS = 4096
#: Reports of one tick.
MOST_REPORTS = 128
_NEVER = float("-inf")


@dataclass(frozen=True)
class IncidentReport:
    """An incident as it stands at one of its windows.

    Args:
        identifier: the same for all reports of an incident, and for no other one.
        first: when its first window began, seconds since 1970.
        count: how many windows were alerted on, this one included.
        octets: octets of payload that were looked into for it.
        window: the window that it is reported for.
    """

    identifier: str
    first: float
    count: int
    octets: int
    window: DecidedWindow


@dataclass
class _Incident:
    first: float
    last: float
    told: float
    count: int = 0
    octets: int = 0


class Incidents:
    """Joins the windows that are alerted on into incidents.

    Args:
        places: how many incidents are remembered.
        most: how many reports a tick of windows gives.
    """

    def __init__(self, places: int = MOST_INCIDENTS, most: int = MOST_REPORTS) -> None:
        self._places, self._most = places, most
        # In the order of their last windows, the one that was quiet for longest first.
        self._open: OrderedDict[tuple[str, str], _Incident] = OrderedDict()
        self.begun = self.forgotten = self.unreported = 0

    def __len__(self) -> int:
        return len(self._open)

    def step(self, windows: Sequence[DecidedWindow]) -> list[IncidentReport]:
        """Return the reports that the next windows give rise to, in the windows' order."""
        ticks = groupby(windows, key=lambda window: window.start)
        return [report for _, tick in ticks for report in self._step_tick(tick)]

    def _step_tick(self, windows: Iterable[DecidedWindow]) -> list[IncidentReport]:
        due: list[tuple[_Incident, IncidentReport]] = []
        for window in windows:
            key = (window.device, window.name)
            one = self._open.pop(key, None)
            # A clock that was set back by more than the quiet time ends an incident, too.
            if one is None or abs(window.start - one.last) > QUIET_SECONDS:
                one = _Incident(first=window.start, last=window.start, told=_NEVER)
                self.begun += 1
            one.count += 1
            one.octets += window.octets
            one.last = window.start
            self._open[key] = one
            if len(self._open) > self._places:
                self._open.popitem(last=False)
                self.forgotten += 1
            if one.count & (one.count - 1) == 0 or abs(window.start - one.told) >= REPEAT_SECONDS:
                one.told = window.start
                due.append((one, IncidentReport(_identifier(key, one.first), one.first, one.count, one.octets, window)))
        order = sorted(range(len(due)), key=lambda k: (-due[k][1].count, k))
        for k in order[self._most :]:
            due[k][0].told = _NEVER
            self.unreported += 1
        return [due[k][1] for k in sorted(order[: self._most])]


def _identifier(key: tuple[str, str], first: float) -> str:
    text = f"medward incident\n{key[0]}\n{key[1]}\n{first!r}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]
