"""Data sets sealed beside real nodes: kept, on record everywhere, opened by their readers, audited, and withdrawn.

One federation lives through all of it, story after story; each test tells what became of one.
"""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from medward.audit.homes import Audit, audit
from medward.flows.datasets import DATASETS, ward
from medward.store.local import open_directory
from tests.e2e.ward import NAMES, Ward, run

pytestmark = pytest.mark.processes
ROWS = 500


def medward(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from medward.cli import main; main()", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def said(*arguments: object) -> str:
    done = medward(*arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


async def in_thread(*arguments: object) -> str:
    return await asyncio.to_thread(said, *arguments)


def sealing(file: Path, home: Path) -> list[str]:
    """The command that seals a file without reading it as a data set."""
    command = [sys.executable, "-c", "from medward.cli import main; main()", "data", "seal", str(file), "--raw"]
    return [*command, "--home", str(home)]


def listed(ward: Ward, name: str, owner: str | None = None) -> Sequence[Any]:
    """The data sets on record, as a node tells them, or those of one owner."""
    return [one for one in ward.launcher.client(name).get("/datasets") if owner in (None, one["member"])]


@dataclass
class Lived:
    """What a federation has lived through.

    Args:
        folder: has the stories' files.
        failed: what went wrong, by story.
        kept: the names of what stays on record, by owner.
        audited: what an audit of all homes found at the end.
    """

    folder: Path
    failed: dict[str, Exception] = field(default_factory=dict)
    kept: dict[str, list[str]] = field(default_factory=dict)
    audited: Audit | None = None

    def tell(self, story: str) -> None:
        if story in self.failed:
            raise self.failed[story]


async def command_is_killed(ward: Ward, lived: Lived) -> None:
    file = lived.folder / "killed.bin"
    file.write_bytes(os.urandom(60_000_000))
    home = ward.launcher.homes["h2"]
    with subprocess.Popen(sealing(file, home.folder)) as command:
        while not list((home.data / "unsent").glob("*.part")):
            assert command.poll() is None
            await asyncio.sleep(0.002)
        command.send_signal(signal.SIGKILL)
    assert listed(ward, "h2") == []
    cid = (await in_thread("data", "seal", file, "--raw", "--home", home.folder)).partition(":")[0]
    lived.kept["h2"] = [cid]
    [one] = listed(ward, "h2")
    assert one["data"] == cid
    assert list((home.data / "unsent").iterdir()) == []


async def data_set_is_sealed_and_withdrawn(ward: Ward, lived: Lived) -> None:
    file = lived.folder / "flows.csv"
    home = {name: ward.launcher.homes[name].folder for name in NAMES}
    refused = await asyncio.to_thread(medward, "data", "seal", file, "--home", home["h0"], "--to", "h1")
    assert refused.returncode == 1
    assert "h1 has published no key for data" in refused.stderr
    await in_thread("data", "key", "--home", home["h1"])
    cid = (await in_thread("data", "seal", file, "--home", home["h0"], "--to", "h1")).partition(":")[0]
    lived.kept["h0"] = [cid]

    def on_record_everywhere() -> bool:
        return all([one["data"] for one in listed(ward, name, "h0")] == [cid] for name in NAMES)

    await ward.until(on_record_everywhere, "the data set is on record everywhere")
    [one] = listed(ward, "h3", "h0")
    assert (one["data"], one["member"], one["data_set"], one["rows"]) == (cid, "h0", "ward", ROWS)
    assert (one["schema"], one["readers"]) == (DATASETS["ward"].schema.digest.hex(), ["h0", "h1"])
    assert cid in await in_thread("federation", "status", "--home", home["h2"])

    for name in ("h0", "h1"):  # h1's node gets it from h0's
        await in_thread("data", "unseal", cid, "--home", home[name], "--out", lived.folder / name)
        assert (lived.folder / name / file.name).read_bytes() == file.read_bytes()
    out = lived.folder / "h2"
    barred = await asyncio.to_thread(medward, "data", "unseal", cid, "--home", home["h2"], "--out", out)
    assert barred.returncode == 1
    assert "sealed to h0, h1, and not to h2" in barred.stderr
    assert not (out / file.name).exists()
    stolen = await asyncio.to_thread(medward, "data", "withdraw", cid, "--home", home["h1"])
    assert "h1 keeps no data set" in stolen.stderr

    second = (await in_thread("data", "seal", file, "--home", home["h0"], "--raw")).partition(":")[0]
    await in_thread("data", "withdraw", second, "--home", home["h0"])
    await ward.until(on_record_everywhere, "the second data set is off the record")


async def node_is_killed(ward: Ward, lived: Lived) -> None:
    file = lived.folder / "large.bin"
    file.write_bytes(os.urandom(40_000_000))
    home = ward.launcher.homes["h1"]
    unsent = home.data / "unsent"
    for number in range(3):
        with subprocess.Popen(sealing(file, home.folder), stderr=subprocess.PIPE, text=True) as command:
            while not list(unsent.glob("*.sealed")) and command.poll() is None:
                await asyncio.sleep(0.002)
            time.sleep(0.05 * number)  # in the middle of the add, or of the ordering, or after it
            ward.launcher.kill("h1")
            await asyncio.to_thread(command.wait)
        ward.launcher.start("h1")

        def taken(wanted: int = number + 1) -> bool:
            return len(listed(ward, "h1", "h1")) == wanted and not list(unsent.iterdir())

        await ward.until(taken, f"data set {number} is on record")
    names = lived.kept["h1"] = [one["data"] for one in listed(ward, "h0", "h1")]
    assert len(set(names)) == 3
    for cid in names:
        await in_thread("data", "unseal", cid, "--home", home.folder, "--out", lived.folder / cid)
        assert (lived.folder / cid / file.name).read_bytes() == file.read_bytes()


Story = Callable[[Ward, Lived], Awaitable[None]]
STORIES: tuple[Story, ...] = (command_is_killed, data_set_is_sealed_and_withdrawn, node_is_killed)


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Lived:
    found = Lived(tmp_path_factory.mktemp("sealed"))
    ward.write_csv(found.folder / "flows.csv", ROWS, seed=3)

    async def tell(ward: Ward) -> None:
        for story in STORIES:
            try:
                await story(ward, found)
            except Exception as error:
                found.failed[story.__name__] = error
        await ward.launcher.stop(list(NAMES))
        found.audited = await asyncio.to_thread(audit, ward.launcher.homes["h0"].folder.parent)

    run(found.folder, 1, tell)
    return found


def test_data_set_is_sealed_recorded_opened_and_withdrawn(lived: Lived) -> None:
    lived.tell("data_set_is_sealed_and_withdrawn")


def test_node_killed_while_it_takes_sealed_data_finishes_when_it_starts_again(lived: Lived) -> None:
    lived.tell("node_is_killed")
    with open_directory(lived.folder / "ward" / "h1" / "store") as store:
        pinned = {str(pin.cid) for pin in store.pins("data")}
        assert pinned >= {*lived.kept["h0"], *lived.kept["h1"]}
        assert len(pinned) == 1 + 1 + 3  # h0's, which it reads; its own key; its own
        assert store.verify().intact


def test_command_killed_while_it_seals_leaves_nothing_that_counts(lived: Lived) -> None:
    lived.tell("command_is_killed")


def test_all_that_is_on_record_is_audited(lived: Lived) -> None:
    assert lived.audited is not None
    assert lived.audited.sound, "\n".join(map(str, lived.audited.problems))
    sets = sum(len(kept) for kept in lived.kept.values())
    assert sets == 5
    assert lived.audited.groups["data"].checked == {"sets": sets, "rows": ROWS, "data keys": 1}
