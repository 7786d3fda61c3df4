"""Frames and captures for tests: builders of pcap and pcapng in every form, odd frames, and mutations of them."""

import struct
from collections.abc import Sequence

import numpy as np

from medward.bench.traffic import generation
from medward.traffic.packets import LINK_ETHERNET, PacketBatch

Timed = tuple[int, bytes]  # nanoseconds since 1970, frame
SECOND = 1_000_000_000
BEGIN = 1_800_000_000 * SECOND


def pcap(packets: Sequence[Timed], order: str = "<", nano: bool = False, link: int = LINK_ETHERNET) -> bytes:
    unit = 1 if nano else 1000
    out = struct.pack(order + "IHHiIII", 0xA1B23C4D if nano else 0xA1B2C3D4, 2, 4, 0, 0, 65535, link)
    for time, frame in packets:
        head = struct.pack(order + "IIII", time // SECOND, time % SECOND // unit, len(frame), len(frame))
        out += head + frame
    return out


def block(kind: int, body: bytes, order: str = "<") -> bytes:
    body += bytes(-len(body) % 4)
    length = struct.pack(order + "I", len(body) + 12)
    return struct.pack(order + "I", kind) + length + body + length


def section(order: str = "<") -> bytes:
    return block(0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1), order)


def interface(order: str = "<", link: int = LINK_ETHERNET, resolution: int | None = None, snap: int = 0) -> bytes:
    options = b"" if resolution is None else struct.pack(order + "HHB3xHH", 9, 1, resolution, 0, 0)
    return block(1, struct.pack(order + "HHI", link, 0, snap) + options, order)


def enhanced(time: int, frame: bytes, order: str = "<", rate: int = 10**6, number: int = 0) -> bytes:
    ticks = time * rate // SECOND
    head = struct.pack(order + "IIIII", number, ticks >> 32, ticks & 0xFFFFFFFF, len(frame), len(frame))
    return block(6, head + frame, order)


def pcapng(packets: Sequence[Timed], order: str = "<", resolution: int | None = None) -> bytes:
    rate = 10**6 if resolution is None else 2 ** (resolution & 127) if resolution & 128 else 10**resolution
    blocks = [enhanced(time, frame, order, rate) for time, frame in packets]
    return section(order) + interface(order, resolution=resolution) + b"".join(blocks)


def batch(frames: Sequence[Timed], link: int = LINK_ETHERNET, wire: Sequence[int] | None = None) -> PacketBatch:
    """Put frames beside each other in memory, as a source does."""
    octets = np.frombuffer(b"".join(frame for _, frame in frames) or b"\0", np.uint8)
    lengths = np.array([len(frame) for _, frame in frames], np.int64)
    return PacketBatch(
        octets,
        (np.cumsum(lengths) - lengths).astype(np.int64),
        lengths,
        lengths if wire is None else np.array(wire, np.int64),
        np.array([time for time, _ in frames], np.int64),
        np.full(len(frames), link, np.int32),
    )


def ipv6(source: int, target: int, header: int, payload: bytes, hops: int = 64) -> bytes:
    address = [b"\xfd" + bytes(13) + struct.pack("!H", host) for host in (source, target)]
    body = struct.pack("!IHBB", 6 << 28, len(payload), header, hops) + b"".join(address) + payload
    return generation.ethernet(source, target, 0x86DD, body)


def odd_frames() -> list[bytes]:
    """Frames of every kind that the parser knows, and of some that it does not."""
    plain = generation.tcp(2, 3, (40000, 1883), (7, 9), 24, b"payload")
    datagram = struct.pack("!HHHH", 40000, 53, 12, 0) + b"ques"
    tagged = plain[:12] + b"\x81\x00\x00\x05" + plain[12:]
    twice = plain[:12] + b"\x88\xa8\x00\x07\x81\x00\x00\x05" + plain[12:]
    fragments = [
        plain[:14] + plain[14:20] + struct.pack("!H", place) + plain[22:] for place in (0x2000, 0x2003, 0x0003)
    ]
    options = plain[:14] + b"\x46" + plain[15:16] + struct.pack("!H", 51) + plain[18:34] + bytes(4) + plain[34:]
    extended = b"\x3c\x00" + bytes(6) + b"\x11\x00" + bytes(6) + datagram
    return [
        plain,
        tagged,
        twice,
        *fragments,
        options,
        plain + bytes(20),
        generation.udp(2, 3, (40000, 53), b"question"),
        generation.arp(2, 3, 1),
        generation.arp(2, 3, 2, claimed=4),
        generation.ethernet(2, 3, 0x0800, generation.ipv4(2, 3, 1, b"\x08\0\0\0echo")),
        generation.ethernet(2, 3, 0x0800, generation.ipv4(2, 3, 47, b"tunnel")),
        ipv6(2, 3, 17, datagram),
        ipv6(2, 3, 0, extended),
        ipv6(2, 3, 44, b"\x11\0\0\x01" + bytes(4) + datagram),
        ipv6(2, 3, 44, b"\x11\0\0\x11" + bytes(4) + datagram),
        ipv6(2, 3, 51, b"\x06\x01" + bytes(10) + plain[34:]),
        ipv6(2, 3, 58, b"\x87\0\0\0" + bytes(20)),
        generation.ethernet(2, 3, 0x0026, b"spanning tree"),
        generation.ethernet(2, 3, 0x88CC, b"link layer discovery"),
    ]


def mutated(rng: np.random.Generator, frames: Sequence[bytes], count: int) -> list[bytes]:
    """Return so many frames, each with a few octets changed, and half of them cut somewhere."""
    out = []
    for which, changes, cut in zip(
        rng.integers(len(frames), size=count), rng.integers(0, 6, count), rng.random(count), strict=True
    ):
        frame = bytearray(frames[which])
        for place, value in zip(rng.integers(len(frame), size=changes), rng.integers(256, size=changes), strict=True):
            frame[place] = value
        out.append(bytes(frame[: int(2 * cut * len(frame))] if cut < 0.5 else frame))
    return out
