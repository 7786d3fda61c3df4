"""The plan of a laboratory run: a ward of devices and servers on one network, and who attacks whom, when and how.

A plan is data. It is drawn from a seed (drawing.py), so every process of a run draws the same one by itself.
"""

from dataclasses import dataclass, field
from typing import Any

#: Frames a second that one attack sends at most, and seconds that one run may last.
MOST_FRAMES = 1_000
MOST_SECONDS = 900

#: Each way to attack, with the class of medward-flow that labels give it.
CLASSES = {
    "syn_scan": "Recon-Port_Scan",
    "connect_scan": "Recon-Port_Scan",
    "slow_scan": "Recon-Slow_Scan",
    "icmp_sweep": "Recon-Ping_Sweep",
    "arp_sweep": "Recon-ARP_Sweep",
    "syn_flood": "TCP_IP-DoS-SYN",
    "connection_flood": "TCP_IP-Connection_Flood",
    "mqtt_connection_flood": "MQTT-DoS-Connect_Flood",
    "arp_spoofing": "ARP_Spoofing",
    "alteration": "Data_Alteration",
    "mqtt_guessing": "MQTT-Brute_Force",
    "http_guessing": "HTTP-Brute_Force",
    "ssh_guessing": "SSH-Brute_Force",
    "ftp_guessing": "FTP-Brute_Force",
    "mqtt_malformed": "MQTT-Malformed_Data",
    "malformed_packets": "TCP_IP-Malformed_Packets",
    "dhcp_starvation": "DHCP-Starvation",
    "exfiltration": "Exfiltration",
}


@dataclass(frozen=True)
class Role:
    """One thing that a host does: a device's behaviour, or a service.

    Args:
        name: which program of devices/ runs.
        settings: what was drawn for it: peer's address, port, topic, format, interval and so on.
    """

    name: str
    settings: dict[str, Any]


@dataclass(frozen=True)
class Host:
    """A machine of the ward, in a network namespace of its own.

    Args:
        name: of its namespace.
        mac, address: of its only interface.
        ttl: that its packets start with.
        ipv6: whether it speaks IPv6 (link-local alone).
        gateway: the address of the machine that it sends through, or none; its frames are seen twice, with other MAC
            addresses, as where a SPAN port shows both sides of a router.
        roles: what it does; an intruder's machine only waits for what is sent to it.
        loss: the share of TCP segments that are lost on their way to it, after they were captured, as over radio.
    """

    name: str
    mac: str
    address: str
    ttl: int = 64
    ipv6: bool = False
    gateway: str = ""
    roles: tuple[Role, ...] = ()
    loss: float = 0.0


@dataclass(frozen=True)
class Attack:
    """One attack of a run.

    Args:
        method: a key of `CLASSES`.
        start: seconds after the capture began.
        seconds: how long it goes on at most.
        attacker: the host that it comes from.
        victims: the hosts that it is aimed at; none where it is aimed at the whole network.
        settings: what was drawn for it.
    """

    method: str
    start: float
    seconds: float
    attacker: str
    victims: tuple[str, ...]
    settings: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Ward:
    """All of a run.

    Args:
        seed: what it was drawn from.
        seconds: how long it is captured.
        network: the first three octets of its addresses, which have a mask of 24 bits.
        hosts, attacks: who is there, and what is done to them, in the order of time.
        kinds: the kinds of devices that were asked for; empty for all.
        surroundings: whether other machines stand around the medical ones.
        seen_twice: whether each frame is captured twice, as where a SPAN port mirrors both sides of a switch.
    """

    seed: int
    seconds: float
    network: str
    hosts: tuple[Host, ...]
    attacks: tuple[Attack, ...]
    kinds: tuple[str, ...] = ()
    seen_twice: bool = False
    surroundings: bool = True

    def host(self, name: str) -> Host:
        """Return a host by its name."""
        return next(host for host in self.hosts if host.name == name)

    def labels(self, attack: Attack, start: float, end: float) -> list[dict[str, Any]]:
        """Return the entries of the labels file for an attack that was under way from `start` to `end` (epoch seconds).

        There is one for each victim; an attack on the whole network has one, whose victim is the network.
        """
        attacker = self.host(attack.attacker)
        victims = [self.host(name).address for name in attack.victims] or [f"{self.network}.0/24"]
        return [
            {
                "class": CLASSES[attack.method],
                "start": start,
                "end": end,
                "attacker": attacker.address,
                "mac": attacker.mac,
                "victim": victim,
            }
            for victim in victims
        ]
