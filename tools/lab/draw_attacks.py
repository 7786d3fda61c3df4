"""Drawing the attacks of a run: which, from where, at whom, how fast."""

from collections.abc import Sequence
from random import Random
from typing import Any

from tools.lab.plan import CLASSES, Attack, Host, Role

#: Seconds before the first attack, in which the ward alone is heard, and after the last one.
QUIET, TAIL = 15.0, 5.0
#: Seconds that each method goes on, lowest and highest, where it is not told here.
_SECONDS = (6.0, 11.0)
_LONG = {
    "slow_scan": (12.0, 20.0),
    "exfiltration": (14.0, 24.0),
    "arp_spoofing": (8.0, 12.0),
    "alteration": (8.0, 12.0),
}
_SERVICE = {
    "mqtt_connection_flood": "mqtt_broker",
    "mqtt_guessing": "mqtt_broker",
    "mqtt_malformed": "mqtt_broker",
    "http_guessing": "fhir_server",
    "ssh_guessing": "ssh_server",
    "ftp_guessing": "ftp_server",
    "dhcp_starvation": "dhcp_server",
}
_LISTENING = {"mqtt_broker", "hl7_receiver", "dicom_archive", "fhir_server", "ftp_server", "ssh_server", "modbus_slave"}
_OF_THE_WHOLE_NETWORK = ("icmp_sweep", "arp_sweep")


def draw_attacks(
    random: Random, seconds: float, hosts: Sequence[Host], intruders: Sequence[Host], methods: Sequence[str] | None
) -> list[Attack]:
    """Draw the attacks of a run by `intruders` on `hosts`; `methods` as in `draw_ward`.

    Raises:
        ValueError: a method does not exist, or the methods asked for do not fit into the run.
    """
    unknown = [method for method in methods or () if method not in CLASSES]
    if unknown:
        raise ValueError(f"there is no attack {unknown[0]!r}: name some of {', '.join(CLASSES)}")
    impossible = _impossible(list(CLASSES) if methods is None else methods, hosts)
    if methods is not None:
        if impossible:
            raise ValueError(f"no device of the ward says what {impossible[0]} needs: ask for mqtt or hl7 devices")
        return _all_of_them(random, seconds, hosts, intruders, methods)
    attacks: list[Attack] = []
    at = random.uniform(QUIET, QUIET + 5)
    for method in random.sample(list(CLASSES), len(CLASSES)):
        length = random.uniform(*_LONG.get(method, _SECONDS))
        if method not in impossible and at + length + TAIL <= seconds:
            attacks.append(_attack(random, method, at, length, hosts, intruders))
            at += length + random.uniform(4, 9)
    return attacks


def _all_of_them(
    random: Random, seconds: float, hosts: Sequence[Host], intruders: Sequence[Host], methods: Sequence[str]
) -> list[Attack]:
    """Share the time after a short quiet among the methods that were asked for, in their order."""
    if not methods:
        return []
    quiet = min(QUIET, seconds / 4)
    share = (seconds - quiet - 1) / len(methods)
    if share < 2.5:
        raise ValueError(f"{len(methods)} attacks need {quiet + 1 + 2.5 * len(methods):g} seconds or more")
    attacks = []
    for number, method in enumerate(methods):
        longest = random.uniform(*_LONG.get(method, _SECONDS))
        length = min(longest, share * 0.75)
        attacks.append(_attack(random, method, quiet + number * share, length, hosts, intruders))
    return attacks


