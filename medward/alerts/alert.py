"""The alert, as every format of output tells it, and the watch that raises them: windows in, alerts out."""

import math
from dataclasses import dataclass

from medward.agents.sentinel.model import SentinelModel
from medward.alerts.deciding import EvidenceSource, WindowDecider
from medward.alerts.incidents import IncidentReport, Incidents
from medward.alerts.reasons import Reason, reasons_for
from medward.alerts.techniques import Threat, threat_of
from medward.traffic.columns import TICK_SECONDS
from medward.traffic.meter import WindowTable


@dataclass(frozen=True)
class Alert:
    """One alert about an incident, first or repeated with a higher count.

    Args:
        report: the incident as it stands, with the window that it is told for.
        threat: technique, severity and signature number of its class.
        reasons: what moved the decision, the strongest first.
        model: the model's name.
        synthetic: whether the model was trained on synthetic data.
    """

    report: IncidentReport
    threat: Threat
    reasons: tuple[Reason, ...]
    model: str
    synthetic: bool

    @property
    def end(self) -> float:
        """When the window ended, seconds since 1970."""
        return self.report.window.start + TICK_SECONDS

    @property
    def confidence(self) -> float:
        """The suspicion as a number between 0 and 1: the logistic function of it."""
        return 1.0 / (1.0 + math.exp(-max(min(self.report.window.suspicion, 50.0), -50.0)))


class Watch:
    """Windows in, alerts out; a pure machine, whose clock is the windows'.

    Args:
        model: what decides.
        place: the model's folder, for errors.

    Raises:
        UnusableModel: the model was not trained on the meter's windows.
    """

    def __init__(self, model: SentinelModel, place: str) -> None:
        self.decider = WindowDecider(model, place)
        self.incidents = Incidents()
        self._model, self._synthetic = model.name, model.provenance.synthetic
        self.alerts = 0

    def step(self, table: WindowTable, buy: EvidenceSource) -> list[Alert]:
        """Decide windows, with evidence where Sentinel asks for it, and return the alerts that they give rise to."""
        reports = self.incidents.step(self.decider.decide(table, buy))
        self.alerts += len(reports)
        return [
            Alert(
                report,
                threat_of(report.window.name),
                reasons_for(self.decider, report.window),
                self._model,
                self._synthetic,
            )
            for report in reports
        ]

    @property
    def counters(self) -> dict[str, int]:
        """What was decided so far, by name."""
        decider, incidents = self.decider, self.incidents
        return {
            "windows": decider.windows,
            "escalated": decider.escalated,
            "evidence_octets": decider.octets,
            "evidence_lost": decider.without_packets,
            "incidents": incidents.begun,
            "incidents_forgotten": incidents.forgotten,
            "unreported": incidents.unreported,
            "alerts": self.alerts,
        }
