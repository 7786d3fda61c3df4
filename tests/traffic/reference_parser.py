"""A slow parser in plain Python, written from the standards and not from the kernels, that tests compare them with."""

import struct
from typing import Any

from medward.traffic import packets

_EXTENSIONS = (0, 43, 44, 51, 60, 135, 139, 140)


def parse_ethernet(frame: bytes, wire: int) -> dict[str, Any]:
    """Return the fields of HEADERS that a frame tells, without `time`, `wire` and the places in its octets."""
    out: dict[str, Any] = dict.fromkeys(packets.HEADERS.names or (), 0)
    for name in ("time", "wire", "network", "payload"):
        del out[name]
    if len(frame) < 14:
        out["trouble"] = packets.CUT_SHORT
        return out
    out["target_mac"], out["source_mac"] = int.from_bytes(frame[:6], "big"), int.from_bytes(frame[6:12], "big")
    out["has_mac"] = int(any(frame[:12]))
    (kind,) = struct.unpack_from("!H", frame, 12)
    at = 14
    for _ in range(4):
        if kind not in (0x8100, 0x88A8, 0x9100):
            break
        if len(frame) < at + 4:
            out["trouble"] = packets.CUT_SHORT
            return out
        (kind,) = struct.unpack_from("!H", frame, at + 2)
        at += 4
    out["ether_type"] = kind
    rest = frame[at:]
    out["payload_captured"] = out["payload_length"] = len(rest)
    if kind == 0x0806:
        _parse_arp(rest, out)
    elif kind == 0x0800:
        _parse_ipv4(rest, out)
    elif kind == 0x86DD:
        _parse_ipv6(rest, out)
    if kind in (0x0800, 0x86DD) and out.pop("_said", 0) > wire - at:
        before = out["payload_length"]
        out["payload_length"] = min(before, wire - at - out.get("_headers", 0))
        if out["payload_length"] < before:
            out["trouble"] |= packets.MALFORMED
    out.pop("_said", None)
    out.pop("_headers", None)
    return out


def _parse_arp(data: bytes, out: dict[str, Any]) -> None:
    out["kind"] = packets.ARP
    if len(data) < 28:
        out["trouble"] |= packets.CUT_SHORT
        return
    if data[:6] != b"\0\1\x08\0\6\4":
        out["trouble"] |= packets.MALFORMED
        return
    (out["source_port"],) = struct.unpack_from("!H", data, 6)
    out["arp_mac"] = int.from_bytes(data[8:14], "big")
    out["source_low"], out["target_low"] = int.from_bytes(data[14:18], "big"), int.from_bytes(data[24:28], "big")
    out["payload_captured"] = out["payload_length"] = 0


def _parse_ipv4(data: bytes, out: dict[str, Any]) -> None:
    out["kind"] = packets.IPV4
    if len(data) < 20:
        out["trouble"] |= packets.CUT_SHORT
        return
    head = (data[0] & 15) * 4
    total, _, place = struct.unpack_from("!HHH", data, 2)
    out["ttl"], out["protocol"], out["ip_length"] = data[8], data[9], total
    out["source_low"], out["target_low"] = int.from_bytes(data[12:16], "big"), int.from_bytes(data[16:20], "big")
    if data[0] >> 4 != 4 or head < 20 or 0 < total < head:
        out["trouble"] |= packets.MALFORMED
        out["payload_captured"] = out["payload_length"] = len(data) - 20
        return
    if place & 0x1FFF:
        out["fragment"] = packets.LATER_FRAGMENT
    elif place & 0x2000:
        out["fragment"] = packets.FIRST_FRAGMENT
    _parse_transport(data, head, total or len(data), out)


def _parse_ipv6(data: bytes, out: dict[str, Any]) -> None:
    out["kind"] = packets.IPV6
    if len(data) < 40:
        out["trouble"] |= packets.CUT_SHORT
        return
    length, header, out["ttl"] = struct.unpack_from("!HBB", data, 4)
    out["ip_length"] = min(length + 40, 0xFFFF)
    for name, at in (("source_high", 8), ("source_low", 16), ("target_high", 24), ("target_low", 32)):
        out[name] = int.from_bytes(data[at : at + 8], "big")
    if data[0] >> 4 != 6:
        out["trouble"] |= packets.MALFORMED
        out["payload_captured"] = out["payload_length"] = len(data) - 40
        return
    said = 40 + length if length else len(data)
    at = 40
    for _ in range(8):
        if header not in _EXTENSIONS:
            break
        if at + 8 > min(len(data), said):
            out["protocol"] = header
            out["trouble"] |= packets.CUT_SHORT if len(data) < said else packets.MALFORMED
            out["payload_captured"] = out["payload_length"] = max(len(data) - at, 0)
            return
        if header == 44:
            (place,) = struct.unpack_from("!H", data, at + 2)
            if place >> 3:
                out["fragment"] = packets.LATER_FRAGMENT
            elif place & 1:
                out["fragment"] = packets.FIRST_FRAGMENT
            step = 8
        else:
            step = (data[at + 1] + 2) * 4 if header == 51 else (data[at + 1] + 1) * 8
        header = data[at]
        at += step
        if out["fragment"] == packets.LATER_FRAGMENT:
            break
    out["protocol"] = header
    _parse_transport(data, at, said, out)


def _parse_transport(data: bytes, at: int, said: int, out: dict[str, Any]) -> None:
    stop = min(len(data), said)
    out["_said"] = said
    if at > stop:
        out["trouble"] |= packets.CUT_SHORT if at > len(data) else packets.MALFORMED
        out["payload_captured"] = out["payload_length"] = 0
        return
    segment = data[at:stop]
    head = 0
    if out["fragment"] != packets.LATER_FRAGMENT:
        head = {packets.TCP: 20, packets.UDP: 8, packets.ICMP: 4, packets.ICMPV6: 4}.get(out["protocol"], 0)
        if out["protocol"] in (packets.TCP, packets.UDP) and len(segment) >= head:
            out["source_port"], out["target_port"] = struct.unpack_from("!HH", segment)
            out["has_ports"] = 1
        if out["protocol"] == packets.TCP and len(segment) >= 20:
            (out["sequence"],) = struct.unpack_from("!I", segment, 4)
            out["flags"] = segment[13]
            (out["tcp_window"],) = struct.unpack_from("!H", segment, 14)
            head = (segment[12] >> 4) * 4
            if head < 20:
                out["trouble"] |= packets.MALFORMED
                head = 20
        elif out["protocol"] == packets.UDP and len(segment) >= 8:
            (length,) = struct.unpack_from("!H", segment, 4)
            if length and (length < 8 or (at + length > said and not out["fragment"])):
                out["trouble"] |= packets.MALFORMED
        elif out["protocol"] in (packets.ICMP, packets.ICMPV6) and len(segment) >= 4:
            out["source_port"], out["target_port"] = segment[0], segment[1]
    if at + head > stop:
        out["trouble"] |= packets.CUT_SHORT if len(data) < said else packets.MALFORMED
        head = stop - at
    out["_headers"] = at + head
    out["payload_captured"], out["payload_length"] = stop - at - head, said - at - head
