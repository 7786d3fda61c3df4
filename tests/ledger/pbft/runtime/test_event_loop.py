"""The event loop runs a coroutine to its end, gives back what it gave, and leaves no loop behind."""

import asyncio

import pytest

from medward.ledger.pbft.runtime.event_loop import run


async def doubled(value: int) -> int:
    await asyncio.sleep(0)
    return 2 * value


def test_result_comes_back_and_each_run_has_a_loop_of_its_own() -> None:
    loops = []

    async def remember() -> None:
        loops.append(asyncio.get_running_loop())

    run(remember())
    run(remember())
    assert loops[0] is not loops[1]
    assert all(loop.is_closed() for loop in loops)
    assert run(doubled(21)) == 42


def test_error_comes_through_and_tasks_that_were_left_are_cancelled() -> None:
    ended = []

    async def waits() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("waits")

    async def fails() -> None:
        task = asyncio.create_task(waits())
        await asyncio.sleep(0)
        assert not task.done()
        raise LookupError("gone")

    with pytest.raises(LookupError, match="gone"):
        run(fails())
    assert ended == ["waits"]
