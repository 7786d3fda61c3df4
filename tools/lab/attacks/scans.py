"""Scans of one machine's ports, and sweeps of the network's addresses."""

import contextlib
import socket
import time

from tools.lab.attacks.scene import Scene
from tools.lab.frames import BROADCAST, SYN, TCP, arp, ethernet, icmp_echo, tcp

_ARP = 0x0806
#: Seconds for which the kernel goes on asking who has an address.
_ARP_TRIES = 2.2
_COMMON = (
    *(21, 22, 23, 25, 53, 80, 102, 104, 110, 111, 135, 139, 143, 161, 389, 443, 445, 502, 515, 554, 631, 993, 1433),
    *(1521, 1723, 1883, 2049, 2575, 3306, 3389, 4840, 5060, 5432, 5900, 6379, 8000, 8080, 8443, 8883, 9100, 11112),
    *(20000, 27017, 44818, 47808),
)


def _ports(scene: Scene) -> list[int]:
    order = scene.settings["order"]
    if order == "upwards":
        begin = scene.random.randrange(1, 2_000)
        return list(range(begin, begin + 20_000))
    others = scene.random.sample(range(1, 65_536), 20_000)
    return [*scene.random.sample(_COMMON, len(_COMMON)), *others] if order == "common first" else others


def syn_scan(scene: Scene) -> None:
    """Send SYNs and let the kernel reset what is answered, as half-open scans do."""
    ports = _ports(scene)
    own = scene.random.randrange(30_000, 60_000)
    for turn in scene.turns():
        segment = tcp(
            scene.attacker.address,
            scene.victim.address,
            (own, ports[turn % len(ports)]),
            SYN,
            scene.random.getrandbits(32),
            1024,
        )
        scene.send(scene.victim, TCP, segment)


def connect_scan(scene: Scene) -> None:
    """Open and close whole connections."""
    ports = _ports(scene)
    for turn in scene.turns():
        with socket.socket() as connection, contextlib.suppress(OSError):
            connection.settimeout(0.3)
            connection.connect((scene.victim.address, ports[turn % len(ports)]))


def icmp_sweep(scene: Scene) -> None:
    """Ask every address for an echo; the kernel asks by ARP who has it."""
    payload = bytes(scene.random.choice((0, 8, 32, 56)))
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as icmp:
        icmp.setblocking(False)
        identifier = scene.random.getrandbits(16)
        numbers = _numbers(scene)
        for turn in scene.turns():
            target = f"{scene.ward.network}.{numbers[turn % len(numbers)]}"
            with contextlib.suppress(OSError):  # the kernel says when nobody has an address
                icmp.sendto(icmp_echo(identifier, turn & 0xFFFF, payload), (target, 0))
    time.sleep(_ARP_TRIES)


def arp_sweep(scene: Scene) -> None:
    """Ask by ARP who has which address."""
    numbers = _numbers(scene)
    for turn in scene.turns():
        asked = f"{scene.ward.network}.{numbers[turn % len(numbers)]}"
        question = arp(1, scene.attacker.mac, scene.attacker.address, "00:00:00:00:00:00", asked)
        scene.put(ethernet(scene.attacker.mac, BROADCAST, _ARP, question.ljust(46, b"\0")))
    time.sleep(0.1)


def _numbers(scene: Scene) -> list[int]:
    numbers = list(range(1, 255))
    if scene.random.random() < 0.5:
        scene.random.shuffle(numbers)
    return numbers
