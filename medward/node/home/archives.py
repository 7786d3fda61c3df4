"""Tar archives as this package writes them: plain files, one after the other, and nothing else (threat T12).

A reader of every kind of archive follows what others wrote: links, devices, sparse files of a few bytes that unpack to
terabytes, headers that are as long as they like. This one knows files, and the pax header that gives a long name or a
large size. All else is refused before anything is allocated or written.
"""

import tarfile
from collections.abc import Iterator
from typing import BinaryIO

from medward.node.errors import NodeError

BLOCK = tarfile.BLOCKSIZE
_PIECE = 2**20
_MOST_PAX = 16 * 1024
_MOST_NAME, _MOST_PART, _MOST_PARTS = 4000, 255, 64


class InvalidArchive(NodeError):
    """An archive that was not made here, or is damaged."""


class ArchiveReader:
    """Reads an archive once, from its beginning.

    Args:
        source: the archive; `read` gives fewer bytes than asked for at its end only.
    """

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self._rest = self._padding = 0

    def next(self) -> tuple[str, int] | None:
        """Return the name and the size of the next file, None at the end; what was not read of the last is skipped.

        Raises:
            InvalidArchive: it is cut off, malformed, or holds something else than files.
        """
        for _ in self.pieces():
            pass
        self._exactly(self._padding)
        header = self._exactly(BLOCK)
        if header == bytes(BLOCK):
            return None
        pax: dict[str, str] = {}
        if _kind(header) == b"x":
            size = _size(header)
            if size > _MOST_PAX:
                raise InvalidArchive(f"the archive has a header of {size} bytes; at most {_MOST_PAX} are read")
            pax = _pax(self._exactly(size))
            self._exactly(-size % BLOCK)
            header = self._exactly(BLOCK)
        if _kind(header) not in (tarfile.REGTYPE, tarfile.AREGTYPE):
            raise InvalidArchive(f"the archive holds {_name(header)!a}, which is no plain file; it was not made here")
        try:
            name, size = pax.get("path") or _name(header), int(pax.get("size") or _size(header))
        except ValueError:
            raise InvalidArchive("the archive has a malformed header") from None
        self._rest, self._padding = size, -size % BLOCK
        return name, size

    def pieces(self) -> Iterator[bytes]:
        """Yield what is left of the present file, at most 1 MiB at a time; InvalidArchive where it is cut off."""
        while self._rest:
            piece = self._exactly(min(self._rest, _PIECE))
            self._rest -= len(piece)
            yield piece

    def content(self, most: int) -> bytes:
        """Return what is left of the present file; InvalidArchive if it is more than `most` bytes."""
        if self._rest > most:
            raise InvalidArchive(f"a file in the archive has {self._rest} bytes; at most {most} are read")
        return b"".join(self.pieces())

    def _exactly(self, size: int) -> bytes:
        content = self._source.read(size)
        if len(content) != size:
            raise InvalidArchive("the archive is cut off; get it again")
        return content


def header(name: str, size: int) -> bytes:
    """Return what stands before a file of `size` bytes: no owner, no times, and a mode for its reader only."""
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = size, 0o600
    return entry.tobuf(tarfile.PAX_FORMAT)


def check_file_name(name: str) -> tuple[str, ...]:
    """Return the parts of a file's name in an archive, its folders first.

    Raises:
        InvalidArchive: it leads out of the folder, hides, is too long, or has characters that do not show, such as
            those that move a terminal's cursor.
    """
    parts = tuple(name.split("/"))
    wrong = ""
    if not name.isprintable():
        wrong = "characters that do not show"
    elif len(name.encode()) > _MOST_NAME or max(len(part.encode()) for part in parts) > _MOST_PART:
        wrong = f"a name of over {_MOST_PART} bytes, or {_MOST_NAME} with its folders"
    elif len(parts) > _MOST_PARTS:
        wrong = f"more than {_MOST_PARTS} folders around it"
    elif {"", ".", ".."} & set(parts):
        wrong = "a name that leads somewhere else"
    elif name.startswith("."):
        wrong = "a hidden name"
    if wrong:
        shown = ascii(name if len(name) < 80 else f"{name[:80]}...")
        raise InvalidArchive(f"{shown} is a file with {wrong}, which is neither packed nor unpacked; rename it")
    return parts


def _kind(block: bytes) -> bytes:
    """Return a header's type flag, once the header is known to be one."""
    # The sum as this package writes it: another spelling of the same number, with blanks, was not made here.
    total = sum(block) - sum(block[148:156]) + 8 * ord(" ")
    if block[257:262] != b"ustar" or block[148:156] != b"%06o\0 " % total:
        raise InvalidArchive("what should be an archive is none, or it is damaged")
    return block[156:157]


def _name(block: bytes) -> str:
    name, prefix = (part.partition(b"\0")[0] for part in (block[:100], block[345:500]))
    try:
        return (prefix + b"/" + name if prefix else name).decode()
    except UnicodeDecodeError:
        raise InvalidArchive("the archive holds a file whose name is not UTF-8") from None


def _size(block: bytes) -> int:
    try:
        return _number(block[124:136])
    except ValueError:
        raise InvalidArchive("the archive holds a file whose size is malformed") from None


def _number(field: bytes) -> int:
    """Return what octal digits say; ValueError for a sign, too: nothing is -1 bytes long, which reads to the end."""
    digits = field.strip(b"\0 ") or b"0"
    if not digits.isdigit():
        raise ValueError
    return int(digits, 8)


def _pax(records: bytes) -> dict[str, str]:
    """Return the records `length key=value\n` of a pax header, which may give a path and a size and nothing else."""
    found: dict[str, str] = {}
    while records:
        length, _, _ = records.partition(b" ")
        size = int(length) if length.isdigit() and len(length) <= 5 else 0
        record, records = records[len(length) + 1 : size], records[size:]
        key, is_one, value = record.decode("utf-8", "replace").partition("=")
        if not size or not is_one or value[-1:] != "\n" or not _may_stand(key, value[:-1]):
            raise InvalidArchive("the archive has a header with more than a name and a size; it was not made here")
        found[key] = value[:-1]
    return found


def _may_stand(key: str, value: str) -> bool:
    """Say whether a record of a pax header is a path, or a size in digits."""
    return key == "path" or (key == "size" and value.isascii() and value.isdigit())
