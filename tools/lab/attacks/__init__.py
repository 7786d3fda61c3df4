"""Attacks: each method of a plan is a function of its scene that ends by itself."""

from collections.abc import Callable

from tools.lab.attacks import dhcp, exfiltration, floods, guessing, malformed, scans, spoofing
from tools.lab.attacks.scene import Scene

METHODS: dict[str, Callable[[Scene], None]] = {
    "syn_scan": scans.syn_scan,
    "connect_scan": scans.connect_scan,
    "slow_scan": scans.syn_scan,
    "icmp_sweep": scans.icmp_sweep,
    "arp_sweep": scans.arp_sweep,
    "syn_flood": floods.syn_flood,
    "connection_flood": floods.connection_flood,
    "mqtt_connection_flood": floods.mqtt_connection_flood,
    "arp_spoofing": spoofing.arp_spoofing,
    "alteration": spoofing.alteration,
    "mqtt_guessing": guessing.mqtt_guessing,
    "http_guessing": guessing.http_guessing,
    "ssh_guessing": guessing.ssh_guessing,
    "ftp_guessing": guessing.ftp_guessing,
    "mqtt_malformed": malformed.mqtt_malformed,
    "malformed_packets": malformed.malformed_packets,
    "dhcp_starvation": dhcp.dhcp_starvation,
    "exfiltration": exfiltration.exfiltration,
}
