"""Drawing a ward from a seed: another seed gives other devices, addresses, timing, payloads and attacks."""

import string
from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import Any

from tools.lab.draw_attacks import draw_attacks
from tools.lab.draw_surroundings import draw_loss, draw_surroundings
from tools.lab.plan import MOST_SECONDS, Host, Role, Ward

_MONITORED = ("hr", "spo2", "resp", "temp", "nibp_sys", "nibp_dia", "etco2", "map", "rate", "volume", "pressure")
_PLACES = ("icu", "er", "ward", "or", "nicu", "bed", "floor", "unit", "room", "dialysis", "recovery", "lab")
_FORMATS = ("json", "nested", "pairs", "csv", "binary", "senml")
_MESSAGES = ("ORU^R01", "ADT^A08", "ORM^O01", "ADT^A01", "RDE^O11", "MDM^T02", "SIU^S12")
#: How many machines may stand around the medical ones, and the share of wards whose frames are captured twice.
_MOST_AROUND, _SEEN_TWICE = 40, 0.25
_RESOURCES = ("Patient", "Observation", "Device", "MedicationRequest", "Encounter", "Condition")


def draw_ward(
    seed: int,
    seconds: float,
    methods: Sequence[str] | None = None,
    kinds: Sequence[str] | None = None,
    surroundings: bool = True,
) -> Ward:
    """Draw a run.

    Args:
        seed: any whole number.
        seconds: how long the run is captured, 1 to `MOST_SECONDS`.
        methods: the attacks, in this order and all of them, however short that makes each; as many as fit, drawn at
            random, where there are none.
        kinds: the kinds of medical devices and cameras that the ward has, keys of `KINDS`; all, where there are none.
        surroundings: whether other machines stand around these, segments are lost and some wards are captured twice.

    Raises:
        ValueError: the run is too long, or too short for a ward; a kind does not exist, or has nothing that a method
            could attack.
    """
    if unknown := [kind for kind in kinds or () if kind not in KINDS]:
        raise ValueError(f"there is no kind of device {unknown[0]!r}: name some of {', '.join(KINDS)}")
    if not 1 <= seconds <= MOST_SECONDS:
        raise ValueError(f"a run lasts 1 to {MOST_SECONDS} seconds, not {seconds:g}")
    random = Random(f"ward {seed}")
    network = _network(random)
    numbers = random.sample(range(2, 255), 40)
    macs = _macs(random)
    hosts: list[Host] = []

    def add(roles: Sequence[Role], gateway: str = "") -> Host:
        number = len(hosts)
        ttl = random.choice((64, 64, 64, 128, 255))
        address, ipv6 = f"{network}.{numbers[number]}", random.random() < 0.3
        host = Host(f"host{number}", next(macs), address, ttl, ipv6, gateway, tuple(roles))
        hosts.append(host)
        return host

    services = _services(random)
    shared: dict[str, tuple[str, dict[str, Any]]] = {}
    for group in _groups(random, services):
        host = add(group)
        shared |= {role.name: (host.address, role.settings) for role in group}
    controller = [add([_modbus_slave(random)]) for _ in range(random.randint(1, 2))]
    gateway = add([Role("gateway", {})]).address if random.random() < 0.4 else ""
    first = [KINDS[kind] for kind in kinds] if kinds else list(_MEDICAL)
    for number, make in enumerate([*first, *_more_devices(random, first if kinds else None)]):
        # The first of each kind speaks directly, so that somebody can be spoken between.
        behind = gateway if number >= len(first) and random.random() < 0.7 else ""
        add([*make(random, shared), *_everyday(random, shared)], behind)
    add([_modbus_master(random, [host.address for host in controller])])
    add(_workstation(random, shared, [host.address for host in hosts]))
    devices = list(hosts)
    intruders = [add([_collector(random)]) for _ in range(random.randint(1, 2))]
    attacks = tuple(draw_attacks(Random(f"attacks {seed}"), seconds, devices, intruders, methods))
    if not surroundings:
        return Ward(seed, seconds, network, tuple(hosts), attacks, tuple(kinds or ()), surroundings=False)
    # Drawn by themselves, so that a ward's devices and attacks are the same without them.
    around = Random(f"surroundings {seed}")
    numbers += around.sample(sorted({*range(2, 255)} - {*numbers}), _MOST_AROUND)
    draw_surroundings(around, shared, lambda roles: add(roles).address)
    twice = around.random() < _SEEN_TWICE
    lossy = tuple(replace(host, loss=draw_loss(around)) for host in hosts)
    return Ward(seed, seconds, network, lossy, attacks, tuple(kinds or ()), twice)


