"""A node put together: it refuses a home that does not fit, says where it stands, and stops where it must."""

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from medward.ledger.pbft.client import PbftClient
from medward.ledger.signatures import MemberSigner
from medward.node.bank import BankRules
from medward.node.errors import InvalidConfiguration, NodeError, Retired
from medward.node.interfaces import Host, Participant, Program
from medward.node.node import Node
from medward.node.trial.founding import found_on_one_machine
from medward.node.trial.launcher import free_seats


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


def test_a_node_does_not_run_another_ledger_than_the_federation_agreed_on(tmp_path: Path) -> None:
    homes = found_on_one_machine(tmp_path, "ward", free_seats(["h0"]), "bank")
    text = homes["h0"].configuration_file.read_text().replace('engine = "pbft"', 'engine = "cometbft"')
    homes["h0"].configuration_file.write_text(text)
    with pytest.raises(NodeError, match=r"ledger.engine: expected pbft"):
        Node(homes["h0"], homes["h0"].configuration(), PROGRAMS)


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    """A node of one member that is not started."""
    home = found_on_one_machine(tmp_path, "ward", free_seats(["h0"]), "bank")["h0"]
    made = Node(home, home.configuration(), PROGRAMS)
    yield made
    asyncio.run(made._consensus.close())
    made._blobs.close()
    made._api.stop()


def test_home_with_another_s_name_is_refused(tmp_path: Path) -> None:
    home = found_on_one_machine(tmp_path, "ward", free_seats(["h0"]), "bank")["h0"]
    renamed = msgspec.structs.replace(home.configuration(), name="h1")
    with pytest.raises(InvalidConfiguration, match=r"node.toml: name: expected h0, whose keys these are, got 'h1'"):
        Node(home, renamed, PROGRAMS)


def test_federation_of_a_kind_that_is_not_known_is_refused(tmp_path: Path) -> None:
    home = found_on_one_machine(tmp_path, "ward", free_seats(["h0"]), "chess")["h0"]
    with pytest.raises(NodeError, match="runs 'chess', and this version of medward runs bank; upgrade this node"):
        Node(home, home.configuration(), PROGRAMS)


def test_node_that_is_not_started_shows_where_it_stands_and_changes_nothing(node: Node) -> None:
    async def story() -> None:
        status = await node.status()
        assert (status["name"], status["federation"], status["phase"]) == ("h0", "ward", "starting")
        assert status["members"] == ["h0"]
        assert (status["participant"], status["restarts"]) == ({}, {})
        assert json.loads(json.dumps(status)) == status, "it is told as JSON"
        assert node.health() is not None
        assert [list(told) for told in (node.rounds(), node.models(), node.datasets())] == [[], [], []]
        [member] = node.members()
        assert member["gateway"] == node._membership.federation.cards[0].gateway
        for asked in (node.resume(), node.about_data({"fetch": "bafy"})):
            with pytest.raises(NodeError, match="the node is starting; try again once it runs"):
                await asked
        assert b"medward" in await node.metrics()
        token = node._home.token()
        assert token not in json.dumps(status) + (await node.metrics()).decode() + node.federation().decode()

    asyncio.run(story())


@pytest.mark.parametrize("is_open", [True, False])
def test_ledger_answers_strangers_only_where_the_rules_open_it(tmp_path: Path, is_open: bool) -> None:
    class Chosen(BankRules):
        members_only = not is_open

    home = found_on_one_machine(tmp_path, "ward", free_seats(["h0"]), "bank")["h0"]
    node = Node(home, home.configuration(), {"bank": Program(Chosen, Idle)})
    stranger = PbftClient(home.federation().genesis, MemberSigner(Ed25519PrivateKey.generate()), patience=0.4)

    async def story() -> None:
        await node._consensus.start()
        try:
            assert await stranger.status("h0") is not None
            assert (await stranger.block("h0", 1) is not None) == is_open
            assert await stranger.status("h0") is not None
        finally:
            await stranger.close()
            await node._consensus.close()

    asyncio.run(story())
    node._blobs.close()
    node._api.stop()


class Stubborn(Participant):
    """Ends although nobody asked it to, or finds that its journal was set back."""

    retired = False

    def __init__(self, host: Host) -> None:
        self.host = host

    async def check_journal(self) -> None:
        if self.retired:
            raise Retired("the home was restored from an old copy")

    async def run(self) -> None:
        pass


def run_until(node: Node, done: Callable[[Node], bool]) -> list[str]:
    """Run a node until something holds, and return the phases that it told."""
    told: list[str] = []

    async def story() -> None:
        running = asyncio.create_task(node.run(told.append))
        async with asyncio.timeout(30):
            while not done(node) and not running.done():
                await asyncio.sleep(0.01)
            node.stopping.set()
            await running

    asyncio.run(story())
    return told


def made(tmp_path: Path, participant: type[Participant]) -> Node:
    home = found_on_one_machine(tmp_path, "ward", free_seats(["h0"]), "bank")["h0"]
    return Node(home, home.configuration(), {"bank": Program(BankRules, participant)})


@pytest.mark.slow
def test_node_runs_until_it_is_stopped_and_tells_its_phases(tmp_path: Path) -> None:
    node = made(tmp_path, Idle)
    assert run_until(node, lambda one: one._participant is not None and one.health() is None) == [
        "catching up",
        "running",
    ]
    assert node._phase == "stopping"


@pytest.mark.slow
def test_participant_that_ends_is_started_again_and_counted(tmp_path: Path) -> None:
    node = made(tmp_path, Stubborn)
    run_until(node, lambda one: one._restarts.counts.get("the participant", 0) > 0)
    assert node._restarts.counts["the participant"] > 0


@pytest.mark.slow
def test_journal_that_was_set_back_stops_the_node_and_not_the_participant_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Stubborn, "retired", True)
    node = made(tmp_path, Stubborn)
    with pytest.raises(Retired, match="restored from an old copy"):
        run_until(node, lambda _: False)
    assert node.stopping.is_set()