def _attack(
    random: Random, method: str, start: float, length: float, hosts: Sequence[Host], intruders: Sequence[Host]
) -> Attack:
    attacker = random.choice(intruders)
    # A label knows a victim by its address, which the gateway uses as well for machines behind it.
    direct = [host for host in hosts if not host.gateway]
    settings: dict[str, Any] = {"seed": random.getrandbits(32)}
    if method in _OF_THE_WHOLE_NETWORK:
        return Attack(method, start, length, attacker.name, (), settings | {"rate": random.uniform(15, 120)})
    if method in ("arp_spoofing", "alteration"):
        victims, settings["role"] = _conversation(random, direct, altered=method == "alteration")
        return Attack(method, start, length, attacker.name, victims, settings)
    if method == "exfiltration":
        return _exfiltration(random, start, length, hosts, attacker, settings)
    victim = random.choice(direct)
    if method in _SERVICE:
        victim = next(host for host in hosts if any(role.name == _SERVICE[method] for role in host.roles))
        settings |= next(role.settings for role in victim.roles if role.name == _SERVICE[method])
    elif method in ("syn_flood", "connection_flood", "malformed_packets"):
        victim = random.choice([host for host in direct if any("port" in r.settings for r in _listening(host))])
        settings["port"] = random.choice([role.settings["port"] for role in _listening(victim)])
    return Attack(method, start, length, attacker.name, (victim.name,), settings | _speed(random, method))


def _listening(host: Host) -> list[Any]:
    return [role for role in host.roles if role.name in _LISTENING]


def _speakers(hosts: Sequence[Host], altered: bool) -> list[tuple[Host, Role]]:
    """Return the devices that somebody can be between, each with the role in which it speaks."""
    wanted = ("mqtt_sensor", "hl7_device", *(() if altered else ("fhir_client", "dicom_modality")))
    return [(host, role) for host in hosts for role in host.roles if role.name in wanted]


def _impossible(methods: Sequence[str], hosts: Sequence[Host]) -> list[str]:
    """Return the methods for which the ward has no device."""
    speakers = {name: _speakers(hosts, name == "alteration") for name in ("arp_spoofing", "alteration")}
    return [method for method in methods if speakers.get(method) == []]


def _conversation(random: Random, hosts: Sequence[Host], altered: bool) -> tuple[tuple[str, ...], str]:
    """A device and the server that it speaks with, and how; alteration needs values that it can alter."""
    pairs = _speakers(hosts, altered)
    # A slow device may say nothing while it is attacked; nobody alters what is not said.
    quick = [pair for pair in pairs if pair[1].settings["interval"] < 2] if altered else pairs
    device, role = random.choice(quick or pairs)
    server = next(host for host in hosts if host.address == role.settings["server"])
    return (device.name, server.name), role.name


def _exfiltration(
    random: Random, start: float, length: float, hosts: Sequence[Host], attacker: Host, settings: dict[str, Any]
) -> Attack:
    """Records leave slowly, from a server or a device that was taken over, to the intruder's machine."""
    taken = random.choice(hosts)
    settings |= {
        "way": random.choice(("http", "dns", "icmp", "tcp")),
        "port": attacker.roles[0].settings["port"],
        "bytes": random.randint(300, 1_300),
        "interval": random.uniform(0.15, 0.6),
    }
    return Attack("exfiltration", start, length, taken.name, (attacker.name,), settings)


def _speed(random: Random, method: str) -> dict[str, Any]:
    """What else is drawn for a method: packets or tries a second, and how they look."""
    rate = {
        "syn_scan": (60, 300),
        "connect_scan": (30, 150),
        "slow_scan": (1.5, 4),
        "syn_flood": (200, 800),
        "connection_flood": (50, 150),
        "mqtt_connection_flood": (40, 120),
        "mqtt_guessing": (4, 20),
        "http_guessing": (4, 25),
        "ssh_guessing": (2, 10),
        "ftp_guessing": (2, 10),
        "mqtt_malformed": (0.8, 20),
        "malformed_packets": (10, 120),
        "dhcp_starvation": (10, 100),
    }[method]
    return {
        "rate": random.uniform(*rate),
        "spoofs": random.random() < 0.3,
        "logs in": random.random() < 0.5,
        "order": random.choice(("random", "upwards", "common first")),
    }
