"""How much memory a process that runs tests takes: what JAX has compiled is dropped in time, and a limit is told of."""

import ctypes
import gc
import sys
from pathlib import Path

LIMIT = 1024  # MiB; a process that passes it is told of
# Above this, what was compiled for earlier tests is dropped: a test that trains compiles up to 300 MiB.
PLENTY = 550


def of_this_process(field: str) -> int:
    """Return a field of Linux's account of this process in MiB, and 0 on other systems: VmRSS now, VmHWM at most."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) // 1024 for line in lines if line.startswith(f"{field}:")), 0)


def drop_compiled() -> None:
    """Drop what JAX has compiled, and give the memory back, where this process holds much of it."""
    if (jax := sys.modules.get("jax")) is None or of_this_process("VmRSS") < PLENTY:
        return
    jax.clear_caches()
    gc.collect()
    # glibc keeps what the compiler has freed; other C libraries have no such call.
    if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):
        trim(0)


def excess(peaks: dict[str, int]) -> list[str]:
    """Return a sentence for each process that took more than the limit at any time.

    Args:
        peaks: each process's name, and its most memory in MiB.
    """
    return [
        f"{name} took {peak} MiB of memory and may take {LIMIT}: what did a test keep, or compile, that is so large?"
        for name, peak in sorted(peaks.items())
        if peak > LIMIT
    ]
