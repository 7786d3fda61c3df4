"""`medward train`: a model in a folder, and options that contradict each other are told before anything is trained."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run


def test_train_writes_a_model_that_evaluate_reads(medward: Run, tmp_path: Path, unseen: Path) -> None:
    trained = medward("train", "--data", "ward", "--rows", 3000, "--out", tmp_path / "model", "--json")
    assert trained.code == 0, trained.err
    assert trained.document["how"] == "central"
    done = medward("evaluate", "--model", tmp_path / "model", "--data", unseen, "--json")
    assert done.code == 0, done.err
    document = done.document
    assert document.keys() >= {"model", "data", "rows", "metrics"}
    assert (document["rows"], document["history"]) == (3000, True)
    assert document["model_name"] == trained.document["model_name"]
    assert document["metrics"]["binary"]["macro_f1"] > 0.6


@pytest.mark.slow
def test_network_of_squares_is_trained_and_read_by_evaluate_and_detect(
    medward: Run, tmp_path: Path, unseen: Path
) -> None:
    trained = medward("train", "--data", "ward", "--rows", 3000, "--polynomial", "--out", tmp_path / "model", "--json")
    assert trained.code == 0, trained.err
    assert json.loads((tmp_path / "model" / "model.json").read_text())["recipe"]["activation"] == "square"
    done = medward("evaluate", "--model", tmp_path / "model", "--data", unseen, "--json")
    assert done.document["metrics"]["binary"]["macro_f1"] > 0.6
    lines = medward("detect", "--model", tmp_path / "model", "--flows", unseen).out.splitlines()
    assert len(lines) == 3000
    assert all(json.loads(line)["evidence"] for line in lines)


@pytest.mark.slow
def test_local_training_uses_one_hospitals_rows(medward: Run, tmp_path: Path) -> None:
    done = medward("train", "--data", "ward", "--rows", 3000, "--local", 2, "--out", tmp_path, "--json")
    assert done.code == 0, done.err
    assert done.document["how"] == "local"
    assert 300 < done.document["rows"] < 1000


@pytest.mark.slow
def test_thinned_copies_are_trained_on_and_not_counted_as_rows(medward: Run, tmp_path: Path) -> None:
    done = medward("train", "--data", "ward", "--rows", 3000, "--thin", 0.2, "--out", tmp_path / "model")
    assert done.code == 0, done.err
    line = next(line for line in done.err.splitlines() if line.startswith("training on"))
    rows = int(line.split()[2])
    assert line == f"training on {rows} of 3000 rows, and on {rows} thinned copies"
    assert medward("train", "--data", "ward", "--thin", 0, "--out", tmp_path).code == 2
    assert medward("train", "--data", "ward", "--thin", 0.2, "--all-rows", "--out", tmp_path).code == 2


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--local", 1, "--central"], "leave out --central and --all-rows"),
        (["--local", 1, "--all-rows"], "leave out --central and --all-rows"),
        (["--local", 5], "from 1 to 4, not 5"),
        (["--local", -1], "from 1 to 4, not -1"),
        (["--local", 1, "--sites", 0], "not 1"),
        (["--thin", 0], "above 0 and at most 1"),
        (["--thin", 0.5, "--thin", 1.5], "above 0 and at most 1"),
        (["--thin", "nan"], "above 0 and at most 1"),
        (["--thin", 0.2, "--all-rows"], "leave out --all-rows"),
        (["--polynomial", "--closed-form"], "give one"),
        (["--closed-form", "--features", 8], "--features"),
        (["--out", "{file}"], "is no folder"),
    ],
)
def test_options_that_cannot_work_are_told_before_anything_is_read(
    medward: Run, tmp_path: Path, words: list[object], told: str
) -> None:
    file = tmp_path / "model"
    file.write_text("a model of somebody's own")
    given = [str(word).format(file=file) for word in words]
    done = medward("train", "--data", tmp_path / "nowhere.csv", "--out", tmp_path / "out", *given)
    assert (done.code, done.out) == (2, "")
    assert told in done.err
    assert "Traceback" not in done.err
    assert file.read_text() == "a model of somebody's own"
    assert not (tmp_path / "out").exists()


def test_model_in_closed_form_of_one_hospital_says_so(medward: Run, tmp_path: Path) -> None:
    words = ("train", "--data", "ward", "--rows", 1500, "--closed-form", "--features", 16, "--local", 2, "--sites", 3)
    done = medward(*words, "--out", tmp_path / "model", "--json")
    assert done.code == 0, done.err
    document = done.document
    assert (document["how"], document["synthetic"]) == ("local", True)
    assert 100 < document["rows"] < 700
    kept = json.loads((tmp_path / "model" / "model.json").read_text())
    assert kept["provenance"]["how"] == "local"
