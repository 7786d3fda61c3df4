"""The set-up of docs/run-a-node.md, command by command, on four hosts: network namespaces with an address each."""

import json
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.node.hosts import NAMES, Hosts, four_hosts

pytestmark = pytest.mark.processes


def well(row: dict[str, object], ledger: dict[str, object]) -> bool:
    found = row.get("ledger", {})
    assert isinstance(found, dict)
    return all(found.get(key) == value for key, value in ledger.items())


@pytest.fixture
def hosts() -> Iterator[Hosts]:
    with four_hosts() as made:
        yield made


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

    until("all four run", *NAMES, votes=True, has_quorum=True)
    assert dict(status("west")["store"])["peers"] == {  # type: ignore[call-overload]
        name: f"{hosts.address(name)}:7451" for name in NAMES if name != "west"
    }

    hosts.plug("west", "down")
    # A fifth hospital's card is ordered meanwhile, which three of four are enough for.
    newcomer = hosts.say(
        "east", "federation", "join", "--home", str(tmp_path / "fifth"), f"--member=fifth={hosts.address('east')}:7550"
    )
    hosts.say("north", "federation", "admit", str(newcomer["card"]), "--home", str(homes["north"]))
    # Once it counts, three of five are no quorum: the fifth never runs here, and nothing more is ordered.
    until("three go on", "north", "south", "east", epoch=1)
    assert dict(status("west")["ledger"])["epoch"] == 0  # type: ignore[call-overload]
    hosts.plug("west", "up")
    until("the fourth caught up", *NAMES, epoch=1, votes=True, has_quorum=True)

    for name in NAMES:
        hosts.nodes[name].send_signal(signal.SIGTERM)
    assert [hosts.nodes[name].wait(30) for name in NAMES] == [0, 0, 0, 0]
