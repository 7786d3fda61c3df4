"""Windows decided by a trained Sentinel: first at a cheap glance, and where it escalates, with evidence that it buys.

The glance has the columns that headers give. Where Sentinel chooses ESCALATE, the payload of that device's last ten
seconds is looked into and the window is decided again; the price is the octets that were looked into.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from medward.agents.sentinel.model import SentinelModel
from medward.alerts.errors import UnusableModel
from medward.flows.schema import Group
from medward.traffic.columns import COLUMNS
from medward.traffic.meter import WindowTable
from medward.traffic.payload.evidence import BoughtEvidence

#: After so many allowed windows a new one counts little for what is usual.
_MEMORY = 1000


class EvidenceSource(Protocol):
    """Whoever sells the evidence of windows, such as `medward.traffic.payload.evidence.buy_evidence` over a ring."""

    def __call__(self, windows: NDArray[np.void]) -> BoughtEvidence:
        """Return the evidence of windows of one tick, IDENTITY [windows]."""


@dataclass(frozen=True)
class DecidedWindow:
    """A window that Sentinel alerts on.

    Args:
        device: its MAC address, or its IP address.
        address: the IP address that it last sent from, or an empty text.
        start: when the window began, seconds since 1970.
        name: the class.
        suspicion: the likeliest alert's logit less ALLOW's.
        evidence: whether payload was looked into.
        octets: how many octets of it.
        x: float32 [features], what the decision was made by; NaN where missing.
    """

    device: str
    address: str
    start: float
    name: str
    suspicion: float
    evidence: bool
    octets: int
    x: NDArray[np.float32]


class WindowDecider:
    """Decides the meter's windows with one model.

    Args:
        model: trained on tables of medward-flow, or on some of their columns.
        place: the model's folder, for the error.

    Raises:
        UnusableModel: it was trained on something else.
    """

    def __init__(self, model: SentinelModel, place: str) -> None:
        self._model, self._scorer = model, model.scorer()
        self._columns = _columns_of(model, place)
        self._expensive = np.array([f.group is Group.EXPENSIVE for f in model.space.schema.features])
        self._usual = np.zeros(len(self._columns), np.float64)
        self._allowed = 0
        self.windows = self.escalated = self.octets = self.without_packets = 0

    @property
    def features(self) -> list[str]:
        """The names of the features, in the order of a window's `x`."""
        return [feature.name for feature in self._model.space.schema.features]

    @property
    def usual(self) -> NDArray[np.float32]:
        """What windows that were allowed look like on average, float32 [features]; zeros before the first."""
        return self._usual.astype(np.float32)

    def decide(self, table: WindowTable, buy: EvidenceSource) -> list[DecidedWindow]:
        """Decide windows and return those that are alerted on, in their order."""
        x = np.ascontiguousarray(table.values[:, self._columns])
        x[:, self._expensive] = np.nan
        q, suspicion = self._scorer.q_values(x, bought=False)
        escalate = self._scorer.actions - 1
        choice = q.argmax(axis=1)
        asked = np.flatnonzero(choice == escalate)
        octets = np.zeros(len(table), np.int64)
        bought = np.zeros(len(table), np.bool_)
        if len(asked):
            bought[asked], octets[asked] = self._buy(table, asked, x, buy)
            seen = np.flatnonzero(bought)
            if len(seen):
                q[seen], suspicion[seen] = self._scorer.q_values(x[seen], bought=True)
            # Where nothing is left to look into, the glance has to do.
            q[asked, escalate] = -np.inf
            choice[asked] = q[asked].argmax(axis=1)
        self.windows += len(table)
        self.escalated += len(asked)
        self.octets += int(octets.sum())
        self._remember(x[choice == 0])
        rows = np.flatnonzero(choice)
        if not len(rows):
            return []
        few = WindowTable(table.identities[rows], table.values[rows])
        return [
            DecidedWindow(
                device,
                address,
                float(start),
                self._model.classes[int(choice[row])],
                float(suspicion[row]),
                bool(bought[row]),
                int(octets[row]),
                x[row].copy(),
            )
            for device, address, start, row in zip(few.device, few.address, few.start, rows, strict=True)
        ]

    def suspicion(self, x: NDArray[np.float32], evidence: bool) -> NDArray[np.float32]:
        """Return the likeliest alert's logit less ALLOW's, float32 [rows], for rows of features."""
        return self._scorer.q_values(x, bought=evidence)[1]

    def _buy(
        self, table: WindowTable, asked: NDArray[np.intp], x: NDArray[np.float32], buy: EvidenceSource
    ) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
        """Put the evidence of the windows `asked` into their rows of `x`; return for each whether there was any."""
        found, octets = np.zeros(len(asked), np.bool_), np.zeros(len(asked), np.int64)
        ticks = table.identities["tick"][asked]
        for tick in np.unique(ticks):
            these = np.flatnonzero(ticks == tick)
            rows = asked[these]
            evidence = buy(table.identities[rows])
            values = evidence.values[:, self._columns][:, self._expensive]
            x[np.ix_(rows, self._expensive)] = values
            # Headers alone fill the other columns, so a device without any kept packet has none of them.
            found[these] = ~np.isnan(evidence.values).all(axis=1)
            octets[these] = evidence.octets
        self.without_packets += int((~found).sum())
        return found, octets

    def _remember(self, allowed: NDArray[np.float32]) -> None:
        if not len(allowed):
            return
        self._allowed = min(self._allowed + len(allowed), _MEMORY)
        rate = min(len(allowed) / self._allowed, 1.0)
        known = ~np.isnan(allowed)
        count = known.sum(axis=0)
        mean = np.where(known, allowed, 0.0).sum(axis=0) / np.maximum(count, 1)
        self._usual += np.where(count > 0, rate * (mean - self._usual), 0.0)


def _columns_of(model: SentinelModel, place: str) -> NDArray[np.intp]:
    """Return the place of each of the model's features among the meter's columns."""
    order = {name: number for number, name in enumerate(COLUMNS)}
    schema = model.space.schema
    fits = not model.space.history and all(
        feature.name in order
        and not feature.categories
        and (feature.group is Group.EXPENSIVE) == COLUMNS[feature.name][0].payload
        for feature in schema.features
    )
    if not fits:
        raise UnusableModel(
            f"{place} was trained on {schema.dataset}, whose rows no meter makes: give a model that was trained on "
            "tables of `medward flows`, of the schema medward-flow."
        )
    return np.array([order[feature.name] for feature in schema.features], np.intp)
