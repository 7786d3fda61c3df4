"""A sentence for operators about a disk that is nearly full."""

from collections.abc import Mapping
from typing import Any

#: Bytes that must be free, lest a node stops because it cannot write down what it shows.
LEAST_FREE = 2**30


def disk_warnings(store: Mapping[str, Any]) -> list[str]:
    """Return a sentence where the disk of a home has little room, from what its store says of itself."""
    free = store.get("disk_free")
    if free is None or free >= LEAST_FREE:
        return []
    return [f"the disk has {free / 2**20:.0f} MiB left: a node that cannot write stops; make room"]
