"""What every store shares: labels that are safe in paths, limits of a DAG, and the order of pins."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medward.store.cid import Cid
from medward.store.errors import InvalidRecord, LimitExceeded, StoreError
from medward.store.interface import Pin, Verification, check_dag_size, check_label, sorted_pins
from medward.store.limits import DagLimits
from medward.store.local import in_memory


@pytest.mark.parametrize("label", ["round/7", "a", "model/current.v2_x-1"])
def test_label_of_plain_letters_is_one(label: str) -> None:
    assert check_label(label) == label


@given(st.text(max_size=20))
def test_label_that_is_taken_has_plain_letters_only(label: str) -> None:
    try:
        check_label(label)
    except StoreError:
        return
    assert label
    assert set(label) <= set("abcdefghijklmnopqrstuvwxyz0123456789/_.-")


@pytest.mark.parametrize("label", ["", "Round/7", "round 7", "round/7\n", "r\0", "ø"])
def test_other_labels_are_refused_before_anything_is_stored(label: str) -> None:
    with in_memory() as store:
        with pytest.raises(StoreError, match="is no pin label"):
            store.add(b"content", pin=label)
        assert store.usage().blocks == 0


def test_release_takes_a_label_off_everything_that_has_it() -> None:
    with in_memory() as store:
        roots = [store.add(bytes([number]) * 9, pin="round/7") for number in range(3)]
        store.pin(roots[0], "round/8")
        assert store.release("round/7") == 3
        assert store.release("round/7") == 0
        assert [pin.cid for pin in store.pins()] == [roots[0]]


def test_limits_of_a_dag_are_told_and_its_edge_is_within() -> None:
    with in_memory() as store:
        root = store.add(b"x", pin="a")
    limits = DagLimits(max_blocks=2, max_bytes=10)
    check_dag_size(root, 2, 10, limits)
    for blocks, size in ((3, 1), (1, 11)):
        with pytest.raises(LimitExceeded, match="more than 2 blocks or 10 bytes"):
            check_dag_size(root, blocks, size, limits)


def test_pins_are_in_the_same_order_whatever_the_order_of_their_coming() -> None:
    with in_memory() as store:
        roots = [store.add(bytes([number]), pin="a") for number in range(4)]
    pins = [Pin(root, label) for root in roots for label in ("b", "a")]
    assert sorted_pins(pins) == sorted_pins(pins[::-1])
    assert [pin.label for pin in sorted_pins(pins)] == ["a"] * 4 + ["b"] * 4


@pytest.mark.parametrize(("corrupt", "missing"), [(0, 0), (1, 0), (0, 1)])
def test_store_is_intact_where_nothing_is_corrupt_or_missing(corrupt: int, missing: int) -> None:
    some = [Cid.parse("bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku")]
    assert Verification(3, 30, some * corrupt, some * missing).intact == (corrupt == missing == 0)


def test_file_that_cannot_be_read_is_told_and_blob_is_no_record(tmp_path: Path) -> None:
    with in_memory() as store:
        for path in (tmp_path / "nowhere", tmp_path):
            with pytest.raises(StoreError, match="cannot read"):
                store.add_file(path, pin="a")
        with pytest.raises(InvalidRecord, match="names no record"):
            store.get_record(store.add(b"content", pin="a"))
