"""Requests that the ports refuse: counted, and logged, but less often than they may come."""

import logging
import threading
import time

from medward.admission import RefusalListener
from medward.node.api.guard import Allowance

_LOG = logging.getLogger("medward.node")
#: Five lines at once, and then one a minute for each port and reason: who knocks for days must not fill the disk.
_LINES_PER_SECOND = 1 / 60
_LONGEST = 200


class RefusedRequests:
    """How many callers' requests each port refused, by port and reason."""

    def __init__(self) -> None:
        self.counts: dict[tuple[str, str], int] = {}
        self._unsaid: dict[str, int] = {}
        self._lines = Allowance(_LINES_PER_SECOND)
        self._lock = threading.Lock()

    def at(self, port: str) -> RefusalListener:
        """Return what a port is to tell; it may do so from any thread.

        Args:
            port: what the port is for: ledger, store or API.
        """

        def note(what: str, particulars: str) -> None:
            about = f"{port}: {what}"
            with self._lock:
                self.counts[port, what] = self.counts.get((port, what), 0) + 1
                if not self._lines.take(about, time.monotonic()):
                    self._unsaid[about] = self._unsaid.get(about, 0) + 1
                    return
                unsaid = self._unsaid.pop(about, 0)
            # What a caller sent may stand in it: it must not write lines of this log.
            told = "".join(letter if letter.isprintable() else "?" for letter in particulars[:_LONGEST])
            more = f"; and {unsaid} more before" if unsaid else ""
            _LOG.warning("refused at the port of the %s (%s)%s", about, told, more)

        return note
