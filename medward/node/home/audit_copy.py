"""A copy for audits of a node that runs elsewhere, in one tar archive: `GET /audit`, and how it becomes a home again.

    node.toml, federation.json, card.json    as they lie there
    ledger/journal/...                       the journal between two of its transactions, and its witness
    store/blocks/..., store/kubo/blocks/...  every block's file, unread: damage is for the auditor to find

No key, no token, nothing of the participant or of sealed data's keys.
"""

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from medward.errors import MedwardError
from medward.ledger.pbft.reading import copy_of_journal
from medward.node.errors import NodeError
from medward.node.home.archives import BLOCK, ArchiveReader, header
from medward.node.home.folder import Home
from medward.store.blocks import open_plain

_NAME = re.compile(
    r"node\.toml|federation\.json|card\.json|ledger/journal/(witness|journal\.sqlite)|store/blocks/[a-z2-7]/[a-z2-7]+"
    r"|store/kubo/blocks/(SHARDING|[A-Z2-7]{2}/[A-Z2-7]+\.data)"
)
_FILES = ("node.toml", "federation.json", "card.json")
_PIECE = 2**20
_MOST_BYTES = 2**24  # of a file that is read whole


def write_copy(home: Home) -> Iterator[bytes]:
    """Yield the archive in pieces; blocks that are let go meanwhile are left out. It blocks: use a thread.

    Args:
        home: of the running node.

    Raises:
        LedgerError: its journal cannot be read.
    """
    for name in _FILES:
        yield from _entry(name, home.folder / name)
    with copy_of_journal(home.ledger / "journal", in_use=True) as journal:
        for file in sorted(journal.iterdir()):
            yield from _entry(f"ledger/journal/{file.name}", file)
    for file in sorted([*home.store.glob("blocks/*/*"), *home.store.glob("kubo/blocks/**/*")]):
        name = file.relative_to(home.folder).as_posix()
        # What is no block is nobody's business, and garbage collection may be faster than this.
        with suppress(OSError):
            if _NAME.fullmatch(name):
                open_plain(file).close()
                yield from _entry(name, file)
    yield bytes(2 * BLOCK)


def read_copy(archive: Path, folder: Path) -> Path:
    """Make a home of an archive, in a folder of its member's name below `folder`, and return it.

    Raises:
        NodeError: the file is no such archive.
    """
    try:
        with tempfile.TemporaryDirectory(dir=folder) as name:
            made = Path(name) / "home"
            (made / "store" / "blocks").mkdir(parents=True)
            with archive.open("rb") as source:
                reader = ArchiveReader(source)
                while (entry := reader.next()) is not None:
                    _take(reader, *entry, made)
            return made.rename(folder / Home(made).card().name)
    except (OSError, MedwardError) as error:
        raise NodeError(f"what the node sent is no copy of its home: {error}") from None


def _take(archive: ArchiveReader, name: str, size: int, folder: Path) -> None:
    if not _NAME.fullmatch(name):
        raise NodeError(f"it holds {name[:80]!a}, which no home has")
    if size > _MOST_BYTES and not name.startswith(("ledger/journal/", "store/blocks/", "store/kubo/blocks/")):
        raise NodeError(f"it holds {name} with {size} bytes; at most {_MOST_BYTES} are read")
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("xb") as made:
        for piece in archive.pieces():
            made.write(piece)


def _entry(name: str, file: Path) -> Iterator[bytes]:
    with open_plain(file) as content:
        left = size = os.fstat(content.fileno()).st_size
        yield header(name, size)
        while left:
            piece = content.read(min(_PIECE, left))
            if not piece:
                raise NodeError(f"{file} became shorter while it was read")
            left -= len(piece)
            yield piece
        yield bytes(-size % BLOCK)
