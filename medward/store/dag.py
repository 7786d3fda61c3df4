"""Walking a DAG: what a block links to, and every block below a root, depth first.

Source: https://specs.ipfs.tech/http-gateways/trustless-gateway/ (dag-scope, entity-bytes, order=dfs, dups).
"""

from collections.abc import Callable, Iterator, Sequence

from medward.store.cid import DAG_CBOR, DAG_PB, RAW, Cid
from medward.store.dagpb import decode_node
from medward.store.errors import InvalidDag, LimitExceeded
from medward.store.limits import DEFAULT_LIMITS, DagLimits
from medward.store.reader import BlockGetter
from medward.store.records import decode_record, links_of_value


def links_of(cid: Cid, block: bytes) -> Sequence[Cid]:
    """Return the links of a block in order, repeats included.

    Raises InvalidDag for malformed blocks and for codecs whose links are not known, and InvalidRecord for malformed
    records; a codec that can hold no links (raw) gives none.
    """
    if cid.codec == RAW:
        return ()
    if cid.codec == DAG_PB:
        try:
            return [link.cid for link in decode_node(block).links]
        except InvalidDag as error:
            raise InvalidDag(f"{cid}: {error}") from None
    if cid.codec == DAG_CBOR:
        return links_of_value(decode_record(block))
    raise InvalidDag(f"{cid}: the links of codec 0x{cid.codec:x} are not known here (raw, dag-pb and dag-cbor are)")


def get_inline(cid: Cid, get: BlockGetter) -> bytes:
    """Return the block's bytes: from the CID itself where it carries them, else from `get`."""
    inline = cid.inline
    return get(cid) if inline is None else inline


def walk(
    root: Cid,
    get: BlockGetter,
    limits: DagLimits = DEFAULT_LIMITS,
    repeat: bool = False,
    links: Callable[[Cid, bytes], Sequence[Cid]] = links_of,
) -> Iterator[tuple[Cid, bytes]]:
    """Yield each block of the DAG below `root`, parents first, children in the order of the links.

    Args:
        root: where to begin; it is yielded first.
        get: gives a block's bytes, already checked against its CID.
        limits: bounds on depth, blocks and bytes; a block yielded again counts again.
        repeat: yield a block each time it is linked to (dups=y) instead of only once.
        links: which links of a block to follow.

    Blocks that a CID carries in itself are followed but not yielded, as a CAR must not hold them.
    """
    seen: set[Cid] = set()
    waiting: list[tuple[Cid, int]] = [(root, 0)]
    blocks, total = 0, 0
    while waiting:
        cid, depth = waiting.pop()
        if cid in seen and not repeat:
            continue
        seen.add(cid)
        if depth > limits.max_depth:
            raise LimitExceeded(f"the DAG below {root} is deeper than {limits.max_depth} links")
        block = get_inline(cid, get)
        blocks, total = blocks + 1, total + len(block)
        if blocks > limits.max_blocks or total > limits.max_bytes:
            raise LimitExceeded(
                f"the DAG below {root} has more than {limits.max_blocks} blocks or {limits.max_bytes} bytes"
            )
        if cid.inline is None:
            yield cid, block
        below = links(cid, block)
        if not repeat:
            below = [link for link in dict.fromkeys(below) if link not in seen]
        waiting.extend((link, depth + 1) for link in reversed(below))
        if len(waiting) > limits.max_blocks:
            raise LimitExceeded(f"the DAG below {root} has more than {limits.max_blocks} links")
