"""Charts: drawn from what was measured, without ids or colours that reach the page around them, and told in words."""

import re
from xml.etree import ElementTree

import pytest

from medward.report.charts import Curve, draw_curves


def test_nothing_measured_is_no_chart() -> None:
    assert draw_curves("k", "title", [1, 2], [Curve("cost", [None, None])]) is None
    assert draw_curves("k", "title", [], [Curve("cost", [])]) is None


@pytest.mark.parametrize(
    ("rounds", "values", "top"),
    [([1], [0.5], 1.0), ([1, 2, 3], [None, 0.4, 0.9], 1.0), ([7], [0.0], None), ([1, 2], [0.0, 1e9], None),
     ([1, 2], [1.0, 1.0], 1.0), (list(range(1, 200)), [0.1] * 199, None)],
)  # fmt: skip
def test_chart_is_one_element_whose_ids_are_its_own(
    rounds: list[int], values: list[float | None], top: float | None
) -> None:
    drawn = draw_curves("f1", "macro F1", rounds, [Curve("mine", values), Curve("other", values)], rounds[:1], top)
    assert drawn is not None
    root = ElementTree.fromstring(str(drawn))
    ids = [node.get("id") for node in root.iter() if node.get("id")]
    assert all(one.startswith("f1-") for one in ids)
    assert len(set(ids)) == len(ids)
    assert {node.get("href") for node in root.iter() if node.get("href")} <= {f"#{one}" for one in ids}
    assert not re.search(r"#00000\d", str(drawn))
    assert "<style" not in str(drawn)
    assert root.findtext("title") == "macro F1"


def test_words_tell_where_each_line_begins_and_ends() -> None:
    drawn = draw_curves("k", "<title>", [2, 3, 5], [Curve("a & b", [0.5, None, 0.25])])
    assert drawn is not None
    root = ElementTree.fromstring(str(drawn))
    assert root.findtext("title") == "<title>"
    wanted = "a & b: 0.5000 after round 2, 0.2500 after round 5; least 0.2500, greatest 0.5000."
    assert root.findtext("desc") == wanted


def test_the_same_chart_is_the_same_bytes() -> None:
    charts = [draw_curves("k", "t", [1, 2], [Curve("a", [1.0, 2.0])]) for _ in range(2)]
    assert charts[0] == charts[1]
