"""Nodes on the engines of others: Kubo for the store, CometBFT for the ledger."""

import asyncio
import json
from pathlib import Path

import pytest

from medward.ledger.cometbft.process import find_program
from medward.node.bank import BankRules
from medward.node.errors import ApiRefused, NodeError
from medward.node.interfaces import Host, Participant, Program
from medward.node.node import Node
from medward.node.trial.founding import found_on_one_machine
from medward.node.trial.launcher import free_seats
from tests.node.world import World, story
from tests.store.conftest import kubo_program


class Idle(Participant):
    def __init__(self, host: Host) -> None:
        self.host = host

    async def run(self) -> None:
        await self.host.stopping.wait()


PROGRAMS = {"bank": Program(BankRules, Idle)}


def test_without_kubo_a_node_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDWARD_KUBO", "/nowhere/ipfs")
    homes = found_on_one_machine(tmp_path, "ward", free_seats(["h0"]), "bank", settings={"store": {"engine": "kubo"}})
    with pytest.raises(Exception, match="install Kubo"):
        Node(homes["h0"], homes["h0"].configuration(), PROGRAMS)


def test_without_cometbft_a_federation_on_it_is_not_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDWARD_ENGINES", str(tmp_path / "none"))
    with pytest.raises(NodeError, match=r"CometBFT 0.38 is not installed"):
        found_on_one_machine(tmp_path / "ward", "ward", free_seats(["h0"]), "bank", engine="cometbft")


def test_a_node_does_not_run_another_ledger_than_the_federation_agreed_on(tmp_path: Path) -> None:
    homes = found_on_one_machine(tmp_path, "ward", free_seats(["h0"]), "bank")
    text = homes["h0"].configuration_file.read_text().replace('engine = "pbft"', 'engine = "cometbft"')
    homes["h0"].configuration_file.write_text(text)
    with pytest.raises(NodeError, match=r"ledger.engine: expected pbft"):
        Node(homes["h0"], homes["h0"].configuration(), PROGRAMS)


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
