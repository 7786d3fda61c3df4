"""Alerts as lines of text, one JSON object each: medward's own form, and Suricata's EVE.

An EVE line has the fields that Suricata gives its alerts (https://docs.suricata.io/en/latest/output/eve/), and an
object `medward` with what Suricata has no field for. Suricata's JSON schema allows no object of that name beside its
own, but any inside `alert.metadata`: the strict form has it there. No payload ever stands in a line.
"""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from medward.alerts.alert import Alert
from medward.alerts.techniques import HIGH, LOW, MIDDLE

#: Where packets come from, as a field of EVE: its name and value.
AlertOrigin = tuple[str, str]
LineFormat = Callable[[Alert, AlertOrigin], str]

_SEVERITIES = {HIGH: "Critical", MIDDLE: "Major", LOW: "Minor"}


def json_line(alert: Alert, origin: AlertOrigin) -> str:
    """Return an alert in medward's own form, without a line break."""
    window, technique = alert.report.window, alert.threat.technique
    line: dict[str, Any] = {
        "timestamp": _iso(alert.end),
        "incident": alert.report.identifier,
        "count": alert.report.count,
        "class": window.name,
        "severity": alert.threat.severity,
        "technique": None if technique is None else technique._asdict(),
        "device": window.device,
        "address": window.address,
        origin[0]: origin[1],
        **_details(alert),
    }
    return json.dumps(line)


def eve_line(alert: Alert, origin: AlertOrigin) -> str:
    """Return an alert as a line of Suricata's EVE with one more object, `medward`, without a line break."""
    return json.dumps(_suricata_event(alert, origin) | {"medward": _incident(alert)})


def strict_eve_line(alert: Alert, origin: AlertOrigin) -> str:
    """Return an alert as a line that Suricata's JSON schema accepts, without a line break."""
    event = _suricata_event(alert, origin)
    event["alert"]["metadata"]["medward"] = _incident(alert)
    return json.dumps(event)


FORMATS: dict[str, LineFormat] = {"json": json_line, "eve": eve_line, "eve-strict": strict_eve_line}


def _suricata_event(alert: Alert, origin: AlertOrigin) -> dict[str, Any]:
    window, technique = alert.report.window, alert.threat.technique
    by_mac = _is_mac(window.device)
    address = window.address if by_mac else window.device
    metadata: dict[str, Any] = {"signature_severity": [_SEVERITIES[alert.threat.severity]]}
    if technique is not None:
        metadata |= {
            "mitre_technique_id": [technique.identifier],
            "mitre_technique_name": [technique.name],
            "mitre_tactic_id": [technique.tactic],
        }
    return {
        "timestamp": _iso(alert.end),
        origin[0]: origin[1],
        "event_type": "alert",
        **({"src_ip": address} if address else {}),
        **({"ether": {"src_mac": window.device}} if by_mac else {}),
        "alert": {
            "action": "allowed",
            "gid": 1,
            "signature_id": alert.threat.signature,
            "rev": 1,
            "signature": f"MEDWARD {window.name}",
            "category": "" if technique is None else technique.name,
            "severity": alert.threat.severity,
            "metadata": metadata,
        },
    }


def _incident(alert: Alert) -> dict[str, Any]:
    """Return what Suricata has no field for."""
    report = alert.report
    return {"incident": report.identifier, "count": report.count, "class": report.window.name, **_details(alert)}


def _details(alert: Alert) -> dict[str, Any]:
    report = alert.report
    reasons = [
        {
            "feature": reason.feature,
            "value": None if reason.value is None else _short(reason.value),
            "usual": _short(reason.usual),
            "weight": round(reason.weight, 3),
        }
        for reason in alert.reasons
    ]
    return {
        "first": report.first,
        "start": report.window.start,
        "end": alert.end,
        "suspicion": round(report.window.suspicion, 3),
        "confidence": round(alert.confidence, 4),
        "evidence": report.window.evidence,
        "evidence_octets": report.octets,
        "reasons": reasons,
        "model": alert.model,
        **({"synthetic": True} if alert.synthetic else {}),
    }


def _short(value: float) -> float:
    return float(f"{value:.4g}")


def _iso(seconds: float) -> str:
    # As Suricata writes it, without a colon in the offset.
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f+0000")


def _is_mac(device: str) -> bool:
    # IPv6 addresses have colons, too, but not these places.
    return len(device) == 17 and device[2::3] == ":::::"
