"""Getting a round's blobs: each by a task of its own, and each is told of when it comes (threat M16).

A member that takes its time, or withholds what it named, holds up what it named itself and nothing else: each author's
blobs stand in a line of their own. Fetching ends when the phase that asked for it is over.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from medward.federation.round.effects import Fetch
from medward.federation.round.state import Phase, Round
from medward.store.limits import DagLimits

_RETRY_SECONDS = 0.5
#: A blob's DAG is this much longer than its content at most, and a name or a few numbers may stand around that.
_SLACK_BYTES = 2**16
_LEAST_BLOCK_BYTES, _SLACK_BLOCKS = 2**16, 8

#: Gets a blob by its name for a round, its author first; None where it cannot be had yet.
Get = Callable[[str, int, str | None, DagLimits], Awaitable[bytes | None]]


class Fetching:
    """Gets what a round asks for while it asks.

    Args:
        now: gives the round as it stands.
        get: gets one blob.
        tell: is told of one that came: round, name, content.
        start: starts a task.
    """

    def __init__(
        self,
        now: Callable[[], Round | None],
        get: Get,
        tell: Callable[[int, str, bytes], Awaitable[None]],
        start: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        self._now, self._get, self._tell, self._start = now, get, tell, start
        self._round = -1
        #: What is on its way, and the phase that asked for it last.
        self._wanted: dict[tuple[int, str], Phase] = {}
        self._lines: dict[str | None, asyncio.Lock] = {}

    def fetch(self, fetch: Fetch, most_bytes: int) -> None:
        """Begin to get what is not on its way yet.

        Args:
            fetch: what is asked for.
            most_bytes: no blob of the round is longer.
        """
        now = self._now()
        authors = {} if now is None else authors_of(now)
        if fetch.round != self._round:
            self._round, self._lines = fetch.round, {}
        for name in fetch.names:
            key = (fetch.round, name)
            coming = key in self._wanted
            self._wanted[key] = fetch.why
            if not coming:
                line = self._lines.setdefault(authors.get(name), asyncio.Lock())
                self._start(self._bring(*key, authors.get(name), line, limits_of(most_bytes)))

    async def _bring(self, number: int, name: str, author: str | None, line: asyncio.Lock, limits: DagLimits) -> None:
        content = None
        try:
            while content is None and self._is_wanted(number, name):
                async with line:
                    if self._is_wanted(number, name):
                        content = await self._get(name, number, author, limits)
                if content is None:
                    await asyncio.sleep(_RETRY_SECONDS)
        finally:
            del self._wanted[number, name]
        if content is not None:
            await self._tell(number, name, content)

    def _is_wanted(self, number: int, name: str) -> bool:
        now = self._now()
        return now is not None and (now.number, now.phase) == (number, self._wanted[number, name])


def authors_of(now: Round) -> dict[str, str]:
    """Return who put each blob of a round into its store."""
    named = {name: one.member for one in now.submissions.values() for name in (one.contribution, one.response)}
    for part in (now.shown, now.answers):
        named |= {name: member for member, name in part.items()}
    return named


def limits_of(most_bytes: int) -> DagLimits:
    """Return the bounds on the DAG of a blob of at most so many bytes."""
    blocks = _SLACK_BLOCKS + most_bytes // _LEAST_BLOCK_BYTES
    return DagLimits(max_bytes=most_bytes + _SLACK_BYTES, max_blocks=blocks)
