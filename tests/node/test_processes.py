"""Nodes as real processes: ledger and store over mutual TLS, kill -9, strangers, restored disks, coming and going."""

import asyncio
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from medward.node.api.client import NodeClient
from medward.node.errors import ApiRefused, NodeError
from medward.node.home.backup import read_backup, write_backup
from medward.node.home.cards import read_card
from medward.node.home.configuration import split_address
from medward.node.home.folder import Home
from medward.node.store.gateway_keys import make_gateway_identity
from medward.node.trial.founding import found_on_one_machine
from medward.node.trial.launcher import Launcher, free_seats
from medward.node.trial.ports import free_ports
from tests.node.world import CHAIN, NAMES, World, story

pytestmark = pytest.mark.processes


def test_a_blob_stored_at_one_node_is_fetched_at_the_others_and_the_stop_is_graceful(tmp_path: Path) -> None:
    async def tell(world: World) -> None:
        await world.note("task/scan")
        await world.until_held("scan", by=NAMES, of=NAMES)
        lines = {line for name in NAMES for line in world.status(name)["participant"]["held"]}
        assert len(lines) == 4  # the same CIDs everywhere
        assert all(world.status(name)["store"]["bytes"] > 4_000_000 for name in NAMES)
        assert [entry["task"] for entry in world.launcher.client("h2").get("/rounds")] == ["scan"]
        assert "medward_store_bytes" in world.launcher.client("h0").text("/metrics")
        assert await world.launcher.stop() == dict.fromkeys(NAMES, 0)
        for home in world.launcher.homes.values():
            assert '"message": "stopped"' in home.log_file.read_text().splitlines()[-1]
            assert home.token() not in home.log_file.read_text()

    story(tmp_path, tell)


def test_a_node_killed_at_work_comes_back_and_takes_part_again(tmp_path: Path) -> None:
    async def tell(world: World) -> None:
        await world.note("task/one")
        world.launcher.kill("h1")
        await world.until_held("one", by=["h0", "h2", "h3"], of=["h0", "h2", "h3"])
        await world.fill(40)  # past checkpoints, whose blocks are then gone
        world.launcher.start("h1")
        await world.launcher.wait_until_healthy()
        await world.note("task/two")
        await world.until_held("two", by=NAMES, of=NAMES)

    story(tmp_path, tell)


def test_the_launcher_starts_a_killed_node_again_and_a_crashed_participant_is_started_by_its_node(
    tmp_path: Path,
) -> None:
    async def tell(world: World) -> None:
        pid = world.launcher.pid("h3")
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        async for statuses in world.launcher.watch(0.2):
            if world.launcher.restarts.get("h3") and all(s and s["phase"] == "running" for s in statuses.values()):
                break
        assert world.launcher.restarts == {"h3": 1}
        await world.note("crash/h2")
        await world.until(
            lambda: bool(world.status("h2")["restarts"].get("the participant")), "h2's participant crashed"
        )
        await world.until(lambda: world.status("h2")["problem"] is None, "h2 is well again")
        assert "the participant crashed: a defect, RuntimeError: the test asked for it" in world.launcher.output("h2")
        assert "Traceback" not in world.launcher.output("h2")
        await world.note("task/after")
        await world.until_held("after", by=["h2"], of=NAMES)

    story(tmp_path, tell, restart=True)


def test_a_stranger_without_a_members_certificate_gets_no_block(tmp_path: Path) -> None:
    async def tell(world: World) -> None:
        await world.note("task/secret")
        await world.until_held("secret", by=["h0"], of=["h1"])
        line = next(line for line in world.status("h0")["participant"]["held"] if line.startswith("secret/h1 "))
        url = f"https://{world.status('h1')['store']['gateway']}/ipfs/{line.split()[1]}?format=raw"
        member, stranger = Home(tmp_path / "ward" / "h0"), tmp_path / "stranger"
        Home.create(stranger, member.configuration())
        certificates = [m.certificate for m in world.genesis.members]
        forged = make_gateway_identity(
            tmp_path / "forged", stranger / "ledger" / "keys", "127.0.0.1:1", certificates
        ).client_context()
        bare = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        bare.load_verify_locations(member.gateway / "trusted.pem")
        for context in (forged, bare):
            with pytest.raises(httpx.TransportError):
                httpx.get(url, verify=context)
        known = make_gateway_identity(
            tmp_path / "known", member.ledger / "keys", "127.0.0.1:1", certificates
        ).client_context()
        assert httpx.get(url, verify=known).status_code == 200

    story(tmp_path, tell)


