"""Kubo's repository read without Kubo: blocks by its naming, and whatever else stands there is waited for by nobody."""

import os
from pathlib import Path

import pytest

from medward.store.cid import DAG_PB, Cid
from medward.store.errors import BlockNotFound, CorruptBlock, StoreError
from medward.store.kubo.repository import RepositoryBlocks

SHARDING = "/repo/flatfs/shard/v1/next-to-last/2\n"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    (tmp_path / "blocks").mkdir()
    (tmp_path / "blocks" / "SHARDING").write_text(SHARDING)
    return tmp_path


def kept(repository: Path, content: bytes) -> Path:
    """Put a block where Kubo has it."""
    key = Cid.of(content).key.upper()
    path = repository / "blocks" / key[-3:-1] / f"{key}.data"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    return path


def test_empty_directory_that_every_repository_has_lies_where_kubo_puts_it(repository: Path) -> None:
    path = kept(repository, bytes.fromhex("0a020801"))
    assert path.relative_to(repository / "blocks") == Path(
        "X3/CIQFTFEEHEDF6KLBT32BFAGLXEZL4UWFNWM4LFTLMXQBCERZ6CMLX3Y.data"
    )
    assert list(RepositoryBlocks(repository).names()) == [Cid.of(bytes.fromhex("0a020801"))]


def test_blocks_are_read_under_every_codec_and_counted(repository: Path) -> None:
    for content in (b"a", b"bb"):
        kept(repository, content)
    blocks = RepositoryBlocks(repository)
    assert blocks.get(Cid.of(b"a")) == blocks.get(Cid.of(b"a", DAG_PB, 0)) == b"a"
    assert blocks.has(Cid.of(b"bb"))
    assert not blocks.has(Cid.of(b"c"))
    assert {blocks.get(cid) for cid in blocks.names()} == {b"a", b"bb"}
    assert (blocks.usage().blocks, blocks.usage().bytes) == (2, 3)
    with pytest.raises(BlockNotFound):
        blocks.get(Cid.of(b"c"))


def test_altered_block_is_told_and_left_where_it_is(repository: Path) -> None:
    path = kept(repository, b"content")
    path.write_bytes(b"c0ntent")
    with pytest.raises(CorruptBlock, match="does not match its name"):
        RepositoryBlocks(repository).get(Cid.of(b"content"))
    assert path.read_bytes() == b"c0ntent"


def test_nothing_is_written(repository: Path) -> None:
    path, blocks = kept(repository, b"content"), RepositoryBlocks(repository)
    for write in (blocks.writer, lambda: blocks.delete(Cid.of(b"content"))):
        with pytest.raises(StoreError, match="is read only"):
            write()
    assert path.exists()


def test_files_that_are_no_blocks_have_no_names(repository: Path) -> None:
    (repository / "blocks" / "OF").mkdir()
    for name in ("x.data", "CIQ.data", ".data", "CIQOHM.txt", "\u00e9.data"):
        (repository / "blocks" / "OF" / name).touch()
    assert list(RepositoryBlocks(repository).names()) == []


@pytest.mark.parametrize("content", ["", "/repo/flatfs/shard/v1/prefix/2\n", "\x00\xff", SHARDING + "x"])
def test_other_forms_of_a_repository_are_refused(repository: Path, content: str) -> None:
    (repository / "blocks" / "SHARDING").write_text(content)
    with pytest.raises(StoreError, match="only /repo/flatfs/shard/v1/next-to-last/2 can be read") as refused:
        RepositoryBlocks(repository)
    assert str(refused.value).isprintable()


def test_pipe_link_or_file_without_end_in_the_place_of_its_form_is_refused(repository: Path, tmp_path: Path) -> None:
    place = repository / "blocks" / "SHARDING"
    place.unlink()
    with pytest.raises(StoreError, match="is no repository of Kubo"):
        RepositoryBlocks(repository)
    os.mkfifo(place)
    with pytest.raises(StoreError, match="is no repository of Kubo"):
        RepositoryBlocks(repository)
    place.unlink()
    (tmp_path / "elsewhere").write_text(SHARDING)
    place.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreError, match="is no repository of Kubo"):
        RepositoryBlocks(repository)
    place.unlink()
    with place.open("wb") as file:
        file.truncate(2**42)
    with pytest.raises(StoreError, match="keeps its blocks as") as refused:
        RepositoryBlocks(repository)
    assert len(str(refused.value)) < 5000
