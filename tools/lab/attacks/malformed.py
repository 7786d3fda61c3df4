"""Packets that standards forbid: MQTT control packets, and headers of IPv4, TCP and UDP that contradict themselves."""

import contextlib
import struct

from tools.lab.attacks.scene import Scene, connect
from tools.lab.devices.mqtt import connect_packet
from tools.lab.frames import SYN, TCP, UDP, ethernet, ipv4, tcp, udp

_IPV4 = 0x0800


def mqtt_malformed(scene: Scene) -> None:
    """Send the broker packets of kinds, flags and lengths that do not exist, some from a client that has logged in."""
    random = scene.random
    for _ in scene.turns():
        body = random.randbytes(random.randrange(2, 60))
        # Kinds that do not exist, flags that they may not have, a QoS of 3; with a length that is right or is not.
        octets = bytes([random.choice((0x00, 0x13, 0x36, 0x80, 0xC3, 0xF1))])
        octets += bytes([random.choice((len(body), len(body), 0x7F, 0xFF))]) + body
        with contextlib.suppress(OSError), connect(scene) as connection:
            connection.settimeout(0.1)
            if scene.settings["logs in"]:
                user, password = random.choice(list(scene.settings["accounts"].items()))
                connection.sendall(connect_packet(f"{random.getrandbits(32):x}", user, password))
                connection.recv(4)
            connection.sendall(octets)
            connection.recv(64)


def malformed_packets(scene: Scene) -> None:
    """Send packets whose lengths, versions and flags cannot be."""
    random = scene.random
    own, victim = scene.attacker, scene.victim
    for _ in scene.turns():
        ports = (random.randrange(1024, 65_536), scene.settings["port"])
        segment = tcp(own.address, victim.address, ports, SYN, random.getrandbits(32))
        datagram = udp(own.address, victim.address, ports, random.randbytes(random.randrange(64)))
        packet = ipv4(own.address, victim.address, TCP, segment, own.ttl)
        match random.randrange(6):
            case 0:  # a TCP header shorter than its least
                packet = ipv4(own.address, victim.address, TCP, segment[:12] + b"\x10" + segment[13:], own.ttl)
            case 1:  # an IP header shorter than its least
                packet = bytes([0x42]) + packet[1:]
            case 2:  # a version that is not the Ethernet type's
                packet = bytes([0x75]) + packet[1:]
            case 3:  # longer than its frame
                packet = packet[:2] + struct.pack("!H", random.randint(2_000, 65_000)) + packet[4:]
            case 4:  # a UDP length that is none
                datagram = datagram[:4] + struct.pack("!H", random.choice((0, 7, 9_000))) + datagram[6:]
                packet = ipv4(own.address, victim.address, UDP, datagram, own.ttl)
            case _:  # all flags, or none
                flags = random.choice((0x00, 0x3F, 0x29))
                segment = tcp(own.address, victim.address, ports, flags, random.getrandbits(32))
                packet = ipv4(own.address, victim.address, TCP, segment, own.ttl)
        scene.put(ethernet(own.mac, victim.mac, _IPV4, packet.ljust(46, b"\0")))
