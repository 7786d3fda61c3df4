"""Files that only their owner may read: keys and tokens. Written whole or not at all; never read when others could."""

import os
import secrets
import stat
from pathlib import Path

from medward.node.errors import ExposedSecret, NodeError


def write_private(path: Path, content: bytes) -> None:
    """Write or replace a file with mode 0600; it is never visible half-written or with another mode."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(path)
    except OSError as error:
        raise NodeError(f"cannot write {path}: {error.strerror}; check the folder and its permissions") from None
    finally:
        temporary.unlink(missing_ok=True)


def check_private(path: Path) -> None:
    """Check that a secret is there and that nobody but its owner may read it.

    Raises:
        NodeError: it is not there.
        ExposedSecret: its mode gives it to others.
    """
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise NodeError(f"cannot read {path}: {error.strerror}; is this the home of a node?") from None
    if stat.S_IMODE(mode) & 0o077:
        raise ExposedSecret(
            f"{path} holds a secret and has mode {stat.S_IMODE(mode):04o}; "
            "if nobody else can have read it, `chmod 600` it, else make new keys with `medward federation rotate`"
        )


def read_private(path: Path) -> bytes:
    """Return the content of a secret; see `check_private`."""
    check_private(path)
    return path.read_bytes()
