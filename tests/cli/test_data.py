"""`medward data`: what there is, what it means, whether it is right."""

from pathlib import Path

import pytest

from medward.flows.datasets import DATASETS
from tests.cli.conftest import Run


def test_list_names_every_data_set(medward: Run) -> None:
    assert {row["name"] for row in medward("data", "list", "--json").document["datasets"]} == set(DATASETS)
    assert "wustl-ehms-2020" in medward("data", "list").out


def test_show_gives_the_reason_for_every_column_that_is_left_out(medward: Run) -> None:
    assert "is the label" in medward("data", "show", "wustl-ehms-2020", "--json").document["never"]["SrcMac"]
    assert "SrcMac" in medward("data", "show", "wustl-ehms-2020").out


def test_show_says_what_gives_classes_away_beside_columns(medward: Run) -> None:
    [caution] = medward("data", "show", "ciciomt2024", "--json").document["cautions"]
    assert "100 packets" in caution
    assert f"cautions: {caution}" in medward("data", "show", "ciciomt2024").out
    assert "cautions: none" in medward("data", "show", "nsl-kdd").out


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz"])
def test_made_ward_checks_out(medward: Run, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"ward{suffix}"
    assert medward("data", "make", "ward", "--rows", 2000, "--out", path).code == 0
    document = medward("data", "check", path, "--json").document
    assert (document["data"], document["synthetic"], document["rows"]) == ("ward", True, 2000)
    assert sum(document["classes"].values()) == 2000


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("show", "nothing"), 2, "nothing"),
        (("fetch", "nothing"), 2, "nothing"),
        (("fetch", "ward"), 1, "data make"),
        (("fetch", "x-iomt"), 1, "github.com/RuiPintoUBI"),
        (("check", "nowhere.csv"), 1, "nowhere.csv"),
        (("make", "hospital", "--rows", 10, "--out", "x.csv"), 2, "hospital"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_sentence(
    medward: Run, words: tuple[object, ...], code: int, says: str
) -> None:
    done = medward("data", *words)
    assert done.code == code
    assert says in done.sentence


def test_name_is_looked_for_where_medward_data_says(
    medward: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MEDWARD_DATA", raising=False)
    assert "MEDWARD_DATA" in medward("data", "check", "nsl-kdd").sentence
    monkeypatch.setenv("MEDWARD_DATA", str(tmp_path))
    assert str(tmp_path) in medward("data", "check", "nsl-kdd").sentence
