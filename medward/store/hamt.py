"""Sharded directories: which bucket of each shard a name belongs to.

Source: https://specs.ipfs.tech/unixfs/ (HAMT directory): the murmur3-x64-64 hash of the name, taken from its most
significant bits, log2(fanout) of them a level; a link's name begins with its bucket in hexadecimal.
"""

from collections.abc import Iterator

import mmh3

from medward.store.cid import Cid
from medward.store.dagpb import PbNode
from medward.store.errors import InvalidDag

_HASH_BITS = 64


class BucketPath:
    """The buckets of one name, one for each level of shards.

    Args:
        name: the directory entry.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._hash: int = mmh3.hash64(name.encode("utf-8"), signed=False)[0]
        self._used = 0

    def next_link(self, shard: PbNode, fanout: int) -> tuple[Cid, bool] | None:
        """Return the link of `shard` that leads to the name, and whether it is the entry itself; None if none does.

        Raises InvalidDag if the shards go deeper than the hash has bits.
        """
        bits = fanout.bit_length() - 1
        if self._used + bits > _HASH_BITS:
            raise InvalidDag(f"the shards on the way to '{self._name}' are deeper than its hash is long")
        self._used += bits
        bucket = self._hash >> (_HASH_BITS - self._used) & (fanout - 1)
        prefix = f"{bucket:0{_prefix_width(fanout)}X}"
        for link in shard.links:
            if link.name == prefix:
                return link.cid, False
            if link.name == prefix + self._name:
                return link.cid, True
        return None


def child_shards(shard: PbNode, fanout: int) -> Iterator[Cid]:
    """Yield the shards right below a shard, without its entries."""
    width = _prefix_width(fanout)
    return (link.cid for link in shard.links if len(link.name) == width)


def _prefix_width(fanout: int) -> int:
    return len(f"{fanout - 1:X}")