def _network(random: Random) -> str:
    return random.choice(
        (
            f"10.{random.randrange(256)}.{random.randrange(256)}",
            f"172.{random.randint(16, 31)}.{random.randrange(256)}",
            f"192.168.{random.randrange(256)}",
        )
    )


def _macs(random: Random) -> Any:
    makers = [random.randbytes(3) for _ in range(random.randint(3, 8))]
    seen = set()
    while True:
        first = random.choice(makers)
        octets = bytes([first[0] & 0xFC, *first[1:]]) + random.randbytes(3)
        if octets not in seen:
            seen.add(octets)
            yield octets.hex(":")


def _word(random: Random, length: int) -> str:
    return "".join(random.choices(string.ascii_lowercase + string.digits, k=length))


def _services(random: Random) -> list[Role]:
    """The services of a ward. Passwords guard nothing: they exist in the run's own namespaces alone."""
    accounts = {f"{random.choice(_PLACES)}{_word(random, 3)}": _word(random, 10) for _ in range(8)}
    return [
        Role("mqtt_broker", {"port": 1883, "accounts": accounts}),
        Role("hl7_receiver", {"port": 2575, "refuses": random.choice((0.0, 0.0, 0.01, 0.03))}),
        Role("dicom_archive", {"port": random.choice((104, 11112)), "title": _word(random, 8).upper()}),
        Role("fhir_server", {"port": random.choice((80, 8080)), "token": _word(random, 24)}),
        Role("ftp_server", {"port": 21, "user": _word(random, 6), "password": _word(random, 10)}),
        Role("ssh_server", {"port": 22, "banner": random.choice(("OpenSSH_9.6", "OpenSSH_8.9p1", "dropbear_2022.83"))}),
        Role("name_server", {"port": 53}),
        Role("time_server", {"port": 123}),
        Role("app_server", {"ports": [random.choice((443, 8443)), *random.sample(range(1_024, 60_000), 2)]}),
        Role("sink", {"port": random.randint(5_000, 60_000)}),
        Role("dhcp_server", {"first": random.randint(2, 200), "count": random.randint(20, 50)}),
    ]


def _groups(random: Random, services: list[Role]) -> list[list[Role]]:
    """Share the services among two to four servers."""
    groups: list[list[Role]] = [[] for _ in range(random.randint(2, 4))]
    for number, service in enumerate(random.sample(services, len(services))):
        (groups[number] if number < len(groups) else random.choice(groups)).append(service)
    return groups


def _more_devices(random: Random, makers: list[Any] | None) -> list[Any]:
    number = random.randint(2, 5)
    if makers is not None:
        return random.choices(makers, k=number)
    return random.choices((*_MEDICAL, _camera), weights=(4, 2, 1, 2, 2), k=number)


Services = dict[str, tuple[str, dict[str, Any]]]


def _pace(random: Random, low: float, high: float) -> dict[str, float]:
    """An interval, in seconds, from `low` to `high` on a logarithmic scale, and how much it varies."""
    return {"interval": low * (high / low) ** random.random(), "jitter": random.uniform(0.02, 0.4)}


def _lease(random: Random, services: Services) -> Role:
    return Role("dhcp_client", {"server": services["dhcp_server"][0], **_pace(random, 20, 90)})


def _everyday(random: Random, services: Services) -> list[Role]:
    """What a machine does besides its work."""
    found = []
    if random.random() < 0.4:
        way = random.choice(("server", "server", "all", "search"))
        settings = {"server": services["name_server"][0], "way": way, "burst": random.randint(1, 8)}
        found.append(Role("names", settings | _pace(random, 2, 40)))
    if random.random() < 0.3:
        found.append(Role("clock", {"server": services["time_server"][0], **_pace(random, 5, 60)}))
    if random.random() < 0.4:
        found.append(_sessions(random, services))
    if random.random() < 0.25:
        found.append(Role("restarts", _pace(random, 20, 120)))
    return found


def _sessions(random: Random, services: Services) -> Role:
    server, settings = services["app_server"]
    closed = [random.randint(1024, 60_000)] if random.random() < 0.3 else []
    drawn = {
        "server": server,
        "ports": [*random.sample(settings["ports"], random.randint(1, 3)), *closed],
        "burst": random.randint(1, 6),
        "exchanges": random.randint(1, 12),
        "longest": random.choice((100, 1_000, 12_000)),
    }
    return Role("sessions", drawn | _pace(random, 1, 30))


def _camera(random: Random, services: Services) -> list[Role]:
    server, settings = services["sink"]
    low = random.randint(80, 900)
    sizes = (low, random.randint(low, 1_300))
    return [Role("stream", {"server": server, **settings, "sizes": sizes, **_pace(random, 0.02, 0.2)})]


