"""Reading the journal of another's node without touching it: from a copy, for an auditor.

`ReplicaJournal` opens its files for writing, as a replica must. Here they are copied first, and everything that does
not read back as it was written is told with its place instead of raised, so that one damaged record does not hide the
others. Whoever keeps the journal chooses its bytes: tables that a replica does not make are not read, since a view may
have rows without end; and a column may hold a value of any type.
"""

import hashlib
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from medward.ledger.certificates import CertifiedBlock, CheckpointCertificate, CommitCertificate, Handover
from medward.ledger.encoding import decode, decode_form
from medward.ledger.errors import LedgerError, NotCanonical
from medward.ledger.execution import transactions_root
from medward.ledger.pbft.effects import StoreSnapshot
from medward.ledger.pbft.messages import Evidence
from medward.ledger.pbft.runtime.journal import JOURNAL_TABLES, ReplicaJournal

_DATABASE, _LOG, _WITNESS = "journal.sqlite", "journal.sqlite-wal", "witness"


@dataclass(frozen=True)
class Damage:
    """Something in a journal that does not read back as it was written; `height` where it belongs to a block."""

    what: str
    height: int | None = None


@dataclass(frozen=True)
class AlteredBlock:
    """A stored block whose transactions are not those that its header names.

    Args:
        certificate: the block's; not verified here.
        transactions: what is stored instead of them; None where nothing is.
    """

    certificate: CommitCertificate
    transactions: bytes | None


@dataclass(frozen=True)
class JournalContent:
    """What a journal holds, as far as it can be read.

    Args:
        blocks: the stored blocks by height; each has the transactions that its header names.
        altered: the others, as far as their certificates read back.
        snapshot: the last stable snapshot; nothing of it is verified here.
        evidence: the stored proofs of equivocation; not verified here.
        damage: what does not read back.
    """

    blocks: Mapping[int, CertifiedBlock] = field(default_factory=dict)
    altered: Mapping[int, AlteredBlock] = field(default_factory=dict)
    snapshot: StoreSnapshot | None = None
    evidence: tuple[Evidence, ...] = ()
    damage: tuple[Damage, ...] = ()


def read_journal(folder: Path, *, in_use: bool = False) -> JournalContent:
    """Return what the journal in `folder` holds; nothing in it is changed.

    Args:
        folder: made by `ReplicaJournal.create`.
        in_use: whether a replica writes it now; it is then read between two of its transactions.

    Raises:
        LedgerError: there is no journal, or it cannot be read at all.
    """
    if not (folder / _DATABASE).is_file():
        raise LedgerError(f"there is no journal in {folder}")
    try:
        with copy_of_journal(folder, in_use=in_use) as copy:
            return _read(folder, copy)
    except OSError as error:
        raise LedgerError(f"cannot read the journal in {folder}: {error.strerror}") from None
    except sqlite3.Error as error:
        return JournalContent(damage=(Damage(f"{_DATABASE} is damaged: {error}"),))


@contextmanager
def copy_of_journal(folder: Path, *, in_use: bool = False) -> Iterator[Path]:
    """Give a folder with a copy of the journal in `folder`, for as long as it is needed.

    Args:
        folder, in_use: see `read_journal`.
    """
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
        database.text_factory = lambda text: text.decode(errors="replace")
        if _tables(database) != _own_tables():
            return JournalContent(damage=(Damage(f"{_DATABASE} is damaged: its tables are not those of a journal"),))
        (found,) = database.execute("PRAGMA integrity_check(1)").fetchone()
        if found != "ok":
            damage.append(Damage(f"{_DATABASE} is damaged: {' '.join(found.split())}"))
        blocks, altered = _read_blocks(database, damage)
        _check_loose(database, damage)
        snapshot = _read_snapshot(database, damage)
        evidence = _read_evidence(database, damage)
    try:
        with ReplicaJournal(copy) as journal:
            journal.verify_records()
            if not damage and not altered:
                journal.recover()
    except (LedgerError, NotCanonical, sqlite3.Error) as error:
        damage.append(Damage(str(error).replace(str(copy), str(folder))))
    return JournalContent(blocks, altered, snapshot, evidence, tuple(dict.fromkeys(damage)))


