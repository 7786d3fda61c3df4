"""Reading the journal of another's node without touching it: from a copy, for an auditor.

`Journal` opens its files for writing, as a replica must. Here they are copied first, and everything that does not read
back as it was written is told with its place instead of raised, so that one damaged record does not hide the others.
"""

import shutil
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from medward.ledger.certificates import CertifiedBlock, CheckpointCertificate, Handover
from medward.ledger.encoding import decode, decode_form
from medward.ledger.errors import LedgerError, NotCanonical
from medward.ledger.execution import transactions_root
from medward.ledger.pbft.effects import StoreSnapshot
from medward.ledger.pbft.journal import Journal
from medward.ledger.pbft.messages import Evidence

_DATABASE, _LOG, _WITNESS = "journal.sqlite", "journal.sqlite-wal", "witness"


@dataclass(frozen=True)
class Damage:
    """Something in a journal that does not read back as it was written; `height` where it belongs to a block."""

    what: str
    height: int | None = None


@dataclass(frozen=True)
class JournalContent:
    """What a journal holds, as far as it can be read.

    Args:
        blocks: the stored blocks by height; each has the transactions that its header names.
        snapshot: the last stable snapshot; nothing of it is verified here.
        evidence: the stored proofs of equivocation; not verified here.
        damage: what does not read back.
    """

    blocks: Mapping[int, CertifiedBlock] = field(default_factory=dict)
    snapshot: StoreSnapshot | None = None
    evidence: tuple[Evidence, ...] = ()
    damage: tuple[Damage, ...] = ()


def read_journal(folder: Path, *, in_use: bool = False) -> JournalContent:
    """Return what the journal in `folder` holds; nothing in it is changed.

    Args:
        folder: made by `Journal.create`.
        in_use: whether a replica writes it now; it is then read between two of its transactions.

    Raises:
        LedgerError: there is no journal, or it cannot be read at all.
    """
    if not (folder / _DATABASE).is_file():
        raise LedgerError(f"there is no journal in {folder}")
    try:
        with _copied(folder, in_use) as copy:
            return _read(folder, copy)
    except OSError as error:
        raise LedgerError(f"cannot read the journal in {folder}: {error.strerror}") from None
    except sqlite3.Error as error:
        return JournalContent(damage=(Damage(f"{_DATABASE} is damaged: {error}"),))


@contextmanager
def _copied(folder: Path, in_use: bool) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="medward-audit-") as name:
        copy = Path(name)
        # The witness first: it may be behind the database, and must never be ahead of it.
        if (folder / _WITNESS).exists():
            shutil.copyfile(folder / _WITNESS, copy / _WITNESS)
        if in_use:
            source = f"{(folder / _DATABASE).absolute().as_uri()}?mode=ro"
            with closing(sqlite3.connect(source, uri=True)) as live, closing(sqlite3.connect(copy / _DATABASE)) as made:
                live.backup(made)
        else:
            for file in (_DATABASE, _LOG):
                if (folder / file).exists():
                    shutil.copyfile(folder / file, copy / file)
        yield copy


def _read(folder: Path, copy: Path) -> JournalContent:
    damage: list[Damage] = []
    with closing(sqlite3.connect(copy / _DATABASE)) as database:
        (found,) = database.execute("PRAGMA integrity_check(1)").fetchone()
        if found != "ok":
            damage.append(Damage(f"{_DATABASE} is damaged: {' '.join(found.split())}"))
        heights = database.execute("SELECT height, root FROM blocks ORDER BY height").fetchall()
        for number, root, transactions in database.execute("SELECT * FROM batches").fetchall():
            if not _is_batch(root, transactions):
                damage.append(Damage(f"batch {number} is not the one that its root names"))
        snapshot = _read_snapshot(database, damage)
    blocks: dict[int, CertifiedBlock] = {}
    evidence: list[Evidence] = []
    try:
        with Journal(copy) as journal:
            blocks = _read_blocks(journal, heights, damage)
            evidence = journal.evidence()
            journal.recover()
    except (LedgerError, NotCanonical, sqlite3.Error) as error:
        damage.append(Damage(str(error).replace(str(copy), str(folder))))
    return JournalContent(blocks, snapshot, tuple(evidence), tuple(dict.fromkeys(damage)))


def _is_batch(root: bytes, encoded: bytes) -> bool:
    try:
        return transactions_root(decode_form(encoded, tuple[bytes, ...])) == root
    except NotCanonical:
        return False


def _read_blocks(journal: Journal, rows: list[tuple[int, bytes]], damage: list[Damage]) -> dict[int, CertifiedBlock]:
    blocks: dict[int, CertifiedBlock] = {}
    for height, root in rows:
        try:
            block = journal.block(height)
        except LedgerError as error:
            damage.append(Damage(f"block {height} does not read back: {error.__cause__ or error}", height))
            continue
        assert block is not None
        header = block.certificate.header
        if (header.height, header.transactions) != (height, root):
            damage.append(Damage(f"block {height} is stored under another height or root than its own", height))
            continue
        blocks[height] = block
    return blocks


def _read_snapshot(database: sqlite3.Connection, damage: list[Damage]) -> StoreSnapshot | None:
    parts = dict(database.execute("SELECT part, data FROM snapshot").fetchall())
    if not parts:
        return None
    try:
        certificate = decode(parts["certificate"], CheckpointCertificate)
        handovers = decode_form(parts["handovers"], tuple[Handover, ...])
        return StoreSnapshot(certificate, handovers, parts["data"])
    except (NotCanonical, KeyError) as error:
        damage.append(Damage(f"the stored snapshot does not read back: {error}"))
        return None
