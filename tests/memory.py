"""How much memory a process that runs tests takes: what JAX has compiled is dropped in time, and a limit is told of."""

import ctypes
import gc
import sys
from pathlib import Path

LIMIT = 1024  # MiB; a process that passes it is told of
# Above this, what was compiled for earlier tests is dropped: a test that trains takes up to 400 MiB more meanwhile.
PLENTY = 600
# In the slower tiers, which have no limit: compiling anew for each file took a tenth of the time of what trains.
PLENTY_IN_SLOWER_TIERS = 1500
# So much must have come since: what cannot be given back must not have all compiled anew after each test.
WORTH_IT = 120
# After so much more, freed memory is given back to the system, which takes milliseconds: the C library keeps what large
# arrays leave behind, and rings ask it to (medward/fhe/ring/ring.py).
FREED = 60


def of_this_process(field: str) -> int:
    """Return a field of Linux's account of this process in MiB, and 0 on other systems: VmRSS now, VmHWM at most."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) // 1024 for line in lines if line.startswith(f"{field}:")), 0)


class Dropping:
    """Gives memory back that tests have freed, and drops what JAX has compiled, where this process holds much of it.

    Args:
        plenty: in MiB, what is much.
    """

    def __init__(self, plenty: int = PLENTY) -> None:
        self._plenty = plenty
        self._trimmed = self._left = 0

    def drop(self) -> bool:
        """Give back what is worth its while; return whether compiled code was dropped."""
        size = of_this_process("VmRSS")
        if size < self._trimmed + FREED:
            return False
        _give_back()
        size = self._trimmed = of_this_process("VmRSS")
        if "jax" not in sys.modules or size < max(self._plenty, self._left + WORTH_IT):
            return False
        _drop_compiled()
        self._trimmed = self._left = of_this_process("VmRSS")
        return True


def _drop_compiled() -> None:
    sys.modules["jax"].clear_caches()
    gc.collect()
    _give_back()


def _give_back() -> None:
    # glibc keeps what was freed; other C libraries have no such call.
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
