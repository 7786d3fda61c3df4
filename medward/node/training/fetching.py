"""The blobs of a round, and shared models, got side by side from this member's store or from peers.

`Reading` reads one blob. `Fetching` gets what a round asks for: each blob by a task of its own, and each is told of
when it comes (threat M16). A member that takes its time, or withholds what it named, holds up what it named itself and
nothing else: each author's blobs stand in a line of their own, and what two members named stands in both their lines.
Nothing is read of a blob that has not the length that is due (threat T2). Fetching ends when the phase that asked for
it is over.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from medward.federation.round.effects import Fetch
from medward.federation.round.naming import authors_of
from medward.federation.round.state import Phase, Round
from medward.federation.stopwatch import Stopwatch
from medward.node.training.retention import MODELS, Retention
from medward.store.errors import InvalidCid, InvalidDag, InvalidRecord, LimitExceeded, StoreError, StoreFull
from medward.store.limits import DagLimits, file_of

_LOG = logging.getLogger("medward.node")
#: Threads that wait for blobs: one for each member, as many as there may be, so that no member waits for another.
_MOST_READING = 64
_RETRY_SECONDS = 0.5

#: Gets a blob by its name for a round, its author first; None where it cannot be had yet.
Get = Callable[[str, int, str | None, DagLimits], Awaitable[bytes | None]]


class Reading:
    """Reads blobs, and keeps what it read.

    Args:
        kept: the store, and what is kept in it.
        watch: counts the time.
    """

    def __init__(self, kept: Retention, watch: Stopwatch) -> None:
        self._retention, self._watch = kept, watch
        self._threads = ThreadPoolExecutor(_MOST_READING, thread_name_prefix="blob")
        self._under_way = 0
        self._told_full = False

    @property
    def busy(self) -> bool:
        """Whether a blob is on its way, be it one that nobody waits for any more."""
        return self._under_way > 0

    async def read(self, name: str, label: str, author: str | None, limits: DagLimits) -> bytes | None:
        """Return a blob; None where it cannot be had yet, and nothing (b"") for a name that cannot be one's.

        Args:
            name, label, author, limits: see `Retention.read`.
        """
        # Without a model there is neither training nor a vote: it does not wait for peers that take their time.
        threads = None if label == MODELS else self._threads
        self._under_way += 1
        try:
            with self._watch.doing("store"):
                reading = asyncio.get_running_loop().run_in_executor(
                    threads, self._retention.read, name, label, author, limits
                )
                content = await reading
        except (InvalidCid, InvalidDag, InvalidRecord, LimitExceeded) as error:
            # Nobody can have anything that fits under that name: it stands for something empty, which fits nothing.
            _LOG.warning("%s named something that cannot be a blob of a round: %s", author, error)
            return b""
        except StoreError as error:
            # Whoever must make room is told once, and again when it was not enough.
            level = logging.WARNING if isinstance(error, StoreFull) and not self._told_full else logging.DEBUG
            _LOG.log(level, "%s cannot be had yet: %s", name, error)
            self._told_full |= isinstance(error, StoreFull)
            return None
        finally:
            self._under_way -= 1
        self._told_full = False
        return content

    def close(self) -> None:
        """Read nothing more; a peer that takes its time holds up nobody's stop."""
        self._threads.shutdown(wait=False, cancel_futures=True)


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
        self._reasons: dict[tuple[int, str], Phase] = {}
        self._lines: dict[str | None, asyncio.Lock] = {}

    def fetch(self, fetch: Fetch, sizes: Mapping[str, Sequence[int]]) -> None:
        """Begin to get what is not on its way yet.

        Args:
            fetch: what is asked for.
            sizes: the lengths that each blob may have, in bytes (`naming.sizes_of`).
        """
        now = self._now()
        authors = {} if now is None else authors_of(now)
        if fetch.round != self._round:
            self._round, self._lines = fetch.round, {}
        for name in fetch.names:
            if name not in sizes:
                continue  # the round went on meanwhile
            key = (fetch.round, name)
            coming = key in self._reasons
            self._reasons[key] = fetch.why
            for author in () if coming else authors.get(name, (None,)):
                line = self._lines.setdefault(author, asyncio.Lock())
                self._start(self._bring(*key, author, line, file_of(*sizes[name])))

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
            first = self._reasons.pop((number, name), None) is not None
        if content is not None and first:
            await self._tell(number, name, content)

    def _is_wanted(self, number: int, name: str) -> bool:
        now, why = self._now(), self._reasons.get((number, name))
        return now is not None and why is not None and (now.number, now.phase) == (number, why)
