"""The log on disk: SQLite in WAL mode with synchronous=FULL, one transaction for everything that one turn writes.

SQLite recognises a transaction that was torn before its commit and drops it whole; nothing of it was sent. What SQLite
cannot tell is a log that was cut *after* a commit, or a record changed in place: each record carries its index and a
digest chained over all before it, the head of the chain is written with every transaction, and after the transaction a
witness of the head goes to a small file of its own. A journal that ends before its witness was rolled back. Either way
it is refused, never repaired: a replica that forgot a vote must not vote. See spec/ledger.md, J1 to J4.
"""

import hashlib
import os
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType

import msgspec

from medward.ledger.certificates import (
    BlockHeader,
    CertifiedBlock,
    CheckpointCertificate,
    CommitCertificate,
    Handover,
)
from medward.ledger.encoding import decode, decode_form, encode
from medward.ledger.errors import JournalCorrupt, JournalError, JournalRolledBack, NotCanonical
from medward.ledger.execution import transactions_root
from medward.ledger.pbft.effects import (
    Accepted,
    Append,
    Compact,
    JournalRecord,
    MendBlock,
    Recovered,
    SaveChunk,
    StoreBlock,
    StoreEvidence,
    StoreSnapshot,
    Write,
)
from medward.ledger.pbft.messages import Evidence
from medward.ledger.pbft.runtime.witness import WITNESS_FILE, Witness
from medward.whole_file import flush_folder

JOURNAL_TABLES = """
CREATE TABLE journal (position INTEGER PRIMARY KEY, record BLOB NOT NULL, chain BLOB NOT NULL);
CREATE TABLE marks (name TEXT PRIMARY KEY, position INTEGER NOT NULL, chain BLOB NOT NULL);
CREATE TABLE batches (number INTEGER PRIMARY KEY, root BLOB NOT NULL UNIQUE, transactions BLOB NOT NULL);
CREATE TABLE blocks (height INTEGER PRIMARY KEY, certificate BLOB NOT NULL, root BLOB NOT NULL);
CREATE INDEX blocks_by_root ON blocks (root);
CREATE TABLE snapshot (part TEXT PRIMARY KEY, data BLOB NOT NULL);
CREATE TABLE chunks (digest BLOB PRIMARY KEY, data BLOB NOT NULL);
CREATE TABLE evidence (position INTEGER PRIMARY KEY, data BLOB NOT NULL);
"""
# SQLite keeps a value of any type in any column, and one damaged bit makes a text or a number of bytes: what is read is
# made bytes and numbers again, and is then as good as what it is compared with.
_MARK = "SELECT CAST(position AS INTEGER), CAST(chain AS BLOB) FROM marks WHERE name = ?"
_RECORDS = "SELECT position, CAST(record AS BLOB), CAST(chain AS BLOB) FROM journal ORDER BY position"
_DATABASE, _LOG = "journal.sqlite", "journal.sqlite-wal"
_FOLD_BYTES = 16 * 2**20
_FOLD_COMMITS = 256
_LAST_RESORT_PAGES = 32768


def chain_digest(before: bytes, position: int, record: bytes) -> bytes:
    """Return the digest of a record and all before it."""
    return hashlib.sha256(before + position.to_bytes(8, "big") + record).digest()