def test_a_wrong_token_is_refused_and_never_logged(tmp_path: Path) -> None:
    async def tell(world: World) -> None:
        url = world.launcher.client("h0").url
        guess = "a-guess-that-must-not-be-logged"
        with NodeClient(url, guess) as client:
            assert client.healthy()
            for path in ("/status", "/members", "/rounds", "/models", "/metrics", "/federation"):
                with pytest.raises(ApiRefused, match=r"token|wait a second"):
                    client.get(path)
            with pytest.raises(ApiRefused, match=r"token|wait a second"):
                client.remove("h3")
        assert httpx.get(f"{url}/status").status_code in {401, 429}
        log = world.launcher.homes["h0"].log_file.read_text()
        assert "the token is wrong" in log
        assert guess not in log

    story(tmp_path, tell, ["h0"])


def test_a_home_cannot_be_used_twice(tmp_path: Path) -> None:
    async def tell(world: World) -> None:
        home = str(world.launcher.homes["h0"].folder)
        second = await asyncio.to_thread(
            subprocess.run, [sys.executable, "-m", "medward.node", home], capture_output=True
        )
        assert second.returncode == 1
        assert b"runs on" in second.stderr
        assert b"Traceback" not in second.stderr

    story(tmp_path, tell, ["h0"])


def test_nodes_stop_when_the_program_that_started_them_is_gone(tmp_path: Path) -> None:
    async def tell(world: World) -> None:
        process = world.launcher._processes["h0"]
        assert process.stdin is not None
        process.stdin.close()
        assert await asyncio.to_thread(process.wait, 30) == 0

    story(tmp_path, tell, ["h0"])


def test_a_newcomer_joins_by_its_card_and_a_member_leaves(tmp_path: Path) -> None:
    async def tell(world: World) -> None:
        [seat] = free_seats(["h4"])
        newcomer = Home.create(tmp_path / "h4", seat.configuration())
        newcomer.install(world.launcher.homes["h1"].federation())
        world.launcher.homes["h4"] = newcomer
        world.launcher.start("h4")
        await world.until(lambda: "waits until a member admits" in world.launcher.output("h4"), "h4 waits")
        assert not world.launcher.client("h4").healthy()
        card = read_card(newcomer.card_file)
        answer = await asyncio.to_thread(world.launcher.client("h0").admit, card)
        assert answer["ordered"]
        await world.launcher.wait_until_healthy()
        await world.note("task/five")
        await world.until_held("five", by=[*NAMES, "h4"], of=[*NAMES, "h4"])
        assert len(world.launcher.client("h2").get("/members")) == 5
        with pytest.raises(ApiRefused, match="is a member with these keys already"):
            await asyncio.to_thread(world.launcher.client("h0").admit, card)
        with pytest.raises(ApiRefused, match="code 3"):  # of the bank: only the governor may
            await asyncio.to_thread(world.launcher.client("h1").remove, "h4")
        await world.launcher.stop(["h4"])
        shutil.copytree(newcomer.folder, tmp_path / "asleep")
        world.launcher.start("h4")
        await world.launcher.wait_until_healthy()
        await asyncio.to_thread(world.launcher.client("h0").remove, "h4")
        await world.until(lambda: not world.launcher.running("h4"), "h4 stops")
        assert "is no member of ward any more" in world.launcher.output("h4")
        await world.until(lambda: len(world.launcher.client("h2").get("/members")) == 4, "four are left")
        await world.note("task/six")
        await world.until_held("six", by=NAMES, of=NAMES)

        # One that slept meanwhile finds that nobody speaks to it as to a member, learns why, and stops.
        await world.fill(3 * CHAIN.checkpoint_interval)
        shutil.rmtree(newcomer.folder)
        shutil.copytree(tmp_path / "asleep", newcomer.folder)
        world.launcher.start("h4")
        await world.until(lambda: not world.launcher.running("h4"), "h4 stops again")
        assert "is no member of ward any more" in world.launcher.output("h4")

    story(tmp_path, tell)


def test_a_restored_disk_never_votes_with_old_keys_and_comes_back_as_a_new_incarnation(tmp_path: Path) -> None:
    async def tell(world: World) -> None:
        home = world.launcher.homes["h2"]
        await world.note("task/one")
        await world.until_held("one", by=NAMES, of=NAMES)
        await world.launcher.stop(["h2"])
        shutil.copytree(home.folder, tmp_path / "image")  # what an administrator's disk image holds
        write_backup(home.folder, tmp_path / "h2.tar")  # what ours holds
        world.launcher.start("h2")
        await world.launcher.wait_until_healthy()
        await world.note("task/two")
        await world.until_held("two", by=NAMES, of=NAMES)
        await world.launcher.stop(["h2"])
        shutil.rmtree(home.folder)
        shutil.copytree(tmp_path / "image", home.folder)
        world.launcher.start("h2")
        await world.until(lambda: not world.launcher.running("h2"), "h2 stops")
        output = world.launcher.output("h2")
        assert "its disk was rolled back" in output or "its journal has none" in output

        shutil.rmtree(home.folder)
        card = read_backup(tmp_path / "h2.tar", home.folder)
        assert card.member.incarnation == 1
        await asyncio.to_thread(world.launcher.client("h0").admit, card)
        world.launcher.start("h2")
        await world.launcher.wait_until_healthy()
        await world.note("task/three")
        await world.until_held("three", by=NAMES, of=NAMES)
        assert world.status("h2")["incarnation"] == 1

        await world.launcher.stop(["h2"])
        shutil.rmtree(home.folder)
        shutil.copytree(tmp_path / "image", home.folder)
        world.launcher.start("h2")
        await world.until(lambda: not world.launcher.running("h2"), "h2 stops")
        assert "it must neither vote nor answer" in world.launcher.output("h2")

    story(tmp_path, tell)


