"""Pins: what is added is there after a restart, and a damaged file is said in one sentence."""

import sqlite3
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medward.store.cid import Cid
from medward.store.errors import StoreError
from medward.store.interface import Pin
from medward.store.pins import PinTable

ROOTS = [Cid.of(bytes([number])) for number in range(3)]
PINS = st.builds(Pin, st.sampled_from(ROOTS), st.sampled_from(["a", "model/current", "round/7"]), st.booleans())


@given(st.lists(st.tuples(PINS, st.booleans()), max_size=12))
def test_table_holds_what_was_added_and_not_removed_since(steps: list[tuple[Pin, bool]]) -> None:
    table, expected = PinTable(None), dict[tuple[Cid, str], bool]()
    for pin, added in steps:
        if added:
            table.add(pin)
            expected[pin.cid, pin.label] = pin.whole or expected.get((pin.cid, pin.label), False)
        else:
            table.remove(pin.cid, pin.label)
            expected.pop((pin.cid, pin.label), None)
    pins = [Pin(cid, label, whole) for (cid, label), whole in expected.items()]
    assert table.matching() == sorted(pins, key=lambda pin: (pin.label, str(pin.cid)))
    for label in ("a", "round/7", "no such"):
        assert table.matching(label) == [pin for pin in table.matching() if pin.label == label]
    assert table.roots() == {cid: any(pin.whole for pin in pins if pin.cid == cid) for cid, _ in expected}
    table.close()


def test_pin_is_there_for_another_process_as_soon_as_it_is_added(tmp_path: Path) -> None:
    table = PinTable(tmp_path / "pins.sqlite")
    table.add(Pin(ROOTS[0], "a"))
    reader = PinTable(tmp_path / "pins.sqlite", read_only=True)
    assert reader.matching() == [Pin(ROOTS[0], "a")]
    with pytest.raises(StoreError, match="cannot record the pin b"):
        reader.add(Pin(ROOTS[0], "b"))
    with pytest.raises(StoreError, match="cannot record the pin a"):
        reader.remove(ROOTS[0], "a")
    assert table.matching() == [Pin(ROOTS[0], "a")]


@pytest.mark.parametrize("label", ["", "A", "a b", "/a", "'; DROP TABLE pins; --", "a" * 129, "a\n"])
def test_label_that_no_pin_can_have_is_not_written(label: str) -> None:
    table = PinTable(None)
    with pytest.raises(StoreError, match="is no pin label"):
        table.add(Pin(ROOTS[0], label))
    assert table.matching() == []


@pytest.mark.parametrize("read_only", [False, True])
@pytest.mark.parametrize("content", [b"no database" * 400, b"SQLite format 3\0" + bytes(4080)])
def test_damaged_file_is_said_in_one_sentence(tmp_path: Path, content: bytes, read_only: bool) -> None:
    path = tmp_path / "pins.sqlite"
    path.write_bytes(content)
    with pytest.raises(StoreError, match=r"pins in .*pins.sqlite: .*; restore the file or remove it"):
        PinTable(path, read_only).matching()


def test_what_is_not_there_is_not_made_by_who_only_reads(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot open the pins"):
        PinTable(tmp_path / "pins.sqlite", read_only=True)
    (tmp_path / "pins.sqlite").touch()
    with pytest.raises(StoreError, match="cannot read the pins"):
        PinTable(tmp_path / "pins.sqlite", read_only=True).matching()
    assert (tmp_path / "pins.sqlite").stat().st_size == 0


@pytest.mark.parametrize("cid", ["", "no cid", "b" * 60])
def test_altered_row_is_said(tmp_path: Path, cid: str) -> None:
    path = tmp_path / "pins.sqlite"
    PinTable(path).close()
    with sqlite3.connect(path) as database:
        database.execute("INSERT INTO pins VALUES (?, 'a', 1)", (cid,))
    with pytest.raises(StoreError):
        PinTable(path).matching()
