"""Blobs in a folder: what was pinned stays over a restart, a hole is told, and a reader changes nothing."""

from pathlib import Path

import pytest

from medward.store.errors import BlockNotFound, StoreError
from medward.store.limits import file_up_to
from medward.store.local import LocalStore, in_memory, open_directory

CONTENT = bytes(range(256)) * 8192  # two blocks and their root


def test_blobs_and_pins_stay_over_a_restart(tmp_path: Path) -> None:
    with open_directory(tmp_path) as store:
        root = store.add(CONTENT, pin="model/current")
        record = store.put_record({"a": 1}, pin="record/1")
    with open_directory(tmp_path) as store:
        assert store.read(root, file_up_to(len(CONTENT))) == CONTENT
        assert store.get_record(record) == {"a": 1}
        assert [pin.label for pin in store.pins()] == ["model/current", "record/1"]
        assert store.verify().intact


def test_store_for_reading_changes_nothing(tmp_path: Path) -> None:
    with open_directory(tmp_path) as store:
        root = store.add(CONTENT, pin="a")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with open_directory(tmp_path, read_only=True) as store:
        assert store.has(root)
        with pytest.raises(StoreError):
            store.add(b"more", pin="a")
        with pytest.raises(StoreError):
            store.unpin(root, "a")
    for path, content in before.items():
        if not path.name.endswith(("-shm", "-wal")):
            assert path.read_bytes() == content, path


def holed(store: LocalStore) -> None:
    """Take a block out from below a pin."""
    root = store.add(CONTENT, pin="a")
    leaf = next(cid for cid in store.blocks.names() if cid != root)
    store.blocks.delete(leaf)


def test_hole_below_a_pin_is_told_by_all_who_meet_it() -> None:
    with in_memory() as store:
        holed(store)
        (pin,) = store.pins()
        assert not store.has(pin.cid)
        found = store.verify()
        assert len(found.missing) == 1
        assert not found.intact
        with pytest.raises(BlockNotFound):
            store.read(pin.cid, file_up_to(len(CONTENT)))
        with pytest.raises(BlockNotFound):
            list(store.export_car(pin.cid))


def test_what_no_pin_keeps_is_collected_and_what_one_shares_stays() -> None:
    with in_memory() as store:
        root, other = store.add(CONTENT, pin="a"), store.add(CONTENT + b"more", pin="b")
        store.unpin(other, "b")
        store.collect_garbage()
        assert store.has(root)
        assert not store.has(other)
        store.unpin(root, "a")
        store.collect_garbage()
        assert store.usage().blocks == 0


def test_store_over_its_limit_takes_nothing_in() -> None:
    with in_memory(limit=1000) as store:
        with pytest.raises(StoreError):
            store.add(CONTENT, pin="a")
        assert store.pins() == []
