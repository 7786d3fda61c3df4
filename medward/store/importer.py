"""From bytes to a UnixFS DAG: cut into chunks, hash each, and build a balanced tree of links over them.

The identifiers are those of Kubo, bit for bit. Content streams through: one chunk and the links of the unfinished
nodes are all that is held. Source: https://specs.ipfs.tech/unixfs/ and IPIP-499 (the profiles).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import BinaryIO

from medward.store.cid import DAG_PB, RAW, Cid
from medward.store.dagpb import PbLink, encode_node
from medward.store.errors import LimitExceeded
from medward.store.unixfs import encode_directory, encode_file

MAX_DIRECTORY_BYTES = 256 * 1024  # beyond it Kubo shards a directory (HAMT), which is not written here

Content = bytes | memoryview | BinaryIO | Iterable[bytes]
PutBlock = Callable[[Cid, bytes | memoryview], None]


@dataclass(frozen=True, slots=True)
class Profile:
    """The choices that decide a file's CID.

    Args:
        name: the profile's public name.
        cid_version: 0 or 1.
        chunk_size: bytes of a leaf (the last may be shorter).
        max_links: most links of one node.
        raw_leaves: whether a leaf is the bare chunk, or wrapped in a UnixFS node as in the early years.
    """

    name: str
    cid_version: int
    chunk_size: int
    max_links: int
    raw_leaves: bool


UNIXFS_V1_2025 = Profile("unixfs-v1-2025", 1, 1024 * 1024, 1024, True)
UNIXFS_V0_2015 = Profile("unixfs-v0-2015", 0, 256 * 1024, 174, False)
PROFILES: Mapping[str, Profile] = {profile.name: profile for profile in (UNIXFS_V1_2025, UNIXFS_V0_2015)}


@dataclass(frozen=True, slots=True)
class Imported:
    """A finished file or directory, or a part of one.

    Args:
        cid: its name.
        content_size: bytes of the file below it; 0 for a directory.
        tree_size: bytes of all its blocks, as its parent's link says them.
    """

    cid: Cid
    content_size: int
    tree_size: int


def import_file(content: Content, put: PutBlock, profile: Profile = UNIXFS_V1_2025) -> Imported:
    """Import one file.

    Args:
        content: the bytes, a binary file, or chunks of any sizes; only the bytes matter for the result.
        put: called with each block's CID and bytes, leaves in order, each parent after its children, the root last.
            The bytes may be a view that is only valid during the call.
        profile: the choices that decide the CID.

    Returns:
        The root.
    """
    tree = FileTree(profile, put)
    for chunk in cut_into_chunks(content, profile.chunk_size):
        tree.append_leaf(chunk)
    return tree.finish()


def import_directory(entries: Mapping[str, Imported], put: PutBlock, profile: Profile = UNIXFS_V1_2025) -> Imported:
    """Import a directory of finished entries, sorted by the UTF-8 bytes of their names.

    Raises LimitExceeded if its node is larger than 256 KiB: Kubo would shard it, and the CID would differ.
    """
    links = [
        PbLink(entry.cid, name, entry.tree_size)
        for name, entry in sorted(entries.items(), key=lambda item: item[0].encode("utf-8"))
    ]
    block = encode_node(links, encode_directory())
    if len(block) > MAX_DIRECTORY_BYTES:
        raise LimitExceeded(
            f"a directory of {len(links)} entries needs a sharded node, which is not written here: "
            "pack the files into an archive, or spread them over several directories"
        )
    cid = Cid.of(block, DAG_PB, profile.cid_version)
    put(cid, block)
    return Imported(cid, 0, len(block) + sum(entry.tree_size for entry in entries.values()))


def cut_into_chunks(content: Content, size: int) -> Iterator[memoryview]:
    """Yield `content` in chunks of `size` bytes, the last one shorter, whatever pieces it comes in.

    A chunk is a view that is only valid until the next one is asked for. Nothing is yielded for empty content.
    """
    if isinstance(content, bytes | bytearray | memoryview):
        whole = memoryview(content).cast("B")
        for start in range(0, len(whole), size):
            yield whole[start : start + size]
        return
    buffer = bytearray(size)
    view = memoryview(buffer)
    filled = 0
    for piece in _pieces(content, size):
        rest = memoryview(piece)
        while not filled and len(rest) >= size:  # whole chunks go through without being copied
            yield rest[:size]
            rest = rest[size:]
        while rest:
            taken = min(len(rest), size - filled)
            view[filled : filled + taken] = rest[:taken]
            filled, rest = filled + taken, rest[taken:]
            if filled == size:
                yield view
                filled = 0
    if filled:
        yield view[:filled]


def _pieces(content: BinaryIO | Iterable[bytes], size: int) -> Iterator[bytes]:
    if hasattr(content, "read"):
        while piece := content.read(size):
            yield piece
    else:
        yield from content


class FileTree:
    """A file that is imported chunk by chunk: leaves from left to right; a level that is full becomes a node above.

    Args:
        profile: the choices that decide the CID.
        put: called with each block; see `import_file`.
    """

    def __init__(self, profile: Profile, put: PutBlock) -> None:
        self._profile = profile
        self._put = put
        self._levels: list[list[Imported]] = [[]]

    def append_leaf(self, chunk: memoryview) -> None:
        """Add the next chunk, which has the profile's size unless it is the last."""
        self._append(0, self._leaf(chunk))

    def finish(self) -> Imported:
        """Return the root, after the last chunk."""
        if self._levels == [[]]:
            return self._leaf(memoryview(b""))
        level = 0
        while level + 1 < len(self._levels) or len(self._levels[level]) > 1:
            if self._levels[level]:
                self._close_level(level)
            level += 1
        return self._levels[level][0]

    def _append(self, level: int, part: Imported) -> None:
        if level == len(self._levels):
            self._levels.append([])
        self._levels[level].append(part)
        if len(self._levels[level]) == self._profile.max_links:
            self._close_level(level)

    def _close_level(self, level: int) -> None:
        parts, self._levels[level] = self._levels[level], []
        size = sum(part.content_size for part in parts)
        message = encode_file([part.content_size for part in parts], None, size)
        block = encode_node([PbLink(part.cid, "", part.tree_size) for part in parts], message)
        cid = Cid.of(block, DAG_PB, self._profile.cid_version)
        self._put(cid, block)
        self._append(level + 1, Imported(cid, size, len(block) + sum(part.tree_size for part in parts)))

    def _leaf(self, chunk: memoryview) -> Imported:
        block: bytes | memoryview = chunk
        codec = RAW
        if not self._profile.raw_leaves:
            block = encode_node((), encode_file((), chunk if chunk else None, len(chunk)))
            codec = DAG_PB
        cid = Cid.of(block, codec, self._profile.cid_version)
        self._put(cid, block)
        return Imported(cid, len(chunk), len(block))
