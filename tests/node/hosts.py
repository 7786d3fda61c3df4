"""Four hosts on one machine: network namespaces with an address each, joined by a bridge that leads nowhere else."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

MEDWARD = (sys.executable, "-c", "from medward.cli import main; main()")
NAMES = ("north", "south", "east", "west")


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

    def within(self, name: str) -> tuple[str, ...]:
        """What stands before a command that runs on a host."""
        return "ip", "netns", "exec", self.space(name)

    def on(self, name: str, *words: str) -> list[str]:
        return [*self.within(name), *MEDWARD, *words]

    def say(self, name: str, *words: str, code: int = 0) -> dict[str, object]:
        done = subprocess.run(self.on(name, *words, "--json"), capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stderr
        document: dict[str, object] = json.loads(done.stdout)
        return document

    def up(self, name: str, home: Path) -> None:
        self.start(name, self.on(name, "node", "up", "--home", str(home)), home.with_suffix(".log"))

    def start(self, name: str, command: Sequence[str], output: Path) -> None:
        """Start what is a host's node until the hosts are taken away."""
        with open(output, "ab") as log:
            self.nodes[name] = subprocess.Popen(command, stdout=log, stderr=log)

    def remove(self) -> None:
        for process in self.nodes.values():
            process.send_signal(signal.SIGTERM)
        for process in self.nodes.values():
            process.wait(30)
        for name in NAMES:
            ip("netns", "del", self.space(name), check=False)
        ip("link", "del", self.bridge, check=False)


def ip(*words: str, check: bool = True) -> None:
    subprocess.run(["ip", *words], check=check, capture_output=True)


@contextmanager
def four_hosts() -> Iterator[Hosts]:
    """Make the hosts, and take them away again; skip the test where this machine does not let it."""
    made = Hosts()
    try:
        try:
            made.make()
        except (OSError, subprocess.CalledProcessError) as error:
            pytest.skip(f"network namespaces cannot be made here: {error}")
        yield made
    finally:
        made.remove()
