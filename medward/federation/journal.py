"""What a member has answered, kept in a small SQLite file so that no restart makes it answer twice.

An answer is stored, with its file synchronised, before anybody sees it. Looking up, making and storing an answer are
one transaction that locks out every other process with the same file.
"""

import hashlib
import sqlite3
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from medward.fhe.errors import AnswerRefused
from medward.fhe.member import Slot

_SCHEMA_VERSION = 1

_SCHEMA = """
CREATE TABLE answers (
    federation BLOB NOT NULL,
    kind       TEXT NOT NULL CHECK (kind IN ('seal', 'share', 'reveal')),
    scope      INTEGER NOT NULL,
    round      INTEGER NOT NULL,
    chunk      INTEGER NOT NULL,
    epoch      INTEGER NOT NULL,
    question   BLOB NOT NULL,
    digest     BLOB NOT NULL,
    answer     BLOB,
    PRIMARY KEY (federation, kind, scope, round, chunk)
) WITHOUT ROWID;
CREATE INDEX spent ON answers (federation, epoch, kind);
"""


class Journal:
    """The answers of one member; implements `medward.fhe.member.AnswerJournal`.

    Args:
        path: the file; made where it does not exist, readable by its owner only.

    Raises:
        AnswerRefused: the file was written by a later version, or is not a journal.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        path.touch(mode=0o600, exist_ok=True)
        self._connection = sqlite3.connect(path, isolation_level=None, timeout=60.0)
        try:
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = FULL")
            self._prepare()
        except sqlite3.DatabaseError as error:
            self._connection.close()
            raise AnswerRefused(
                f"{path} is not an answer journal ({error}); restore it or join with new keys"
            ) from error

    def __enter__(self) -> "Journal":
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def once(self, slot: Slot, question: bytes, budget: int, make: Callable[[], bytes]) -> bytes:
        """Return the answer stored for `slot`, or make, durably store and return one.

        Raises:
            AnswerRefused: the slot holds the answer to another question, its answer was forgotten, `budget` answers of
                this kind were already given in this epoch, or the answer could not be stored.
        """
        try:
            with _Transaction(self._connection):
                row = self._row(slot)
                if row is not None:
                    return self._repeat(slot, question, row)
                if self.spent(slot.federation, slot.epoch, slot.kind) >= budget:
                    spent = f"epoch {slot.epoch} has given its {budget} answers of kind {slot.kind!r}"
                    raise AnswerRefused(f"{spent}; start a new key epoch")
                answer = make()
                self._connection.execute(
                    "INSERT INTO answers VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (*_key(slot), slot.epoch, question, hashlib.sha256(answer).digest(), answer),
                )
        except sqlite3.OperationalError as error:
            raise AnswerRefused(
                f"the answer for round {slot.round}, chunk {slot.chunk} could not be stored in {self._path} ({error}) "
                "and is not given; look after the disk"
            ) from error
        return answer

    def stored(self, slot: Slot) -> bytes | None:
        """Return the answer stored for `slot`, or None."""
        row = self._row(slot)
        return None if row is None else row[2]

    def spent(self, federation: bytes, epoch: int, kind: str) -> int:
        """Return how many answers of a kind were given in an epoch."""
        query = "SELECT count(*) FROM answers WHERE federation = ? AND epoch = ? AND kind = ?"
        (count,) = self._connection.execute(query, (federation, epoch, kind)).fetchone()
        return int(count)

    def forget_bytes(self, federation: bytes, before_round: int) -> int:
        """Drop the bytes of answers to rounds before `before_round`; that they were given stays recorded.

        Returns:
            How many answers lost their bytes; asked for again, they are refused.
        """
        with _Transaction(self._connection):
            cursor = self._connection.execute(
                "UPDATE answers SET answer = NULL"
                " WHERE federation = ? AND kind != 'reveal' AND round < ? AND answer IS NOT NULL",
                (federation, before_round),
            )
        return cursor.rowcount

    def last_round(self, federation: bytes) -> int | None:
        """Return the latest round with an answer; a node that is behind it on the ledger must not answer."""
        query = "SELECT max(round) FROM answers WHERE federation = ? AND kind != 'reveal'"
        (latest,) = self._connection.execute(query, (federation,)).fetchone()
        return None if latest is None else int(latest)

    def _prepare(self) -> None:
        with _Transaction(self._connection):
            (version,) = self._connection.execute("PRAGMA user_version").fetchone()
            if version == 0:
                for statement in _SCHEMA.split(";"):
                    self._connection.execute(statement)
                self._connection.execute(f"PRAGMA user_version = {_SCHEMA_VERSION}")
            elif version != _SCHEMA_VERSION:
                raise AnswerRefused(f"{self._path} has version {version}; this program writes {_SCHEMA_VERSION}")

    def _row(self, slot: Slot) -> tuple[bytes, bytes, bytes | None] | None:
        query = (
            "SELECT question, digest, answer FROM answers"
            " WHERE federation = ? AND kind = ? AND scope = ? AND round = ? AND chunk = ?"
        )
        row: tuple[bytes, bytes, bytes | None] | None = self._connection.execute(query, _key(slot)).fetchone()
        return row

    @staticmethod
    def _repeat(slot: Slot, question: bytes, row: tuple[bytes, bytes, bytes | None]) -> bytes:
        asked, digest, answer = row
        if asked != question:
            raise AnswerRefused(
                f"round {slot.round}, chunk {slot.chunk} has an answer of kind {slot.kind!r} to another question"
            )
        if answer is None:
            raise AnswerRefused(f"the answer for round {slot.round}, chunk {slot.chunk} was given and dropped")
        if hashlib.sha256(answer).digest() != digest:
            raise AnswerRefused(f"the stored answer for round {slot.round}, chunk {slot.chunk} is damaged")
        return answer


def _key(slot: Slot) -> tuple[bytes, str, int, int, int]:
    scope = slot.epoch if slot.kind == "reveal" else 0
    return slot.federation, slot.kind, scope, slot.round, slot.chunk


class _Transaction:
    """BEGIN IMMEDIATE, then COMMIT, or ROLLBACK after an exception."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        self._connection.execute("BEGIN IMMEDIATE")

    def __exit__(
        self, kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if kind is None:
            try:
                self._connection.execute("COMMIT")
            except sqlite3.Error:
                self._rollback()
                raise
        else:
            self._rollback()

    def _rollback(self) -> None:
        """Roll back, unless the failure has done so already."""
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")