class ReplicaJournal:
    """One incarnation's disk.

    Args:
        folder: holds the database and the witness; made by `create`, once per incarnation.

    Raises:
        JournalError: there is no journal; a member whose folder is gone comes back as a new incarnation.
        JournalCorrupt: the database is damaged.
    """

    def __init__(self, folder: Path) -> None:
        if not (folder / _DATABASE).exists():
            raise JournalError(
                f"there is no journal in {folder}; if this member took part before, it must not vote with its old key: "
                "make a new key and rejoin as a new incarnation"
            )
        try:
            self._database = _connect(folder / _DATABASE)
            self._position, self._chain = self._mark("head")
            self.commits, _ = self._mark("commits")
            self._written = self._position, self._chain
            self._folded = self.commits
            # Batches written since the last compaction; one that no block took goes with the next.
            self._kept: set[bytes] = set()
        except sqlite3.DatabaseError as error:
            raise JournalCorrupt(
                f"the journal in {folder} is damaged ({error}); rejoin as a new incarnation"
            ) from error
        self._folder, self._log = folder, folder / _LOG
        self._witness = Witness(folder)

    @classmethod
    def create(cls, folder: Path, identity: bytes) -> "ReplicaJournal":
        """Make the journal of a new incarnation.

        Args:
            identity: digest of chain, name and keys; the chain of records starts from it.

        Raises:
            JournalError: there is one already.
        """
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / _DATABASE
        if path.exists() or (folder / WITNESS_FILE).exists():
            raise JournalError(f"there is a journal in {folder} already; a new incarnation needs an empty folder")
        database = _connect(path)
        with database:
            database.executescript("BEGIN;" + JOURNAL_TABLES + "COMMIT;")
            for name in ("base", "head", "commits"):
                database.execute("INSERT INTO marks VALUES (?, 0, ?)", (name, identity))
        database.close()
        flush_folder(folder)
        return cls(folder)

    def __enter__(self) -> "ReplicaJournal":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the files; what was written and not yet synced is synced first."""
        try:
            self.sync()
        finally:
            self._database.close()
            self._witness.close()

    def commit(self, writes: Iterable[Write]) -> None:
        """Make `writes` durable as one unit; on return they survive any crash (J1).

        Raises:
            JournalError: the disk refused; the replica must stop, nothing of these writes may be sent.
        """
        self.write(writes)
        self.sync()

    def write(self, writes: Iterable[Write]) -> None:
        """Add `writes` to the unit that the next `sync` makes durable.

        Raises:
            JournalError: as `commit`.
        """
        position, chain = self._written
        try:
            if not self._database.in_transaction:
                self._database.execute("BEGIN IMMEDIATE")
            for write in writes:
                if isinstance(write, Compact):
                    position, chain = self._compact(write, position, chain)
                elif isinstance(write, Append):
                    position, chain = self._append(write.record, position, chain)
                else:
                    self._store(write)
        except sqlite3.Error as error:
            raise self._refused(error) from error
        self._written = position, chain

    def sync(self) -> None:
        """Make everything written since the last time durable as one unit; nothing where nothing was.

        Raises:
            JournalError: as `commit`.
        """
        if self.seal():
            self.flush()

    def seal(self) -> bool:
        """Close the unit of what was written; return whether there is one for `flush`.

        Raises:
            JournalError: as `commit`.
        """
        if not self._database.in_transaction:
            return False
        try:
            self._database.execute("UPDATE marks SET position = ?, chain = ? WHERE name = 'head'", self._written)
            self._database.execute("UPDATE marks SET position = ? WHERE name = 'commits'", (self.commits + 1,))
        except sqlite3.Error as error:
            raise self._refused(error) from error
        return True

    def flush(self) -> None:
        """Wait until the disk has the unit that `seal` closed; the one call that is worth a thread of its own.

        Raises:
            JournalError: as `commit`.
        """
        try:
            self._database.execute("COMMIT")
        except sqlite3.Error as error:
            raise self._refused(error) from error
        self._position, self._chain = self._written
        self.commits += 1
        self._witness.write(self.commits, self._chain)

    @property
    def unfolded(self) -> bool:
        """Whether the write-ahead log is long enough for `fold`."""
        # The cheap half first: this is asked after every commit.
        return self.commits >= self._folded + _FOLD_COMMITS and os.stat(self._log).st_size >= _FOLD_BYTES

    def fold(self) -> None:
        """Bring what the write-ahead log holds into the database file, so that the log starts anew; may run in another
        thread beside `commit`, which it does not hold up.
        """
        self._folded = self.commits
        database = sqlite3.connect(self._folder / _DATABASE, isolation_level=None)
        try:
            database.execute("PRAGMA wal_checkpoint(PASSIVE)")
        except sqlite3.Error as error:
            raise self._refused(error) from error
        finally:
            database.close()

    def _refused(self, error: sqlite3.Error) -> JournalError:
        return JournalError(f"the disk under {self._folder} does not take the journal: {error}")

    def allocate(self) -> None:
        """Take the write-ahead log's room from the file system at once: until the log first starts anew, each commit
        would wait for the file system's own journal too, since the file grew.

        What is rolled back has been written to the log's end, which the next commits overwrite. Where there is no room
        the log grows as it may.
        """
        if self._database.in_transaction or os.stat(self._log).st_size >= _FOLD_BYTES // 2:
            return
        try:
            self._database.execute("BEGIN IMMEDIATE")
            self._database.execute("INSERT INTO snapshot VALUES ('filling', zeroblob(?))", (_FOLD_BYTES,))
        except sqlite3.OperationalError:
            pass
        finally:
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")

    def recover(self) -> Recovered:
        """Read everything back, checking that nothing was lost or changed (J2, J4).

        Raises:
            JournalCorrupt: something does not read back as it was written.
            JournalRolledBack: the journal ends before its witness.
        """
        try:
            records = self._read_records()
            self._compare_witness()
            snapshot = self._read_snapshot()
            base = 0 if snapshot is None else snapshot.certificate.body.height
            blocks = self._read_blocks(base)
            rows = self._database.execute("SELECT digest, CAST(data AS BLOB) FROM chunks").fetchall()
        except (sqlite3.DatabaseError, NotCanonical) as error:
            raise JournalCorrupt(
                f"the journal in {self._folder} is damaged ({error}); rejoin as a new incarnation"
            ) from error
        chunks = {digest: data for digest, data in rows if hashlib.sha256(data).digest() == digest}
        oldest = self._oldest_of_run(base + len(blocks))
        return Recovered(tuple(records), snapshot, tuple(blocks), chunks, oldest)

    def verify_records(self) -> None:
        """Check that the records are those that were written, to the last one, whatever became of blocks and batches.

        Raises:
            JournalCorrupt: a record is missing or changed.
            JournalRolledBack: the journal ends before its witness.
        """
        try:
            self._records()
            self._compare_witness()
        except (sqlite3.DatabaseError, NotCanonical) as error:
            raise JournalCorrupt(
                f"the journal in {self._folder} is damaged ({error}); rejoin as a new incarnation"
            ) from error

    def block(self, height: int) -> CertifiedBlock | None:
        """Return a stored block, or None.

        Raises:
            JournalCorrupt: it does not read back as it was written.
        """
        query = "SELECT CAST(certificate AS BLOB) FROM blocks WHERE height = ?"
        try:
            row = self._database.execute(query, (height,)).fetchone()
            return None if row is None else self._whole_block(row[0])
        except (sqlite3.DatabaseError, NotCanonical) as error:
            raise JournalCorrupt(f"block {height} in {self._folder} is damaged ({error})") from error

    def snapshot_chunk(self, height: int, index: int, chunk_bytes: int) -> bytes | None:
        """Return one chunk of the stored snapshot if it is the one at `height`, without reading the others."""
        rows = dict(self._database.execute("SELECT part, rowid FROM snapshot").fetchall())
        if not rows:
            return None
        (certificate,) = self._database.execute("SELECT data FROM snapshot WHERE part = 'certificate'").fetchone()
        if decode(certificate, CheckpointCertificate).body.height != height:
            return None
        with self._database.blobopen("snapshot", "data", rows["data"], readonly=True) as blob:
            blob.seek(min(index * chunk_bytes, len(blob)))
            return blob.read(chunk_bytes)

    def evidence(self) -> list[Evidence]:
        """Return all proofs of equivocation, oldest first."""
        rows = self._database.execute("SELECT data FROM evidence ORDER BY position").fetchall()
        return [decode(data, Evidence) for (data,) in rows]

    def handovers(self) -> tuple[Handover, ...]:
        """Return how each epoch up to the stored snapshot's was proved by the one before."""
        row = self._database.execute("SELECT data FROM snapshot WHERE part = 'handovers'").fetchone()
        return () if row is None else decode_form(row[0], tuple[Handover, ...])

    # Writing.

    def _append(self, record: JournalRecord, position: int, chain: bytes) -> tuple[int, bytes]:
        if isinstance(record, Accepted):
            # A batch is written once: the record names it by its header's root, and so does the block it becomes.
            proposal = record.pre_prepare
            self._keep_batch(proposal.header.transactions, proposal.transactions)
            record = msgspec.structs.replace(record, pre_prepare=msgspec.structs.replace(proposal, transactions=()))
        data = encode(record)
        position, chain = position + 1, chain_digest(chain, position + 1, data)
        self._database.execute("INSERT INTO journal VALUES (?, ?, ?)", (position, data, chain))
        return position, chain

    def _compact(self, write: Compact, position: int, chain: bytes) -> tuple[int, bytes]:
        self._database.execute("DELETE FROM journal")
        self._database.execute("UPDATE marks SET position = ?, chain = ? WHERE name = 'base'", (position, chain))
        for record in write.records:
            position, chain = self._append(record, position, chain)
        live = {r.pre_prepare.header.transactions for r in write.records if isinstance(r, Accepted)}
        for root in self._kept - live:
            self._database.execute(
                "DELETE FROM batches WHERE root = ? AND NOT EXISTS (SELECT 1 FROM blocks WHERE blocks.root = ?)",
                (root, root),
            )
        self._kept &= live
        return position, chain

    def _keep_batch(self, root: bytes, transactions: tuple[bytes, ...]) -> None:
        if transactions and root not in self._kept:
            self._database.execute(
                "INSERT OR IGNORE INTO batches (root, transactions) VALUES (?, ?)", (root, encode(transactions))
            )
            self._kept.add(root)

    def _store(self, write: Write) -> None:
        execute = self._database.execute
        if isinstance(write, StoreBlock):
            certificate = write.block.certificate
            root = certificate.header.transactions
            self._keep_batch(root, write.block.transactions)
            row = (certificate.header.height, encode(certificate), root)
            execute("INSERT OR REPLACE INTO blocks VALUES (?, ?, ?)", row)
        elif isinstance(write, MendBlock):
            self._mend(write.block)
        elif isinstance(write, StoreSnapshot):
            execute("INSERT OR REPLACE INTO snapshot VALUES ('certificate', ?)", (encode(write.certificate),))
            execute("INSERT OR REPLACE INTO snapshot VALUES ('handovers', ?)", (encode(list(write.handovers)),))
            execute("INSERT OR REPLACE INTO snapshot VALUES ('data', ?)", (write.data,))
            execute("DELETE FROM chunks")
        elif isinstance(write, SaveChunk):
            execute("INSERT OR REPLACE INTO chunks VALUES (?, ?)", (write.digest, write.data))
        elif isinstance(write, StoreEvidence):
            execute("INSERT INTO evidence (data) VALUES (?)", (encode(write.evidence),))

    def _mend(self, block: CertifiedBlock) -> None:
        """Put a block and its batch in the place of damaged ones.

        A database whose pages are damaged may refuse even this. The block then stays damaged, and the votes that are
        written in the same unit are kept, unless SQLite gave the whole unit up.
        """
        certificate = block.certificate
        root = certificate.header.transactions
        self._database.execute("SAVEPOINT mend")
        try:
            self._database.execute("DELETE FROM batches WHERE root = ?", (root,))
            self._kept.discard(root)
            self._keep_batch(root, block.transactions)
            row = (certificate.header.height, encode(certificate), root)
            self._database.execute("INSERT OR REPLACE INTO blocks VALUES (?, ?, ?)", row)
        except sqlite3.DatabaseError:
            if not self._database.in_transaction:
                raise
            self._database.execute("ROLLBACK TO mend")
        self._database.execute("RELEASE mend")

    # Reading.

    def _mark(self, name: str) -> tuple[int, bytes]:
        row = self._database.execute(_MARK, (name,)).fetchone()
        if row is None:
            raise sqlite3.DatabaseError(f"the mark {name} is gone")
        return row[0], row[1]

    def _read_records(self) -> list[JournalRecord]:
        records: list[JournalRecord] = []
        for record in self._records():
            if isinstance(record, Accepted):
                header = record.pre_prepare.header
                whole = msgspec.structs.replace(record.pre_prepare, transactions=self._read_batch(header))
                records.append(msgspec.structs.replace(record, pre_prepare=whole))
                self._kept.add(header.transactions)
            else:
                records.append(record)
        return records

    def _records(self) -> list[JournalRecord]:
        """Return the records as they are stored, a proposal without its transactions."""
        position, chain = self._mark("base")
        records: list[JournalRecord] = []
        for at, data, digest in self._database.execute(_RECORDS).fetchall():
            expected = chain_digest(chain, position + 1, data)
            if at != position + 1 or digest != expected:
                raise sqlite3.DatabaseError(f"record {position + 1} is missing or changed")
            position, chain = at, digest
            records.append(decode_form(data, JournalRecord))
        if (position, chain) != (self._position, self._chain):
            raise sqlite3.DatabaseError(f"records are missing after {position}")
        return records

    def _read_batch(self, header: BlockHeader) -> tuple[bytes, ...]:
        if not header.count:
            return ()
        row = self._database.execute(
            "SELECT CAST(transactions AS BLOB) FROM batches WHERE root = ?", (header.transactions,)
        ).fetchone()
        transactions: tuple[bytes, ...] = () if row is None else decode_form(row[0], tuple[bytes, ...])
        if len(transactions) != header.count or transactions_root(transactions) != header.transactions:
            raise sqlite3.DatabaseError(f"the transactions of height {header.height} are missing or changed")
        return transactions

    def _whole_block(self, data: bytes) -> CertifiedBlock:
        certificate = decode(data, CommitCertificate)
        return CertifiedBlock(certificate, self._read_batch(certificate.header))

    def _compare_witness(self) -> None:
        number, chain = self._witness.read()
        if number > self.commits or (number == self.commits and number and chain != self._chain):
            raise JournalRolledBack(
                f"the journal in {self._folder} ends with unit {self.commits}, but unit {number} was durable; "
                "this disk has forgotten votes: rejoin as a new incarnation"
            )

    def _read_snapshot(self) -> StoreSnapshot | None:
        parts = dict(self._database.execute("SELECT part, CAST(data AS BLOB) FROM snapshot").fetchall())
        if not parts:
            return None
        if parts.keys() != {"certificate", "handovers", "data"}:
            raise sqlite3.DatabaseError("a part of the snapshot is missing")
        certificate = decode(parts["certificate"], CheckpointCertificate)
        return StoreSnapshot(certificate, decode_form(parts["handovers"], tuple[Handover, ...]), parts["data"])

    def _read_blocks(self, base: int) -> list[CertifiedBlock]:
        blocks: list[CertifiedBlock] = []
        rows = self._database.execute(
            "SELECT height, CAST(certificate AS BLOB) FROM blocks WHERE height > ? ORDER BY height", (base,)
        )
        for height, data in rows.fetchall():
            block = self._whole_block(data)
            if height != base + len(blocks) + 1 or block.certificate.header.height != height:
                raise sqlite3.DatabaseError(f"block {base + len(blocks) + 1} is missing or changed")
            blocks.append(block)
        return blocks

    def _oldest_of_run(self, last: int) -> int:
        """Return the first of the blocks that lead to `last` without a gap, 0 where there is none."""
        row = self._database.execute(
            "SELECT max(height) FROM blocks AS b WHERE height <= ? "
            "AND NOT EXISTS (SELECT 1 FROM blocks WHERE height = b.height - 1)",
            (last,),
        ).fetchone()
        has_last = self._database.execute("SELECT 1 FROM blocks WHERE height = ?", (last,)).fetchone()
        return int(row[0]) if row is not None and row[0] is not None and has_last is not None else 0


def _connect(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = FULL")
    # `fold` does this beside the commits; within one it held up votes for a quarter of a second.
    database.execute(f"PRAGMA wal_autocheckpoint = {_LAST_RESORT_PAGES}")
    database.execute("PRAGMA cell_size_check = ON")
    return database
