"""Blobs of members that compute: each as long as it may be, and let go of when nothing on record needs it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medward.node.computing.blobs import ComputingBlobs
from medward.store.cid import Cid
from medward.store.errors import InvalidCid, LimitExceeded, StoreError
from medward.store.interface import BlobStore
from medward.store.local import in_memory


def test_released_blob_is_gone_and_no_other(tmp_path: Path) -> None:
    store = in_memory()
    blobs = ComputingBlobs(store, tmp_path, "scoring/")
    rng = np.random.default_rng(0)
    first, second, third = (blobs.put(rng.bytes(1000), f"batch/{number}") for number in range(3))
    store.pin(Cid.parse(third), "somebody/else")
    blobs.release({first, third})
    with pytest.raises(StoreError):
        blobs.get(first, 1000)
    assert len(blobs.get(second, 1000)) == 1000
    # What has another label is another's, and stays.
    assert len(blobs.get(third, 1000)) == 1000
    assert [pin.label for pin in store.pins()] == ["scoring/batch/1", "somebody/else"]


def test_blob_under_a_label_that_is_spared_stays_whoever_names_it(tmp_path: Path) -> None:
    """Another's record can name it, and be gone; its own label lets it go."""
    blobs = ComputingBlobs(in_memory(), tmp_path, "scoring/")
    name = blobs.put(b"parts" * 100, "parts/1")
    blobs.release({name}, spared="parts/")
    assert blobs.get(name, 1000)
    blobs.release_label("parts/2")
    assert blobs.get(name, 1000)
    blobs.release_label("parts/1")
    with pytest.raises(StoreError):
        blobs.get(name, 1000)


def blobs_of(tmp_path: Path) -> ComputingBlobs:
    return ComputingBlobs(in_memory(), tmp_path, "scoring/")


def test_blob_longer_than_it_may_be_is_not_read_in_any_way(tmp_path: Path) -> None:
    blobs = blobs_of(tmp_path)
    name = blobs.put(bytes(1000), "batch/1")
    assert blobs.get(name, 1000) == bytes(1000)
    for read in (
        lambda: blobs.get(name, 999),
        lambda: blobs.keep(name, 999, "kept"),
        lambda: blobs.stream(name, 999).read(),
    ):
        with pytest.raises(LimitExceeded):
            read()
    assert [pin.label for pin in blobs._store.pins()] == ["scoring/batch/1"]


@pytest.mark.parametrize("name", ["", "bafy", "../../etc/passwd", "b" * 10_000])
def test_name_that_is_none_is_refused_before_anybody_is_asked(tmp_path: Path, name: str) -> None:
    blobs = blobs_of(tmp_path)
    for read in (lambda: blobs.get(name, 10), lambda: blobs.keep(name, 10, "kept"), lambda: blobs.stream(name, 10)):
        with pytest.raises(InvalidCid):
            read()


def test_file_is_read_in_order_in_pieces_of_any_size(tmp_path: Path) -> None:
    blobs, content = blobs_of(tmp_path), np.random.default_rng(1).bytes(700_000)
    name = blobs.put_file(lambda file: file.write(content), "batch/1")
    stream, found = blobs.stream(name, len(content)), b""
    for size in (1, 0, 300_000, 2, 1 << 20):
        found += stream.read(size)
    assert found == content
    assert stream.read(1) == b""
    assert blobs.get(name, len(content)) == content
    assert not list(tmp_path.iterdir()), "nothing is left of what was written"


def test_file_that_cannot_be_written_is_not_kept(tmp_path: Path) -> None:
    blobs = blobs_of(tmp_path)

    def fail(file: object) -> None:
        raise ValueError("it cannot be computed")

    with pytest.raises(ValueError, match="it cannot be computed"):
        blobs.put_file(fail, "batch/1")
    assert not list(blobs._store.pins())
    assert not list(tmp_path.iterdir())


def test_blob_that_was_kept_stays_when_its_author_lets_go(tmp_path: Path) -> None:
    author = in_memory()
    name = str(author.add(b"a table" * 100, pin="theirs"))
    own = ComputingBlobs(in_memory(exchange=_From(author)), tmp_path, "outsourced/")
    own.keep(name, 1000, "table")
    author.close()
    assert own.get(name, 1000) == b"a table" * 100


class _From:
    """An exchange with one other store."""

    def __init__(self, other: BlobStore) -> None:
        self.other = other

    def fetch(self, root: Cid, blocks: Any, limits: Any, likely: str | None = None) -> None:
        blocks.put(root, self.other.blocks.get(root))

    def fetch_block(self, cid: Cid) -> bytes:
        return bytes(self.other.blocks.get(cid))


def test_label_that_another_one_begins_with_is_another_s(tmp_path: Path) -> None:
    blobs = blobs_of(tmp_path)
    names = [blobs.put(bytes([number]) * 50, f"parts/{number}") for number in (1, 10)]
    blobs.release_label("parts/1")
    assert blobs.get(names[1], 50)
    # A label of somebody else's that begins alike.
    blobs._store.add(b"x" * 50, pin="scoring")
    blobs.release_label("")
    blobs.release({*names, str(blobs._store.add(b"y" * 50, pin="scored/1"))})
    assert sorted(pin.label for pin in blobs._store.pins()) == ["scored/1", "scoring"]
