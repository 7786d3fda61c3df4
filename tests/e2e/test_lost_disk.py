"""A disk is lost, or restored from an old copy: the old keys never speak again, the member comes back with new ones."""

import asyncio
import shutil
from pathlib import Path

import pytest

from medward.node.federation_file import read_federation
from medward.node.home import Home
from tests.e2e.ward import NAMES, Ward, run

pytestmark = pytest.mark.processes


def test_lost_disk_is_replaced_by_a_new_incarnation_and_the_old_copy_is_refused(tmp_path: Path) -> None:
    async def tell(ward: Ward) -> None:
        home = ward.launcher.homes["h2"]
        configuration = home.configuration()
        await ward.until(lambda: all((ward.state(n)["round"] or 0) >= 1 for n in NAMES), "round 1 is under way")
        acknowledged = ward.rounds("h0")
        ward.launcher.kill("h2")
        shutil.copytree(home.folder, tmp_path / "copy")
        shutil.rmtree(home.folder)

        home.folder.mkdir()
        ward.launcher.start("h2")
        await ward.until(lambda: not ward.launcher.running("h2"), "h2 refuses an empty home")
        shutil.rmtree(home.folder)
        made = Home.create(home.folder, configuration, incarnation=1)
        made.install(read_federation(ward.launcher.homes["h0"].federation_file))
        for name in ("h0", "h1"):  # f+1 of them
            await asyncio.to_thread(ward.launcher.client(name).admit, made.card())
        ward.launcher.start("h2")
        await ward.until(lambda: "h2" in ward.state("h0")["holders"] and ward.state("h2")["holds_keys"], "h2 has keys")
        found = await ward.until_done()
        assert acknowledged.items() <= found.items()
        assert found[max(found)]["cohort"] == list(NAMES)
        assert ward.launcher.client("h2").get("/status")["incarnation"] == 1

        await ward.launcher.stop(["h2"])
        shutil.rmtree(home.folder)
        shutil.copytree(tmp_path / "copy", home.folder)
        ward.launcher.start("h2")
        await ward.until(lambda: not ward.launcher.running("h2"), "h2 stops")
        assert "must neither vote nor answer" in ward.launcher.output("h2")

    run(tmp_path, 2, tell)
