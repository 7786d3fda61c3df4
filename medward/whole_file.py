"""Files that are written whole or not at all, and names that outlive a crash."""

import contextlib
import os
import secrets
from collections.abc import Callable
from pathlib import Path


def write_whole(target: Path, content: bytes) -> None:
    """Put content in the place of a file at once: into a file beside it that is synced, then renamed.

    Whoever reads meanwhile finds the file before or this one, and so does who comes after a crash.

    Raises:
        OSError: it cannot be written; the file before is as it was.
    """
    write_made(target, 0, lambda: content)


def write_made(target: Path, most: int, make: Callable[[], bytes]) -> None:
    """Make content and write it as `write_whole` does, once there is room for it.

    Args:
        target: the file.
        most: how many bytes the content has at most; so many are reserved before it is made, as far as the file system
            can do that, so that what may be made only once is not lost to a full disk.
        make: makes the content.

    Raises:
        OSError: there is no room, and nothing was made; or it cannot be written.
    """
    part = target.with_name(f".{target.name[:64]}.{secrets.token_hex(4)}.part")
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        with os.fdopen(handle, "wb") as file:
            if most:
                os.posix_fallocate(file.fileno(), 0, most)
            file.write(make())
            file.truncate()
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
