"""`medward node`, as far as it goes without a running node: models, reports, backups, and homes that are none."""

from dataclasses import replace
from pathlib import Path

import pytest

from medward.agents.sentinel.model import load_model
from medward.flows.datasets import ward
from medward.node.training.model_folder import ModelFolder
from medward.node.training.round_history import RoundHistory
from medward.store.limits import DEFAULT_LIMITS
from medward.store.local import open_directory
from tests.cli.conftest import MEMBERS, Run


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


def test_node_up_says_what_is_wrong_with_a_home(medward: Run, trial: Path, tmp_path: Path) -> None:
    done = medward("node", "up", "--home", tmp_path / "nowhere")
    assert done.code == 1
    assert "federation init" in done.sentence
    assert medward("node", "up", "--home", trial / "h0", "--ledger", "raft").code == 2
    (trial / "h0" / "token").chmod(0o644)
    done = medward("node", "up", "--home", trial / "h0")
    assert done.code == 1
    assert "has mode 0644" in done.sentence


def test_backup_and_restore(medward: Run, trial: Path, tmp_path: Path) -> None:
    with open_directory(trial / "h0" / "store") as store:
        cid = store.add(b"a model", pin="model/current")
    assert medward("node", "backup", "--home", trial / "h0", "--out", tmp_path / "h0.tar").code == 0
    done = medward("node", "restore", tmp_path / "h0.tar", "--home", tmp_path / "again")
    assert done.code == 0
    assert "incarnation 1" in done.out
    with open_directory(tmp_path / "again" / "store") as store:
        assert store.read(cid, DEFAULT_LIMITS) == b"a model"


@pytest.mark.parametrize("command", ["up", "model", "report", "backup", "restore"])
def test_every_command_has_an_example(medward: Run, command: str) -> None:
    done = medward("node", command, "--help")
    assert done.code == 0
    assert f"Example: medward node {command}" in done.out


def test_node_without_rows_is_not_run(medward: Run, home: Path, tmp_path: Path) -> None:
    """It would vote and hold shares, and could never train: better told at once than in a log."""
    (tmp_path / "rows.csv").rename(tmp_path / "elsewhere.csv")
    done = medward("node", "up", "--home", home)
    assert done.code == 1
    assert str(tmp_path / "rows.csv") in done.sentence


@pytest.fixture
def alone(medward: Run, tmp_path: Path) -> Path:
    """The home of a federation of one."""
    assert medward("federation", "init", "--out", tmp_path / "one", MEMBERS[0]).code == 0
    return tmp_path / "one" / "h0"


def test_engine_that_there_is_not_is_told_before_a_node_runs(medward: Run, alone: Path) -> None:
    for option, expected in (("--store", "embedded or kubo"), ("--ledger", "pbft or cometbft")):
        done = medward("node", "up", "--home", alone, option, "floppy")
        assert (done.code, done.out) == (2, "")
        assert f"{option}: expected {expected}, got 'floppy'" in done.sentence


def test_model_is_not_written_into_a_home_by_a_link_nor_over_a_file(
    medward: Run, home: Path, ward_model: Path, tmp_path: Path
) -> None:
    name = keep_model(home, ward_model)
    (tmp_path / "link").symlink_to(home)
    (tmp_path / "file").write_text("mine")
    for out, said in (("link/out", "is inside the home"), ("link", "is inside the home"), ("file", "holds no model")):
        done = medward("node", "model", "--home", home, "--out", tmp_path / out)
        assert done.code in (1, 2)
        assert said in done.sentence
    assert not (home / "out").exists()
    assert (tmp_path / "file").read_text() == "mine"
    (tmp_path / "empty").mkdir()
    assert medward("node", "model", "--home", home, "--out", tmp_path / "empty", "--json").document["model_name"]
    document = medward("node", "model", "--home", home, "--out", tmp_path / "empty", "--json").document
    assert document["model_name"] == name


def test_backup_takes_the_place_of_nothing_and_a_failed_one_leaves_nothing(
    medward: Run, alone: Path, tmp_path: Path
) -> None:
    out = tmp_path / "h0.tar"
    for home, said in ((tmp_path / "nowhere", "cannot read the card"), (alone, "holds no store")):
        assert said in medward("node", "backup", "--home", home, "--out", out).sentence
    assert not list(tmp_path.glob("*.tar*"))
    open_directory(alone / "store").close()
    assert "cannot write" in medward("node", "backup", "--home", alone, "--out", tmp_path / "no" / "h0").sentence
    assert medward("node", "backup", "--home", alone, "--out", out).code == 0
    before = out.read_bytes()
    assert "is there already" in medward("node", "backup", "--home", alone, "--out", out).sentence
    assert out.read_bytes() == before


def test_what_is_no_backup_makes_no_home(medward: Run, alone: Path, tmp_path: Path) -> None:
    whole, home = tmp_path / "h0.tar", tmp_path / "again"
    open_directory(alone / "store").close()
    assert medward("node", "backup", "--home", alone, "--out", whole).code == 0
    cut, text = tmp_path / "cut.tar", tmp_path / "text.tar"
    cut.write_bytes(whole.read_bytes()[:1000])
    text.write_text("no archive")
    for file in (tmp_path / "nowhere.tar", tmp_path, cut, text):
        done = medward("node", "restore", file, "--home", home)
        assert (done.code, done.out) == (1, "")
        assert f"{file} is no backup of a node, or it is damaged" in done.sentence
        assert not home.exists()
    kept = sorted(alone.rglob("*"))
    assert medward("node", "restore", whole, "--home", alone).code == 1
    assert sorted(alone.rglob("*")) == kept
