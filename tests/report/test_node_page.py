"""The page of a federation as one of its nodes knows it."""

from pathlib import Path
from typing import Any

from medward.report.federation_page import write_node_report
from tests.report.test_federation_page import CLASSES, Elements, a_document, a_round


def page_of(folder: Path, **changes: Any) -> str:
    """Write the page of a node and return it."""
    log = [a_round(number, validation={"expected_cost": 0.1, "escalation_rate": 0.2}) for number in range(3)]
    document = a_document(log, member="north", home="/homes/north", options={}) | {"classes": list(CLASSES)} | changes
    for key in ("partition", "seconds", "report"):
        del document[key]
    unknown = dict.fromkeys(("rows", "attack_share", "classes"))
    hospitals = [{"hospital": f"hospital-{number}", **unknown} for number in (1, 2, 3)]
    write_node_report(folder / "page.html", document, hospitals)
    return (folder / "page.html").read_text(encoding="utf-8")


def test_page_tells_the_rounds_and_the_measures_on_own_rows(tmp_path: Path) -> None:
    page = page_of(tmp_path)
    assert Elements(page).open == []
    assert "what the node of north knows" in page
    assert "of its own that it did not train on" in page
    assert "/homes/north" in page
    assert "medward-again" not in page
    assert "Expected cost: lower is better" in page


def test_page_of_a_hospital_without_labels_has_no_figures(tmp_path: Path) -> None:
    page = page_of(tmp_path, metrics=None, classes=None, expected_cost=None, escalation_rate=None)
    assert Elements(page).open == []
    assert "Its own rows have no labels" in page
    assert "Key figures" not in page
    assert "Where the time went" in page