def _mqtt_sensor(random: Random, services: Services) -> list[Role]:
    server, broker = services["mqtt_broker"]
    user, password = random.choice(list(broker["accounts"].items()))
    topic = "/".join(random.choice((random.choice(_PLACES), _word(random, 4))) for _ in range(random.randint(2, 5)))
    settings = {
        "server": server,
        "port": broker["port"],
        "user": user,
        "password": password,
        "client": _word(random, random.randint(4, 20)),
        "topics": [f"{topic}/{name}" for name in random.sample(_MONITORED, random.randint(1, 3))],
        "format": random.choice(_FORMATS),
        "fields": random.sample(_MONITORED, random.randint(2, 7)),
        "qos": random.randint(0, 1),
        "subscribes": random.random() < 0.4,
        # Now and then a monitor loses its Wi-Fi and comes back, some with an old password first.
        "reconnects": random.choice((0.0, 0.0, 0.02, 0.05)),
        "forgets": random.random() < 0.3,
        **_pace(random, 0.15, 2.5),
    }
    return [Role("mqtt_sensor", settings), _lease(random, services)]


def _hl7_device(random: Random, services: Services) -> list[Role]:
    server, receiver = services["hl7_receiver"]
    settings = {
        "server": server,
        "port": receiver["port"],
        "name": _word(random, 6).upper(),
        "version": random.choice(("2.3", "2.3.1", "2.4", "2.5", "2.5.1", "2.6")),
        "types": random.sample(_MESSAGES, random.randint(1, 3)),
        "fields": random.sample(_MONITORED, random.randint(1, 8)),
        "keeps": random.random() < 0.6,
        **_pace(random, 0.4, 5),
    }
    return [Role("hl7_device", settings), _lease(random, services)]


def _dicom_modality(random: Random, services: Services) -> list[Role]:
    server, archive = services["dicom_archive"]
    settings = {
        "server": server,
        "port": archive["port"],
        "title": archive["title"],
        "name": _word(random, 7).upper(),
        "size": random.choice((64, 96, 128, 200, 256)),
        "images": random.randint(1, 3),
        "echoes": random.random() < 0.5,
        **_pace(random, 4, 18),
    }
    return [Role("dicom_modality", settings), _lease(random, services)]


def _fhir_client(random: Random, services: Services) -> list[Role]:
    server, fhir = services["fhir_server"]
    settings = {
        "server": server,
        "port": fhir["port"],
        "token": fhir["token"],
        "resources": random.sample(_RESOURCES, random.randint(1, 4)),
        "fields": random.sample(_MONITORED, random.randint(1, 5)),
        "writes": random.random(),
        "keeps": random.random() < 0.5,
        # A token that has run out: one refusal, then a new one.
        "expires": random.choice((0.0, 0.02, 0.06)),
        **_pace(random, 0.5, 6),
    }
    return [Role("fhir_client", settings), _lease(random, services)]


def _modbus_slave(random: Random) -> Role:
    return Role("modbus_slave", {"port": 502, "registers": random.randint(20, 200)})


def _modbus_master(random: Random, slaves: list[str]) -> Role:
    return Role(
        "modbus_master",
        {
            "servers": slaves,
            "port": 502,
            "unit": random.randint(1, 30),
            "count": random.randint(1, 20),
            "writes": random.choice((0.0, 0.05, 0.2)),
            **_pace(random, 0.2, 2),
        },
    )


def _workstation(random: Random, services: Services, addresses: list[str]) -> list[Role]:
    """An engineer's machine: what it does looks a little like attacks, and is none."""
    roles = [
        Role("watcher", {"addresses": random.sample(addresses, random.randint(2, 5)), **_pace(random, 8, 30)}),
        Role(
            "ftp_client",
            {
                "server": services["ftp_server"][0],
                **services["ftp_server"][1],
                "bytes": random.randint(2_000, 400_000),
                **_pace(random, 20, 80),
            },
        ),
        Role("ssh_client", {"server": services["ssh_server"][0], **services["ssh_server"][1], **_pace(random, 20, 70)}),
    ]
    return [*random.sample(roles, random.randint(1, 3)), _sessions(random, services)]


_MEDICAL = (_mqtt_sensor, _hl7_device, _dicom_modality, _fhir_client)
KINDS = dict(zip(("mqtt", "hl7", "dicom", "fhir", "camera"), (*_MEDICAL, _camera), strict=True))


def _collector(random: Random) -> Role:
    """An intruder's own service, to which others' records are carried off."""
    return Role("collector", {"port": random.choice((80, 443, 8080, 4444, random.randint(10_000, 60_000)))})
