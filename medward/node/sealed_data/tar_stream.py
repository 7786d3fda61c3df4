"""A file or folder as one stream of bytes and back: a tar archive of nothing but names and contents.

Owners, modes and times are left out: what is sealed is the data, and they would tell of the machine. Links, devices and
names that do not show are refused both ways (archives.py), and nothing is ever written outside the folder that it is
unpacked into. What is unpacked can be read by its owner only.
"""

import io
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, cast

from medward.node.errors import NodeError
from medward.node.home.archives import BLOCK, ArchiveReader, check_file_name, header

_PIECE = 2**20


def pack(path: Path) -> Iterator[bytes]:
    """Yield the archive of a file, or of a folder with all files in it.

    Raises:
        NodeError: it cannot be read, changes while it is read, or holds something else than files and folders.
    """
    try:
        for file, name in _files(path):
            check_file_name(name)
            yield from _pack(file, name)
    except OSError as error:
        raise NodeError(f"cannot read {error.filename or path}: {error.strerror}; check its permissions") from None
    yield bytes(2 * BLOCK)


def unpack(pieces: Iterable[bytes], folder: Path) -> Path:
    """Unpack an archive into `folder` and return what it held, a file or a folder that is new there.

    Nothing is under its name before all pieces have come without an error.

    Raises:
        NodeError: it is malformed, holds more than one file or folder, or its name is taken.
        MedwardError: whatever the pieces raise; nothing is left then.
    """
    source = PieceReader(iter(pieces))
    staging = folder / f".unpacking-{secrets.token_hex(6)}"
    try:
        staging.mkdir(parents=True, mode=0o700)
        archive = ArchiveReader(cast(BinaryIO, source))
        while (entry := archive.next()) is not None:
            _unpack_file(archive, entry[0], staging)
        source.drain()
        roots = list(staging.iterdir())
        if len(roots) != 1:
            raise NodeError(f"the archive holds {len(roots)} files or folders at its top, and not one")
        made = folder / roots[0].name
        if made.exists():
            raise NodeError(f"{made} is there already; choose another folder with --out, so that no data are lost")
        return roots[0].rename(made)
    except OSError as error:
        raise NodeError(f"cannot write to {folder}: {error.strerror}; check the folder and its free space") from None
    finally:
        shutil.rmtree(staging, ignore_errors=True)


class PieceReader(io.RawIOBase):
    """Pieces of any sizes as a file that is read once, from the beginning."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces, self._rest = pieces, memoryview(b"")

    def readable(self) -> bool:
        """See `io.RawIOBase`."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Return `size` bytes, fewer only at the end; all that is left where it is negative."""
        parts: list[memoryview] = []
        while size:
            if not self._rest:
                piece = next(self._pieces, None)
                if piece is None:
                    break
                self._rest = memoryview(piece)
                continue
            taken = self._rest if size < 0 else self._rest[:size]
            self._rest = self._rest[len(taken) :]
            size -= len(taken) if size > 0 else 0
            parts.append(taken)
        return b"".join(parts)

    def drain(self) -> None:
        """Read to the end, for what an end proves."""
        self._rest = memoryview(b"")
        for _ in self._pieces:
            pass


def _files(path: Path) -> Iterator[tuple[Path, str]]:
    """Yield each file with its name in the archive, in the order of the names."""
    if path.is_file():
        yield path, path.name
        return
    root = path.resolve().name
    found = 0
    for inside in sorted(path.rglob("*")):
        if inside.is_symlink() or not (inside.is_file() or inside.is_dir()):
            raise NodeError(f"{inside} is a link or no file; put a copy of what it stands for in its place")
        if inside.is_file():
            found += 1
            yield inside, f"{root}/{inside.relative_to(path).as_posix()}"
    if not found:
        raise NodeError(f"{path} holds no file; name the file or folder with the data")


def _pack(file: Path, name: str) -> Iterator[bytes]:
    with file.open("rb") as content:
        left = size = file.stat().st_size
        yield header(name, size)
        while left and (piece := content.read(min(left, _PIECE))):
            left -= len(piece)
            yield piece
        if left or content.read(1):
            raise NodeError(f"{file} changed while it was read; seal data that nobody writes to")
    yield bytes(-size % BLOCK)


def _unpack_file(archive: ArchiveReader, name: str, staging: Path) -> None:
    *folders, last = check_file_name(name)
    target = staging
    for folder in folders:
        target = target / folder
        target.mkdir(mode=0o700, exist_ok=True)
    descriptor = os.open(target / last, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with open(descriptor, "wb") as file:
        for piece in archive.pieces():
            file.write(piece)
