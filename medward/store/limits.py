"""How much a stranger's DAG may cost before it is refused.

The block limit is Bitswap's, which the Trustless Gateway specification names too (block limits in P2P use).
"""

from dataclasses import dataclass

MAX_BLOCK_BYTES = 2 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class DagLimits:
    """Bounds on one DAG; each is checked before the block that would pass it is used.

    Args:
        max_bytes: bytes of all its blocks, and of the content that is read from it.
        max_blocks: number of different blocks.
        max_depth: links between the root and the lowest block.
    """

    max_bytes: int = 4 * 1024**3
    max_blocks: int = 200_000
    max_depth: int = 32


DEFAULT_LIMITS = DagLimits()
