"""The columns of CICIoMT2024 in slow plain Python, from the formulas of spec/meter.md: lists, no running sums."""

import math
from collections import defaultdict
from collections.abc import Sequence
from statistics import fmean, pvariance

from tests.traffic.captures import SECOND, Timed
from tests.traffic.reference_parser import parse_ethernet

_TCP_PORTS = {"HTTP": 80, "HTTPS": 443, "Telnet": 23, "SMTP": 25, "SSH": 22, "IRC": 21}
_FLAGS = {"fin": 0, "syn": 1, "rst": 2, "psh": 3, "ack": 4, "ece": 6, "cwr": 7}


def rows_of(packets: Sequence[Timed], packets_per_row: int) -> list[dict[str, float]]:
    every = _packet_values(packets)
    rows = [every[at : at + packets_per_row] for at in range(0, len(every), packets_per_row)]
    names = sorted({name for values in every for name in values})
    return [{name: sum(values.get(name, 0.0) for values in row) / len(row) for name in names} for row in rows]


def _packet_values(packets: Sequence[Timed]) -> list[dict[str, float]]:
    sizes: list[float] = []
    both: list[float] = []
    flows: dict[object, list[tuple[float, float, int]]] = defaultdict(list)
    before, rate = 0.0, 0.0
    out = []
    for nanoseconds, frame in packets:
        fields = parse_ethernet(frame, len(frame))
        if fields["kind"] not in (1, 4):
            continue
        time = nanoseconds / SECOND
        ip = fields["kind"] == 4
        size = float(14 + fields["ip_length"] if ip else len(frame))
        sizes.append(size)
        values: dict[str, float] = {"Tot sum": sum(sizes), "Min": min(sizes), "Max": max(sizes), "AVG": fmean(sizes)}
        values |= {"Std": math.sqrt(pvariance(sizes)), "Tot size": size}
        if len(sizes) == 20:
            sizes.clear()
            before = 0.0
        else:
            both.append(size)
        values |= {"Number": float(len(sizes)), "IAT": time - before}
        before = time
        spread = pvariance(both)
        values |= {"Magnitue": math.sqrt(2 * fmean(both)), "Radius": math.sqrt(2 * spread), "Covariance": spread}
        values |= {"Variance": float(spread > 1e-9), "Weight": float(len(both) ** 2)}
        if not sizes:
            both.clear()
        if ip:
            values |= {"IPv": 1, "LLC": 1, "Protocol Type": fields["protocol"], "Duration": fields["ttl"]}
            values |= {"ICMP": fields["protocol"] == 1, "IGMP": fields["protocol"] == 2}
            if fields["has_ports"]:
                ends = sorted(
                    [(fields["source_low"], fields["source_port"]), (fields["target_low"], fields["target_port"])]
                )
                flow = flows[fields["protocol"], tuple(ends)]
                flow.append((time, size, fields["flags"] if fields["protocol"] == 6 else 0))
                values |= _flow_values(flow, fields)
                times = [moment for moment, _, _ in flow]
                if max(times) != min(times):
                    rate = len(flow) / (max(times) - min(times))
        else:
            values["ARP"] = 1
        values |= {"Rate": rate, "Srate": rate, "Drate": 0.0}
        out.append({name: float(value) for name, value in values.items()})
    return out


def _flow_values(flow: list[tuple[float, float, int]], fields: dict[str, int]) -> dict[str, float]:
    ports = {fields["source_port"], fields["target_port"]}
    values: dict[str, float] = {"Header_Length": sum(size for _, size, _ in flow)}
    if fields["protocol"] == 6:
        values["TCP"] = 1
        values |= {f"{name}_flag_number": fields["flags"] >> bit & 1 for name, bit in _FLAGS.items()}
        for name, bit in (("ack", 0), ("syn", 1), ("fin", 2), ("rst", 4)):
            values[f"{name}_count"] = sum(flags >> bit & 1 for _, _, flags in flow)
        values |= {name: port in ports for name, port in _TCP_PORTS.items()}
    else:
        values |= {"UDP": 1, "DNS": 53 in ports, "DHCP": fields["source_port"] == 67 or fields["target_port"] == 68}
    return values
