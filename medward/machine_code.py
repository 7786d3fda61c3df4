"""Kernels: functions that numba compiles to machine code and keeps on disk, each of them once for all processes.

Every process that finds nothing on the disk compiles, so that four nodes that start together on a new machine did each
kernel's work four times. Here one of them compiles a kernel while the others wait for what it keeps.
"""

import contextlib
import fcntl
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from numba import njit
from numba.core.caching import FunctionCache

#: The type of a kernel whose arguments and result have types.
Kernel = TypeVar("Kernel", bound=Callable[..., Any])

#: Seconds that a process waits for another that compiles the same kernel: four times what the largest of the meter's
#: takes with all that it calls, on a quiet machine. The other may be stopped, or may have failed to compile.
PATIENCE = 120.0
_LOOK_SECONDS = 0.02
_FunctionCache: Any = FunctionCache  # it has no types


def kernel(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Return a decorator that has numba compile a function on first use, and keep the result on disk where it can.

    Numba looks for a writable place: NUMBA_CACHE_DIR, the package's own `__pycache__`, then the user's cache folder.
    A read-only installation in an account without a home has none; there each process compiles anew.

    Args:
        options: of numba's `njit`.
    """

    def decorate(function: Callable[..., Any]) -> Any:
        compiled = njit(**options)(function)
        with contextlib.suppress(RuntimeError):  # there is no place
            compiled._cache = _OneCompiles(function)
        return compiled

    return decorate


class _OneCompiles(_FunctionCache):  # type: ignore[misc]
    """What numba keeps of one function on disk; whoever finds nothing there locks a file before it compiles.

    Numba calls `load_overload`, compiles if that found nothing, and then calls `save_overload`. Two kernels never wait
    for each other: one that compiles waits only for those that it calls.

    Args:
        function: the kernel in Python.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function)
        code = function.__code__
        name = f"{Path(code.co_filename).stem}.{function.__qualname__}-{code.co_firstlineno}.lock"
        self._lock_path = Path(self.cache_path) / name
        self._lock: int | None = None

    def load_overload(self, signature: Any, target: Any) -> Any:
        """Return what is on disk for a signature; where it is nothing, it is this process's turn to compile."""
        found = super().load_overload(signature, target)
        if found is None:
            self._begin()
            found = super().load_overload(signature, target)  # another process may have compiled it meanwhile
            if found is not None:
                self._end()
        return found

    def save_overload(self, signature: Any, data: Any) -> None:
        """Keep what was compiled."""
        try:
            super().save_overload(signature, data)
        finally:
            self._end()

    def _begin(self) -> None:
        """Lock the file, or go on without the lock where that takes too long or cannot be done."""
        if self._lock is not None:  # to compile failed the last time, and it is still this process's turn
            return
        try:
            self._lock_path.parent.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(self._lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            until = time.monotonic() + PATIENCE
            while not self._is_locked() and time.monotonic() < until:
                time.sleep(_LOOK_SECONDS)
        except OSError:
            self._end()

    def _is_locked(self) -> bool:
        assert self._lock is not None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _end(self) -> None:
        """Unlock the file and take it away: who waits for it looks on the disk anyway, and so does who comes later."""
        if self._lock is not None:
            with contextlib.suppress(OSError):
                self._lock_path.unlink()
            os.close(self._lock)
            self._lock = None
