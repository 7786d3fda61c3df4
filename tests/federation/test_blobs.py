"""Blobs by name on a store: what is none of them is empty, what cannot be had is said, and bytes are counted."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from medward.federation.blobs import RoundBlobs, blob_name
from medward.federation.errors import MissingBlob
from medward.store.errors import StoreError
from medward.store.importer import import_file
from medward.store.interface import BlobStore
from medward.store.limits import DEFAULT_LIMITS, file_of
from medward.store.local import in_memory

LIMITS = DEFAULT_LIMITS


@pytest.fixture
def store() -> Iterator[BlobStore]:
    with closing(in_memory()) as opened:
        yield opened


@pytest.mark.parametrize("size", [0, 1, 1 << 18, (1 << 20) + 1])
def test_name_is_that_under_which_a_store_keeps_the_content(store: BlobStore, size: int) -> None:
    content = bytes(range(256)) * (size // 256) + bytes(size % 256)
    blobs = RoundBlobs(store)
    name = blobs.put(content, "round/1")
    assert name == blob_name(content)
    assert blobs.get(name, LIMITS) == content
    assert (blobs.bytes_in, blobs.bytes_out) == (size, size)


@pytest.mark.parametrize("name", ["", "x", "Qm", "bafy" + "a" * 55, "../../etc/passwd", "b" * 5000, "\0", "é"])
def test_name_that_is_no_cid_stands_for_an_empty_blob(store: BlobStore, name: str) -> None:
    """Whoever ordered such a name is found by its length, and holds up nobody."""
    blobs = RoundBlobs(store)
    assert blobs.get(name, LIMITS) == b""
    assert blobs.bytes_out == 0


def test_blob_that_is_longer_than_it_may_be_stands_for_an_empty_one(store: BlobStore) -> None:
    blobs = RoundBlobs(store)
    name = blobs.put(bytes(1000), "round/1")
    assert blobs.get(name, file_of(999)) == b""
    assert blobs.get(name, file_of(1000)) == bytes(1000)


def test_blob_that_no_store_holds_is_missing_and_named(store: BlobStore) -> None:
    name = blob_name(b"elsewhere")
    with pytest.raises(MissingBlob, match=name) as found:
        RoundBlobs(store).get(name, LIMITS)
    assert isinstance(found.value.__cause__, StoreError)


def test_blob_is_kept_as_long_as_one_of_its_labels_is(store: BlobStore) -> None:
    blobs = RoundBlobs(store)
    name = blobs.put(b"content", "round/1")
    assert blobs.put(b"content", "round/2") == name
    blobs.forget("round/1")
    assert blobs.get(name, LIMITS) == b"content"
    blobs.forget("round/2")
    with pytest.raises(MissingBlob):
        blobs.get(name, LIMITS)


def test_names_depend_on_the_content_alone() -> None:
    names = {blob_name(content) for content in (b"", b"\0", b"a", b"b", bytes(1 << 19))}
    assert len(names) == 5
    assert str(import_file(b"a", lambda *_: None).cid) in names
