"""Nodes on the engines of others: Kubo for the store, CometBFT for the ledger."""

import asyncio
import json
from pathlib import Path

import pytest

from medward.ledger.cometbft.process import find_program
from medward.node.errors import ApiRefused
from tests.node.world import World, story
from tests.store.conftest import kubo_program


@pytest.mark.engines
def test_blobs_go_through_kubo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDWARD_KUBO", str(kubo_program()))

    async def tell(world: World) -> None:
        assert world.status("h0")["store"]["engine"] == "kubo"
        await world.note("task/scan")
        await world.until_held("scan", by=["h0", "h1"], of=["h0", "h1"])
        assert await world.launcher.stop() == {"h0": 0, "h1": 0}

    story(tmp_path, tell, ["h0", "h1"], store={"engine": "kubo"})


@pytest.mark.engines
@pytest.mark.skipif(find_program() is None, reason="no CometBFT here: .ci/cometbft builds it where there is Go")
def test_four_nodes_on_cometbft_and_one_killed(tmp_path: Path) -> None:
    names = ["h0", "h1", "h2", "h3"]

    async def tell(world: World) -> None:
        await world.until(lambda: all(s["ledger"]["engine"] == "cometbft" for s in map(world.status, names)), "it runs")
        await world.until(lambda: all(held(world, name, "hello") == 4 for name in names), "all hold four blobs")
        with pytest.raises(ApiRefused, match="never change"):
            await asyncio.to_thread(world.launcher.client("h0").remove, "h3")
        world.launcher.kill("h3")
        world.launcher.start("h3")
        await world.launcher.wait_until_healthy()
        height = world.status("h0")["ledger"]["height"]
        await world.until(lambda: world.status("h3")["ledger"]["height"] >= height, "h3 caught up")
        assert await world.launcher.stop() == dict.fromkeys(names, 0)

    # Nobody but the nodes speaks to CometBFT: the first task is ordered by a participant.
    story(tmp_path, tell, names, engine="cometbft", participant="first = 'hello'")


def held(world: World, name: str, task: str) -> int:
    return json.dumps(world.status(name)["participant"].get("held", [])).count(f'"{task}/')
