"""Bytes that say much in little, and how much memory it takes to refuse them."""

import tracemalloc
from collections.abc import Callable


def crowd_of_lists(number: int = 200_000) -> bytes:
    """Return the encoding of a list of so many empty lists: each weighs a byte, and would take 60 of them."""
    return b"\x9a" + number.to_bytes(4, "big") + b"\x80" * number


def most_memory_of(call: Callable[[], object]) -> int:
    """Return the most bytes that Python's allocator gave out while `call` ran."""
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