def _tables(database: sqlite3.Connection) -> set[tuple[object, ...]]:
    return set(database.execute("SELECT type, name, tbl_name, sql FROM sqlite_schema LIMIT 100"))


def _own_tables() -> set[tuple[object, ...]]:
    with closing(sqlite3.connect(":memory:")) as made:
        made.executescript(JOURNAL_TABLES)
        return _tables(made)


def _read_blocks(
    database: sqlite3.Connection, damage: list[Damage]
) -> tuple[dict[int, CertifiedBlock], dict[int, AlteredBlock]]:
    """Return the blocks that are whole, and those whose transactions are not the ones that their headers name."""
    blocks: dict[int, CertifiedBlock] = {}
    altered: dict[int, AlteredBlock] = {}
    rows = (
        "SELECT height, CAST(certificate AS BLOB), root, CAST(transactions AS BLOB) "
        "FROM blocks LEFT JOIN batches USING (root) ORDER BY height"
    )
    for height, encoded, root, stored in database.execute(rows).fetchall():
        try:
            certificate = decode(encoded, CommitCertificate)
        except NotCanonical as error:
            damage.append(Damage(f"the certificate of block {height} does not read back: {error}", height))
            continue
        header = certificate.header
        if (header.height, header.transactions) != (height, root):
            damage.append(Damage(f"block {height} is stored under another height or root than its own", height))
        elif not header.count and stored is None:
            blocks[height] = CertifiedBlock(certificate, ())
        elif (transactions := _transactions(root, stored)) is None or len(transactions) != header.count:
            altered[height] = AlteredBlock(certificate, stored)
        else:
            blocks[height] = CertifiedBlock(certificate, transactions)
    return blocks, altered


def _transactions(root: bytes, encoded: bytes | None) -> tuple[bytes, ...] | None:
    """Return the transactions of a stored batch; None where they are not those that the root names."""
    if encoded is None:
        return None
    try:
        transactions: tuple[bytes, ...] = decode_form(encoded, tuple[bytes, ...])
    except NotCanonical:
        return None
    return transactions if transactions_root(transactions) == root else None


def _check_loose(database: sqlite3.Connection, damage: list[Damage]) -> None:
    """Check the batches that no block has taken, and the parts of a snapshot that is under way."""
    loose = "SELECT number, root, CAST(transactions AS BLOB) FROM batches WHERE root NOT IN (SELECT root FROM blocks)"
    for number, root, stored in database.execute(loose).fetchall():
        if _transactions(root, stored) is None:
            damage.append(Damage(f"batch {number}, which is in no block, is not the one that its root names"))
    for number, name, data in database.execute("SELECT rowid, digest, CAST(data AS BLOB) FROM chunks").fetchall():
        if hashlib.sha256(data).digest() != name:
            damage.append(Damage(f"part {number} of a snapshot that is being fetched does not match its digest"))


def _read_evidence(database: sqlite3.Connection, damage: list[Damage]) -> tuple[Evidence, ...]:
    evidence: list[Evidence] = []
    rows = "SELECT position, CAST(data AS BLOB) FROM evidence ORDER BY position"
    for place, data in database.execute(rows).fetchall():
        try:
            evidence.append(decode(data, Evidence))
        except NotCanonical as error:
            damage.append(Damage(f"proof of equivocation {place} does not read back: {error}"))
    return tuple(evidence)


def _read_snapshot(database: sqlite3.Connection, damage: list[Damage]) -> StoreSnapshot | None:
    parts = dict(database.execute("SELECT part, CAST(data AS BLOB) FROM snapshot").fetchall())
    if not parts:
        return None
    try:
        certificate = decode(parts["certificate"], CheckpointCertificate)
        handovers = decode_form(parts["handovers"], tuple[Handover, ...])
        return StoreSnapshot(certificate, handovers, parts["data"])
    except KeyError as error:
        damage.append(Damage(f"the stored snapshot has no part {error}"))
    except NotCanonical as error:
        damage.append(Damage(f"the stored snapshot does not read back: {error}"))
    return None
