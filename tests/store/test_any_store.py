"""What every implementation of `BlobStore` promises, run over each of them; over Kubo as `pytest.mark.engines`."""

import io
from collections.abc import Iterator
from contextlib import closing

import pytest

from medward.store.car import CarReader
from medward.store.cid import Cid
from medward.store.errors import BlockNotFound, InvalidCar, InvalidRecord, LimitExceeded, StoreError
from medward.store.importer import UNIXFS_V0_2015, UNIXFS_V1_2025, Imported, import_file
from medward.store.interface import BlobStore, Pin
from medward.store.limits import DEFAULT_LIMITS, DagLimits
from medward.store.records import RecordValue

from . import vectors

CONTENT = vectors.content(3 * 1024 * 1024 + 12345, "any store")


def expected_cid(content: bytes) -> Imported:
    return import_file(content, lambda _cid, _block: None)


def test_a_blob_comes_back_under_the_cid_of_its_content(store: BlobStore) -> None:
    cid = store.add(CONTENT, pin="round/1")
    assert cid == expected_cid(CONTENT).cid
    assert store.read(cid, DEFAULT_LIMITS) == CONTENT
    assert store.has(cid)


@pytest.mark.parametrize("size", [0, 1, 1024 * 1024, 1024 * 1024 + 1])
def test_blobs_of_edge_sizes_come_back_from_bytes_files_and_chunks(store: BlobStore, size: int) -> None:
    content = CONTENT[:size]
    chunks = (content[start : start + 70_001] for start in range(0, size, 70_001))
    cids = {
        store.add(content, pin="round/1"),
        store.add(io.BytesIO(content), pin="round/1"),
        store.add(chunks, pin="round/1"),
    }
    assert cids == {expected_cid(content).cid}
    assert store.read(cids.pop(), DEFAULT_LIMITS) == content


def test_the_published_cids_are_those_of_this_store(store: BlobStore) -> None:
    for entry in vectors.load("unixfs.json")["files"]:
        if entry["size"] < 10_000_000:
            for profile in (UNIXFS_V1_2025, UNIXFS_V0_2015):
                if profile.name in entry["cids"]:
                    cid = store.add(vectors.content(entry["size"]), pin="vectors", profile=profile)
                    assert str(cid) == entry["cids"][profile.name]["cid"]


def test_a_range_comes_back(store: BlobStore) -> None:
    cid = store.add(CONTENT, pin="round/1")
    start, stop = 1024 * 1024 - 3, 2 * 1024 * 1024 + 5
    assert b"".join(store.stream(cid, start, stop)) == CONTENT[start:stop]
    assert b"".join(store.stream(cid, len(CONTENT) - 1)) == CONTENT[-1:]
    assert b"".join(store.stream(cid, len(CONTENT))) == b""


def test_records_come_back_under_the_cid_of_their_canonical_form(store: BlobStore) -> None:
    blob = store.add(b"ciphertext", pin="round/1")
    value: RecordValue = {"round": 1, "update": blob, "proof": b"\x00\x01", "mask": [True, None, -1, 0.5]}
    cid = store.put_record(value, pin="round/1")
    assert store.get_record(cid) == value
    with pytest.raises(InvalidRecord):
        store.get_record(blob)
    with pytest.raises(InvalidRecord):
        store.put_record({"x": float("nan")}, pin="round/1")


def test_what_is_not_here_is_not_found(store: BlobStore) -> None:
    absent = Cid.of(b"nobody has this")
    assert not store.has(absent)
    with pytest.raises(BlockNotFound):
        store.get_block(absent)
    with pytest.raises(BlockNotFound):
        store.pin(absent, "round/1")


def test_a_blob_larger_than_the_reader_accepts_is_refused(store: BlobStore) -> None:
    cid = store.add(CONTENT, pin="round/1")
    with pytest.raises(LimitExceeded):
        store.read(cid, DagLimits(max_bytes=1_000_000))


def test_a_released_round_is_collected_and_a_model_in_use_is_not(store: BlobStore) -> None:
    model = store.add(CONTENT, pin="round/1")
    store.pin(model, "model/current")
    update = store.add(CONTENT[::-1], pin="round/1")
    store.collect_garbage()
    assert store.has(model)
    assert store.has(update)

    assert store.release("round/1") == 2
    assert store.pins() == [Pin(model, "model/current")]
    collected = store.collect_garbage()
    assert collected.blocks >= 4
    assert not store.has(update)
    assert store.read(model, DEFAULT_LIMITS) == CONTENT


