"""Importing and reading files: the CIDs of Kubo and of the JavaScript importer, whatever pieces the bytes come in."""

import io
import random
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medward.store.cid import DAG_PB, Cid
from medward.store.dagpb import PbLink, encode_node
from medward.store.errors import InvalidDag, LimitExceeded
from medward.store.importer import UNIXFS_V1_2025, Imported, Profile, import_directory, import_file
from medward.store.limits import DagLimits
from medward.store.reader import read_file
from medward.store.unixfs import encode_file

from . import vectors

TINY = Profile("tiny", 1, 4, 3, True)


class Blocks(dict[Cid, bytes]):
    def put(self, cid: Cid, block: bytes | memoryview) -> None:
        assert cid.matches(block)
        self[cid] = bytes(block)


def forget(cid: Cid, block: bytes | memoryview) -> None:
    """For tests that only want the CID."""


def pieces(data: bytes, size: int) -> Iterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


def irregular_pieces(data: bytes) -> Iterator[bytes]:
    """Pieces of sizes from one byte to three chunks, other ones in every run, with empty ones between."""
    chance, start = random.Random(), 0
    while start < len(data):
        size = min(len(data) - start, int(2 ** chance.uniform(0, 21.6)))
        yield from (data[start : start + size], b"")
        start += size


def profile_of_vector(name: str) -> Profile:
    fields = vectors.load("unixfs.json")["profiles"][name]
    return Profile(name, fields["cid_version"], fields["chunk_size"], fields["max_links"], fields["raw_leaves"])


def test_every_file_vector_matches_from_bytes_files_and_streams(tmp_path: Path) -> None:
    for entry in vectors.load("unixfs.json")["files"]:
        if entry["size"] > 10_000_000:
            continue
        data = vectors.content(entry["size"])
        path = tmp_path / "content"
        path.write_bytes(data)
        for name, expected in entry["cids"].items():
            profile = profile_of_vector(name)
            blocks = Blocks()
            from_bytes = import_file(data, blocks.put, profile)
            assert str(from_bytes.cid) == expected["cid"], (name, entry["size"])
            assert from_bytes.tree_size == sum(map(len, walk_sizes(from_bytes.cid, blocks)))
            if "root_block_hex" in expected:
                assert blocks[from_bytes.cid].hex() == expected["root_block_hex"]
            with path.open("rb") as file:
                assert import_file(file, forget, profile) == from_bytes
            assert import_file(pieces(data, 65_537), forget, profile) == from_bytes
            assert import_file(irregular_pieces(data), forget, profile) == from_bytes
            assert b"".join(read_file(from_bytes.cid, blocks.__getitem__)) == data


@pytest.mark.slow
def test_the_300_megabyte_vector_matches() -> None:
    for entry in vectors.load("unixfs.json")["files"]:
        if entry["size"] > 10_000_000:
            data = vectors.content(entry["size"])
            for name, expected in entry["cids"].items():
                profile = profile_of_vector(name)
                assert str(import_file(data, forget, profile).cid) == expected["cid"]
                assert str(import_file(irregular_pieces(data), forget, profile).cid) == expected["cid"]


def test_every_directory_vector_matches() -> None:
    for entry in vectors.load("unixfs.json")["directories"]:
        for name, expected in entry["cids"].items():
            blocks = Blocks()
            tree: dict[str, object] = {}
            for file in entry["entries"]:
                *folders, leaf = file["path"].split("/")
                place = tree
                for folder in folders:
                    place = place.setdefault(folder, {})  # type: ignore[assignment]
                place[leaf] = vectors.content(file["size"], file["seed"])
            root = import_tree(tree, blocks, profile_of_vector(name))
            assert str(root.cid) == expected["cid"], (entry["name"], name)
            if "root_block_hex" in expected:
                assert blocks[root.cid].hex() == expected["root_block_hex"]


def import_tree(tree: dict[str, object], blocks: Blocks, profile: Profile) -> Imported:
    entries = {}
    for name, child in tree.items():
        if isinstance(child, dict):
            entries[name] = import_tree(child, blocks, profile)
        else:
            assert isinstance(child, bytes)
            entries[name] = import_file(child, blocks.put, profile)
    return import_directory(entries, blocks.put, profile)


def walk_sizes(root: Cid, blocks: Blocks) -> Iterator[bytes]:
    from medward.store.dag import walk  # noqa: PLC0415

    for _, block in walk(root, blocks.__getitem__, repeat=True):
        yield block


@given(st.binary(max_size=300), st.lists(st.integers(1, 20), max_size=30), st.booleans())
def test_any_content_in_any_pieces_has_one_cid_and_comes_back(data: bytes, cuts: list[int], raw: bool) -> None:
    profile = Profile("tiny", 1, 4, 3, raw)
    blocks = Blocks()
    whole = import_file(data, blocks.put, profile)

    def irregular() -> Iterator[bytes]:
        rest = data
        for cut in cuts:
            yield rest[:cut]
            rest = rest[cut:]
        yield rest

    assert import_file(irregular(), forget, profile) == whole
    assert import_file(io.BytesIO(data), forget, profile) == whole
    assert whole.content_size == len(data)
    assert b"".join(read_file(whole.cid, blocks.__getitem__)) == data


