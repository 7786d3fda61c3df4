"""Threat T5: idle connections and half-open handshakes on real sockets, on both event loops."""

import asyncio
import contextlib
import gc
import os
import resource
import ssl
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from medward.admission.door import NO_ROOM, TOO_SLOW, Door
from medward.admission.rooms import Room
from medward.ledger.pbft.identity import NodeIdentity
from tests.admission.world import LOOPS, Greeting, bound, call, until, within

Loop = Callable[[], asyncio.AbstractEventLoop]
pytestmark = pytest.mark.parametrize("loop", LOOPS.values(), ids=LOOPS.keys())
OTHERS = [f"127.0.0.{number}" for number in range(2, 12)]


class Told:
    def __init__(self) -> None:
        self.reasons: list[str] = []

    def __call__(self, what: str, particulars: str) -> None:
        assert particulars
        self.reasons.append(what)


def open_sockets() -> int:
    found = 0
    for descriptor in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            found += os.readlink(f"/proc/self/fd/{descriptor}").startswith("socket:")
    return found


def test_idle_callers_take_no_more_than_their_places_and_a_newcomer_is_let_in(loop: Loop) -> None:
    async def story() -> None:
        listener, told, room = bound(), Told(), Room(5, 5)
        door = Door([listener], Greeting, room, refused=told)
        door.open()
        port = listener.getsockname()[1]
        idle = [await call(port) for _ in range(30)]
        honest = await call(port)
        await until(lambda: honest.heard == b"hello", "the newcomer is greeted")
        await until(lambda: sum(one.ended for one in idle) == 26, "the others were hung up on")
        assert len(room) == 5
        assert told.reasons == ["a stranger made room for another"] * 26
        door.close()
        door.hang_up()
        await until(lambda: honest.ended, "all are hung up on")

    within(story(), loop)


def test_stranger_for_whom_there_is_no_place_waits_outside_where_nobody_else_must_come_in(loop: Loop) -> None:
    async def story() -> None:
        listener, told = bound(), Told()
        door = Door([listener], Greeting, Room(2, 2, grace=0.5), refused=told)
        door.open()
        begun = time.monotonic()
        callers = [await call(listener.getsockname()[1]) for _ in range(5)]
        await until(lambda: all(one.heard for one in callers), "everybody had a turn")
        assert time.monotonic() - begun > 0.9  # the fifth came after two that came after two
        assert "callers who wait for a place" in told.reasons
        assert NO_ROOM not in told.reasons
        door.close()

    within(story(), loop)


def test_strangers_from_elsewhere_do_not_take_the_places_of_a_member_s_address(loop: Loop) -> None:
    async def story() -> None:
        listener, told = bound(), Told()
        strangers, expected = Room(4, 2, grace=30), Room(4, 4, grace=30)
        door = Door([listener], Greeting, strangers, expected=expected, refused=told)
        door.open()
        door.expect(["127.0.0.1"])
        await asyncio.sleep(0.05)
        port = listener.getsockname()[1]
        crowd = [await call(port, source) for source in OTHERS * 3]
        await until(lambda: told.reasons.count(NO_ROOM) == 26, "the others were turned away")
        assert len(strangers) == 4
        member = await call(port)
        await until(lambda: member.heard == b"hello", "the member is let in")
        assert sum(one.ended for one in crowd) <= 26
        door.close()

    within(story(), loop)


def test_address_from_which_a_member_came_is_expected_from_then_on(loop: Loop) -> None:
    async def story() -> None:
        listener = bound()
        strangers, expected, members = Room(2, 1, grace=30), Room(2, 2, grace=30), Room(9, 9, known=True)

        def make(place):  # who comes from 127.0.0.3 shows a certificate, so to speak
            return Greeting(place, lambda place: place.move(members, "north") if place.address == "127.0.0.3" else None)

        door = Door([listener], make, strangers, expected=expected, rooms=[members])
        door.open()
        port = listener.getsockname()[1]
        first = await call(port, "127.0.0.3")
        await until(lambda: bool(first.heard), "the member came")
        for source in OTHERS[2:]:
            await call(port, source)
        again = await call(port, "127.0.0.3")
        await until(lambda: again.heard == b"hello", "it comes again in spite of the others")
        stranger = await call(port, "127.0.0.200")
        await until(lambda: stranger.ended, "a stranger does not")
        door.close()

    within(story(), loop)


def test_half_a_handshake_is_ended_and_its_descriptor_is_given_back(loop: Loop, tmp_path: Path) -> None:
    async def story() -> None:
        listener, told = bound(), Told()
        context = NodeIdentity.create(tmp_path / "keys").server_context()
        room = Room(50, 50, life=0.5)
        door = Door([listener], Greeting, room, context=context, refused=told)
        door.open()
        gc.collect()  # what earlier tests left
        before = open_sockets()
        silent = [await call(listener.getsockname()[1]) for _ in range(5)]
        for one in silent[:2]:
            one.writer.write(bytes.fromhex("160301020001"))  # the beginning of a hello
        await until(lambda: all(one.ended for one in silent), "they are hung up on")
        assert told.reasons.count(TOO_SLOW) == 5
        for one in silent:
            one.close()
        await until(lambda: open_sockets() <= before, "the descriptors are back")
        assert len(room) == 0
        anyone = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        anyone.check_hostname, anyone.verify_mode = False, ssl.CERT_NONE
        honest = await call(listener.getsockname()[1], ssl=anyone)
        await until(lambda: honest.heard == b"hello", "a whole handshake is taken")
        door.close()

    within(story(), loop)


def test_accepting_without_a_descriptor_left_neither_spins_nor_ends_the_door(loop: Loop) -> None:
    async def story() -> None:
        listener, told = bound(), Told()
        door = Door([listener], Greeting, Room(50, 50), refused=told)
        door.open()
        first = await call(listener.getsockname()[1])
        await until(lambda: bool(first.heard), "the first is let in")
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        second = bound()
        second.setblocking(False)
        # Nobody may open anything from here on; what is open stays so.
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
        try:
            second.connect_ex(listener.getsockname())
            await asyncio.sleep(1.0)
            tries = len(told.reasons)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert 1 <= tries <= 10
        assert set(told.reasons) == {"no descriptor is left for a caller"}
        await until(lambda: first.ended, "a stranger's descriptor was given back")
        heard = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(second, 5), 10)
        assert heard == b"hello"
        second.close()
        door.close()

    within(story(), loop)
