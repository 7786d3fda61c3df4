"""The journal of all that a member has shown, in a small SQLite file: no restart makes it show anything else.

Everything is stored, with its file synchronised, before anybody sees it: one answer for (federation, round, kind). The
secrets that answers are made of, and those of the sealing keys, lie beside them until they are erased. The file is in
no backup: a member that is restored from one starts with an empty journal, and its ledger tells it which rounds it must
sit out.
"""

import hashlib
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Literal

from medward.federation.sums.interface import SumRefused

ShownKind = Literal["secret", "contribution", "response", "shown", "answer", "audit"]

_SCHEMA_VERSION = 2

_SCHEMA = """
CREATE TABLE answers (
    federation TEXT NOT NULL,
    round      INTEGER NOT NULL,
    kind       TEXT NOT NULL CHECK (kind IN ('secret', 'contribution', 'response', 'shown', 'answer', 'audit')),
    question   BLOB NOT NULL,
    digest     BLOB NOT NULL,
    answer     BLOB,
    PRIMARY KEY (federation, round, kind)
) WITHOUT ROWID;
CREATE TABLE sealing_keys (
    public BLOB PRIMARY KEY,
    secret BLOB NOT NULL
) WITHOUT ROWID
"""


class AnswerJournal:
    """The answers and secrets of one member.

    Args:
        path: the file; made where it does not exist, readable by its owner only.

    Raises:
        SumRefused: the file was written by an earlier or a later version, or is not a journal.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            path.touch(mode=0o600, exist_ok=True)
            path.chmod(0o600)
        except OSError as error:
            raise SumRefused(f"cannot use the answer journal {path}: {error.strerror}; run as its owner") from None
        self._connection = sqlite3.connect(path, isolation_level=None, timeout=60.0)
        try:
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = FULL")
            self._connection.execute("PRAGMA secure_delete = ON")
            self._prepare()
        except sqlite3.DatabaseError as error:
            self._connection.close()
            raise SumRefused(
                f"{path} is not an answer journal ({error}); restore the file, or join with a new home"
            ) from error
        except SumRefused:
            self._connection.close()
            raise

    def __enter__(self) -> "AnswerJournal":
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def once(self, federation: str, round: int, kind: ShownKind, question: bytes, make: Callable[[], bytes]) -> bytes:
        """Return the answer stored in a place, or make, durably store and return one.

        Looking up, making and storing are one transaction that locks out every other process with the same file. `make`
        may call `once` for another place: then both are stored, or none.

        Args:
            federation, round, kind: the place.
            question: what the answer depends on.
            make: makes the answer.

        Raises:
            SumRefused: the place holds the answer to another question, its answer was forgotten or is damaged, or the
                answer could not be stored.
        """
        where = f"round {round} of {federation}"
        try:
            with self._transaction():
                row = self._row(federation, round, kind)
                if row is not None:
                    return _repeat(where, kind, question, row)
                answer = make()
                self._connection.execute(
                    "INSERT INTO answers VALUES (?, ?, ?, ?, ?, ?)",
                    (federation, round, kind, question, hashlib.sha256(answer).digest(), answer),
                )
        except sqlite3.OperationalError as error:
            raise SumRefused(
                f"The {kind} of {where} could not be stored in {self._path} ({error}) and is not given; "
                "look after the disk."
            ) from error
        return answer

    def given(self, federation: str, round: int, kind: ShownKind, question: bytes | None = None) -> bytes | None:
        """Return the answer in a place; None if there is none, it was erased, or it is to another question."""
        row = self._row(federation, round, kind)
        if row is None or (question is not None and row[0] != question):
            return None
        return row[2]

    def was_given(self, federation: str, round: int, kind: ShownKind) -> bool:
        """Return whether a place holds an answer, be it erased since."""
        return self._row(federation, round, kind) is not None

    def last_round(self, federation: str) -> int | None:
        """Return the latest round with an answer; a node that is behind it on the ledger must not answer."""
        query = "SELECT max(round) FROM answers WHERE federation = ?"
        (latest,) = self._connection.execute(query, (federation,)).fetchone()
        return None if latest is None else int(latest)

    def forget(self, federation: str, before_round: int) -> int:
        """Erase the bytes of answers and the secrets of earlier rounds; that they were given stays recorded.

        Returns:
            How many places lost their bytes; asked for again, they are refused.
        """
        with self._transaction():
            cursor = self._connection.execute(
                "UPDATE answers SET answer = NULL WHERE federation = ? AND round < ? AND answer IS NOT NULL",
                (federation, before_round),
            )
        if cursor.rowcount:
            self._overwrite()
        return cursor.rowcount

    def keep_sealing_key(self, public: bytes, secret: bytes) -> None:
        """Store the secret of a sealing key."""
        with self._transaction():
            self._connection.execute("INSERT OR REPLACE INTO sealing_keys VALUES (?, ?)", (public, secret))

    def sealing_keys(self) -> Mapping[bytes, bytes]:
        """Return the sealing keys, public part -> secret."""
        return dict(self._connection.execute("SELECT public, secret FROM sealing_keys").fetchall())

    def erase_sealing_keys_but(self, publics: Sequence[bytes]) -> int:
        """Erase the secrets of all sealing keys but these; return how many."""
        erased = set(self.sealing_keys()) - set(publics)
        if erased:
            with self._transaction():
                self._connection.executemany("DELETE FROM sealing_keys WHERE public = ?", [(k,) for k in erased])
            self._overwrite()
        return len(erased)

    def _prepare(self) -> None:
        with self._transaction():
            (version,) = self._connection.execute("PRAGMA user_version").fetchone()
            if version == 0:
                for statement in _SCHEMA.split(";"):
                    self._connection.execute(statement)
                self._connection.execute(f"PRAGMA user_version = {_SCHEMA_VERSION}")
            elif version < _SCHEMA_VERSION:
                raise SumRefused(
                    f"{self._path} belongs to an earlier format, of sums under a joint key; found a new federation, "
                    "with new homes, to start anew."
                )
            elif version > _SCHEMA_VERSION:
                raise SumRefused(
                    f"{self._path} has version {version}, and this program writes {_SCHEMA_VERSION}; use the program "
                    "that wrote it, or a later one."
                )

    def _overwrite(self) -> None:
        """Bring what was erased from the log into the file, where the erased bytes are overwritten with zeros."""
        self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def _row(self, federation: str, round: int, kind: ShownKind) -> tuple[bytes, bytes, bytes | None] | None:
        query = "SELECT question, digest, answer FROM answers WHERE federation = ? AND round = ? AND kind = ?"
        row: tuple[bytes, bytes, bytes | None] | None = self._connection.execute(
            query, (federation, round, kind)
        ).fetchone()
        return row

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """Run what is inside as one transaction, rolled back after an exception; inside another it is part of that."""
        if self._connection.in_transaction:
            yield
            return
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:  # a failure of the disk has rolled back already
                self._connection.execute("ROLLBACK")
            raise


def _repeat(where: str, kind: ShownKind, question: bytes, row: tuple[bytes, bytes, bytes | None]) -> bytes:
    asked, digest, answer = row
    if asked != question:
        raise SumRefused(f"In {where} this member gave its {kind} to another question.")
    if answer is None:
        raise SumRefused(f"In {where} this member gave its {kind} and erased it.")
    if hashlib.sha256(answer).digest() != digest:
        raise SumRefused(f"In {where} the stored {kind} is damaged.")
    return answer
