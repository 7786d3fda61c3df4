"""What an attack has at hand: who is who, how long and how fast it may go on, and a raw socket on its own interface."""

import errno
import socket
import time
from collections.abc import Iterator
from random import Random
from types import TracebackType
from typing import Self

from tools.lab.frames import ethernet, ipv4
from tools.lab.plan import MOST_FRAMES, Attack, Host, Ward

_IPV4, _EVERY_PROTOCOL = 0x0800, 0x0003


class Scene:
    """An attack under way; use it as a context.

    Args:
        ward: all of the run.
        attack: which of its attacks this is.
    """

    def __init__(self, ward: Ward, attack: Attack) -> None:
        self.ward, self.attack, self.settings = ward, attack, attack.settings
        self.attacker = ward.host(attack.attacker)
        self.victims = tuple(ward.host(name) for name in attack.victims)
        self.random = Random(attack.settings["seed"])
        self.wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self.wire.bind(("eth0", _EVERY_PROTOCOL))
        self._ends = time.monotonic() + attack.seconds

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.wire.close()

    @property
    def victim(self) -> Host:
        """The only victim, or the first."""
        return self.victims[0]

    @property
    def left(self) -> float:
        """Seconds that are left, 0 or less when it is over."""
        return self._ends - time.monotonic()

    def turns(self) -> Iterator[int]:
        """Count turns at the rate that was drawn, never above `MOST_FRAMES` a second, until the attack is over."""
        gap = 1 / min(self.settings["rate"], MOST_FRAMES)
        number = 0
        while self.left > 0:
            yield number
            number += 1
            time.sleep(gap * self.random.uniform(0.5, 1.5))

    def send(self, target: Host, protocol: int, payload: bytes, source: str | None = None) -> None:
        """Send an IPv4 packet to a host, from the attacker's address or an invented one."""
        packet = ipv4(
            source or self.attacker.address,
            target.address,
            protocol,
            payload,
            self.attacker.ttl,
            self.random.getrandbits(16),
        )
        self.put(ethernet(self.attacker.mac, target.mac, _IPV4, packet))

    def put(self, frame: bytes) -> None:
        """Put a frame on the wire."""
        put(self.wire, frame, self._ends)


def put(wire: socket.socket, frame: bytes, until: float) -> None:
    """Put a frame on the wire; while the interface's queue is full, wait, and after `until` (monotonic) leave it."""
    while True:
        try:
            wire.send(frame)
        except OSError as error:
            if error.errno != errno.ENOBUFS:
                raise
            if time.monotonic() < until:
                time.sleep(0.001)
                continue
        return


def connect(scene: Scene) -> socket.socket:
    """Connect to the port of the victim that was drawn.

    Raises:
        OSError: it does not answer within two seconds.
    """
    return socket.create_connection((scene.victim.address, scene.settings["port"]), 2)
