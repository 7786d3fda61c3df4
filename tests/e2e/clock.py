"""The wall clock of all nodes of a test: the machine's, and as much as the test sets it forward.

A deadline of ten minutes then passes when the test says so: no honest node is ever late on a busy machine, and nobody
waits for a node that is silent on purpose. Nothing else about time is changed: sockets, retries and the ledger's
time-outs run as ever.
"""

import mmap
import struct
import time
from pathlib import Path

FILE = "clock"
_FORM = struct.Struct("d")
_real = time.time


class Clock:
    """Seconds to add to the machine's clock, in a file that all nodes map into their memory.

    Args:
        folder: holds the file.
    """

    def __init__(self, folder: Path) -> None:
        path = folder / FILE
        if not path.exists():
            path.write_bytes(_FORM.pack(0.0))
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), _FORM.size)

    def time(self) -> float:
        """What the nodes take for the time."""
        return _real() + float(_FORM.unpack_from(self._map)[0])

    def forward(self, seconds: float) -> None:
        """Set the clocks forward."""
        _FORM.pack_into(self._map, 0, float(_FORM.unpack_from(self._map)[0]) + seconds)


def follow(folder: Path) -> None:
    """Let this process go by the clock in a folder, where there is one."""
    if (folder / FILE).exists():
        time.time = Clock(folder).time
