"""A member whose store is full: the others go on, it says why it does not, and it is back once there is room."""

import asyncio
import re
from pathlib import Path

import pytest

from medward.node.errors import NodeError
from medward.store.local import open_directory
from tests.e2e.ward import NAMES, PATIENT, Ward, run

pytestmark = [pytest.mark.processes, pytest.mark.usefixtures("short_training")]
FULL = "h3"
#: Seconds of waiting for it alone, in what it was stopped in and with its data read again, that are too many even on a
#: busy machine.
LONG = 20.0


def limit(ward: Ward, bytes_more: int | None) -> None:
    """Let the store of the stopped node hold so many bytes more than it does; None takes the limit away."""
    home = ward.launcher.homes[FULL]
    gib = 0.0
    if bytes_more is not None:
        with open_directory(home.store, read_only=True) as store:
            gib = (store.usage().bytes + bytes_more) / 2**30
    text = home.configuration_file.read_text()
    home.configuration_file.write_text(re.sub(r"limit_gib = [0-9.e-]+", f"limit_gib = {gib:.9f}", text))


def cannot_speak(ward: Ward) -> bool:
    """Whether the member is away, or has no room for what it would say."""
    limited = re.search(r"limit_gib = ([0-9.e-]+)", ward.launcher.homes[FULL].configuration_file.read_text())
    assert limited is not None
    return bool(float(limited[1])) or not ward.launcher.running(FULL)


def is_back(ward: Ward) -> bool:
    """Whether the member could say something: its node is up and its participant has read its data."""
    try:
        return ward.state(FULL)["training_rows"] is not None
    except (NodeError, KeyError):
        return False


async def nobody_waits_for_it_in_vain(ward: Ward) -> None:
    """Set the clock forward where the others wait for this member alone, and it cannot say what they wait for.

    Where it can, the clock stays: what it says may open the next phase at any moment, and all would miss that one.
    """
    loop = asyncio.get_running_loop()
    stood: tuple[object, ...] = ()
    left: int | None = None
    since, done = 0.0, False
    while True:
        await asyncio.sleep(0.25)
        try:
            state = await asyncio.to_thread(ward.state, "h0")
            at = state["round"]
            stands = (at, state["phase"], *state["waits_for"])
        except (NodeError, KeyError):  # on its way up
            continue
        if not ward.launcher.running(FULL):
            left = at
        if stands != stood:
            stood, since, done = stands, loop.time(), False
        elif not await asyncio.to_thread(is_back, ward):
            since = loop.time()
        if done or list(state["waits_for"]) != [FULL]:
            continue
        # It cannot go on with what it was in the middle of when it was stopped.
        given_up = at == left and loop.time() - since > LONG
        if given_up or await asyncio.to_thread(cannot_speak, ward):
            assert ward.clock is not None
            ward.clock.forward(2 * PATIENT)
            done = True


def test_member_whose_store_is_full_says_so_and_takes_part_again_once_there_is_room(tmp_path: Path) -> None:
    async def tell(ward: Ward) -> None:
        await ward.until(lambda: len(ward.rounds("h0")) >= 1, "a round is over")
        async with asyncio.TaskGroup() as group:
            keeper = group.create_task(nobody_waits_for_it_in_vain(ward))
            await lives_through(ward)
            keeper.cancel()

    async def lives_through(ward: Ward) -> None:
        await ward.launcher.stop([FULL])
        acknowledged = ward.rounds("h0")
        limit(ward, 50_000)
        ward.launcher.start(FULL)
        await ward.until(lambda: "the store is full" in ward.launcher.output(FULL), "it says that its store is full")

        def went_on_without_it() -> bool:
            later = [told for number, told in ward.rounds("h0").items() if number not in acknowledged]
            return any(told["outcome"] == "final" and FULL not in told["cohort"] for told in later)

        await ward.until(went_on_without_it, "a round led to a model without it")
        await ward.launcher.stop([FULL])
        limit(ward, None)
        ward.launcher.start(FULL)
        found = await ward.until_done()
        assert acknowledged.items() <= found.items()
        without = [number for number, told in found.items() if FULL not in told["cohort"]]
        assert any(told["cohort"] == list(NAMES) for number, told in found.items() if number > max(without))
        await ward.launcher.stop(list(NAMES))
        for name in NAMES:
            with open_directory(ward.launcher.homes[name].store) as store:
                assert store.verify().intact

    run(tmp_path, 8, tell, deadline=PATIENT, keep_time=True)
