"""Keeping the parts of a node running: one sentence for what crashed, another try where that is safe, else an end."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from medward.errors import MedwardError
from medward.node.errors import NodeError, Retired

_LOG = logging.getLogger("medward.node")
_PAUSE = (0.5, 60.0)
_LONG_ENOUGH = 300.0


def sentence(error: BaseException) -> str:
    """Return what happened in one line; a defect of medward or of a library is called one."""
    text = " ".join(str(error).split())
    if isinstance(error, MedwardError):
        return text
    return f"a defect, {type(error).__name__}{': ' if text else ''}{text}"


class Restarts:
    """How often each part was started again."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}

    def note(self, part: str) -> None:
        """Count one."""
        self.counts[part] = self.counts.get(part, 0) + 1


async def keep_running(
    part: str,
    run: Callable[[], Awaitable[None]],
    restarts: Restarts,
    *,
    pause: tuple[float, float] = _PAUSE,
) -> None:
    """Run a part until it returns; after a crash, start it again with growing pauses.

    Only for parts that lose nothing by it: whatever they must remember is on disk or on the ledger.

    Args:
        part: how the log calls it.
        run: the part; called again after a crash.
        restarts: counts them.
        pause: the first and the longest pause in seconds; doubled at each crash that follows soon.

    Raises:
        Retired: another try would be wrong.
    """
    loop = asyncio.get_running_loop()
    wait = pause[0]
    while True:
        begun = loop.time()
        try:
            await run()
            return
        except Retired:
            raise
        except Exception as error:
            if loop.time() - begun > _LONG_ENOUGH:
                wait = pause[0]
            restarts.note(part)
            _LOG.error("%s crashed: %s; starting it again in %.1f s", part, sentence(error), wait, exc_info=error)
        await asyncio.sleep(wait)
        wait = min(2 * wait, pause[1])


async def run_once(part: str, run: Callable[[], Awaitable[None]]) -> None:
    """Run a part that must not be started again in this process.

    Raises:
        NodeError: it crashed; the node has to stop.
    """
    try:
        await run()
    except MedwardError:
        raise
    except Exception as error:
        raise NodeError(f"{part} crashed: {sentence(error)}; the node stops") from error
