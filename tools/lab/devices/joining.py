"""Machines that come to the network: an address, whether it is free, and for some a lot that they tell and ask then."""

import contextlib
import http.client
import socket
import struct
import time
from pathlib import Path
from random import Random
from typing import Any

from tools.lab.devices.dhcp import DISCOVER, REQUEST, message
from tools.lab.devices.service import wait
from tools.lab.frames import BROADCAST, UDP, arp, ethernet, ipv4, octets_of, udp

_ARP, _IPV4 = 0x0806, 0x0800
_EVERYBODY, _NOBODY = "255.255.255.255", "0.0.0.0"
_NAMES_GROUP, _NAMES_PORT = "224.0.0.251", 5353
_SERVICES_GROUP, _SERVICES_PORT = "239.255.255.250", 1900


def restarts(settings: dict[str, Any], address: str, random: Random) -> None:
    """Join the network anew from time to time: ask for an address, ask whether it is free, announce it."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as wire:
        wire.bind(("eth0", 0))
        while True:
            wait(settings, random)
            _ask_for_address(wire, address, random)


def joins(settings: dict[str, Any], address: str, random: Random) -> None:
    """Join anew and set up: groups, claim a name (RFC 6762), tell of services (UPnP), ask for names, time, pages."""
    with (
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as wire,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own,
    ):
        wire.bind(("eth0", 0))
        own.bind((address, 0))
        own.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, octets_of(address))
        own.settimeout(0.3)
        while True:
            wait(settings, random)
            _ask_for_address(wire, address, random)
            _tell(own, address, settings, random)
            for port, server, times in ((53, "name server", "names"), (123, "time server", "clocks")):
                for _ in range(random.randint(0, settings[times])):
                    own.sendto(_question(random) if port == 53 else b"\x23" + bytes(47), (settings[server], port))
                    with contextlib.suppress(TimeoutError):
                        own.recv(2048)
            for _ in range(random.randint(0, settings["pages"])):
                _fetch(settings, random)
                time.sleep(random.uniform(0, settings["pause"]))


def _ask_for_address(wire: socket.socket, address: str, random: Random) -> None:
    mac = Path("/sys/class/net/eth0/address").read_text().strip()
    transaction = random.getrandbits(32)
    for kind in (*([DISCOVER] * random.randint(1, 3)), REQUEST):
        asked = udp(_NOBODY, _EVERYBODY, (68, 67), message(1, transaction, octets_of(mac), kind))
        wire.send(ethernet(mac, BROADCAST, _IPV4, ipv4(_NOBODY, _EVERYBODY, UDP, asked)))
        time.sleep(random.uniform(0.05, 1))
    for claimed in (_NOBODY, _NOBODY, address):
        question = arp(1, mac, claimed, "00:00:00:00:00:00", address)
        wire.send(ethernet(mac, BROADCAST, _ARP, question.ljust(46, b"\0")))
        time.sleep(random.uniform(0.1, 1))


def _tell(own: socket.socket, address: str, settings: dict[str, Any], random: Random) -> None:
    """Join two groups, which the kernel tells by IGMP, claim a name three times, and tell of services."""
    for group in (_NAMES_GROUP, _SERVICES_GROUP):
        membership = octets_of(group) + octets_of(address)
        with contextlib.suppress(OSError):  # once joined, a group is not told of again
            own.setsockopt(socket.IPPROTO_IP, socket.IP_DROP_MEMBERSHIP, membership)
        own.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, membership)
    for _ in range(random.randint(1, 4)):
        own.sendto(_question(random) + random.randbytes(random.randint(20, 300)), (_NAMES_GROUP, _NAMES_PORT))
        time.sleep(0.25)
    for number in range(random.randint(0, settings["services"])):
        name = f"{number}{'x' * random.randint(0, 200)}"
        told = f"NOTIFY * HTTP/1.1\r\nHOST: {_SERVICES_GROUP}:1900\r\nNTS: ssdp:alive\r\nUSN: {name}\r\n\r\n"
        own.sendto(told.encode(), (_SERVICES_GROUP, _SERVICES_PORT))
        time.sleep(random.uniform(0, 0.1))


def _question(random: Random) -> bytes:
    host = f"{random.getrandbits(48):x}".encode()
    head = struct.pack("!HHHHHH", random.getrandbits(16), 0x0100, 1, 0, 0, 0)
    return head + bytes([len(host)]) + host + b"\x03net\0" + struct.pack("!HH", random.choice((1, 12, 28)), 1)


def _fetch(settings: dict[str, Any], random: Random) -> None:
    """Fetch a page, over a connection of its own."""
    with contextlib.suppress(OSError, http.client.HTTPException):
        connection = http.client.HTTPConnection(random.choice(settings["web servers"]), settings["web port"], timeout=5)
        with contextlib.closing(connection):
            connection.request("GET", f"/{random.getrandbits(24):x}/{random.randrange(settings['largest'])}")
            connection.getresponse().read()