@given(st.binary(max_size=200), st.integers(0, 220), st.integers(0, 220))
def test_any_range_comes_back_from_the_blocks_that_hold_it_alone(data: bytes, start: int, stop: int) -> None:
    blocks = Blocks()
    root = import_file(data, blocks.put, TINY).cid
    leaves = []

    def get(cid: Cid) -> bytes:
        if cid.codec != DAG_PB:
            leaves.append(cid)
        return blocks[cid]

    assert b"".join(read_file(root, get, start, stop)) == data[start:stop]
    needed = len(range(start // 4, -(-min(stop, len(data)) // 4))) if start < min(stop, len(data)) else 0
    assert len(leaves) == (needed if len(data) > 4 else 1 - (root.codec == DAG_PB))


def file_node(parts: list[tuple[Cid, int]], data: bytes | None = None, size: int | None = None) -> bytes:
    total = sum(part_size for _, part_size in parts) + len(data or b"")
    message = encode_file([part_size for _, part_size in parts], data, total if size is None else size)
    return encode_node([PbLink(cid, "", 0) for cid, _ in parts], message)


def chain(depth: int, blocks: Blocks) -> Cid:
    cid = Cid.of(b"x")
    blocks[cid] = b"x"
    for _ in range(depth):
        block = file_node([(cid, 1)])
        cid = Cid.of(block, DAG_PB)
        blocks[cid] = block
    return cid


def test_a_dag_that_is_too_deep_is_refused() -> None:
    blocks = Blocks()
    assert b"".join(read_file(chain(32, blocks), blocks.__getitem__)) == b"x"
    with pytest.raises(LimitExceeded, match="deeper than 32"):
        list(read_file(chain(33, blocks), blocks.__getitem__))


def test_a_file_larger_than_the_reader_accepts_is_refused_before_a_byte() -> None:
    blocks = Blocks()
    root = import_file(b"0123456789", blocks.put, TINY).cid
    with pytest.raises(LimitExceeded, match="10 bytes; at most 9"):
        next(read_file(root, blocks.__getitem__, limits=DagLimits(max_bytes=9)))


def test_a_part_of_another_size_than_promised_is_refused() -> None:
    leaf = Cid.of(b"four")
    block = file_node([(leaf, 5)])
    root = Cid.of(block, DAG_PB)
    with pytest.raises(InvalidDag, match="4 bytes where its parent promises 5"):
        list(read_file(root, {leaf: b"four", root: block}.__getitem__))


def test_a_root_that_contradicts_itself_is_refused() -> None:
    leaf = Cid.of(b"four")
    named = encode_node([PbLink(leaf, "name", 4)], encode_file([4], None, 4))
    too_few_sizes = encode_node([PbLink(leaf, "", 4)], encode_file([], None, 0))
    wrong_total = file_node([(leaf, 4)], size=7)
    for block, reason in [(named, "has a name"), (too_few_sizes, "1 parts but 0 sizes"), (wrong_total, "says 7 bytes")]:
        root = Cid.of(block, DAG_PB)
        with pytest.raises(InvalidDag, match=reason):
            list(read_file(root, {leaf: b"four", root: block}.__getitem__))


def test_parts_without_bytes_cannot_keep_a_reader_busy() -> None:
    blocks = Blocks()
    empty = file_node([], data=None)
    cid = Cid.of(empty, DAG_PB)
    blocks[cid] = empty
    for _ in range(30):
        block = file_node([(cid, 0)] * 100)
        cid = Cid.of(block, DAG_PB)
        blocks[cid] = block
    assert list(read_file(cid, blocks.__getitem__)) == []


def test_a_file_whose_node_holds_bytes_of_its_own_and_parts_is_read_in_order() -> None:
    leaf = Cid.of(b"world")
    block = file_node([(leaf, 5)], data=b"hello ")
    root = Cid.of(block, DAG_PB)
    get = {leaf: b"world", root: block}.__getitem__
    assert b"".join(read_file(root, get)) == b"hello world"
    assert b"".join(read_file(root, get, 4, 8)) == b"o wo"


@given(st.binary(max_size=80))
def test_arbitrary_bytes_are_a_file_node_or_a_clear_error(block: bytes) -> None:
    root = Cid.of(block, DAG_PB)
    with suppress(InvalidDag, LimitExceeded):
        content = b"".join(read_file(root, lambda cid: block if cid == root else b""))
        assert len(content) <= len(block)


def test_a_directory_too_large_for_one_node_is_refused_with_a_way_out() -> None:
    entry = import_file(b"", forget, UNIXFS_V1_2025)
    with pytest.raises(LimitExceeded, match="archive"):
        import_directory({f"{number:0200d}": entry for number in range(1100)}, forget)


@settings(max_examples=30)
@given(st.integers(0, 2**20 + 5))
def test_leading_part_of_the_content_decides_nothing_but_itself(size: int) -> None:
    data = vectors.content(size, "any") if size else b""
    blocks = Blocks()
    root = import_file(data, blocks.put)
    assert b"".join(read_file(root.cid, blocks.__getitem__)) == data
