"""Scoring encrypted flows beside SEAL and OpenFHE: scores are right before they are timed."""

import sys

import pytest

from medward.bench.fhe import scoring
from medward.errors import MedwardError
from medward.federation.scoring.terms import ScoringTerms

from .conftest import MakeInterpreter

SMALL = ScoringTerms(4, (4, 2), 3, 1024, for_tests=True)


def test_scores_are_right_before_they_are_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MEDWARD_OPENFHE_PYTHON", raising=False)
    rows = scoring.scoring_rows(SMALL, runs=1)
    assert {row.what for row in rows} == {"score 512 flows, two keys, flooded"}
    assert all(row.ours > 0 and row.unit == "s" for row in rows)
    assert all(row.ratio == pytest.approx(row.other / row.ours) for row in rows if row.other)
    monkeypatch.setattr(scoring, "installed", lambda _: None)
    monkeypatch.setattr(scoring, "find_spec", lambda _: None)
    (alone,) = scoring.scoring_rows(SMALL, runs=1)
    assert alone.ratio is None
    monkeypatch.setenv("MEDWARD_OPENFHE_PYTHON", sys.executable)
    with pytest.raises(MedwardError, match="cannot run OpenFHE"):
        scoring.scoring_rows(SMALL, runs=1)


@pytest.fixture
def with_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """Our own scores are of no interest here, and SEAL is left out."""
    monkeypatch.setattr(scoring, "own_scoring", lambda _: lambda: 2.0)
    monkeypatch.setattr(scoring, "installed", lambda _: None)


@pytest.mark.usefixtures("with_nothing_else")
def test_openfhe_scores_two_batches_a_turn(interpreter: MakeInterpreter, monkeypatch: pytest.MonkeyPatch) -> None:
    path = interpreter("echo 1.2.3; while read -r line; do echo 1.5; done")
    monkeypatch.setenv("MEDWARD_OPENFHE_PYTHON", str(path))
    (row,) = scoring.scoring_rows(SMALL, runs=2)
    assert (row.ours, row.other, row.other_name, row.ratio) == (2.0, 3.0, "OpenFHE 1.2.3", 1.5)


@pytest.mark.usefixtures("with_nothing_else")
def test_openfhe_scores_as_many_flows_in_half_the_ring(
    interpreter: MakeInterpreter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEDWARD_OPENFHE_PYTHON", str(interpreter()))
    (row,) = scoring.scoring_rows(ScoringTerms(2, (1,), 1, 1024, for_tests=True), runs=1)
    assert row.other_name == "OpenFHE 9.8.7"
    assert row.other is not None
    assert row.other > 0


@pytest.mark.usefixtures("with_nothing_else")
@pytest.mark.parametrize(
    ("instead", "sentence"),
    [
        ("exit 3", "cannot run OpenFHE; install `openfhe` there"),
        ("echo; exec sleep 60", "cannot run OpenFHE; install `openfhe` there"),
        ("echo 1.2.3", "OpenFHE 1.2.3 ended while it scored"),
        ("echo 1.2.3; read -r line; echo 1.0; exit", "OpenFHE 1.2.3 ended while it scored"),
        ("echo 1.2.3; while read -r line; do echo soon; done", "OpenFHE 1.2.3 ended while it scored"),
    ],
)
def test_an_openfhe_that_cannot_score_is_told_of_in_one_sentence(
    interpreter: MakeInterpreter, monkeypatch: pytest.MonkeyPatch, instead: str, sentence: str
) -> None:
    monkeypatch.setenv("MEDWARD_OPENFHE_PYTHON", str(interpreter(instead)))
    with pytest.raises(MedwardError, match=sentence):
        scoring.scoring_rows(SMALL, runs=1)


@pytest.mark.usefixtures("with_nothing_else")
def test_an_interpreter_that_is_not_there_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDWARD_OPENFHE_PYTHON", "/nowhere/python3")
    with pytest.raises(MedwardError, match="MEDWARD_OPENFHE_PYTHON = /nowhere/python3 cannot run OpenFHE"):
        scoring.scoring_rows(SMALL, runs=1)
