"""A map with a Merkle root: immutable versions that share their nodes, proofs of presence and of absence.

The tree is a binary trie over the bits of SHA-256(key) in which a leaf stands as high as it can, so that the root
depends on the content alone and never on the order of insertions:

    leaf   = SHA-256(0x00 || length of key (4 bytes) || key || value)
    branch = SHA-256(0x01 || left || right)
    empty  = 32 zero bytes

Every change gives a new map that shares all untouched nodes with the old one. Changes stay beside the tree until the
root is asked for, up to a bound: what changed many times before then is put into the tree and hashed once. See
spec/ledger.md, "State".
"""

import hashlib
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Annotated

import msgspec

from medward.ledger.encoding import Hash, Structure
from medward.ledger.errors import InvalidProof

EMPTY: bytes = bytes(32)
# So many keys at most wait beside the tree: bringing them in and hashing them takes some ten milliseconds, and what has
# no end would make whoever asks for the root at last wait for all of it.
_MOST_LATE = 2048


class _Leaf(msgspec.Struct, gc=False):
    # No node is ever below itself, so the search for cycles need not look at the many there are.
    path: int
    key: bytes
    value: bytes
    known: bytes = b""

    def digest(self) -> bytes:
        if not self.known:
            self.known = _leaf_digest(self.key, self.value)
        return self.known


class _Branch(msgspec.Struct, gc=False):
    left: "_Node"
    right: "_Node"
    known: bytes = b""

    def digest(self) -> bytes:
        if not self.known:
            left, right = self.left, self.right
            # A node that did not change is not asked.
            of_left = EMPTY if left is None else left.known or left.digest()
            of_right = EMPTY if right is None else right.known or right.digest()
            self.known = hashlib.sha256(b"\x01" + of_left + of_right).digest()
        return self.known


_Node = _Leaf | _Branch | None


class MerkleProof(Structure, frozen=True):
    """The way from one key's place in the tree to the root.

    Args:
        siblings: the digests beside the path, from the root downwards.
        other_key: for absence, the key of the leaf that stands in the place instead, or None where it is empty.
        other_value: that leaf's value, or None.
    """

    siblings: Annotated[tuple[Hash, ...], msgspec.Meta(max_length=256)]
    other_key: bytes | None
    other_value: bytes | None


