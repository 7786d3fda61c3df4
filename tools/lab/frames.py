"""Frames, octet by octet: Ethernet, ARP, IPv4, TCP, UDP and ICMP (RFC 826, 791, 9293, 768, 792)."""

import ipaddress
import struct

BROADCAST = "ff:ff:ff:ff:ff:ff"
SYN, RST, PSH, ACK = 0x02, 0x04, 0x08, 0x10
ICMP, TCP, UDP = 1, 6, 17


def octets_of(address: str) -> bytes:
    """Return the octets of a MAC or an IPv4 address."""
    return bytes.fromhex(address.replace(":", "")) if ":" in address else ipaddress.IPv4Address(address).packed


def checksum(octets: bytes) -> int:
    """Return the Internet checksum (RFC 1071)."""
    octets += b"\0" * (len(octets) % 2)
    total = sum(struct.unpack(f"!{len(octets) // 2}H", octets))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ethernet(source: str, target: str, kind: int, payload: bytes) -> bytes:
    """Return a frame; `kind` is the Ethernet type."""
    return octets_of(target) + octets_of(source) + struct.pack("!H", kind) + payload


def arp(operation: int, mac: str, address: str, asked_mac: str, asked: str) -> bytes:
    """Return an ARP packet: 1 asks, 2 answers; `mac` claims `address`."""
    head = struct.pack("!HHBBH", 1, 0x0800, 6, 4, operation)
    return head + octets_of(mac) + octets_of(address) + octets_of(asked_mac) + octets_of(asked)


def ipv4(source: str, target: str, protocol: int, payload: bytes, ttl: int = 64, identification: int = 0) -> bytes:
    """Return an IPv4 packet without options."""
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), identification, 0, ttl, protocol, 0)
    head += octets_of(source) + octets_of(target)
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + payload


def transport_checksum(source: bytes, target: bytes, protocol: int, segment: bytes) -> int:
    """Return the checksum of a TCP segment or UDP datagram, whose own field is 0, under IPv4's pseudo-header."""
    return checksum(source + target + struct.pack("!BBH", 0, protocol, len(segment)) + segment)


def tcp(source: str, target: str, ports: tuple[int, int], flags: int, number: int = 0, window: int = 64240) -> bytes:
    """Return a TCP segment without payload, from and to `ports`, with sequence number `number`."""
    segment = struct.pack("!HHIIBBHHH", *ports, number, 0, 0x50, flags, window, 0, 0)
    total = transport_checksum(octets_of(source), octets_of(target), TCP, segment)
    return segment[:16] + struct.pack("!H", total) + segment[18:]


def udp(source: str, target: str, ports: tuple[int, int], payload: bytes) -> bytes:
    """Return a UDP datagram."""
    datagram = struct.pack("!HHHH", *ports, 8 + len(payload), 0) + payload
    total = transport_checksum(octets_of(source), octets_of(target), UDP, datagram)
    return datagram[:6] + struct.pack("!H", total) + datagram[8:]


def icmp_echo(identifier: int, number: int, payload: bytes) -> bytes:
    """Return an ICMP echo request."""
    message = struct.pack("!BBHHH", 8, 0, 0, identifier, number) + payload
    return message[:2] + struct.pack("!H", checksum(message)) + message[4:]
