"""How much a stranger's DAG may cost before it is refused.

The block limit is Bitswap's, which the Trustless Gateway specification names too (block limits in P2P use).
"""

from collections.abc import Container
from dataclasses import dataclass

MAX_BLOCK_BYTES = 2 * 1024 * 1024
#: Most links of one block: files that are made here have 1,024, and a directory that is not sharded about 5,000.
MAX_LINKS = 8192

#: A file of n bytes may be cut into blocks of so many bytes on average, and have so many more.
LEAST_BLOCK_BYTES, SLACK_BLOCKS = 2**16, 8
#: What stands around n bytes of content: the nodes' own bytes, and a share of n for the links.
_SLACK_BYTES, _SLACK_SHARE = 2**16, 512
_FILE_DEPTH = 8  # with 1,024 links each, three levels hold a pebibyte


@dataclass(frozen=True, slots=True)
class DagLimits:
    """Bounds on one DAG; each is checked before the block that would pass it is used.

    Args:
        max_bytes: bytes of all its blocks, and of the content that is read from it.
        max_blocks: number of different blocks; in what is read as a file, a block counts each time that it is linked.
        max_depth: links between the root and the lowest block.
        sizes: how many bytes of content the file has, where one of several lengths is due; None where any DAG is
            accepted, be it a file or not. Such a file is also read at a bounded price at every point of it: for each
            64 KiB no more than one visit, and 8 beside these.
    """

    max_bytes: int = 4 * 1024**3
    max_blocks: int = 65_536
    max_depth: int = 32
    sizes: Container[int] | None = None


DEFAULT_LIMITS = DagLimits()


def file_of(*sizes: int) -> DagLimits:
    """Return the bounds on a file whose length is known: exactly one of `sizes`, in bytes."""
    return _file(max(sizes), frozenset(sizes))


def file_up_to(size: int) -> DagLimits:
    """Return the bounds on a file of at most `size` bytes."""
    return _file(size, range(size + 1))


def _file(most: int, sizes: Container[int]) -> DagLimits:
    return DagLimits(
        max_bytes=most + most // _SLACK_SHARE + _SLACK_BYTES,
        max_blocks=SLACK_BLOCKS + most // LEAST_BLOCK_BYTES,
        max_depth=_FILE_DEPTH,
        sizes=sizes,
    )
