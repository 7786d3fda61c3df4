"""The journal of what a computing key has opened: a count in a small SQLite file that no crash sets back.

An output is counted, with the file synchronised, before it is made. The file is made together with its key and lies in
no backup: a journal that was set back would let the key open more than its noise allows (spec/computing.md, section 9).
"""

import contextlib
import sqlite3
from pathlib import Path
from types import TracebackType

from medward.fhe.errors import BudgetSpent
from medward.whole_file import flush_folder

_SCHEMA_VERSION = 1
_MAKE_NEW = "make a new key with a new journal"


class OpeningJournal:
    """The opened outputs of one key; an `OpeningBudget`.

    Args:
        path: the file, made by `create`.

    Raises:
        BudgetSpent: it is not there, not a journal, or of another version; then the key opens nothing.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        if not path.is_file():
            raise BudgetSpent(f"the opening journal {path} is not there, so nobody knows what is left: {_MAKE_NEW}")
        self._connection = sqlite3.connect(path, isolation_level=None, timeout=60.0)
        try:
            self._connection.execute("PRAGMA synchronous = FULL")
            (version,) = self._connection.execute("PRAGMA user_version").fetchone()
            if version != _SCHEMA_VERSION:
                raise BudgetSpent(
                    f"{path} has version {version}, and this program reads {_SCHEMA_VERSION}: {_MAKE_NEW}"
                )
            rows = self._connection.execute("SELECT key, outputs, bits FROM budget").fetchall()
            if len(rows) != 1:
                raise BudgetSpent(f"{path} is damaged: {_MAKE_NEW}")
        except sqlite3.DatabaseError as error:
            self._connection.close()
            raise BudgetSpent(f"{path} is not an opening journal ({error}): {_MAKE_NEW}") from None
        except BudgetSpent:
            self._connection.close()
            raise
        self._key, self._outputs, self._bits = str(rows[0][0]), int(rows[0][1]), int(rows[0][2])

    @classmethod
    def create(cls, path: Path, key: str, outputs: int, bits: int = 64) -> "OpeningJournal":
        """Make the journal of a new key.

        Args:
            path: no such file may be there.
            key: the key's fingerprint.
            outputs: tau, how many outputs the key opens in its life; more means wider noise in each.
            bits: s.

        Raises:
            BudgetSpent: the file is there, or cannot be made.
        """
        try:
            path.touch(mode=0o600, exist_ok=False)
        except FileExistsError:
            raise BudgetSpent(f"{path} is there already: open it, or give the new key a journal of its own") from None
        except OSError as error:
            raise BudgetSpent(f"cannot make the opening journal {path}: {error.strerror}") from None
        connection = sqlite3.connect(path, isolation_level=None)
        try:
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("BEGIN IMMEDIATE")
            connection.execute(
                "CREATE TABLE budget (key TEXT NOT NULL, outputs INTEGER NOT NULL, bits INTEGER NOT NULL, "
                "spent INTEGER NOT NULL CHECK (spent BETWEEN 0 AND outputs))"
            )
            connection.execute("INSERT INTO budget VALUES (?, ?, ?, 0)", (key, outputs, bits))
            connection.execute(f"PRAGMA user_version = {_SCHEMA_VERSION}")
            connection.execute("COMMIT")
        finally:
            connection.close()
        with contextlib.suppress(OSError):  # some file systems cannot sync a folder
            flush_folder(path.parent)
        return cls(path)

    def __enter__(self) -> "OpeningJournal":
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    @property
    def key(self) -> str:
        """The fingerprint of the key."""
        return self._key

    @property
    def outputs(self) -> int:
        """tau, how many outputs the key opens in its life."""
        return self._outputs

    @property
    def bits(self) -> int:
        """s; all outputs together tell of their noise 2^-(s/2)."""
        return self._bits

    @property
    def left(self) -> int:
        """How many outputs the key may still open."""
        (spent,) = self._connection.execute("SELECT spent FROM budget").fetchone()
        return self._outputs - int(spent)

    def spend(self) -> None:
        """Count one output and synchronise the file, among all processes that have it open.

        Raises:
            BudgetSpent: none is left, or it could not be counted; then the output is not made.
        """
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                changed = self._connection.execute("UPDATE budget SET spent = spent + 1 WHERE spent < outputs").rowcount
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:  # a failure of the disk has rolled back already
                    self._connection.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            raise BudgetSpent(
                f"an output could not be counted in {self._path} ({error}) and is not made; look after the disk"
            ) from None
        if not changed:
            raise BudgetSpent(f"the key has opened all {self._outputs} outputs of its life: {_MAKE_NEW}")
