"""Files that are written whole or not at all, and names that outlive a crash."""

import contextlib
import os
import secrets
from pathlib import Path


def write_whole(target: Path, content: bytes) -> None:
    """Put content in the place of a file at once: into a file beside it that is synced, then renamed.

    Whoever reads meanwhile finds the file before or this one, and so does who comes after a crash.

    Raises:
        OSError: it cannot be written; the file before is as it was.
    """
    part = target.with_name(f".{target.name[:64]}.{secrets.token_hex(4)}.part")
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    # The rename should reach the disk too. Some file systems can't sync a folder; the new file is whole all the same.
    with contextlib.suppress(OSError):
        flush_folder(target.parent)


def flush_folder(folder: Path) -> None:
    """Make the names in a folder durable.

    Raises:
        OSError: the file system cannot do that.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
