"""How JAX compiles: kept on disk, so that a node that is started again trains seconds earlier, and for one thread."""

import hashlib
import os
import platform
from pathlib import Path

#: Has XLA, JAX's compiler, use one thread for each operation; part of the environment's XLA_FLAGS.
ONE_XLA_THREAD = "--xla_cpu_multi_thread_eigen=false"


def keep_compiled() -> None:
    """Keep what is compiled from now on in the user's cache folder, and take from there what is compiled already.

    JAX_COMPILATION_CACHE_DIR, where it is set, names another folder. Where none can be written, nothing is kept.
    """
    if os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        return
    try:
        folder = _folder()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except (OSError, RuntimeError):  # no home, or one that is read only
        return
    if not os.access(folder, os.W_OK):
        return
    import jax  # noqa: PLC0415 - the flag above is wanted where JAX is not needed

    jax.config.update("jax_compilation_cache_dir", str(folder))  # type: ignore[no-untyped-call]
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)  # type: ignore[no-untyped-call]


def _folder() -> Path:
    """Return the folder for this kind of processor: code for another may not run here, and home folders are shared."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "medward" / "jax" / hashlib.sha256(_processor().encode()).hexdigest()[:16]


def _processor() -> str:
    """Return what tells kinds of processors apart."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor()
    told = ("flags", "Features", "model name")
    return "\n".join(sorted({line for line in lines if line.startswith(told)}))