class MerkleMap:
    """An immutable map from bytes to bytes with a Merkle root."""

    __slots__ = ("_count", "_late", "_top")

    def __init__(self) -> None:
        self._top: _Node = None
        self._count = 0
        # What is not in the tree yet; only how a map is stored changes when it gets there, never what it holds.
        self._late: dict[bytes, bytes] = {}

    @property
    def root(self) -> bytes:
        """The root, 32 bytes; equal for equal contents."""
        top = self._tree()
        return EMPTY if top is None else top.digest()

    def __len__(self) -> int:
        self._tree()
        return self._count

    def get(self, key: bytes) -> bytes | None:
        """Return the value of `key`, or None."""
        late = self._late.get(key)
        if late is not None:
            return late
        path, node, depth = _path(key), self._top, 255
        while isinstance(node, _Branch):
            node = node.right if path >> depth & 1 else node.left
            depth -= 1
        return node.value if node is not None and node.key == key else None

    def set(self, key: bytes, value: bytes) -> "MerkleMap":
        """Return the map in which `key` has `value`."""
        return self.update({key: value})

    def update(self, values: Mapping[bytes, bytes]) -> "MerkleMap":
        """Return the map in which every key of `values` has its value."""
        changed = self._with(self._top, self._count)
        changed._late = {**self._late, **values}
        if len(changed._late) > _MOST_LATE:
            changed.root  # noqa: B018
        return changed

    def delete(self, key: bytes) -> "MerkleMap":
        """Return the map without `key`."""
        top, removed = _remove(self._tree(), _path(key), key, 255)
        return self._with(top, self._count - removed)

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield (key, value) in the order of SHA-256(key), the same wherever the content is the same."""
        waiting: list[_Node] = [self._tree()]
        while waiting:
            node = waiting.pop()
            if isinstance(node, _Branch):
                waiting += (node.right, node.left)
            elif node is not None:
                yield node.key, node.value

    def prove(self, key: bytes) -> MerkleProof:
        """Return the proof that `key` has the value that `get` gives, or is absent."""
        path, node, depth = _path(key), self._tree(), 255
        siblings = []
        while isinstance(node, _Branch):
            near, far = (node.right, node.left) if path >> depth & 1 else (node.left, node.right)
            siblings.append(EMPTY if far is None else far.digest())
            node, depth = near, depth - 1
        if node is None or node.key == key:
            return MerkleProof(tuple(siblings), None, None)
        return MerkleProof(tuple(siblings), node.key, node.value)

    def _tree(self) -> _Node:
        """Bring into the tree what waits beside it, nodes that several changes share made once; return its top."""
        if self._late:
            leaves = {_path(key): (key, value) for key, value in self._late.items()}
            paths = sorted(leaves)
            made = [_Leaf(path, *leaves[path]) for path in paths]
            self._top, added = _insert_all(self._top, made, paths, 0, len(paths), 255)
            self._count, self._late = self._count + added, {}
        return self._top

    def _with(self, top: _Node, count: int) -> "MerkleMap":
        changed = MerkleMap()
        changed._top, changed._count = top, count
        return changed


def verify_proof(root: bytes, key: bytes, value: bytes | None, proof: MerkleProof) -> None:
    """Check that in the map with `root`, `key` has `value`, or is absent where `value` is None.

    Raises:
        InvalidProof: the proof does not lead to `root`, or proves something else.
    """
    path = _path(key)
    if value is not None:
        if proof.other_key is not None:
            raise InvalidProof("the proof shows another key in the place of the one asked for")
        node = _leaf_digest(key, value)
    elif proof.other_key is not None:
        if proof.other_key == key or proof.other_value is None:
            raise InvalidProof("the proof of absence shows the very key that it says is absent")
        shared = 256 - len(proof.siblings)
        if _path(proof.other_key) >> shared != path >> shared:
            raise InvalidProof("the proof of absence shows a key from another place")
        node = _leaf_digest(proof.other_key, proof.other_value)
    else:
        node = EMPTY
    for level in reversed(range(len(proof.siblings))):
        sibling = proof.siblings[level]
        pair = sibling + node if path >> (255 - level) & 1 else node + sibling
        node = hashlib.sha256(b"\x01" + pair).digest()
    if node != root:
        raise InvalidProof("the proof does not lead to the certified root")


@lru_cache(maxsize=4096)
def _path(key: bytes) -> int:
    return int.from_bytes(hashlib.sha256(key).digest(), "big")


def _leaf_digest(key: bytes, value: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + len(key).to_bytes(4, "big") + key + value).digest()


def _insert(node: _Node, leaf: _Leaf, depth: int) -> tuple[_Node, int]:
    if node is None:
        return leaf, 1
    if isinstance(node, _Leaf):
        if node.path == leaf.path:
            return leaf, 0
        return _fork(node, leaf, depth), 1
    if leaf.path >> depth & 1:
        right, added = _insert(node.right, leaf, depth - 1)
        return _Branch(node.left, right), added
    left, added = _insert(node.left, leaf, depth - 1)
    return _Branch(left, node.right), added


def _insert_all(
    node: _Node, leaves: list[_Leaf], paths: list[int], start: int, end: int, depth: int
) -> tuple[_Node, int]:
    """Insert `leaves[start:end]`, which are in the order of their paths and have one path above `depth` in common; what
    comes out is what inserting one after the other gives.
    """
    if end - start < 2:
        return (node, 0) if start == end else _insert(node, leaves[start], depth)
    below_left: _Node = None
    below_right: _Node = None
    added = 0
    if isinstance(node, _Branch):
        below_left, below_right = node.left, node.right
    elif node is not None:
        # It goes further down, on its side, where one of the new ones may take its place.
        below_left, below_right = (None, node) if node.path >> depth & 1 else (node, None)
    middle = bisect_left(paths, (paths[start] >> depth | 1) << depth, start, end)
    if start < middle:
        below_left, added = _insert_all(below_left, leaves, paths, start, middle, depth - 1)
    if middle < end:
        below_right, more = _insert_all(below_right, leaves, paths, middle, end, depth - 1)
        added += more
    return _Branch(below_left, below_right), added


def _fork(one: _Leaf, other: _Leaf, depth: int) -> _Branch:
    first, second = one.path >> depth & 1, other.path >> depth & 1
    if first == second:
        below = _fork(one, other, depth - 1)
        return _Branch(None, below) if first else _Branch(below, None)
    return _Branch(other, one) if first else _Branch(one, other)


def _remove(node: _Node, path: int, key: bytes, depth: int) -> tuple[_Node, int]:
    if node is None:
        return None, 0
    if isinstance(node, _Leaf):
        return (None, 1) if node.key == key else (node, 0)
    if path >> depth & 1:
        right, removed = _remove(node.right, path, key, depth - 1)
        left = node.left
    else:
        left, removed = _remove(node.left, path, key, depth - 1)
        right = node.right
    if not removed:
        return node, 0
    # A lone leaf moves up to where it would stand had the removed key never been there.
    if left is None and (right is None or isinstance(right, _Leaf)):
        return right, 1
    if right is None and isinstance(left, _Leaf):
        return left, 1
    return _Branch(left, right), 1
