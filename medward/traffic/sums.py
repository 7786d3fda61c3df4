"""The sums of a device over a tick, one record of `SUMS` for each device and tick.

The sums of a longer view are the sums of its ticks, except for the smallest and the largest hop limit. `up` is what a
device sent, `down` what was addressed to it, `out` and `in` are for what it began and what others began with it.
medward/traffic/columns.py says what becomes of them.
"""

import numpy as np

#: Services, by the place of their packets in the field `services`.
(
    DNS, DHCP, NTP, HTTP, TLS, MQTT, HL7, DICOM, MODBUS, SSH, FTP, TELNET, REMOTE_DESKTOP, SMB, SNMP, OTHER_SERVICE,
) = range(16)  # fmt: skip

#: The services of known ports of TCP and UDP; every other port is of OTHER_SERVICE.
PORTS = {
    53: DNS, 67: DHCP, 68: DHCP, 546: DHCP, 547: DHCP, 123: NTP, 80: HTTP, 8080: HTTP, 443: TLS, 8443: TLS, 8883: TLS,
    1883: MQTT, 2575: HL7, 104: DICOM, 11112: DICOM, 502: MODBUS, 22: SSH, 20: FTP, 21: FTP, 23: TELNET,
    3389: REMOTE_DESKTOP, 5900: REMOTE_DESKTOP, 139: SMB, 445: SMB, 161: SNMP, 162: SNMP,
}  # fmt: skip

#: Sketches of distinct things, by their place in the field `sketches`: linear counting over 256 bits each.
(PEERS, SOURCES, PORTS_OUT, PORTS_IN, ARP_TARGETS, ARP_CLAIMS, MQTT_TOPICS, HL7_TYPES, TLS_CLIENTS) = range(9)
SKETCHES = 9
SKETCH_WORDS = 4

_NAMES = (
    "packets_up", "packets_down", "bytes_up", "bytes_down", "squares_up", "squares_down", "gaps_up", "gap_up",
    "gap_squares_up", "gaps_down", "gap_down", "gap_squares_down", "small_up", "broadcast_up", "fragments_up",
    "malformed_up", "ttl_low", "ttl_high", "syn_out", "syn_in", "synack_out", "synack_in", "rst_out", "rst_in",
    "fin_out", "fin_in", "flows_out", "flows_in", "refused_out", "refused_in", "short_out", "short_in",
    "logins_out", "logins_in", "resent", "arp_requests", "arp_replies", "arp_gratuitous", "arp_changes",
    "mac_changes", "echo_out", "echo_in", "unreachable_in", "neighbour_solicitations", "neighbour_advertisements",
    "is_tcp", "is_udp", "is_icmp", "is_ipv6", "is_not_ip", "inspected", "rewritten", "payload_up", "entropies",
    "entropy", "mqtt_connects", "mqtt_refused", "mqtt_publishes", "mqtt_subscribes", "mqtt_malformed",
    "hl7_messages", "hl7_errors", "dicom_associations", "dicom_refused", "dicom_stores", "modbus_requests",
    "modbus_writes", "modbus_exceptions", "http_requests", "http_refused", "http_errors", "tls_hellos",
    "ftp_refused",
)  # fmt: skip

SUMS = np.dtype(
    [
        *((name, np.float64) for name in _NAMES),
        ("services", np.float64, 16),
        ("sketches", np.uint64, (SKETCHES, SKETCH_WORDS)),
    ]
)

#: How many of a record's 64-bit words are sums; the sketches follow.
NUMBERS = len(_NAMES) + 16


def place(name: str, index: int = 0) -> int:
    """Return the place of a sum among a record's 64-bit words."""
    assert SUMS.fields is not None
    return int(SUMS.fields[name][1]) // 8 + index
