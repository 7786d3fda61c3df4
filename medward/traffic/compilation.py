"""How the kernels of this part are compiled."""

from collections.abc import Callable
from typing import Any, TypeVar

from numba import njit

Kernel = TypeVar("Kernel", bound=Callable[..., Any])


def compiled(function: Kernel) -> Kernel:
    """Compile `function` to machine code on first use, and keep the result on disk where that is possible.

    A read-only installation in an account without a home has no place for it; there each process compiles anew.
    Kernels release the lock of the interpreter, so that a capture is metered beside other work. They allocate nothing,
    and so are compiled without numba's counting of references, which took much of their time.
    """
    options: dict[str, Any] = {"error_model": "numpy", "nogil": True, "_nrt": False}
    try:
        kernel: Kernel = njit(cache=True, **options)(function)
    except RuntimeError:
        kernel = njit(cache=False, **options)(function)
    return kernel
