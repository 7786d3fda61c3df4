"""The columns of the schema `medward-flow`: what the meter tells of a device in each tick, and how it is computed.

Each column is one of a few functions of sums and sketches, so one definition serves the meter, the tests and the pages.
Columns come in views: of the tick itself (2 s, the bare name), and of the 10 and 60 seconds that end with it.
"""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from medward.traffic import sums
from medward.traffic.sums import place

#: Seconds of a tick, and ticks of each view, whose names end in "", "_10s" and "_60s".
TICK_SECONDS = 2
VIEWS = {"": 1, "_10s": 5, "_60s": 30}


class How(IntEnum):
    """How a column follows from sums: SUM a; MEAN a / n; DEVIATION sqrt(q / n - (a / n)^2); SPREAD b - a.

    DISTINCT is the estimate of a sketch, and SEEN the sum a where payload was inspected. Means, deviations and spreads
    of nothing are missing (NaN), and so is what inspection would tell where there was none.
    """

    SUM = 0
    MEAN = 1
    DEVIATION = 2
    SPREAD = 3
    DISTINCT = 4
    SEEN = 5
    SEEN_DISTINCT = 6
    SEEN_MEAN = 7


@dataclass(frozen=True)
class Measure:
    """One measure of a device over a view.

    Args:
        name: without the view's suffix.
        unit: what it is in.
        text: what it tells, for a reader.
        how: the function, and its arguments as places of sums or of a sketch.
        arguments: a; for MEAN n and a; for DEVIATION n, a and q; for SPREAD the smallest and the largest.
        payload: whether it needs payload, which is the expensive evidence.
    """

    name: str
    unit: str
    text: str
    how: How
    arguments: tuple[int, ...]
    payload: bool = False


def _sum(name: str, text: str, unit: str = "packets", of: str = "") -> Measure:
    return Measure(name, unit, text, How.SUM, (place(of or name),))


def _service(name: str, text: str, service: int) -> Measure:
    return Measure(name, "packets", text, How.SUM, (place("services", service),))


def _mean(name: str, unit: str, text: str, count: str, total: str) -> Measure:
    return Measure(name, unit, text, How.MEAN, (place(count), place(total)))


def _deviation(name: str, unit: str, count: str, total: str, squares: str) -> Measure:
    return Measure(name, unit, "deviation of these", How.DEVIATION, (place(count), place(total), place(squares)))


def _distinct(name: str, unit: str, text: str, sketch: int) -> Measure:
    return Measure(name, unit, text, How.DISTINCT, (sketch,))


def _seen(name: str, text: str, unit: str = "messages") -> Measure:
    return Measure(name, unit, text, How.SEEN, (place(name),), payload=True)


def _seen_distinct(name: str, unit: str, text: str, sketch: int) -> Measure:
    return Measure(name, unit, text, How.SEEN_DISTINCT, (sketch,), payload=True)


