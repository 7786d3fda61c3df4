"""The report of a node: every hospital that was ever in a round has a line, and others' rows are not known."""

from pathlib import Path

import pytest

from medward.cli._node_report import hospitals_of, write_page
from medward.errors import MedwardError

OWN = {"hospital": "north", "rows": 10, "attack_share": 0.5, "classes": 2}


def test_hospitals_are_all_that_were_in_a_round_and_the_nodes_own() -> None:
    log = [
        {"cohort": ["south", "west"], "contributions": {"south": 1}},
        {"cohort": [], "contributions": {"east": 1}},
    ]
    lines = hospitals_of({"own": OWN, "rounds_log": log})
    assert [line["hospital"] for line in lines] == ["east", "north", "south", "west"]
    assert lines[1] is OWN
    assert all(line["rows"] is line["classes"] is None for line in lines if line is not OWN)
    assert hospitals_of({"own": OWN, "rounds_log": []}) == [OWN]


def test_page_never_takes_the_place_of_a_folder(tmp_path: Path) -> None:
    with pytest.raises(MedwardError, match="is no file; choose another place"):
        write_page(tmp_path, {"own": OWN, "rounds_log": []})
