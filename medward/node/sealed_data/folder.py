"""The folder of what a member must not lose of its sealed data.

    key          its key for sealed data: who has it reads them, and without it nobody does
    unsent/      data that are sealed and not yet in the store and on the ledger; ciphertexts only

The folder outlives the member's other keys: `medward federation rotate` leaves it, and no backup holds it. All files
are readable by their owner only.
"""

import fcntl
import os
import re
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from medward.fhe.hybrid import HybridKey
from medward.node.errors import NodeError
from medward.node.home.private_files import make_private_folder, read_private, write_private
from medward.whole_file import flush_folder

_WHOLE = re.compile(r"[0-9a-f]{16}\.sealed")


class DataFolder:
    """A member's folder for sealed data.

    Args:
        folder: made when it is first written to.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.key_file = folder / "key"
        self._unsent = folder / "unsent"

    def key(self) -> HybridKey:
        """Return the member's key, drawn when it is first asked for.

        Raises:
            NodeError: the file is damaged, or cannot be read or written.
            ExposedSecret: others could have read it.
        """
        make_private_folder(self.folder)
        if not self.key_file.exists():
            with suppress(FileExistsError):
                _write_once(self.key_file, HybridKey().to_bytes())
        try:
            return HybridKey.from_bytes(read_private(self.key_file))
        except ValueError as error:
            raise NodeError(f"{self.key_file} is damaged ({error}); put the copy in its place that you kept") from None

    def write_unsent(self, pieces: Iterable[bytes]) -> str:
        """Write sealed data, durably and whole or not at all; return the file's name here.

        Raises:
            NodeError: they cannot be written.
        """
        make_private_folder(self.folder)
        make_private_folder(self._unsent)
        self._remove_abandoned()
        name = f"{secrets.token_hex(8)}.sealed"
        unfinished = self._unsent / f"{name}.part"
        try:
            with open(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                for piece in pieces:
                    file.write(piece)
                file.flush()
                os.fsync(file.fileno())
                unfinished.rename(self._unsent / name)
            flush_folder(self._unsent)
        except OSError as error:
            raise NodeError(f"cannot write {unfinished}: {error.strerror}; make room and try again") from None
        finally:
            unfinished.unlink(missing_ok=True)
        return name

    def unsent(self, name: str) -> Path:
        """Return the path of sealed data that were written; NodeError if there are none of that name."""
        path = self._unsent / name
        if not _WHOLE.fullmatch(name) or not path.is_file():
            raise NodeError(f"no sealed data are waiting under the name {name!r}; seal them again")
        return path

    def all_unsent(self) -> list[str]:
        """Return the names of all sealed data that are waiting."""
        found = self._unsent.iterdir() if self._unsent.is_dir() else ()
        return sorted(path.name for path in found if _WHOLE.fullmatch(path.name))

    def _remove_abandoned(self) -> None:
        """Remove what processes that were killed left unfinished; those that still write hold a lock."""
        for path in self._unsent.glob("*.part"):
            with suppress(OSError), path.open("rb") as file, _lock(file.fileno()):
                path.unlink()


def _write_once(path: Path, content: bytes) -> None:
    """Write a secret that no other process may replace; FileExistsError where it is there."""
    temporary = path.with_name(f".key.{secrets.token_hex(4)}")
    try:
        write_private(temporary, content)
        os.link(temporary, path)
        flush_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def _lock(descriptor: int) -> Iterator[None]:
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    yield
