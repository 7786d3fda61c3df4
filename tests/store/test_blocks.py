"""Blocks in memory, and block files on a disk where something else may stand in their place (threat T12)."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medward.store.blocks import MemoryBlocks, check_block_size, open_plain, read_block_file
from medward.store.cid import DAG_PB, IDENTITY, RAW, SHA2_256, Cid
from medward.store.errors import BlockNotFound, CorruptBlock, InvalidDag, LimitExceeded, StoreFull
from medward.store.limits import MAX_BLOCK_BYTES

CONTENTS = [b"", b"a", b"bb", b"ccc"]


@given(st.lists(st.tuples(st.sampled_from(CONTENTS), st.booleans()), max_size=12))
def test_memory_holds_each_content_once_and_counts_its_bytes(steps: list[tuple[bytes, bool]]) -> None:
    blocks, expected = MemoryBlocks(), set[bytes]()
    for content, put in steps:
        cid = Cid.of(content)
        if put:
            with blocks.writer() as writer:
                writer.put(cid, memoryview(content))
            expected.add(content)
        else:
            assert blocks.delete(cid) == (len(content) if content in expected else 0)
            expected.discard(content)
        assert blocks.has(cid) == put
    usage = blocks.usage()
    assert (usage.blocks, usage.bytes) == (len(expected), sum(map(len, expected)))
    assert {blocks.get(cid) for cid in blocks.names()} == expected


def test_all_codecs_and_versions_of_one_content_share_its_block() -> None:
    blocks, content = MemoryBlocks(), b"content"
    blocks.put(Cid.of(content, DAG_PB, 0), content)
    for cid in (Cid.of(content), Cid.of(content, DAG_PB), Cid.of(content, DAG_PB, 0)):
        assert blocks.get(cid) == content
    assert list(blocks.names()) == [Cid(1, RAW, SHA2_256, Cid.of(content).digest)]


def test_view_that_changes_after_the_call_changes_no_block() -> None:
    blocks, buffer = MemoryBlocks(), bytearray(b"content")
    cid = Cid.of(b"content")
    blocks.put(cid, memoryview(buffer))
    buffer[:] = b"another"
    assert blocks.get(cid) == b"content"


def test_limit_is_kept_and_what_is_here_may_come_again() -> None:
    blocks = MemoryBlocks(limit=6)
    blocks.put(Cid.of(b"abc"), b"abc")
    blocks.put(Cid.of(b"def"), b"def")
    blocks.put(Cid.of(b"abc"), b"abc")
    with pytest.raises(StoreFull, match="limit of 6 bytes"):
        blocks.put(Cid.of(b"x"), b"x")
    blocks.delete(Cid.of(b"abc"))
    blocks.put(Cid.of(b"x"), b"x")
    assert blocks.usage().bytes == 4


def test_block_that_peers_would_refuse_is_refused() -> None:
    content = bytes(MAX_BLOCK_BYTES + 1)
    check_block_size(Cid.of(content[:-1]), content[:-1])
    with pytest.raises(LimitExceeded, match="no peer takes more"):
        MemoryBlocks().put(Cid.of(content), content)


def test_name_that_carries_its_content_is_never_stored_and_absent_ones_are_said() -> None:
    inline = Cid(1, RAW, IDENTITY, b"small")
    with pytest.raises(InvalidDag, match="carries its content in itself"):
        MemoryBlocks().put(inline, b"small")
    with pytest.raises(InvalidDag):
        MemoryBlocks().get(inline)
    with pytest.raises(BlockNotFound, match="not in this store"):
        MemoryBlocks().get(Cid.of(b""))
    assert MemoryBlocks().delete(Cid.of(b"")) == 0


def test_only_plain_files_are_opened_and_nothing_is_waited_for(tmp_path: Path) -> None:
    plain, cid = tmp_path / "plain", Cid.of(b"content")
    plain.write_bytes(b"content")
    assert read_block_file(cid, plain, "a store") == b"content"
    (tmp_path / "link").symlink_to(plain)
    (tmp_path / "nowhere").symlink_to(tmp_path / "missing")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    before = len(os.listdir("/proc/self/fd"))
    for name in ("link", "nowhere", "pipe", "folder", "plain/deep"):
        with pytest.raises(OSError, match=r".*"):
            open_plain(tmp_path / name)
        with pytest.raises(CorruptBlock, match="cannot read the block"):
            read_block_file(cid, tmp_path / name, "a store")
    with pytest.raises(BlockNotFound, match="is not in a store"):
        read_block_file(cid, tmp_path / "missing", "a store")
    assert len(os.listdir("/proc/self/fd")) == before


def test_file_without_end_in_a_block_s_place_is_read_no_further_than_a_block(tmp_path: Path) -> None:
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(2**42)
    assert len(read_block_file(Cid.of(b""), tmp_path / "huge", "a store")) == MAX_BLOCK_BYTES + 1
