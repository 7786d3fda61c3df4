"""Blobs read side by side, from this member's store or from a peer that may take its time."""

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor

from medward.federation.stopwatch import Stopwatch
from medward.node.training.retention import MODELS, Retention
from medward.store.errors import InvalidCid, InvalidDag, InvalidRecord, LimitExceeded, StoreError, StoreFull
from medward.store.limits import DagLimits

_LOG = logging.getLogger("medward.node")
#: Threads that wait for blobs: one for each member, as many as there may be, so that no member waits for another.
_MOST_READING = 64


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
