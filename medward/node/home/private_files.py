"""Files that only their owner may read: keys and tokens. Written whole or not at all; never read when others could."""

import os
import secrets
import stat
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from medward.node.errors import ExposedSecret, NodeError
from medward.whole_file import flush_folder

#: What to do if somebody else may have read a node's key or token.
NEW_KEYS = "make new keys with `medward federation rotate`"
_OTHERS = 0o077  # what the mode of a private file or folder must not have


def write_private(path: Path, content: bytes) -> None:
    """Write or replace a file with mode 0600; it is never visible half-written or with another mode."""
    temporary = path.with_name(f".{path.name[:64]}.{secrets.token_hex(4)}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(path)
        # The rename should reach the disk too. Some file systems can't sync a folder; the file is whole all the same.
        with suppress(OSError):
            flush_folder(path.parent)
    except OSError as error:
        raise NodeError(f"cannot write {path}: {error.strerror}; check the folder and its permissions") from None
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def make_private_folder(folder: Path) -> None:
    """Make a folder that nobody but its owner may enter; one that is there becomes so.

    Raises:
        NodeError: it cannot be made, or belongs to somebody else.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if folder.stat().st_mode & _OTHERS:
            folder.chmod(0o700)
    except OSError as error:
        raise NodeError(
            f"cannot use {folder}: {error.strerror}; run this as the user who owns it, on a disk that can be written to"
        ) from None


def tighten(folder: Path, but: Collection[Path] = ()) -> list[Path]:
    """Take the rights of everybody but the owner off a folder and whatever lies below; return what had such rights.

    Args:
        folder: links below it are not followed, and what they lead to is left alone.
        but: files that are left as they are.

    Raises:
        NodeError: it belongs to somebody else.
    """
    open_to_others: list[Path] = []
    try:
        for path in [folder, *folder.rglob("*")]:
            with suppress(FileNotFoundError):  # a temporary file of a running command is gone by now
                mode = path.lstat().st_mode
                if mode & _OTHERS and not stat.S_ISLNK(mode) and path not in but:
                    path.chmod(stat.S_IMODE(mode) & ~_OTHERS)
                    open_to_others.append(path)
    except OSError as error:
        raise NodeError(f"cannot make {error.filename} private: {error.strerror}; run this as its owner") from None
    return open_to_others


def check_private(path: Path, remedy: str = NEW_KEYS) -> None:
    """Check that a secret is there and that nobody but its owner may read it.

    Args:
        path: the secret's file.
        remedy: what to do if somebody else may have read it.

    Raises:
        NodeError: it is not there.
        ExposedSecret: its mode gives it to others.
    """
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise NodeError(f"cannot read {path}: {error.strerror}; is this the home of a node?") from None
    if mode & _OTHERS:
        raise ExposedSecret(
            f"{path} holds a secret and has mode {stat.S_IMODE(mode):04o}; "
            f"if nobody else can have read it, `chmod 600` it, else {remedy}"
        )


def read_private(path: Path, remedy: str = NEW_KEYS) -> bytes:
    """Return the content of a secret; see `check_private`."""
    check_private(path, remedy)
    try:
        return path.read_bytes()
    except OSError as error:
        raise NodeError(f"cannot read {path}: {error.strerror}; run this as its owner") from None


def read_token(path: Path) -> str:
    """Return the token of an HTTP API from its file; errors as in `read_private`.

    Raises:
        NodeError: the file holds no token.
    """
    token = read_private(path).decode("ascii", "replace").strip()
    # A server would let anybody in with an empty one; a client's errors would show one that no header can hold.
    if not token.isascii() or not token.isprintable() or not token or " " in token:
        raise NodeError(
            f"{path} holds no token: expected one line of letters, digits and marks; copy it from the node's home again"
        )
    return token
