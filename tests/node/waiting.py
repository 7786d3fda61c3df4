"""Waiting for what real nodes do."""

import asyncio
import time
from collections.abc import Callable

from medward.node.errors import NodeError
from medward.node.trial.launcher import Launcher


async def until(launcher: Launcher, holds: Callable[[], bool], what: str, seconds: float = 60) -> None:
    """Wait until something holds; a node that does not answer yet is asked again.

    Args:
        launcher: its nodes, whose last lines are shown if it does not come to hold.
        holds: asked again and again, in a thread.
        what: is waited for.
        seconds: the most that it may take.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            if await asyncio.to_thread(holds):
                return
        except NodeError:
            pass
        if time.monotonic() > deadline:
            logs = "\n".join(launcher.output(name)[-3000:] for name in launcher.homes)
            raise AssertionError(f"waited in vain until {what}\n{logs}")
        await asyncio.sleep(0.1)
