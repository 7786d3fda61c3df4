"""Which roots are kept, and under which labels: one table, durable before `add` returns."""

import sqlite3
import threading
from pathlib import Path

from medward.store.cid import Cid
from medward.store.errors import StoreError, StoreFull
from medward.store.interface import Pin, check_label, sorted_pins


class PinTable:
    """Pins in an SQLite file.

    Args:
        path: the file, made if it is missing; None keeps them in memory.
        read_only: open an existing file and change nothing.
    """

    def __init__(self, path: Path | None, read_only: bool = False) -> None:
        self._lock = threading.Lock()
        self._path = path
        try:
            self._database = _open(path, read_only)
        except sqlite3.Error as error:
            raise StoreError(f"cannot open the pins in {path}: {error}; restore the file or remove it") from None

    def add(self, pin: Pin) -> None:
        """Keep a root; durable when it returns. A pin of the whole DAG takes the place of one of the block alone."""
        check_label(pin.label)
        self._write(
            "INSERT INTO pins (cid, label, whole) VALUES (?, ?, ?) "
            "ON CONFLICT (cid, label) DO UPDATE SET whole = max(whole, excluded.whole)",
            pin.cid,
            pin.label,
            int(pin.whole),
        )

    def remove(self, root: Cid, label: str) -> None:
        """Take `label` off `root`."""
        self._write("DELETE FROM pins WHERE cid = ? AND label = ?", root, label)

    def matching(self, label: str | None = None) -> list[Pin]:
        """Return the pins with `label`, or all, sorted; StoreError where the file is damaged."""
        query = "SELECT cid, label, whole FROM pins WHERE ?1 IS NULL OR label = ?1"
        try:
            with self._lock:
                rows = self._database.execute(query, (label,)).fetchall()
        except sqlite3.Error as error:
            raise StoreError(f"cannot read the pins in {self._path}: {error}; restore the file or remove it") from None
        return sorted_pins(Pin(Cid.parse(cid), kept, bool(whole)) for cid, kept, whole in rows)

    def roots(self) -> dict[Cid, bool]:
        """Return every root that any label keeps, and whether one keeps its whole DAG."""
        roots: dict[Cid, bool] = {}
        for pin in self.matching():
            roots[pin.cid] = roots.get(pin.cid, False) or pin.whole
        return roots

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._database.close()

    def _write(self, statement: str, root: Cid, label: str, *more: int) -> None:
        try:
            with self._lock, self._database:
                self._database.execute(statement, (str(root), label, *more))
        except sqlite3.Error as error:
            kind = StoreFull if error.sqlite_errorcode == sqlite3.SQLITE_FULL else StoreError
            raise kind(f"cannot record the pin {label} of {root}: {error}; make room and try again") from None


def _open(path: Path | None, read_only: bool) -> sqlite3.Connection:
    if read_only and path is not None:
        return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, check_same_thread=False)
    database = sqlite3.connect(":memory:" if path is None else path, check_same_thread=False)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = FULL")
    database.execute(
        "CREATE TABLE IF NOT EXISTS pins (cid TEXT, label TEXT, whole INTEGER, PRIMARY KEY (cid, label)) WITHOUT ROWID"
    )
    database.commit()
    return database
