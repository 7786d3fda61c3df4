"""Nodes are killed, in the middle of rounds and too many at once; nobody's time runs out, so nothing may be lost."""

import asyncio
import shutil
from pathlib import Path
from random import Random

import pytest

from tests.e2e.faulty_node import FILE
from tests.e2e.ward import NAMES, PATIENT, Ward, run, undisturbed

pytestmark = pytest.mark.processes

KILLS = 3


async def wait_for_a_round(ward: Ward, number: int) -> None:
    """Wait until a round, or a later one, is under way at all nodes."""
    await ward.until(
        lambda: all((ward.state(name)["round"] or 0) >= number and ward.state(name)["holds_keys"] for name in NAMES),
        f"round {number} is under way",
    )


async def back(ward: Ward, name: str) -> None:
    ward.launcher.start(name)
    await ward.launcher.wait_until_healthy(180)


def test_killed_nodes_come_back_and_the_model_is_the_one_without_a_kill(tmp_path: Path) -> None:
    async def tell(ward: Ward) -> None:
        random = Random()
        await ward.until(lambda: all(ward.state(name)["holds_keys"] for name in NAMES), "there are keys")
        for _ in range(KILLS):
            await asyncio.sleep(random.random() * 4)
            victim = random.choice(NAMES)
            ward.launcher.kill(victim)
            await back(ward, victim)
        found = await ward.until_done()
        assert [one["outcome"] for one in found.values()] == ["final"] * 5
        assert [one["cohort"] for one in found.values()] == [list(NAMES)] * 5
        assert found[4]["model"] == undisturbed(2)

    run(tmp_path, 2, tell, deadline=PATIENT)


def test_ledger_waits_without_a_quorum_and_lost_blobs_come_from_others(tmp_path: Path) -> None:
    async def tell(ward: Ward) -> None:
        await wait_for_a_round(ward, 1)
        for name in ("h1", "h2"):
            ward.launcher.kill(name)
        await asyncio.sleep(2)  # what was prepared before may still be ordered
        height, acknowledged = ward.height("h0"), ward.rounds("h0")
        await asyncio.sleep(5)
        assert ward.height("h0") == height
        for name in ("h1", "h2"):
            ward.launcher.start(name)

        # h3 has checked a sum and dies; its store is lost with every contribution in it, its own among them.
        await ward.until(lambda: not ward.launcher.running("h3"), "h3 is gone")
        lost = ward.launcher.homes["h3"]
        shutil.rmtree(lost.store)
        (lost.folder / FILE).unlink()
        await back(ward, "h3")
        found = await ward.until_done()
        assert acknowledged.items() <= found.items()
        assert [one["cohort"] for one in found.values()] == [list(NAMES)] * 4
        assert [one["opened"] for one in found.values()] == [[]] * 4
        assert found[3]["model"] == undisturbed(1)

    run(tmp_path, 1, tell, deadline=PATIENT, faults={"h3": {"dies at share": [2]}})
