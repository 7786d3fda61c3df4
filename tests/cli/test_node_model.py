"""`medward node model` and `node report`, as far as they go without a running node."""

from dataclasses import replace
from pathlib import Path

import pytest

from medward.agents.sentinel.model import load_model
from medward.flows.datasets import ward
from medward.node.training.model_folder import ModelFolder
from medward.node.training.round_history import RoundHistory
from tests.cli.conftest import Run
from tests.cli.test_federation import MEMBERS


@pytest.fixture
def home(medward: Run, tmp_path: Path) -> Path:
    """A home of a federation that trains, with rows of its own."""
    words = ("federation", "init", "--out", tmp_path / "trial", "--train", "ward", "--rounds", 7, *MEMBERS)
    assert medward(*words).code == 0
    rows, home = tmp_path / "rows.csv", tmp_path / "trial" / "h0"
    ward.write_csv(rows, 500, 3)
    done = medward("federation", "join", "--home", home, "--federation", home / "federation.json", "--data", rows)
    assert done.code == 0, done.err
    return home


def keep_model(home: Path, folder: Path) -> str:
    """Have a home hold a model of a federation; return its name."""
    model = load_model(folder)
    origin = replace(model.provenance, how="federated", round=4, sites=4, protect="aggregate", shared_model="bafkmodel")
    ModelFolder(home / "model").replace(replace(model, provenance=origin))
    return model.name


def test_model_is_copied_out_of_a_home(medward: Run, home: Path, ward_model: Path, tmp_path: Path) -> None:
    name, out = keep_model(home, ward_model), tmp_path / "out"
    for _ in range(2):  # a model that is there is replaced
        told = medward("node", "model", "--home", home, "--out", out, "--json").document
        assert (told["model_name"], told["shared_model"]) == (name, "bafkmodel")
        assert (told["rounds_trained"], told["rounds"], told["sites"]) == (5, 7, 4)
        assert load_model(out).name == name
    assert "after 5 of 7 training rounds" in medward("node", "model", "--home", home, "--out", out).out


def test_what_cannot_be_copied_is_told_and_harms_nothing(
    medward: Run, home: Path, ward_model: Path, tmp_path: Path
) -> None:
    words = ("node", "model", "--out", tmp_path / "out", "--home")
    assert "is no node's home" in medward(*words, tmp_path).sentence
    assert "has no model yet" in medward(*words, home).sentence
    keep_model(home, ward_model)
    inside = medward("node", "model", "--home", home, "--out", home / "mine")
    assert (inside.code, "is inside the home" in inside.sentence) == (2, True)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("mine")
    assert "holds no model" in medward("node", "model", "--home", home, "--out", tmp_path / "full").sentence
    (home / "model" / "weights.safetensors").write_bytes(b"")
    assert "start the node" in medward(*words, home).sentence
    assert not (tmp_path / "out").exists()
    bank = tmp_path / "bank"
    assert medward("federation", "init", "--out", bank, *MEMBERS).code == 0
    assert "does not train" in medward(*words, bank / "h0").sentence


def test_report_needs_rounds_and_a_model(medward: Run, home: Path, ward_model: Path) -> None:
    assert "has no model yet" in medward("node", "report", "--home", home).sentence
    keep_model(home, ward_model)
    assert "no round that is over" in medward("node", "report", "--home", home).sentence
    told = {"round": 0, "task": "train", "outcome": "final", "cohort": ["h0", "h1", "h2"], "contributions": {}}
    told |= {
        "answers": {},
        "checks": {},
        "model": "bafkmodel",
        "seconds": {"train": 1.0},
        "bytes_up": 1,
        "bytes_down": 2,
    }
    RoundHistory(home / "participant").add([told | {"validation": {"expected_cost": 0.1, "escalation_rate": 0.2}}])
    document = medward("node", "report", "--home", home, "--json").document
    assert document["report"] == str(home / "report.html")
    assert document["metrics"]["binary"]["accuracy"] > 0.5
    page = (home / "report.html").read_text(encoding="utf-8")
    assert "what the node of h0 knows" in page
    assert "h2" in page