CHEAP = (
    _sum("packets_up", "frames that the device sent"),
    _sum("packets_down", "frames addressed to the device"),
    _sum("bytes_up", "octets of those it sent, as on the wire", "octets"),
    _sum("bytes_down", "octets of those addressed to it", "octets"),
    _mean("size_up_mean", "octets", "mean frame that it sent", "packets_up", "bytes_up"),
    _deviation("size_up_std", "octets", "packets_up", "bytes_up", "squares_up"),
    _mean("size_down_mean", "octets", "mean frame addressed to it", "packets_down", "bytes_down"),
    _deviation("size_down_std", "octets", "packets_down", "bytes_down", "squares_down"),
    _mean("gap_up_mean", "s", "mean time between frames that it sent", "gaps_up", "gap_up"),
    _deviation("gap_up_std", "s", "gaps_up", "gap_up", "gap_squares_up"),
    _mean("gap_down_mean", "s", "mean time between frames addressed to it", "gaps_down", "gap_down"),
    _deviation("gap_down_std", "s", "gaps_down", "gap_down", "gap_squares_down"),
    _sum("small_up", "packets that it sent with less than 16 octets of payload"),
    _sum("broadcast_up", "frames that it sent to a group or to all"),
    _sum("fragments_up", "fragments that it sent"),
    _sum("malformed_up", "packets that it sent whose headers contradict themselves"),
    Measure(
        "ttl_spread",
        "hops",
        "largest less smallest TTL that it sent",
        How.SPREAD,
        (place("ttl_low"), place("ttl_high")),
    ),
    _distinct("peers", "addresses", "different addresses that it sent to", sums.PEERS),
    _distinct("sources", "addresses", "different addresses that sent to it", sums.SOURCES),
    _distinct("ports_out", "ports", "different address and port at which it began something", sums.PORTS_OUT),
    _distinct("ports_in", "ports", "different ports of its own at which others began something", sums.PORTS_IN),
    _sum("syn_out", "SYN without ACK sent"),
    _sum("syn_in", "SYN without ACK received"),
    _sum("synack_out", "SYN with ACK sent"),
    _sum("synack_in", "SYN with ACK received"),
    _sum("rst_out", "RST sent"),
    _sum("rst_in", "RST received"),
    _sum("fin_out", "FIN sent"),
    _sum("fin_in", "FIN received"),
    _sum("flows_out", "flows that it began", "flows"),
    _sum("flows_in", "flows that others began with it", "flows"),
    _sum("refused_out", "connections that it began and the other end reset before any payload", "flows"),
    _sum("refused_in", "connections that it reset before any payload", "flows"),
    _sum("short_out", "connections that it began and that closed with less than 2 KiB of payload", "flows"),
    _sum("short_in", "the same, where others began", "flows"),
    _sum("logins_out", "flows that it began with SSH, FTP, Telnet, remote desktop or SMB", "flows"),
    _sum("logins_in", "the same, where others began", "flows"),
    _sum("resent", "TCP segments, of either direction, that had been sent before", "segments"),
    _sum("arp_requests", "ARP requests sent"),
    _sum("arp_replies", "ARP replies sent"),
    _sum("arp_gratuitous", "ARP packets sent in which sender and target are one address"),
    _distinct("arp_targets", "addresses", "different addresses that it asked for", sums.ARP_TARGETS),
    _distinct("arp_claims", "addresses", "different addresses that it claimed by ARP", sums.ARP_CLAIMS),
    _sum("arp_changes", "addresses that changed owner, to or from it, by a claim of ARP", "changes"),
    _sum("mac_changes", "addresses that changed owner, to or from it, by an IP packet", "changes"),
    _sum("echo_out", "ICMP echo requests sent"),
    _sum("echo_in", "ICMP echo requests received"),
    _sum("unreachable_in", "ICMP destination unreachable received"),
    _sum("neighbour_solicitations", "ICMPv6 neighbour solicitations sent"),
    _sum("neighbour_advertisements", "ICMPv6 neighbour advertisements sent"),
    _sum("tcp", "packets of TCP, of either direction, as in all that follow", of="is_tcp"),
    _sum("udp", "packets of UDP", of="is_udp"),
    _sum("icmp", "packets of ICMP and ICMPv6", of="is_icmp"),
    _sum("ipv6", "packets of IPv6", of="is_ipv6"),
    _sum("not_ip", "frames of neither IP nor ARP", of="is_not_ip"),
    _service("dns", "packets of port 53", sums.DNS),
    _service("dhcp", "packets of ports 67, 68, 546, 547", sums.DHCP),
    _service("ntp", "packets of port 123", sums.NTP),
    _service("http", "packets of ports 80, 8080", sums.HTTP),
    _service("tls", "packets of ports 443, 8443, 8883", sums.TLS),
    _service("mqtt", "packets of port 1883", sums.MQTT),
    _service("hl7", "packets of port 2575", sums.HL7),
    _service("dicom", "packets of ports 104, 11112", sums.DICOM),
    _service("modbus", "packets of port 502", sums.MODBUS),
    _service("ssh", "packets of port 22", sums.SSH),
    _service("ftp", "packets of ports 20, 21", sums.FTP),
    _service("telnet", "packets of port 23", sums.TELNET),
    _service("remote_desktop", "packets of ports 3389, 5900", sums.REMOTE_DESKTOP),
    _service("smb", "packets of ports 139, 445", sums.SMB),
    _service("snmp", "packets of ports 161, 162", sums.SNMP),
    _service("other_service", "packets of TCP and UDP of all other ports", sums.OTHER_SERVICE),
)

