"""The UnixFS message in a block: a root that contradicts itself is refused, and arbitrary bytes are no file."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medward.store.cid import DAG_PB, Cid
from medward.store.dagpb import PbLink, encode_node
from medward.store.errors import InvalidDag, LimitExceeded
from medward.store.importer import Profile
from medward.store.reader import read_file
from medward.store.unixfs import encode_file

TINY = Profile("tiny", 1, 4, 3, True)


class Blocks(dict[Cid, bytes]):
    def put(self, cid: Cid, block: bytes | memoryview) -> None:
        assert cid.matches(block)
        self[cid] = bytes(block)


def forget(cid: Cid, block: bytes | memoryview) -> None:
    """For tests that only want the CID."""


def file_node(parts: list[tuple[Cid, int]], data: bytes | None = None, size: int | None = None) -> bytes:
    total = sum(part_size for _, part_size in parts) + len(data or b"")
    message = encode_file([part_size for _, part_size in parts], data, total if size is None else size)
    return encode_node([PbLink(cid, "", 0) for cid, _ in parts], message)


def test_a_root_that_contradicts_itself_is_refused() -> None:
    leaf = Cid.of(b"four")
    named = encode_node([PbLink(leaf, "name", 4)], encode_file([4], None, 4))
    too_few_sizes = encode_node([PbLink(leaf, "", 4)], encode_file([], None, 0))
    wrong_total = file_node([(leaf, 4)], size=7)
    for block, reason in [(named, "has a name"), (too_few_sizes, "1 parts but 0 sizes"), (wrong_total, "says 7 bytes")]:
        root = Cid.of(block, DAG_PB)
        with pytest.raises(InvalidDag, match=reason):
            list(read_file(root, {leaf: b"four", root: block}.__getitem__))


@given(st.binary(max_size=80))
def test_arbitrary_bytes_are_a_file_node_or_a_clear_error(block: bytes) -> None:
    root = Cid.of(block, DAG_PB)
    with suppress(InvalidDag, LimitExceeded):
        content = b"".join(read_file(root, lambda cid: block if cid == root else b""))
        assert len(content) <= len(block)