def test_nodes_talk_over_ipv6_too(tmp_path: Path) -> None:
    async def tell(world: World) -> None:
        await world.note("task/scan")
        await world.until_held("scan", by=["h0", "h1"], of=["h0", "h1"])

    try:
        free_ports(1, "::1")
    except NodeError:
        pytest.skip("this machine has no IPv6")
    story(tmp_path, tell, ["h0", "h1"], host="::1")


def test_the_api_is_served_over_tls_where_it_has_a_certificate(tmp_path: Path) -> None:
    home = found_on_one_machine(tmp_path / "ward", "ward", free_seats(["h0"]), "bank")["h0"]
    keys = make_gateway_identity(home.folder / "api", home.ledger / "keys", "127.0.0.1:1", [])
    authority = home.ledger / "keys" / "tls.crt"
    keys.certificate.write_bytes(keys.certificate.read_bytes() + authority.read_bytes())
    text = home.configuration_file.read_text()
    text = text.replace('certificate = ""', 'certificate = "api/certificate.pem"').replace(
        'key = ""', 'key = "api/key.pem"'
    )
    home.configuration_file.write_text(text)

    async def tell() -> None:
        async with Launcher({"h0": home}) as launcher:
            client = launcher.client("h0")
            assert client.url.startswith("https://")
            trusting = NodeClient(client.url, home.token(), authority)
            while not await asyncio.to_thread(trusting.healthy):
                assert launcher.running("h0"), launcher.output("h0")
                await asyncio.sleep(0.2)
            assert trusting.get("/status")["phase"] == "running"
            with (
                NodeClient(client.url, home.token()) as strange,
                pytest.raises(NodeError, match="verify failed"),
            ):
                strange.get("/status")
            trusting.close()

    asyncio.run(tell())


@pytest.mark.parametrize("table", ["ledger", "store", "api"])
def test_a_port_that_is_taken_is_told_in_one_sentence(tmp_path: Path, table: str) -> None:
    home = found_on_one_machine(tmp_path / "ward", "ward", free_seats(["h0"]), "bank")["h0"]
    address = getattr(home.configuration(), table).listen
    host, port = split_address(address, table)
    with socket.create_server((host, port)):
        command = [sys.executable, "-m", "medward.node", str(home.folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    told = next(line for line in done.stderr.splitlines() if " error " in line)
    assert f"cannot listen on {address}" in told
    assert "Traceback" not in done.stderr


def test_a_node_that_ends_again_and_again_is_given_up(tmp_path: Path) -> None:
    homes = found_on_one_machine(tmp_path / "ward", "ward", free_seats(["h0"]), "bank")
    (homes["h0"].ledger / "fresh").unlink()  # as if its journal had been lost

    async def tell() -> None:
        async with Launcher(homes, restart=True) as launcher:
            with pytest.raises(NodeError, match=r"ends again and again: .* there is no journal in"):
                await launcher.wait_until_healthy()

    asyncio.run(tell())


def test_lost_quorum_and_a_wrong_clock_are_told_of_by_everybody(tmp_path: Path) -> None:
    async def tell(world: World) -> None:
        def told(name: str) -> dict[str, Any]:
            status: dict[str, Any] = world.status(name)
            return status

        assert told("h0")["ledger"]["has_quorum"]
        await world.until(lambda: any("is 300" in line for line in told("h3")["warnings"]), "h3 sees its own clock")
        assert told("h3")["warnings"][0].startswith("this node's clock is 300")
        await world.until(lambda: any("h3" in line for line in told("h0")["warnings"]), "h0 sees the clock of h3")
        for name in ("h2", "h3"):
            world.launcher.kill(name)
        client = world.launcher.client("h0")
        await world.until(lambda: "no quorum" in (told("h0")["problem"] or ""), "h0 sees that two are gone", 60)
        assert not client.healthy()
        assert httpx.get(f"{client.url}/health").json() == {"healthy": False, "quorum": False}
        assert "medward_ledger_quorum 0.0" in client.text("/metrics")
        assert 'medward_peer_heard_seconds{peer="h2"}' in client.text("/metrics")

    story(tmp_path, tell, clocks={"h3": 300.0})
