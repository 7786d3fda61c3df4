"""DHCP starvation: asking for one address after the other, for devices that do not exist."""

from tools.lab.attacks.scene import Scene
from tools.lab.devices.dhcp import DISCOVER, REQUEST, message
from tools.lab.frames import BROADCAST, UDP, ethernet, ipv4, udp

_IPV4 = 0x0800
_EVERYBODY, _NOBODY = "255.255.255.255", "0.0.0.0"


def dhcp_starvation(scene: Scene) -> None:
    """Send DISCOVERs, or REQUESTs, for invented MAC addresses; frames have the attacker's own."""
    kind = scene.random.choice((DISCOVER, DISCOVER, REQUEST))
    for _ in scene.turns():
        mac = bytes([scene.random.randrange(256) & 0xFC]) + scene.random.randbytes(5)
        asked = message(1, scene.random.getrandbits(32), mac, kind)
        packet = ipv4(_NOBODY, _EVERYBODY, UDP, udp(_NOBODY, _EVERYBODY, (68, 67), asked), scene.attacker.ttl)
        scene.put(ethernet(scene.attacker.mac, BROADCAST, _IPV4, packet))