EXPENSIVE = (
    _seen("rewritten", "TCP segments sent again within 10 s with as many octets but others", "segments"),
    _seen("payload_up", "octets of payload that it sent and that were captured", "octets"),
    Measure(
        "payload_entropy",
        "bits an octet",
        "mean entropy of the first 64 octets of payloads that it sent, the first 32 of each tick",
        How.SEEN_MEAN,
        (place("entropies"), place("entropy")),
        payload=True,
    ),
    _seen("mqtt_connects", "MQTT CONNECT"),
    _seen("mqtt_refused", "MQTT CONNACK with a reason other than success"),
    _seen("mqtt_publishes", "MQTT PUBLISH"),
    _seen("mqtt_subscribes", "MQTT SUBSCRIBE"),
    _seen("mqtt_malformed", "MQTT packets that the standard forbids"),
    _seen_distinct("mqtt_topics", "topics", "different topics of MQTT PUBLISH", sums.MQTT_TOPICS),
    _seen("hl7_messages", "HL7 v2 messages"),
    _seen("hl7_errors", "HL7 v2 acknowledgements of an error or a refusal"),
    _seen_distinct("hl7_types", "types", "different types of HL7 v2 messages", sums.HL7_TYPES),
    _seen("dicom_associations", "DICOM associations asked for"),
    _seen("dicom_refused", "DICOM associations refused or aborted"),
    _seen("dicom_stores", "DICOM C-STORE requests"),
    _seen("modbus_requests", "Modbus requests"),
    _seen("modbus_writes", "Modbus requests that write"),
    _seen("modbus_exceptions", "Modbus exceptions"),
    _seen("http_requests", "HTTP/1 requests"),
    _seen("http_refused", "HTTP/1 answers 401 and 403"),
    _seen("http_errors", "HTTP/1 answers of 400 and above"),
    _seen("tls_hellos", "TLS ClientHello"),
    _seen_distinct("tls_clients", "lists", "different lists of cipher suites in them", sums.TLS_CLIENTS),
    _seen("ftp_refused", "FTP logins refused"),
)

#: Views of each group. Payload is there for the last ten seconds only.
CHEAP_VIEWS = ("", "_10s", "_60s")
EXPENSIVE_VIEWS = ("", "_10s")

#: The columns of the schema, in order, with the measure and the number of ticks that each is of.
COLUMNS: dict[str, tuple[Measure, int]] = {
    **{f"{measure.name}{view}": (measure, VIEWS[view]) for view in CHEAP_VIEWS for measure in CHEAP},
    **{f"{measure.name}{view}": (measure, VIEWS[view]) for view in EXPENSIVE_VIEWS for measure in EXPENSIVE},
}


def plan() -> NDArray[np.int64]:
    """Return the columns as the kernel reads them: int64 [columns, 5], ticks, how, and up to three arguments."""
    rows = np.zeros((len(COLUMNS), 5), np.int64)
    for row, (measure, ticks) in zip(rows, COLUMNS.values(), strict=True):
        row[0], row[1] = ticks, measure.how
        row[2 : 2 + len(measure.arguments)] = measure.arguments
    return rows
