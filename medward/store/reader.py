"""From a UnixFS DAG back to bytes: any valid file, whole or a range of it, one block in memory at a time."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from medward.store.cid import DAG_PB, RAW, Cid
from medward.store.dagpb import PbNode, decode_node
from medward.store.errors import InvalidDag, LimitExceeded
from medward.store.limits import DEFAULT_LIMITS, LEAST_BLOCK_BYTES, SLACK_BLOCKS, DagLimits, file_of
from medward.store.unixfs import NodeType, UnixFs, decode_unixfs

BlockGetter = Callable[[Cid], bytes]


@dataclass(frozen=True, slots=True)
class FileNode:
    """One block of a file, decoded: its own bytes, then those of its parts."""

    data: bytes
    parts: tuple[tuple[Cid, int], ...]

    @property
    def size(self) -> int:
        """Bytes of content in and below this block."""
        return len(self.data) + sum(size for _, size in self.parts)


@dataclass(frozen=True, slots=True)
class FilePart:
    """A block of a file, and the offset in the file at which its content begins."""

    cid: Cid
    block: bytes
    node: FileNode
    offset: int


def decode_file_node(cid: Cid, block: bytes) -> FileNode:
    """Read a block of a file; InvalidDag if it belongs to a directory, a record or nothing that is known."""
    if cid.codec == RAW:
        return FileNode(block, ())
    if cid.codec != DAG_PB:
        raise InvalidDag(f"{cid} is no file: its codec is 0x{cid.codec:x}")
    node, message = decode_unixfs_block(cid, block)
    if message.type not in (NodeType.FILE, NodeType.RAW):
        raise InvalidDag(f"{cid} is a {message.type.name.lower().replace('_', ' ')}, not a file")
    parts = zip((link.cid for link in node.links), message.block_sizes, strict=True)
    return FileNode(message.data, tuple(parts))


def decode_unixfs_block(cid: Cid, block: bytes) -> tuple[PbNode, UnixFs]:
    """Read a DAG-PB block and the UnixFS message in it; InvalidDag, with the block's name, where there is none."""
    try:
        node = decode_node(block)
        return node, decode_unixfs(node)
    except InvalidDag as error:
        raise InvalidDag(f"{cid}: {error}") from None


def read_file(
    root: Cid, get: BlockGetter, start: int = 0, stop: int | None = None, limits: DagLimits = DEFAULT_LIMITS
) -> Iterator[bytes]:
    """Yield the bytes `start` to `stop` (exclusive; None: to the end) of the file `root`, in order.

    Raises as `walk_file`.
    """
    for part in walk_file(root, get, start, stop, limits):
        end = len(part.node.data) if stop is None else max(stop - part.offset, 0)
        wanted = part.node.data[max(start - part.offset, 0) : end]
        if wanted:
            yield wanted


def check_root(root: Cid, block: bytes, limits: DagLimits) -> None:
    """Check that a block can be the root of what is due, before anything below it is asked for or read.

    Raises InvalidDag where a file is due and the block is none, LimitExceeded where it is one of another length.
    """
    if limits.sizes is not None and (size := decode_file_node(root, block).size) not in limits.sizes:
        raise LimitExceeded(f"{root} is a file of {size} bytes, which is not the length of what is due under this name")


def limits_of_root(root: Cid, block: bytes) -> DagLimits:
    """Return the bounds on a file that is as long as its root says, which must be a file's."""
    return file_of(decode_file_node(root, block).size)


def walk_file(
    root: Cid,
    get: BlockGetter,
    start: int = 0,
    stop: int | None = None,
    limits: DagLimits = DEFAULT_LIMITS,
    once: bool = False,
) -> Iterator[FilePart]:
    """Yield the root and then, depth first, the blocks that hold bytes `start` to `stop` of the file.

    Each block must have the size that its parent promised, so a DAG cannot give more bytes than its root declares, and
    depth, total and the number of visits are bounded by `limits`; a block counts each time that it is linked. With
    `once`, what was yielded with all that is below it is passed over where it is linked again. Raises InvalidDag,
    LimitExceeded, and whatever `get` raises for a block that it does not have.
    """
    block = get(root)
    check_root(root, block, limits)
    part = FilePart(root, block, decode_file_node(root, block), 0)
    size = part.node.size
    if size > limits.max_bytes:
        raise LimitExceeded(f"{root} is a file of {size} bytes; at most {limits.max_bytes} are accepted")
    stop = size if stop is None else min(stop, size)
    depth, visited = 0, 1
    whole: set[Cid] = set()
    # Each entry: a part, the content offset where it begins, the size that its parent promised, its depth.
    waiting: list[tuple[Cid, int, int, int]] = []
    while True:
        yield part
        waiting.extend(reversed(_wanted_parts(part.node, part.offset, depth, start, stop)))
        # Every part that waits will be visited, so that more of them than that are refused before the next is read.
        if visited + len(waiting) > limits.max_blocks:
            raise LimitExceeded(f"{root} links to more than {limits.max_blocks} parts, some of them repeatedly")
        while waiting and once and waiting[-1][0] in whole:
            waiting.pop()
        if not waiting:
            return
        cid, offset, promised, depth = waiting.pop()
        visited += 1
        if limits.sizes is not None and not start and visited > SLACK_BLOCKS + offset // LEAST_BLOCK_BYTES:
            raise LimitExceeded(f"{root} is cut into small parts: its first {offset} bytes take {visited} visits")
        if start <= offset and offset + promised <= stop:
            whole.add(cid)
        if depth > limits.max_depth:
            raise LimitExceeded(f"{root} is deeper than {limits.max_depth} levels")
        block = get(cid)
        part = FilePart(cid, block, decode_file_node(cid, block), offset)
        if part.node.size != promised:
            raise InvalidDag(f"{cid} holds {part.node.size} bytes where its parent promises {promised}")


def _wanted_parts(node: FileNode, offset: int, depth: int, start: int, stop: int) -> list[tuple[Cid, int, int, int]]:
    """Parts that overlap the range; those without a byte are passed over, so they can't be multiplied without end."""
    position = offset + len(node.data)
    wanted = []
    for cid, size in node.parts:
        if size and max(position, start) < min(position + size, stop):
            wanted.append((cid, position, size, depth + 1))
        position += size
    return wanted
