"""Data sets sealed beside real nodes: kept, on record everywhere, opened by their readers, audited, and withdrawn."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from medward.flows.datasets import DATASETS, ward
from medward.node.audit import audit
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


def test_data_set_is_sealed_recorded_opened_audited_and_withdrawn(tmp_path: Path) -> None:
    file = tmp_path / "flows.csv"
    ward.write_csv(file, ROWS, seed=3)

    async def tell(ward: Ward) -> None:
        home = {name: ward.launcher.homes[name].folder for name in NAMES}
        refused = await asyncio.to_thread(medward, "data", "seal", file, "--home", home["h0"], "--to", "h1")
        assert refused.returncode == 1
        assert "h1 has published no key for data" in refused.stderr
        await in_thread("data", "key", "--home", home["h1"])
        cid = (await in_thread("data", "seal", file, "--home", home["h0"], "--to", "h1")).partition(":")[0]

        def on_record_everywhere() -> bool:
            listed = [ward.launcher.client(name).get("/datasets") for name in NAMES]
            return all(len(one) == 1 and one == listed[0] for one in listed)

        await ward.until(on_record_everywhere, "the data set is on record everywhere")
        [one] = ward.launcher.client("h3").get("/datasets")
        assert (one["data"], one["member"], one["data_set"], one["rows"]) == (cid, "h0", "ward", ROWS)
        assert (one["schema"], one["readers"]) == (DATASETS["ward"].schema.digest.hex(), ["h0", "h1"])
        assert cid in await in_thread("federation", "status", "--home", home["h2"])

        for name in ("h0", "h1"):  # h1's node gets it from h0's
            await in_thread("data", "unseal", cid, "--home", home[name], "--out", tmp_path / name)
            assert (tmp_path / name / file.name).read_bytes() == file.read_bytes()
        barred = await asyncio.to_thread(medward, "data", "unseal", cid, "--home", home["h2"], "--out", tmp_path / "h2")
        assert barred.returncode == 1
        assert "sealed to h0, h1, and not to h2" in barred.stderr
        assert not (tmp_path / "h2" / file.name).exists()
        stolen = await asyncio.to_thread(medward, "data", "withdraw", cid, "--home", home["h1"])
        assert "h1 keeps no data set" in stolen.stderr

        second = (await in_thread("data", "seal", file, "--home", home["h0"], "--raw")).partition(":")[0]
        await in_thread("data", "withdraw", second, "--home", home["h0"])
        await ward.until(on_record_everywhere, "the second data set is off the record")
        await ward.launcher.stop(list(NAMES))
        found = await asyncio.to_thread(audit, home["h0"].parent)
        assert found.sound, "\n".join(map(str, found.problems))
        assert found.groups["data"].checked == {"sets": 1, "rows": ROWS, "data keys": 1}

    run(tmp_path, 1, tell)


def test_node_killed_while_it_takes_sealed_data_finishes_when_it_starts_again(tmp_path: Path) -> None:
    file = tmp_path / "large.bin"
    file.write_bytes(os.urandom(40_000_000))

    async def tell(ward: Ward) -> None:
        home = ward.launcher.homes["h1"]
        unsent = home.data / "unsent"
        command = [sys.executable, "-c", "from medward.cli import main; main()", "data", "seal", str(file), "--raw"]
        for number in range(3):
            with subprocess.Popen([*command, "--home", str(home.folder)], stderr=subprocess.PIPE, text=True) as sealing:
                while not list(unsent.glob("*.sealed")) and sealing.poll() is None:
                    await asyncio.sleep(0.002)
                time.sleep(0.05 * number)  # in the middle of the add, or of the ordering, or after it
                ward.launcher.kill("h1")
                await asyncio.to_thread(sealing.wait)
            ward.launcher.start("h1")

            def taken(wanted: int = number + 1) -> bool:
                listed = ward.launcher.client("h1").get("/datasets")
                return len(listed) == wanted and not list(unsent.iterdir())

            await ward.until(taken, f"data set {number} is on record")
        names = [one["data"] for one in ward.launcher.client("h0").get("/datasets")]
        assert len(set(names)) == 3
        for cid in names:
            await in_thread("data", "unseal", cid, "--home", home.folder, "--out", tmp_path / cid)
            assert (tmp_path / cid / file.name).read_bytes() == file.read_bytes()
        await ward.launcher.stop(list(NAMES))
        with open_directory(home.store) as store:
            assert {str(pin.cid) for pin in store.pins("data")} == set(names)
            assert store.verify().intact

    run(tmp_path, 1, tell)


def test_command_killed_while_it_seals_leaves_nothing_that_counts(tmp_path: Path) -> None:
    file = tmp_path / "large.bin"
    file.write_bytes(os.urandom(60_000_000))

    async def tell(ward: Ward) -> None:
        home = ward.launcher.homes["h2"]
        command = [sys.executable, "-c", "from medward.cli import main; main()", "data", "seal", str(file), "--raw"]
        with subprocess.Popen([*command, "--home", str(home.folder)]) as sealing:
            while not list((home.data / "unsent").glob("*.part")):
                assert sealing.poll() is None
                await asyncio.sleep(0.002)
            sealing.send_signal(signal.SIGKILL)
        assert ward.launcher.client("h2").get("/datasets") == []
        cid = (await in_thread("data", "seal", file, "--raw", "--home", home.folder)).partition(":")[0]
        [one] = ward.launcher.client("h2").get("/datasets")
        assert one["data"] == cid
        assert list((home.data / "unsent").iterdir()) == []

    run(tmp_path, 1, tell)
