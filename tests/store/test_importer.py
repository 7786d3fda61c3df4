"""Importing files: the CIDs of Kubo and of the JavaScript importer, whatever pieces the bytes come in."""

import io
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medward.store.cid import Cid
from medward.store.errors import LimitExceeded
from medward.store.importer import UNIXFS_V1_2025, Imported, Profile, cut_into_chunks, import_directory, import_file
from medward.store.reader import read_file

from . import vectors
from .test_unixfs import Blocks, forget


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


@given(st.lists(st.binary(max_size=9), max_size=8), st.integers(1, 7))
def test_chunks_have_the_size_asked_for_and_only_the_last_is_shorter(pieces_of_content: list[bytes], size: int) -> None:
    content = b"".join(pieces_of_content)
    expected = [content[at : at + size] for at in range(0, len(content), size)]
    for form in (content, memoryview(content), bytearray(content), io.BytesIO(content), pieces_of_content):
        assert [bytes(chunk) for chunk in cut_into_chunks(form, size)] == expected


@given(st.lists(st.text(max_size=3), unique=True, max_size=6))
def test_directory_has_one_name_in_whatever_order_its_entries_come(names: list[str]) -> None:
    entries = {name: import_file(name.encode(), forget) for name in names}
    one, other = import_directory(entries, forget), import_directory(dict(reversed(entries.items())), forget)
    assert one == other