def test_a_pinned_record_does_not_keep_what_it_links_to(store: BlobStore) -> None:
    blob = store.add(CONTENT, pin="round/1")
    record = store.put_record({"update": blob}, pin="ledger")
    assert Pin(record, "ledger", whole=False) in store.pins()
    store.release("round/1")
    store.collect_garbage()
    assert store.get_record(record) == {"update": blob}
    assert not store.has(blob)
    assert store.verify().intact


def test_what_is_fetched_can_be_pinned_in_the_same_step(store: BlobStore) -> None:
    cid = store.add(CONTENT, pin="round/1")
    store.fetch(cid, pin="round/2")
    store.release("round/1")
    store.collect_garbage()
    assert store.read(cid, DEFAULT_LIMITS) == CONTENT
    with pytest.raises(StoreError, match="no pin label"):
        store.fetch(cid, pin="Not A Label")


def test_pins_are_listed_by_label_and_taken_off_one_by_one(store: BlobStore) -> None:
    first, second = store.add(b"first", pin="round/1"), store.add(b"second", pin="round/2")
    store.pin(first, "round/2")
    assert store.pins("round/1") == [Pin(first, "round/1")]
    assert {pin.cid for pin in store.pins("round/2")} == {first, second}
    store.unpin(first, "round/2")
    store.unpin(first, "round/2")
    assert store.pins("round/2") == [Pin(second, "round/2")]
    assert store.release("round/9") == 0


@pytest.mark.parametrize("label", ["", "Round", "a b", "/x", "x" * 200])
def test_a_label_that_nobody_could_find_again_is_refused(store: BlobStore, label: str) -> None:
    with pytest.raises(StoreError, match="no pin label"):
        store.add(b"content", pin=label)


def test_a_car_goes_from_one_store_to_another(store: BlobStore, other_store: BlobStore) -> None:
    cid = store.add(CONTENT, pin="round/1")
    car = b"".join(store.export_car(cid))
    assert CarReader([car]).roots == (cid,)
    assert other_store.import_car(io.BytesIO(car), pin="round/1") == (cid,)
    assert other_store.read(cid, DEFAULT_LIMITS) == CONTENT
    assert other_store.pins() == [Pin(cid, "round/1")]


def test_a_car_of_another_program_is_imported(store: BlobStore) -> None:
    expected = vectors.load("car/car.json")
    with (vectors.FOLDER / "car" / expected["written_order"]["file"]).open("rb") as file:
        (root,) = store.import_car(file, pin="vectors")
    assert str(root) == expected["root"]
    assert store.read(root, DEFAULT_LIMITS) == vectors.content(expected["content"]["size"])


def test_an_incomplete_car_is_refused_and_nothing_is_pinned(store: BlobStore, other_store: BlobStore) -> None:
    cid = store.add(CONTENT, pin="round/1")
    car = b"".join(store.export_car(cid))
    last_section = len(CONTENT) % (1024 * 1024) + 36 + 3
    with pytest.raises(InvalidCar):
        other_store.import_car(io.BytesIO(car[:-last_section]), pin="round/1")
    with pytest.raises(InvalidCar):
        other_store.import_car(io.BytesIO(car[:-1]), pin="round/1")
    assert other_store.pins() == []


def test_verification_counts_every_block_and_finds_nothing_wrong(store: BlobStore) -> None:
    store.add(CONTENT, pin="round/1")
    verification = store.verify()
    assert verification.intact
    assert verification.blocks >= 5
    assert verification.bytes >= len(CONTENT)


def test_usage_grows_by_what_is_added_and_shrinks_by_what_is_collected(store: BlobStore) -> None:
    before = store.usage()
    store.add(CONTENT, pin="round/1")
    full = store.usage()
    assert full.bytes - before.bytes >= len(CONTENT)
    store.release("round/1")
    store.collect_garbage()
    assert store.usage().bytes < full.bytes


def test_the_same_content_is_held_once(store: BlobStore) -> None:
    store.add(CONTENT, pin="round/1")
    once = store.usage()
    store.add(CONTENT, pin="round/2")
    assert store.usage().blocks == once.blocks


def test_a_read_can_be_given_up_halfway(store: BlobStore) -> None:
    cid = store.add(CONTENT, pin="round/1")
    with closing(store.stream(cid)) as pieces:  # type: ignore[type-var]
        assert CONTENT.startswith(next(iter(pieces)))
    assert store.read(cid, DEFAULT_LIMITS) == CONTENT


def test_content_whose_source_fails_is_not_pinned(store: BlobStore) -> None:
    def failing() -> Iterator[bytes]:
        yield CONTENT
        raise OSError("the disk that this is read from went away")

    with pytest.raises(OSError, match="went away"):
        store.add(failing(), pin="round/1")
    assert store.pins() == []
