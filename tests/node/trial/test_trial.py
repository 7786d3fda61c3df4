"""A round of a trial as all its nodes told it: shared facts once, bytes added up, seconds as a mean."""

from typing import Any

import pytest

from medward.node.trial.trial import SHARED_KEYS, _merge


def told(**changes: Any) -> dict[str, Any]:
    one: dict[str, Any] = dict.fromkeys(SHARED_KEYS, "the same")
    return one | {
        "seconds": {"train": 2.0}, "processor": {}, "phases": {"sum": 1.0}, "bytes_up": 10, "bytes_down": 20,
        "model": "bafy",
    } | changes  # fmt: skip


def test_one_node_is_told_as_it_is() -> None:
    report = _merge([told()])
    assert {report[key] for key in SHARED_KEYS if key != "model"} == {"the same"}
    assert (report["seconds"], report["bytes_up"], report["model"]) == ({"train": 2.0}, 10, "bafy")


def test_bytes_add_up_and_seconds_are_the_mean_over_all_nodes() -> None:
    report = _merge([told(), told(seconds={"train": 4.0, "wait": 3.0}, bytes_up=1), told(seconds={})])
    assert (report["bytes_up"], report["bytes_down"]) == (21, 60)
    assert report["seconds"]["train"] == pytest.approx(2.0)
    assert report["seconds"]["wait"] == pytest.approx(1.0)
    assert report["phases"]["sum"] == pytest.approx(1.0)


def test_round_without_a_model_has_no_name_of_one() -> None:
    assert _merge([told(model=None)])["model"] == ""
