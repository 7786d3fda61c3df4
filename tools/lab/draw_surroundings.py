"""Drawing what stands around a ward's medical devices: cameras, offices, building automation; nobody attacks these.

Every bound is a guess at what such machines may do, wide, and taken from no capture. A ward has some of them, not all.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from tools.lab.plan import Role

Services = dict[str, tuple[str, dict[str, Any]]]
#: Adds a machine with these roles to the ward and returns its address.
Add = Callable[[list[Role]], str]
#: Sizes of requests and answers in octets, how many a session has at most, the longest pause between two of them and
#: between sessions, in seconds; and the ports of such a service.
_TRANSFERS: dict[str, tuple[tuple[int, int], tuple[int, int], int, float, tuple[float, float], tuple[int, ...]]] = {
    "terminal": ((1, 8), (1, 200), 200, 0.6, (4, 60), (23, 23, 2323)),
    "screen": ((6, 60), (200, 60_000), 150, 0.4, (4, 60), (5900, 3389)),
    "share": ((80, 60_000), (80, 60_000), 60, 0.3, (4, 60), (445, 139, 2049)),
    "printing": ((20_000, 800_000), (0, 60), 3, 2.0, (10, 80), (9100, 631, 515)),
    "update": ((200, 900), (100_000, 2_000_000), 3, 3.0, (15, 90), (443, 8443)),
    "backup": ((100_000, 1_500_000), (0, 400), 4, 2.0, (20, 90), (873, 8443, 443)),
    "records": ((100, 3_000), (200, 30_000), 20, 1.0, (1, 30), (443, 1433, 5432, 8883)),
}
#: A network that stands for the world outside (RFC 2544 keeps it for benchmarks).
OUTSIDE = "198.18.0.0/15"
_WEB = (80, 8080)
_POLLED = (161, 514, 5683, 47_808, 1812, 20_000, 55_000)


@dataclass(frozen=True)
class _Surroundings:
    """What the kinds below are drawn with.

    Args:
        random: what everything is drawn from.
        services: the ward's own services.
        add: adds a machine.
        router: the address behind which the world outside is, or none.
        outside: addresses out there.
    """

    random: Random
    services: Services
    add: Add
    router: str
    outside: list[str]

    def place(self, server: Role, ports: Sequence[int]) -> tuple[list[str], int, list[Role]]:
        """Return where a service is, on which port, and what its clients do to find it: in the ward, or outside."""
        port = self.random.choice(ports)
        if self.router and self.random.random() < 0.6:
            some = self.random.sample(self.outside, self.random.randint(1, 20))
            return some, port, [Role("route", {"network": OUTSIDE, "router": self.router})]
        return [self.add([Role(server.name, server.settings | {"ports": [port]})])], port, []


def draw_surroundings(random: Random, services: Services, add: Add) -> None:
    """Add three to eight kinds of machines to a ward, and to most wards a router to a world outside.

    Args:
        random: what they are drawn from.
        services: the ward's own services, by role: address and settings.
        add: takes each machine.
    """
    router, outside = "", []
    if random.random() < 0.6:
        drawn = (f"198.{random.randint(18, 19)}.{random.randrange(256)}.{random.randint(1, 254)}" for _ in range(30))
        outside = list(dict.fromkeys(drawn))
        ports = sorted({port for *_, found in _TRANSFERS.values() for port in found})
        servers = [Role("web_server", {"ports": _WEB}), Role("transfer_server", {"ports": ports})]
        router = add([Role("outside", {"addresses": outside}), *servers])
    around = _Surroundings(random, services, add, router, outside)
    kinds = random.sample((_cameras, _browsers, _calls, _polls, _arrivals), random.randint(1, 4))
    for kind in kinds:
        kind(around)
    for name in random.sample(list(_TRANSFERS), random.randint(2, 4)):
        _transfers(around, name)


def draw_loss(random: Random) -> float:
    """Return the share of segments that a host loses: none for most, up to 4 % for the others."""
    return _between(random, 0.001, 0.04) if random.random() < 0.3 else 0.0


def _between(random: Random, low: float, high: float) -> float:
    """Return a number from `low` to `high`, on a logarithmic scale."""
    return float(low * (high / low) ** random.random())


def _pace(random: Random, low: float, high: float) -> dict[str, float]:
    return {"interval": _between(random, low, high), "jitter": random.uniform(0.02, 0.5)}


def _cameras(around: _Surroundings) -> None:
    random = around.random
    camera = {
        "port": random.choice((554, 8554)),
        "rate": _between(random, 2, 25),
        "picture": _between(random, 800, 20_000),
        "largest": random.randint(700, 1_400),
    }
    settings = {
        "server": around.add([Role("rtsp_camera", camera)]),
        "port": camera["port"],
        "path": f"{random.getrandbits(32):x}",
        "datagrams": random.random() < 0.5,
        "lasts": (4, _between(random, 8, 150)),
        "alive": _between(random, 3, 40),
        **_pace(random, 1, 30),
    }
    around.add([Role("recorder", settings)])


def _browsers(around: _Surroundings) -> None:
    random = around.random
    servers, port, finds = around.place(Role("web_server", {}), _WEB)
    for _ in range(random.randint(1, 2)):
        smallest = _between(random, 50, 2_000)
        settings = {
            "servers": servers,
            "port": port,
            "name server": around.services["name_server"][0],
            "names": random.randint(0, 6),
            "connections": random.randint(1, 8),
            "parts": random.randint(1, 8),
            "smallest": smallest,
            "largest": smallest * _between(random, 2, 200),
            "pause": _between(random, 0.01, 1),
            "breaks off": random.choice((0.0, 0.1, 0.4)),
            **_pace(random, 1, 40),
        }
        around.add([*finds, Role("browser", settings)])


def _calls(around: _Surroundings) -> None:
    random = around.random
    port = random.randrange(10_000, 40_000, 2)
    settings = {
        "server": around.add([Role("polled", {"ports": [port], "answers": "as long", "sizes": (0, 0)})]),
        "port": port,
        "size": random.choice((20, 80, 160, 240)),
        "every": random.choice((0.02, 0.03, 0.06)),
        "lasts": (2, _between(random, 5, 90)),
        **_pace(random, 3, 60),
    }
    around.add([Role("caller", settings)])


def _polls(around: _Surroundings) -> None:
    random = around.random
    port, answers = random.choice(_POLLED), random.choice(("noise", "noise", ""))
    low, least = random.randint(8, 120), random.randint(8, 300)
    polled = {"ports": [port], "answers": answers, "sizes": (least, least + random.randint(1, 900))}
    servers = [around.add([Role("polled", polled)]) for _ in range(random.randint(1, 3))]
    everybody = [f"{servers[0].rpartition('.')[0]}.255"] if random.random() < 0.3 else []
    settings = {
        "servers": servers + everybody,
        "port": port,
        "questions": random.randint(1, 12),
        "sizes": (low, low + random.randint(1, 200)),
        **_pace(random, 0.5, 30),
    }
    around.add([Role("polls", settings)])


def _arrivals(around: _Surroundings) -> None:
    """Machines that come to the network and set themselves up, as on a day on which something new is installed."""
    random = around.random
    servers, port, finds = around.place(Role("web_server", {}), _WEB)
    for _ in range(random.randint(1, 2)):
        settings = {
            "name server": around.services["name_server"][0],
            "time server": around.services["time_server"][0],
            "web servers": servers,
            "web port": port,
            "names": random.randint(0, 12),
            "clocks": random.randint(0, 6),
            "services": random.randint(0, 15),
            "pages": random.randint(0, 30),
            "largest": round(_between(random, 100, 30_000)),
            "pause": _between(random, 0.01, 1),
            **_pace(random, 5, 90),
        }
        around.add([*finds, Role("joins", settings)])


def _transfers(around: _Surroundings, name: str) -> None:
    """Add one or two machines that transfer something in the way of `name`."""
    random = around.random
    up, down, times, pause, interval, ports = _TRANSFERS[name]
    servers, port, finds = around.place(Role("transfer_server", {}), ports)
    for _ in range(random.randint(1, 2)):
        settings = {
            "servers": servers,
            "port": port,
            "up": _range(random, *up),
            "down": _range(random, *down),
            "times": random.randint(1, times),
            "pause": _between(random, pause / 20, pause),
            **_pace(random, *interval),
        }
        around.add([*finds, Role("transfers", settings)])


def _range(random: Random, low: int, high: int) -> tuple[int, int]:
    """Return two numbers from `low` to `high`, in order, on a logarithmic scale."""
    one, other = sorted(round(_between(random, low + 1, high + 1)) - 1 for _ in range(2))
    return one, other
