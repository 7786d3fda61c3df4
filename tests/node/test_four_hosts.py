"""The set-up of docs/run-a-node.md, command by command, on four hosts: network namespaces with an address each."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

MEDWARD = [sys.executable, "-c", "from medward.cli import main; main()"]
NAMES = ["north", "south", "east", "west"]


class Hosts:
    """Four hosts on one bridge, 10.77.x.1 to 4, named after the members; nothing leads out of it."""

    def __init__(self) -> None:
        self.tag = f"mw{os.getpid() % 10000}"
        self.bridge = f"{self.tag}br"
        self.nodes: dict[str, subprocess.Popen[bytes]] = {}

    def address(self, name: str) -> str:
        return f"10.77.{os.getpid() % 250}.{NAMES.index(name) + 1}"

    def space(self, name: str) -> str:
        return f"{self.tag}-{name}"

    def make(self) -> None:
        ip("link", "add", self.bridge, "type", "bridge")
        ip("link", "set", self.bridge, "up")
        for number, name in enumerate(NAMES):
            outside, inside = f"{self.tag}o{number}", f"{self.tag}i{number}"
            ip("netns", "add", self.space(name))
            ip("link", "add", outside, "type", "veth", "peer", "name", inside)
            ip("link", "set", outside, "master", self.bridge, "up")
            ip("link", "set", inside, "netns", self.space(name))
            for words in (
                ["addr", "add", f"{self.address(name)}/24", "dev", inside],
                ["link", "set", inside, "up"],
                ["link", "set", "lo", "up"],
            ):
                ip("-n", self.space(name), *words)

    def plug(self, name: str, state: str) -> None:
        """Pull the plug of a host (down), or put it back (up)."""
        ip("link", "set", f"{self.tag}o{NAMES.index(name)}", state)

    def on(self, name: str, *words: str) -> list[str]:
        return ["ip", "netns", "exec", self.space(name), *MEDWARD, *words]

    def say(self, name: str, *words: str, code: int = 0) -> dict[str, object]:
        done = subprocess.run(self.on(name, *words, "--json"), capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stderr
        document: dict[str, object] = json.loads(done.stdout)
        return document

    def up(self, name: str, home: Path) -> None:
        with open(home.with_suffix(".log"), "ab") as log:
            self.nodes[name] = subprocess.Popen(
                self.on(name, "node", "up", "--home", str(home)), stdout=log, stderr=log
            )

    def remove(self) -> None:
        for process in self.nodes.values():
            process.send_signal(signal.SIGTERM)
        for process in self.nodes.values():
            process.wait(30)
        for name in NAMES:
            ip("netns", "del", self.space(name), check=False)
        ip("link", "del", self.bridge, check=False)


def well(row: dict[str, object], ledger: dict[str, object]) -> bool:
    found = row.get("ledger", {})
    assert isinstance(found, dict)
    return row.get("problem") is None and all(found.get(key) == value for key, value in ledger.items())


def ip(*words: str, check: bool = True) -> None:
    subprocess.run(["ip", *words], check=check, capture_output=True)


@pytest.fixture
def hosts() -> Iterator[Hosts]:
    made = Hosts()
    try:
        try:
            made.make()
        except (OSError, subprocess.CalledProcessError) as error:
            pytest.skip(f"network namespaces cannot be made here: {error}")
        yield made
    finally:
        made.remove()


def test_four_hospitals_exchange_cards_begin_a_federation_and_one_loses_its_network_for_a_while(
    hosts: Hosts, tmp_path: Path
) -> None:
    homes = {name: tmp_path / name / "home" for name in NAMES}
    cards = []
    for name in NAMES:
        member = f"{name}={hosts.address(name)}:7450"
        cards.append(hosts.say(name, "federation", "join", "--home", str(homes[name]), "--member", member)["card"])
    begun = hosts.say(
        "north", "federation", "init", "--out", str(tmp_path / "founding"), *(f"--card={card}" for card in cards)
    )
    for name in NAMES:
        words = ["--federation", str(begun["file"]), "--fingerprint", str(begun["fingerprint"])]
        assert hosts.say(name, "federation", "join", "--home", str(homes[name]), *words)["founder"] is True
        hosts.up(name, homes[name])

    def status(name: str) -> dict[str, object]:
        done = subprocess.run(
            hosts.on(name, "federation", "status", "--home", str(homes[name]), "--json"),
            capture_output=True,
            text=True,
            check=False,
        )
        [row] = json.loads(done.stdout)["nodes"]
        return dict(row)

    def until(what: str, *names: str, **ledger: object) -> None:
        deadline, row = time.monotonic() + 120, {}
        for name in names:
            while not well(row := status(name), ledger):
                if time.monotonic() > deadline:
                    logs = "\n".join(f"{n}: {homes[n].with_suffix('.log').read_text()[-1500:]}" for n in NAMES)
                    raise AssertionError(f"waited in vain until {what}: {row}\n{logs}")
                time.sleep(0.2)

    until("all four run", *NAMES, votes=True)
    assert dict(status("west")["store"])["peers"] == {  # type: ignore[call-overload]
        name: f"{hosts.address(name)}:7451" for name in NAMES if name != "west"
    }

    hosts.plug("west", "down")
    # A fifth hospital's card is ordered meanwhile, which three of four are enough for.
    newcomer = hosts.say(
        "east", "federation", "join", "--home", str(tmp_path / "fifth"), f"--member=fifth={hosts.address('east')}:7550"
    )
    hosts.say("north", "federation", "admit", str(newcomer["card"]), "--home", str(homes["north"]))
    until("three go on", "north", "south", "east", epoch=1)
    assert dict(status("west")["ledger"])["epoch"] == 0  # type: ignore[call-overload]
    hosts.plug("west", "up")
    until("the fourth caught up", *NAMES, epoch=1, votes=True)

    for name in NAMES:
        hosts.nodes[name].send_signal(signal.SIGTERM)
    assert [hosts.nodes[name].wait(30) for name in NAMES] == [0, 0, 0, 0]
