"""Classes of attacks as an analyst's tools know them: MITRE ATT&CK technique and tactic, severity, signature number.

Techniques are those of ATT&CK for Enterprise, version 15 (https://attack.mitre.org). A class of a hospital's own has
no technique, a middle severity, and a number that follows from its name.
"""

import zlib
from typing import NamedTuple

#: Severities as Suricata counts them.
HIGH, MIDDLE, LOW = 1, 2, 3
#: Signature numbers of the classes that are known here begin there, those of other names here.
FIRST_SIGNATURE, FIRST_OTHER_SIGNATURE = 9_100_000, 9_200_000
_OTHER_SIGNATURES = 100_000


class Technique(NamedTuple):
    """A technique of MITRE ATT&CK: its identifier, its name and the identifier of its tactic."""

    identifier: str
    name: str
    tactic: str


class Threat(NamedTuple):
    """A class of attacks as an analyst's tools know it.

    Args:
        signature: its number, which never changes.
        technique: None where it has none.
        severity: HIGH, MIDDLE or LOW.
    """

    signature: int
    technique: Technique | None
    severity: int


_SCAN = Technique("T1046", "Network Service Discovery", "TA0007")
_SWEEP = Technique("T1018", "Remote System Discovery", "TA0007")
_VULNERABILITIES = Technique("T1595.002", "Vulnerability Scanning", "TA0043")
_SPOOFING = Technique("T1557.002", "ARP Cache Poisoning", "TA0006")
_ALTERATION = Technique("T1565.002", "Transmitted Data Manipulation", "TA0040")
_EXFILTRATION = Technique("T1048", "Exfiltration Over Alternative Protocol", "TA0010")
_GUESSING = Technique("T1110.001", "Password Guessing", "TA0006")
_NETWORK_FLOOD = Technique("T1498.001", "Direct Network Flood", "TA0040")
_SYSTEM_FLOOD = Technique("T1499.001", "OS Exhaustion Flood", "TA0040")
_SERVICE_FLOOD = Technique("T1499.002", "Service Exhaustion Flood", "TA0040")
_EXPLOITATION = Technique("T1499.004", "Application or System Exploitation", "TA0040")

#: Classes by their number less FIRST_SIGNATURE; a number is never given to another class.
_THREATS: dict[str, tuple[int, Technique, int]] = {
    "ARP_Spoofing": (1, _SPOOFING, HIGH),
    "Data_Alteration": (2, _ALTERATION, HIGH),
    "Exfiltration": (3, _EXFILTRATION, HIGH),
    "DHCP-Starvation": (4, _SERVICE_FLOOD, MIDDLE),
    "TCP_IP-Malformed_Packets": (5, _EXPLOITATION, MIDDLE),
    "TCP_IP-Connection_Flood": (6, _SERVICE_FLOOD, HIGH),
    "Slowloris": (7, _SERVICE_FLOOD, HIGH),
    "MQTT-Brute_Force": (8, _GUESSING, MIDDLE),
    "HTTP-Brute_Force": (9, _GUESSING, MIDDLE),
    "SSH-Brute_Force": (10, _GUESSING, MIDDLE),
    "FTP-Brute_Force": (11, _GUESSING, MIDDLE),
    "Telnet-Brute_Force": (12, _GUESSING, MIDDLE),
    "RDP-Brute_Force": (13, _GUESSING, MIDDLE),
    "SMB-Brute_Force": (14, _GUESSING, MIDDLE),
    "MQTT-DDoS-Connect_Flood": (15, _SERVICE_FLOOD, HIGH),
    "MQTT-DDoS-Publish_Flood": (16, _SERVICE_FLOOD, HIGH),
    "MQTT-DoS-Connect_Flood": (17, _SERVICE_FLOOD, HIGH),
    "MQTT-DoS-Publish_Flood": (18, _SERVICE_FLOOD, HIGH),
    "MQTT-Malformed_Data": (19, _EXPLOITATION, MIDDLE),
    "Recon-ARP_Sweep": (20, _SWEEP, LOW),
    "Recon-OS_Scan": (21, _SCAN, LOW),
    "Recon-Ping_Sweep": (22, _SWEEP, LOW),
    "Recon-Port_Scan": (23, _SCAN, LOW),
    "Recon-Slow_Scan": (24, _SCAN, LOW),
    "Recon-VulScan": (25, _VULNERABILITIES, LOW),
    "TCP_IP-DDoS-ICMP": (26, _NETWORK_FLOOD, HIGH),
    "TCP_IP-DDoS-SYN": (27, _SYSTEM_FLOOD, HIGH),
    "TCP_IP-DDoS-TCP": (28, _SYSTEM_FLOOD, HIGH),
    "TCP_IP-DDoS-UDP": (29, _NETWORK_FLOOD, HIGH),
    "TCP_IP-DoS-ICMP": (30, _NETWORK_FLOOD, HIGH),
    "TCP_IP-DoS-SYN": (31, _SYSTEM_FLOOD, HIGH),
    "TCP_IP-DoS-TCP": (32, _SYSTEM_FLOOD, HIGH),
    "TCP_IP-DoS-UDP": (33, _NETWORK_FLOOD, HIGH),
}


def threat_of(name: str) -> Threat:
    """Return what is known of a class of attacks, by its name."""
    if name in _THREATS:
        number, technique, severity = _THREATS[name]
        return Threat(FIRST_SIGNATURE + number, technique, severity)
    return Threat(FIRST_OTHER_SIGNATURE + zlib.crc32(name.encode()) % _OTHER_SIGNATURES, None, MIDDLE)
