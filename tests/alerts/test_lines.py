"""Lines that other programs read: whole, of the fields that they expect, and without payload."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest

from medward.alerts.alert import Alert
from medward.alerts.deciding import DecidedWindow
from medward.alerts.incidents import IncidentReport
from medward.alerts.lines import FORMATS, eve_line, json_line, strict_eve_line
from medward.alerts.reasons import Reason
from medward.alerts.techniques import threat_of
from medward.flows.datasets.medward_flow import CLASSES, OTHER_ATTACK

MAC = "02:00:00:00:00:09"
#: The fields of an alert that Suricata's documentation of EVE names.
EVE = {"timestamp", "event_type", "src_ip", "ether", "in_iface", "pcap_filename", "alert"}


def alert(name: str = "Recon-Port_Scan", device: str = MAC, address: str = "10.77.0.9") -> Alert:
    window = DecidedWindow(device, address, 1_800_000_000.0, name, 2.5, True, 512, np.zeros(1, np.float32))
    report = IncidentReport("0123456789abcdef", 1_799_999_990.0, 3, 700, window)
    reasons = (Reason("syn_out", 312.0, 0.25, 0.8), Reason("size_up_mean", None, 80.0, 0.1))
    return Alert(report, threat_of(name), reasons, "sha256:00", synthetic=False)


def test_eve_line_has_suricatas_fields_and_one_object_beside_them() -> None:
    line = json.loads(eve_line(alert(), ("in_iface", "span0")))
    assert set(line) - {"medward"} <= EVE
    assert re.fullmatch(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d+[+\-]\d+", line["timestamp"])
    assert line["timestamp"].startswith("2027-01-15T08:00:02")
    assert line["event_type"] == "alert"
    assert line["ether"] == {"src_mac": MAC}
    assert line["src_ip"] == "10.77.0.9"
    assert line["alert"]["signature"] == "MEDWARD Recon-Port_Scan"
    assert line["alert"]["metadata"]["mitre_technique_id"] == ["T1046"]
    assert all(isinstance(values, list) for values in line["alert"]["metadata"].values())
    assert line["medward"]["start"] == 1_800_000_000.0
    assert (line["medward"]["count"], line["medward"]["evidence_octets"]) == (3, 700)
    assert line["medward"]["reasons"][0] == {"feature": "syn_out", "value": 312.0, "usual": 0.25, "weight": 0.8}


def test_strict_line_has_the_same_object_where_suricatas_schema_allows_any() -> None:
    origin = ("in_iface", "span0")
    line, strict = json.loads(eve_line(alert(), origin)), json.loads(strict_eve_line(alert(), origin))
    assert set(strict) <= EVE
    assert strict["alert"]["metadata"].pop("medward") == line.pop("medward")
    assert strict == line


def test_json_line_says_the_same_of_the_incident() -> None:
    line = json.loads(json_line(alert(), ("pcap_filename", "ward.pcap")))
    assert (line["device"], line["address"], line["class"]) == (MAC, "10.77.0.9", "Recon-Port_Scan")
    assert line["technique"]["identifier"] == "T1046"
    assert (line["first"], line["start"], line["end"]) == (1_799_999_990.0, 1_800_000_000.0, 1_800_000_002.0)
    assert 0.9 < line["confidence"] < 1


@pytest.mark.parametrize("form", FORMATS)
def test_any_name_of_a_class_or_an_interface_stays_in_its_line(form: str) -> None:
    line = FORMATS[form](alert(name='a "class"\nwith\x1b[2J'), ("in_iface", "eth\n0"))
    assert "\n" not in line
    assert "\x1b" not in line
    assert json.loads(line)["in_iface"] == "eth\n0"


@pytest.mark.parametrize("device", ["10.77.0.9", "fd00::9", "fd00:11:22:33:44:55:66:77"])
def test_devices_by_address_have_no_mac(device: str) -> None:
    line = json.loads(eve_line(alert(device=device, address=device), ("in_iface", "span0")))
    assert "ether" not in line
    assert line["src_ip"] == device


def test_unknown_address_is_left_out_and_extreme_suspicion_is_a_number() -> None:
    one = alert(address="")
    window = replace(one.report.window, suspicion=-1e9)
    line = json.loads(eve_line(replace(one, report=replace(one.report, window=window)), ("in_iface", "span0")))
    assert "src_ip" not in line
    assert line["medward"]["confidence"] == 0.0


def test_every_class_has_a_technique_and_a_number_of_its_own() -> None:
    known = [threat_of(name) for name in CLASSES[1:] if name != OTHER_ATTACK]
    assert all(threat.technique is not None for threat in known)
    assert len({threat.signature for threat in known}) == len(known)
    own = threat_of("an attack of ours")
    assert own.technique is None
    assert own == threat_of("an attack of ours")
    assert 0 < own.signature < 2**31
