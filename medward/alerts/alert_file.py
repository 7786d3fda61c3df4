"""The place that alerts are written to: a file that only grows, by whole lines, or standard output.

Each line goes out in one write, with nothing held back, so what is killed loses no line that was written. A half line
that stands there already, after a full disk say, is ended before the next one begins.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from medward.alerts.errors import UnwritableAlerts

_STANDARD_OUTPUT = "standard output"


class AlertFile:
    """An open place for alerts; use it as a context.

    Args:
        path: the file, which is made with its folder where there is none, and appended to; None for standard output.
    """

    def __init__(self, path: Path | None) -> None:
        self._name = _STANDARD_OUTPUT if path is None else str(path)
        self._descriptor: int | None = None
        if path is None:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        half = _ends_in_a_half_line(path)
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
        if half:
            self._write(b"\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)

    def write(self, lines: Sequence[str]) -> None:
        """Write lines, all of them or as far as the place takes them.

        Raises:
            UnwritableAlerts: nobody reads them any more, or there is no room.
        """
        for line in lines:
            self._write(f"{line}\n".encode())

    def _write(self, content: bytes) -> None:
        try:
            if self._descriptor is None:
                sys.stdout.write(content.decode())
                sys.stdout.flush()
                return
            rest = memoryview(content)
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        except BrokenPipeError:
            if self._descriptor is None:
                # What is still in the buffer goes nowhere, without another error at the end.
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise UnwritableAlerts("nobody reads the alerts any more, so the watch ends.") from None
        except OSError as error:
            raise UnwritableAlerts(
                f"{self._name} takes no more alerts ({error.strerror}), so the watch ends: make room, then start again."
            ) from None


def _ends_in_a_half_line(path: Path) -> bool:
    if not path.is_file() or not path.stat().st_size:
        return False
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) != b"\n"
