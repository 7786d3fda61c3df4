"""Generates captures of invented traffic for measurements and tests: a ward's mixture, and a flood of SYNs.

Everything follows from a seed. Addresses are of private ranges and of locally administered MACs; checksums are zero.
"""

import heapq
import struct
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np

_HEAD = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)
_BEGIN = 1_800_000_000.0
_FIN, _SYN, _PSH, _ACK = 1, 2, 8, 16
_PORTS = {"mqtt": 1883, "hl7": 2575, "dicom": 104, "http": 80, "tls": 443}
_SHARES = {"mqtt": 0.15, "hl7": 0.12, "dicom": 0.03, "http": 0.2, "tls": 0.2, "dns": 0.3}
#: Seconds after the last packet, who sends (1 the client), TCP flags, payload.
Segment = tuple[float, int, int, bytes]


def ethernet(source: int, target: int, ether_type: int, payload: bytes) -> bytes:
    """Return an Ethernet frame between two hosts, which are known by number."""
    return _mac(target) + _mac(source) + struct.pack("!H", ether_type) + payload


def ipv4(source: int, target: int, protocol: int, payload: bytes, ident: int = 0, ttl: int = 64) -> bytes:
    """Return an IPv4 packet between two hosts, with a checksum of zero."""
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), ident & 0xFFFF, 0x4000, ttl, protocol, 0)
    return head + _ip(source) + _ip(target) + payload


def tcp(
    source: int, target: int, ports: tuple[int, int], numbers: tuple[int, int], flags: int, payload: bytes
) -> bytes:
    """Return an Ethernet frame with a TCP segment; `numbers` are sequence and acknowledgement."""
    sequence, acknowledgement = (number & 0xFFFFFFFF for number in numbers)
    head = struct.pack("!HHIIBBHHH", *ports, sequence, acknowledgement, 5 << 4, flags, 64240, 0, 0)
    return ethernet(source, target, 0x0800, ipv4(source, target, 6, head + payload, sequence))


def udp(source: int, target: int, ports: tuple[int, int], payload: bytes) -> bytes:
    """Return an Ethernet frame with a UDP datagram."""
    head = struct.pack("!HHHH", *ports, 8 + len(payload), 0)
    return ethernet(source, target, 0x0800, ipv4(source, target, 17, head + payload))


def arp(source: int, target: int, operation: int, claimed: int | None = None) -> bytes:
    """Return an ARP packet by `source`, which claims the address of `claimed` where one is named."""
    address = _ip(source if claimed is None else claimed)
    body = struct.pack("!HHBBH", 1, 0x0800, 6, 4, operation) + _mac(source) + address
    return ethernet(source, target, 0x0806, body + _mac(target) + _ip(target))


def pcap(frames: Iterator[tuple[float, bytes]]) -> Iterator[bytes]:
    """Yield a pcap of frames with their times in seconds, piece by piece."""
    yield _HEAD
    for time, frame in frames:
        yield struct.pack("<IIII", int(time), int(time % 1 * 1e6), len(frame), len(frame)) + frame


def write_ward(path: Path, packets: int, seed: int = 7) -> None:
    """Write a capture of a ward's mixture: MQTT, HL7, DICOM, HTTP, TLS and DNS between 300 devices and 20 servers."""
    with path.open("wb", buffering=1 << 20) as out:
        out.writelines(pcap(islice(ward(packets, seed), packets)))


