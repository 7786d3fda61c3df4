"""Starting and ending nodes: seats on ports of their own, the last word of the dead, and no restart without end."""

import asyncio
import sys
from pathlib import Path

import pytest

from medward.node.errors import NodeError
from medward.node.home.folder import Home
from medward.node.trial.launcher import Launcher, free_seats

FAILS = (sys.executable, "-c", "print('first'); print('the disk is full'); raise SystemExit(3)")
WAITS = (sys.executable, "-c", "import sys; print('up', flush=True); sys.stdin.read()")


def test_seats_have_ports_of_their_own() -> None:
    seats = free_seats(("a", "b", "c"))
    assert [seat.name for seat in seats] == ["a", "b", "c"]
    addresses = [address for seat in seats for address in (seat.ledger, seat.store, seat.api)]
    assert len(set(addresses)) == 9
    assert all(address.startswith("127.0.0.1:") for address in addresses)
    assert free_seats(()) == []


async def ended(launcher: Launcher, name: str) -> None:
    while launcher.running(name):
        await asyncio.sleep(0.01)


def test_node_that_dies_leaves_its_last_line(homes: dict[str, Home]) -> None:
    async def story() -> None:
        launcher = Launcher(homes, command=FAILS)
        assert launcher.last_line("north") == "it wrote nothing"
        assert launcher.pid("north") is None
        launcher.start("north")
        await ended(launcher, "north")
        assert launcher.output("north") == "first\nthe disk is full\n"
        assert launcher.last_line("north") == "the disk is full"
        assert await launcher.stop() == {"north": 3}
        assert await launcher.stop() == {}

    asyncio.run(story())


def test_nodes_are_started_and_ended_together(homes: dict[str, Home]) -> None:
    async def story() -> None:
        async with Launcher(homes, command=WAITS) as launcher:
            assert all(launcher.running(name) for name in homes)
            assert len({launcher.pid(name) for name in homes}) == len(homes)
            launcher.kill("north")
            assert not launcher.running("north")
            assert launcher.running("south")
        assert not launcher.running("south")

    asyncio.run(story())


def test_node_that_dies_again_and_again_is_started_five_times_and_told_of(homes: dict[str, Home]) -> None:
    async def story() -> None:
        launcher = Launcher(homes, restart=True, command=(sys.executable, "-S", "-c", "print('no space left')"))
        launcher.start("north")
        with pytest.raises(NodeError, match="the node north ends again and again: no space left"):
            await until_given_up(launcher)
        assert launcher.restarts == {"north": 5}
        await launcher.stop()

    async def until_given_up(launcher: Launcher) -> None:
        while True:
            await ended(launcher, "north")
            launcher.restart_the_dead()

    asyncio.run(story())


def test_the_dead_are_left_where_no_restart_is_wanted(homes: dict[str, Home]) -> None:
    async def story() -> None:
        launcher = Launcher(homes, command=FAILS)
        launcher.start("north")
        await ended(launcher, "north")
        launcher.restart_the_dead()
        assert not launcher.running("north")
        assert launcher.restarts == {}
        await launcher.stop()

    asyncio.run(story())


def test_output_that_is_no_text_is_still_told(homes: dict[str, Home]) -> None:
    output = homes["north"].log_file.with_name("output")
    Path(output).parent.mkdir(parents=True, exist_ok=True)
    output.write_bytes(b"\xff\xfe first\nlast \x80")
    assert Launcher(homes).last_line("north").startswith("last ")
