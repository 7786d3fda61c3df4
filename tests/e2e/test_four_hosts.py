"""The set-up of docs/run-a-node.md on four hosts, command by command as it stands there, until a model is trained."""

import json
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import pytest

from medward.flows.datasets import ward
from medward.ledger.cometbft.process import find_program
from medward.node.home.folder import Home
from tests.e2e.documented import Command, adapted, commands, said
from tests.node.hosts import MEDWARD, NAMES, Hosts, four_hosts
from tests.store.conftest import kubo_program

#: As many as the hospitals of the other tests train on, so that what is compiled for those serves here, too.
ROWS = 1000
Answer = TypeVar("Answer")
_AS_SHOWN = dict(zip(NAMES, ("10.1.0.5", "10.1.0.6", "10.1.0.7", "10.1.0.8"), strict=True))


@pytest.fixture
def hosts() -> Iterator[Hosts]:
    with four_hosts() as made:
        yield made


def _each(ask: Callable[[str], Answer]) -> list[Answer]:
    """Have all hospitals do something at the same time, as they would."""
    with ThreadPoolExecutor(len(NAMES)) as threads:
        return list(threads.map(ask, NAMES))


class Hospitals:
    """Four hospitals on a host each, with rows of their own.

    Args:
        hosts: where they are.
        folder: gets a folder for each, for what the document has in /var/lib/medward.
    """

    def __init__(self, hosts: Hosts, folder: Path) -> None:
        self.hosts, self.folder = hosts, folder
        self.homes = {name: Home(folder / name / "medward" / name) for name in NAMES}
        self.fingerprint = ""
        self.told: Mapping[str, Mapping[str, Any]] = {}
        for number, name in enumerate(NAMES):
            rows = self.homes[name].folder.parent / "flows"
            rows.mkdir(parents=True)
            ward.write_csv(rows / "flows.csv", ROWS + number, seed=40 + number)

    def stand_ins(self, name: str) -> dict[str, object]:
        """What stands for the document's names and places where a hospital says a command."""
        founding = self.folder / "founding"
        return {
            # A round is as real with the small data set that needs no download.
            "ciciomt2024": "ward",
            "50": "1",
            **{f"{one}={_AS_SHOWN[one]}:7450": f"{one}={self.hosts.address(one)}:7450" for one in NAMES},
            "north=10.1.0.5:7450": f"{name}={self.hosts.address(name)}:7450",
            **{f"{one}.json": self.homes[one].card_file for one in NAMES},
            "/var/lib/medward/north": self.homes[name].folder,
            "/var/lib/medward/flows": self.homes[name].folder.parent / "flows",
            "founding/north": founding / name,
            "founding": founding,
            "federation.json": founding / "federation.json",
            "founding/federation.json": founding / "federation.json",
            "swarm.key": founding / "swarm.key",
            "1f0a ...": self.fingerprint,
        }

    def each_says(self, command: Command) -> None:
        _each(lambda name: said([*self.hosts.within(name), *adapted(command, self.stand_ins(name))]))

    def one_says(self, command: Command, **instead: object) -> None:
        said([*self.hosts.within("north"), *adapted(command, {**self.stand_ins("north"), **instead})])
        self.fingerprint = json.loads((self.folder / "founding" / "federation.json").read_text())["fingerprint"]

    def each_starts(self, command: Command) -> None:
        for name in NAMES:
            words = [*self.hosts.within(name), *adapted(command, self.stand_ins(name))]
            self.hosts.start(name, words, self.log(name))

    def log(self, name: str) -> Path:
        return self.folder / name / "output"

    def status(self, name: str) -> Mapping[str, Any]:
        """What a node says of itself, asked on its own host."""
        words = ["federation", "status", "--home", str(self.homes[name].folder), "--json"]
        done = subprocess.run(self.hosts.on(name, *words), capture_output=True, text=True, check=False)
        [row] = json.loads(done.stdout)["nodes"]
        return dict(row)

    def until_trained(self) -> None:
        """Wait until the plan is fulfilled everywhere; all must have come to the same model, which is not the first."""
        end = time.monotonic() + 400
        while not all("the plan is fulfilled" in self.log(name).read_text() for name in NAMES):
            if time.monotonic() > end:
                logs = "\n".join(f"{name}: {self.log(name).read_text()[-1500:]}" for name in NAMES)
                raise AssertionError(f"waited in vain\n{logs}")
            time.sleep(0.5)
        told = dict(zip(NAMES, _each(self.status), strict=True))
        assert {row.get("problem") for row in told.values()} == {None}
        assert {row["participant"]["done"] for row in told.values()} == {True}
        assert len({row["participant"]["model"] for row in told.values()}) == 1
        assert {row["name"]: sorted(row["members"]) for row in told.values()} == {n: sorted(NAMES) for n in NAMES}
        assert len({row["participant"]["training_rows"] for row in told.values()}) > 1
        assert "(train): final, 4 in the sum" in self.log("north").read_text()
        self.told = told

    def stop(self) -> None:
        for process in self.hosts.nodes.values():
            process.send_signal(signal.SIGTERM)
        assert [process.wait(60) for process in self.hosts.nodes.values()] == [0] * len(NAMES)


@pytest.mark.processes
def test_four_hospitals_train_as_documented_and_one_home_is_sound(hosts: Hosts, tmp_path: Path) -> None:
    hospitals = Hospitals(hosts, tmp_path)
    making, beginning, taking_over, starting = commands("Four hospitals")
    hospitals.each_says(making)
    hospitals.one_says(beginning)
    hospitals.each_says(taking_over)
    hospitals.each_starts(starting)
    hospitals.until_trained()
    hospitals.stop()
    said([*hosts.within("east"), *MEDWARD, "audit", "--home", str(hospitals.homes["east"].folder)])


@pytest.mark.engines
def test_four_hospitals_train_with_kubo_and_cometbft_as_documented_and_one_home_is_sound(
    hosts: Hosts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if find_program() is None:
        pytest.skip("no CometBFT here: .ci/cometbft builds it where there is Go")
    monkeypatch.setenv("MEDWARD_KUBO", str(kubo_program()))
    hospitals = Hospitals(hosts, tmp_path)
    beginning, carrying, taking_over, starting = commands("CometBFT for the ledger")
    hospitals.one_says(beginning)
    hospitals.each_says(carrying)
    hospitals.each_says(taking_over)
    hospitals.each_starts(starting)
    hospitals.until_trained()
    for row in hospitals.told.values():
        assert (row["store"]["engine"], row["ledger"]["engine"]) == ("kubo", "cometbft")
    hospitals.stop()
    said([*hosts.within("east"), *MEDWARD, "audit", "--home", str(hospitals.homes["east"].folder)])
