"""From what a request asks for to the blocks that answer it.

Source: https://specs.ipfs.tech/http-gateways/trustless-gateway/ (dag-scope, entity-bytes), and the path gateway
specification for how a path is followed.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from medward.store.cid import DAG_CBOR, DAG_PB, RAW, Cid
from medward.store.dag import get_inline, links_of, walk
from medward.store.errors import BlockNotFound, CorruptBlock, InvalidDag, InvalidRecord
from medward.store.gateway.negotiation import ByteRange, CarRequest, HttpProblem, Scope
from medward.store.hamt import BucketPath, child_shards
from medward.store.limits import DEFAULT_LIMITS, DagLimits
from medward.store.reader import BlockGetter, decode_file_node, decode_unixfs_block, walk_file
from medward.store.records import RecordValue, decode_record
from medward.store.unixfs import NodeType

NamedBlock = tuple[Cid, bytes]
#: Where blocks are repeated (dups=y), one that is linked often would keep a gateway busy for one request.
_MOST_WITH_REPEATS, _MOST_BYTES_WITH_REPEATS = 4096, 64 * 2**20


@dataclass(frozen=True, slots=True)
class Selection:
    """The end of a request's path, found.

    Args:
        way: the blocks that prove the path, in its order, without the one at its end.
        terminus: the root of what the path leads to.
    """

    way: Sequence[NamedBlock]
    terminus: Cid


def follow_path(request: CarRequest, get: BlockGetter) -> Selection:
    """Follow a request's path from its root.

    Raises HttpProblem 404 if a block on the way or at its end is not here or a name is not found, 400 if a block on the
    way is malformed or the byte range lies outside the file.
    """
    way: list[NamedBlock] = []
    cid, names = request.cid, request.path
    try:
        while names:
            cid, names = _step(cid, names, get, way)
        block = get_inline(cid, get)
        if request.byte_range is not None and request.scope is Scope.ENTITY:
            _check_range(cid, block, request.byte_range)
    except (BlockNotFound, CorruptBlock) as error:
        raise HttpProblem(404, f"not here: {error}") from None
    except (InvalidDag, InvalidRecord) as error:
        raise HttpProblem(400, f"the path cannot be followed: {error}") from None
    return Selection(way, cid)


def select_blocks(
    request: CarRequest, selection: Selection, get: BlockGetter, limits: DagLimits = DEFAULT_LIMITS
) -> Iterator[NamedBlock]:
    """Yield the blocks of the answer in depth-first order.

    Raises BlockNotFound at a hole, LimitExceeded for more than the limits allow: the answer has begun by then and can
    only be cut off, which clients must notice.
    """
    if request.repeat:
        blocks, size = min(limits.max_blocks, _MOST_WITH_REPEATS), min(limits.max_bytes, _MOST_BYTES_WITH_REPEATS)
        limits = replace(limits, max_blocks=blocks, max_bytes=size)
    seen: set[Cid] = set()
    for cid, block in _with_way(request, selection, get, limits):
        if request.repeat or cid not in seen:
            seen.add(cid)
            yield cid, block


def _with_way(request: CarRequest, selection: Selection, get: BlockGetter, limits: DagLimits) -> Iterator[NamedBlock]:
    yield from selection.way
    cid = selection.terminus
    if request.scope is Scope.ALL:
        yield from walk(cid, get, limits, request.repeat)
    elif request.scope is Scope.BLOCK:
        yield from walk(cid, get, limits, links=lambda _cid, _block: ())
    else:
        yield from _entity(cid, request, get, limits)


def _entity(cid: Cid, request: CarRequest, get: BlockGetter, limits: DagLimits) -> Iterator[NamedBlock]:
    kind, size = _kind_and_size(cid, get_inline(cid, get))
    if kind not in (NodeType.FILE, NodeType.HAMT_SHARD):
        yield from walk(cid, get, limits, links=lambda _cid, _block: ())
    elif kind is NodeType.HAMT_SHARD:
        yield from walk(cid, get, limits, request.repeat, links=_shards_below)
    elif request.byte_range is None:
        yield from walk(cid, get, limits, request.repeat, links=links_of)
    else:
        start, stop = request.byte_range.resolve(size)
        found = walk_file(cid, lambda wanted: get_inline(wanted, get), start, stop, limits, once=not request.repeat)
        for part in found:
            if part.cid.inline is None:
                yield part.cid, part.block


def _step(cid: Cid, names: tuple[str, ...], get: BlockGetter, way: list[NamedBlock]) -> tuple[Cid, tuple[str, ...]]:
    """Go from a block to the next one on the path; the same block again, without names, where the path ends in it."""
    block = get_inline(cid, get)
    if cid.codec == DAG_CBOR:
        value, rest = _look_up(decode_record(block), names)
        if not isinstance(value, Cid):
            return cid, ()
        way.append((cid, block))
        return value, rest
    if cid.codec != DAG_PB:
        raise HttpProblem(404, f"{cid} holds no names, so '{names[0]}' cannot be found in it")
    node, message = decode_unixfs_block(cid, block)
    if message.type is NodeType.HAMT_SHARD:
        return _step_through_shards(cid, names, get, way)
    if message.type is not NodeType.DIRECTORY:
        raise HttpProblem(404, f"{cid} is a {message.type.name.lower()} and has no entry '{names[0]}'")
    way.append((cid, block))
    for link in node.links:
        if link.name == names[0]:
            return link.cid, names[1:]
    raise HttpProblem(404, f"the directory {cid} has no entry '{names[0]}'")


def _step_through_shards(
    cid: Cid, names: tuple[str, ...], get: BlockGetter, way: list[NamedBlock]
) -> tuple[Cid, tuple[str, ...]]:
    path = BucketPath(names[0])
    while True:
        block = get_inline(cid, get)
        node, message = decode_unixfs_block(cid, block)
        if message.type is not NodeType.HAMT_SHARD:
            raise InvalidDag(f"{cid} stands where a shard should be")
        way.append((cid, block))
        found = path.next_link(node, message.fanout)
        if found is None:
            raise HttpProblem(404, f"the sharded directory has no entry '{names[0]}'")
        cid, is_entry = found
        if is_entry:
            return cid, names[1:]


def _look_up(value: RecordValue, names: tuple[str, ...]) -> tuple[RecordValue, tuple[str, ...]]:
    """Follow names inside a record until a link or the end of the names."""
    while names and not isinstance(value, Cid):
        name, names = names[0], names[1:]
        if isinstance(value, dict) and name in value:
            value = value[name]
        elif isinstance(value, list) and name.isdecimal() and len(name) < 10 and int(name) < len(value):
            value = value[int(name)]
        else:
            raise HttpProblem(404, f"the record has nothing under '{name}'")
    return value, names


def _kind_and_size(cid: Cid, block: bytes) -> tuple[NodeType | None, int]:
    """Return what a block is in UnixFS and, for a file, its bytes; None for what is no UnixFS at all."""
    if cid.codec == RAW:
        return NodeType.FILE, len(block)
    if cid.codec != DAG_PB:
        return None, 0
    try:
        _, message = decode_unixfs_block(cid, block)
    except InvalidDag:
        return None, 0
    if message.type in (NodeType.FILE, NodeType.RAW):
        return NodeType.FILE, decode_file_node(cid, block).size
    return message.type, 0


def _shards_below(cid: Cid, block: bytes) -> Sequence[Cid]:
    node, message = decode_unixfs_block(cid, block)
    return list(child_shards(node, message.fanout))


def _check_range(cid: Cid, block: bytes, byte_range: ByteRange) -> None:
    kind, size = _kind_and_size(cid, block)
    if kind is NodeType.FILE and byte_range.first >= size > 0:
        raise HttpProblem(400, f"the file has {size} bytes, so a range from {byte_range.first} on is outside it")
