"""A disk that is nearly full is told before a node stops for it."""

import pytest

from medward.node.store.disk_space import LEAST_FREE, disk_warnings


@pytest.mark.parametrize(
    ("store", "told"),
    [
        ({"disk_free": LEAST_FREE}, None),
        ({"disk_free": LEAST_FREE - 1}, "the disk has 1024 MiB left"),
        ({"disk_free": 0}, "the disk has 0 MiB left"),
        ({"disk_free": None}, None),
        ({}, None),
    ],
)
def test_operator_is_warned_below_one_gibibyte(store: dict[str, int | None], told: str | None) -> None:
    found = disk_warnings(store)
    assert len(found) == (told is not None)
    assert told is None or (told in found[0] and "make room" in found[0])
