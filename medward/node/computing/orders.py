"""Orders that a member's operator leaves for its node, and what the node says of those that it put aside."""

import zipfile
import zlib
from pathlib import Path

from medward.node.errors import NodeError

NO_ARRAYS = (OSError, ValueError, KeyError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error)
"""What reading arrays from an order raises where it holds others or none, or was cut short."""


def refusal_of(folder: Path, order: Path) -> Path:
    """Return the file in a member's folder that keeps why an order was put aside."""
    return folder / f"{order.stem}.refused"


def check_not_refused(folder: Path, order: Path) -> None:
    """Take the node's sentence on an order that it put aside out of the folder.

    Raises:
        NodeError: it put it aside.
    """
    refused = refusal_of(folder, order)
    if refused.exists():
        why = refused.read_text(encoding="utf-8").strip()
        refused.unlink()
        raise NodeError(why)