def write_flood(path: Path, packets: int, sources: int = 65_000, seed: int = 8) -> None:
    """Write a capture of a SYN flood on one server: each packet of another flow, senders drawn from so many."""
    rng = np.random.default_rng(seed)
    frame = np.frombuffer(tcp(1, 400, (1024, 1883), (0, 0), _SYN, b""), np.uint8)
    with path.open("wb", buffering=1 << 20) as out:
        out.write(_HEAD)
        for begin in range(0, packets, 1 << 16):
            count = min(packets - begin, 1 << 16)
            records = np.zeros((count, 16 + len(frame)), np.uint8)
            records[:, 16:] = frame
            microseconds = int(_BEGIN * 1e6) + 10 * np.arange(begin, begin + count)
            heads = np.stack(
                [microseconds // 1_000_000, microseconds % 1_000_000, *[np.full(count, len(frame))] * 2], 1
            )
            records[:, :16] = heads.astype("<u4").view(np.uint8).reshape(count, 16)
            sender = rng.integers(2, 2 + sources, count)
            # The pair of sender and port repeats only where more packets than pairs are asked for.
            port = 1024 + np.arange(begin, begin + count) % 64_000
            for places, values in (((26, 44), sender), ((50,), port)):
                for place in places:
                    records[:, place], records[:, place + 1] = values >> 8 & 255, values & 255
            records[:, 16 + 38 : 16 + 42] = rng.integers(0, 256, (count, 4))
            out.write(records.tobytes())


def ward(packets: int, seed: int = 7) -> Iterator[tuple[float, bytes]]:
    """Yield times and frames of a ward's mixture, in the order of their times: at least so many.

    Some 1,700 questions of DNS and their answers come first, until as many connections have begun as are under way at
    a time.
    """
    rng = np.random.default_rng(seed)
    waiting: list[tuple[float, int, _Connection]] = []
    begun, sent, now = 0, 0, _BEGIN
    while sent < packets:
        while len(waiting) < 2000:
            kind = str(rng.choice(list(_SHARES), p=list(_SHARES.values())))
            device, server, port = (
                int(rng.integers(2, 302)),
                int(rng.integers(400, 420)),
                int(rng.integers(20000, 65000)),
            )
            begun += 1
            if kind == "dns":
                for frame in _question(rng, device, server, port):
                    sent += 1
                    yield now, frame
            else:
                connection = _Connection(rng, kind, device, server, port)
                heapq.heappush(waiting, (now + float(rng.exponential(0.5)), begun, connection))
        now, order, connection = heapq.heappop(waiting)
        following = connection.send()
        if following is None:
            continue
        gap, frame = following
        sent += 1
        yield now, frame
        heapq.heappush(waiting, (now + gap, order, connection))


class _Connection:
    """One TCP connection, of which `send` returns the next frame and the seconds until the one after it."""

    def __init__(self, rng: np.random.Generator, kind: str, device: int, server: int, port: int) -> None:
        self._hosts, self._ports = (server, device), (_PORTS[kind], port)
        self._next = [int(number) for number in rng.integers(1 << 31, size=2)]
        self._segments = _conversation(rng, kind)

    def send(self) -> tuple[float, bytes] | None:
        following = next(self._segments, None)
        if following is None:
            return None
        gap, client, flags, payload = following
        numbers = (self._next[client], self._next[1 - client] if flags & _ACK else 0)
        ports = (self._ports[client], self._ports[1 - client])
        frame = tcp(self._hosts[client], self._hosts[1 - client], ports, numbers, flags, payload)
        self._next[client] += len(payload) + (1 if flags & (_SYN | _FIN) else 0)
        return gap, frame


def _conversation(rng: np.random.Generator, kind: str) -> Iterator[Segment]:
    yield 0.0005, 1, _SYN, b""
    yield 0.0005, 0, _SYN | _ACK, b""
    yield 0.001, 1, _ACK, b""
    yield from {"mqtt": _mqtt, "hl7": _hl7, "dicom": _dicom, "http": _http, "tls": _tls}[kind](rng)
    yield 0.0005, 1, _FIN | _ACK, b""
    yield 0.0005, 0, _FIN | _ACK, b""
    yield 0.0005, 1, _ACK, b""


def _mqtt(rng: np.random.Generator) -> Iterator[Segment]:
    yield 0.001, 1, _PSH | _ACK, b"\x10\x10\0\x04MQTT\x04\x02\0\x3c\0\x04dev1"
    yield 1.0, 0, _PSH | _ACK, b"\x20\x02\0\0"
    for _ in range(int(rng.integers(5, 30))):
        topic = b"ward/%d/vitals" % rng.integers(40)
        body = b'{"pulse":%d,"oxygen":%d}' % (rng.integers(50, 120), rng.integers(85, 100))
        rest = struct.pack("!H", len(topic)) + topic + body
        yield 0.0005, 1, _PSH | _ACK, bytes([0x30, len(rest)]) + rest
        yield 1.0, 0, _ACK, b""


def _hl7(rng: np.random.Generator) -> Iterator[Segment]:
    for _ in range(int(rng.integers(3, 15))):
        message = b"\x0bMSH|^~\\&|MON|ICU|HIS|H|2026||ORU^R01|%d|P|2.5\rPID|1||%d\rOBX|1|NM|8867-4||%d|/min\r\x1c\r"
        yield 0.002, 1, _PSH | _ACK, message % (rng.integers(1_000_000), rng.integers(1_000_000), rng.integers(50, 120))
        yield 0.0005, 0, _PSH | _ACK, b"\x0bMSH|^~\\&|HIS|H|MON|ICU|2026||ACK|1|P|2.5\rMSA|AA|1\r\x1c\r"
        yield 2.0, 1, _ACK, b""


def _dicom(rng: np.random.Generator) -> Iterator[Segment]:
    yield 0.001, 1, _PSH | _ACK, b"\x01\0" + struct.pack("!I", 200) + bytes(200)
    yield 0.001, 0, _PSH | _ACK, b"\x02\0" + struct.pack("!I", 180) + bytes(180)
    segments = int(rng.integers(40, 400))
    image = rng.bytes(1460)
    head = b"\x04\0" + struct.pack("!IIBB", 1460 * segments - 6, 1460 * segments - 10, 1, 2)
    for i in range(segments):
        yield 0.00012, 1, _ACK, head + image[len(head) :] if i == 0 else image
        if i % 2:
            yield 0.0001, 0, _ACK, b""


def _http(rng: np.random.Generator) -> Iterator[Segment]:
    for _ in range(int(rng.integers(1, 6))):
        yield (
            0.01,
            1,
            _PSH | _ACK,
            b"GET /fhir/Observation?n=%d HTTP/1.1\r\nHost: fhir.test\r\n\r\n" % rng.integers(9999),
        )
        yield 0.0005, 0, _PSH | _ACK, b"HTTP/1.1 200 OK\r\nContent-Length: 700\r\n\r\n" + b"x" * 700
        yield 0.1, 1, _ACK, b""


def _tls(rng: np.random.Generator) -> Iterator[Segment]:
    suites = struct.pack("!B32xBH", 0, 0, 32) + rng.bytes(32)
    hello = b"\x03\x03" + rng.bytes(32) + b"\0" + struct.pack("!H", 32) + suites[-32:] + rng.bytes(400)
    yield 0.01, 1, _PSH | _ACK, b"\x16\x03\x01" + struct.pack("!HBBH", len(hello) + 4, 1, 0, len(hello)) + hello
    yield 0.05, 0, _PSH | _ACK, b"\x16\x03\x03\x04\x00" + rng.bytes(1024)
    for _ in range(int(rng.integers(3, 20))):
        yield 0.01, 1, _PSH | _ACK, b"\x17\x03\x03" + rng.bytes(int(rng.integers(60, 600)))
        yield 0.05, 0, _PSH | _ACK, b"\x17\x03\x03" + rng.bytes(int(rng.integers(60, 1400)))


def _question(rng: np.random.Generator, device: int, server: int, port: int) -> list[bytes]:
    query = struct.pack("!HHHHHH", int(rng.integers(65536)), 0x100, 1, 0, 0, 0) + b"\x04fhir\x04test\0\0\x01\0\x01"
    answer = query[:2] + b"\x81\x80\0\x01\0\x01" + query[8:] + b"\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04\x0a\x4d\0\x01"
    return [udp(device, server, (port, 53), query), udp(server, device, (53, port), answer)]


def _mac(host: int) -> bytes:
    return bytes([2, 0, 0, 0, host >> 8 & 255, host & 255])


def _ip(host: int) -> bytes:
    return bytes([10, 77, host >> 8 & 255, host & 255])
