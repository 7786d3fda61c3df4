"""Frames are what the standards say: the meter reads them, checksums add up, and alteration changes values alone."""

import struct
from random import Random

import pytest

from medward.traffic import packets
from medward.traffic.parsing import parse
from tests.traffic.captures import BEGIN, batch
from tools.lab import frames
from tools.lab.attacks.spoofing import altered
from tools.lab.devices.dhcp import DISCOVER, message, read_message
from tools.lab.devices.hl7 import framed
from tools.lab.devices.mqtt import connect_packet, packet, text

ONE, OTHER = ("02:11:22:33:44:55", "10.1.2.3"), ("06:99:88:77:66:55", "10.1.2.200")


def sent(protocol: int, payload: bytes) -> bytes:
    return frames.ethernet(ONE[0], OTHER[0], 0x0800, frames.ipv4(ONE[1], OTHER[1], protocol, payload, 128))


def tcp_with(payload: bytes) -> bytes:
    head = struct.pack("!HHIIBBHHH", 40_000, 1883, 7, 9, 0x50, frames.PSH | frames.ACK, 64_240, 0, 0)
    segment = head + payload
    total = frames.transport_checksum(frames.octets_of(ONE[1]), frames.octets_of(OTHER[1]), frames.TCP, segment)
    return sent(frames.TCP, segment[:16] + struct.pack("!H", total) + segment[18:])


def sums_up(frame: bytes) -> bool:
    """Whether both checksums are right: with them, the sums are 0 (RFC 1071)."""
    segment = frame[34 : 14 + struct.unpack_from("!H", frame, 16)[0]]
    return (
        frames.checksum(frame[14:34]) == frames.transport_checksum(frame[26:30], frame[30:34], frame[23], segment) == 0
    )


def test_meter_reads_the_frames():
    wire = [
        sent(frames.TCP, frames.tcp(ONE[1], OTHER[1], (1000, 502), frames.SYN, 5)),
        sent(frames.UDP, frames.udp(ONE[1], OTHER[1], (1001, 53), b"query")),
        sent(frames.ICMP, frames.icmp_echo(7, 1, b"ping")),
        frames.ethernet(ONE[0], frames.BROADCAST, 0x0806, frames.arp(1, *ONE, "00:00:00:00:00:00", OTHER[1])),
    ]
    headers = parse(batch([(BEGIN + n, frame) for n, frame in enumerate(wire)]))
    assert not headers["trouble"].any()
    assert headers["kind"].tolist() == [packets.IPV4] * 3 + [packets.ARP]
    assert headers["protocol"].tolist()[:3] == [packets.TCP, packets.UDP, packets.ICMP]
    assert headers["target_port"].tolist()[:2] == [502, 53]
    assert headers["flags"][0] == packets.SYN
    assert headers["arp_mac"][3] == int(ONE[0].replace(":", ""), 16)
    assert all(sums_up(frame) for frame in wire[:2])


@pytest.mark.parametrize(
    "payload",
    [
        packet(3, text("ward/bed1/hr") + b'{"ts": 1795905366.6, "hr": 78.4, "spo2": 97.2}'),
        packet(3, text("ward/bed1/raw/x") + bytes(range(128, 160))),
        framed(["MSH|^~\\&|PUMP|WARD|HIS|H|2026||ORU^R01|77|P|2.5", "OBX|1|NM|RATE||25.7||||||F"]),
    ],
)
def test_alteration_changes_a_value_and_nothing_else(payload):
    frame = tcp_with(payload)
    changed = altered(frame, Random(1))
    places = [at for at in range(len(frame)) if frame[at] != changed[at]]
    assert len(changed) == len(frame)
    assert {50, 51} & set(places)  # the checksum
    assert 1 <= len([at for at in places if at > 54]) <= 4
    assert set(places) <= {50, 51, *range(54 + 16, len(frame))}
    assert sums_up(frame)
    assert sums_up(changed)


@pytest.mark.parametrize(
    "frame",
    [
        sent(frames.UDP, frames.udp(ONE[1], OTHER[1], (1, 2), b'{"hr": 78.4, "spo2": 97.2, "resp": 14}')),
        tcp_with(b""),
        tcp_with(packet(12, b"")),
    ],
)
def test_what_holds_no_measurement_is_forwarded_as_it_is(frame):
    assert altered(frame, Random(1)) == frame


def test_dhcp_messages_are_read_back_and_others_are_not():
    mac = frames.octets_of(ONE[0])
    asked = message(1, 0xABCDEF01, mac, DISCOVER)
    assert read_message(asked) == (0xABCDEF01, mac, DISCOVER)
    assert read_message(asked[:200]) is None
    assert read_message(bytes(300)) is None


def test_lengths_of_mqtt_go_over_several_octets():
    assert packet(3, bytes(127))[:2] == b"\x30\x7f"
    assert packet(3, bytes(128))[:3] == b"\x30\x80\x01"
    assert connect_packet("a")[-3:] == b"\0\1a"
