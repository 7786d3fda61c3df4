"""Power failures: `kill -9` leaves what the system has in its cache; here all that was not synced is lost as well."""

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np

SOURCE = Path(__file__).parent / "lazy_disk.c"
COMPILER = shutil.which("cc")
FILES = ("journal.sqlite", "journal.sqlite-wal")


def lazy_disk(folder: Path) -> dict[str, str]:
    """Return the environment of a process whose journal can be taken back to what was synced."""
    library = folder / "lazy_disk.so"
    assert COMPILER is not None
    subprocess.run([COMPILER, "-shared", "-fPIC", "-O1", "-o", str(library), str(SOURCE), "-ldl"], check=True)
    return {**os.environ, "LD_PRELOAD": str(library)}


def cut_power(journal: Path) -> int:
    """Leave of the journal of a killed process what it had synced; return how many bytes were lost or older."""
    lost = 0
    for name in FILES:
        live, durable = journal / name, journal / f"{name}.durable"
        if not live.exists():
            continue
        before = live.read_bytes()
        if durable.exists():
            after = durable.read_bytes()
            live.write_bytes(after)
        else:
            after = b""
            live.unlink()
        # All of it: the log's room is taken at once, so that what was written last is not at its end.
        both = min(len(before), len(after))
        old, new = (np.frombuffer(data, np.uint8, both) for data in (before, after))
        lost += abs(len(before) - len(after)) + int(np.count_nonzero(old != new))
    (journal / "journal.sqlite-shm").unlink(missing_ok=True)
    return lost
