"""DHCP (RFC 2131): a server with a small pool, and devices that renew their leases."""

import contextlib
import socket
import struct
from pathlib import Path
from random import Random
from typing import Any

from tools.lab.devices.service import wait
from tools.lab.frames import octets_of

_COOKIE = b"\x63\x82\x53\x63"
DISCOVER, OFFER, REQUEST, ACK, NAK = 1, 2, 3, 5, 6
_END = b"\xff"


def message(
    operation: int, transaction: int, mac: bytes, kind: int, offered: bytes = bytes(4), options: bytes = b""
) -> bytes:
    """Return a message: `operation` 1 asks, 2 answers; `kind` is option 53."""
    head = struct.pack("!BBBBIHH", operation, 1, 6, 0, transaction, 0, 0x8000)
    addresses = bytes(4) + offered + bytes(8)
    return (
        head + addresses + mac.ljust(16, b"\0") + bytes(192) + _COOKIE + bytes([53, 1, kind]) + options + _END
    ).ljust(300, b"\0")


def read_message(octets: bytes) -> tuple[int, bytes, int] | None:
    """Return transaction, MAC address and kind of a message that is one."""
    if len(octets) < 243 or octets[236:240] != _COOKIE or octets[240:242] != b"\x35\x01":
        return None
    return struct.unpack_from("!I", octets, 4)[0], octets[28:34], octets[242]


def server(settings: dict[str, Any], address: str, random: Random) -> None:
    """Offer the pool's addresses until there are no more; renew those of the ward's own devices."""
    pool = settings["count"]
    leases: dict[bytes, int] = {}
    network = octets_of(address)[:3]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth0")
        udp.bind(("", 67))
        while True:
            octets, peer = udp.recvfrom(2048)
            asked = read_message(octets)
            if asked is None:
                continue
            transaction, mac, kind = asked
            renews = kind == REQUEST and peer[0] != "0.0.0.0"
            if not renews and mac not in leases and len(leases) >= pool:
                continue
            number = leases.setdefault(mac, len(leases)) if not renews else 0
            offered = octets_of(peer[0]) if renews else network + bytes([(settings["first"] + number) % 254 + 1])
            options = bytes([54, 4]) + octets_of(address) + struct.pack("!BBI", 51, 4, 3600)
            answer = message(2, transaction, mac, OFFER if kind == DISCOVER else ACK, offered, options)
            udp.sendto(answer, peer if renews else ("255.255.255.255", 68))


def client(settings: dict[str, Any], address: str, random: Random) -> None:
    """Renew the lease of this host's address from time to time."""
    mac = Path("/sys/class/net/eth0/address").read_text().strip()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind((address, 68))
        udp.settimeout(2)
        while True:
            udp.sendto(message(1, random.getrandbits(32), octets_of(mac), REQUEST), (settings["server"], 67))
            with contextlib.suppress(TimeoutError):
                udp.recv(2048)
            wait(settings, random)
