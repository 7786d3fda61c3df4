"""A hospital's own table, from a proposed schema file to decisions, with nothing but the command line."""

import json
from pathlib import Path

import numpy as np
import pytest

from medward.federation.model.plan import plan_digest
from medward.federation.simulation.machines import member_names
from medward.flows.schema_file import dataset_of, read_schema, to_toml
from medward.node.home.folder import Home
from medward.node.training.data import ParticipantSettings, plan_for, read_settings
from medward.node.trial.trial import Trial, TrialOptions
from tests.cli.conftest import Run

ROWS = 3000


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A capture of two kinds of attacks, one of which shows in a number, the other in a category."""
    rng = np.random.default_rng(3)
    kind = np.repeat(rng.choice(3, ROWS // 10, p=[0.6, 0.2, 0.2]), 10)
    size = rng.normal(100, 10, ROWS) + 40 * (kind == 1)
    proto = np.where(kind == 2, rng.choice(["icmp", "udp"], ROWS), rng.choice(["tcp", "udp"], ROWS))
    lines = ["size,proto,src_port,noise,what"]
    names = np.array(["Benign", "flood", "sweep"])[kind]
    for row in zip(size, proto, rng.integers(1024, 65536, ROWS), rng.normal(size=ROWS), names, strict=True):
        lines.append(",".join(str(cell) for cell in row))
    path = tmp_path_factory.mktemp("own") / "gateway.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def schema(table: Path, tmp_path: Path, medward: Run) -> Path:
    out = tmp_path / "schema.toml"
    assert medward("data", "schema", table, "--label", "what", "--out", out).code == 0
    return out


def test_proposal_is_written_once_and_told(table: Path, tmp_path: Path, medward: Run) -> None:
    out = tmp_path / "schema.toml"
    told = medward("data", "schema", table, "--label", "what", "--out", out, "--json").document
    assert told["cheap"] == ["size", "noise"]
    assert told["categories"] == ["proto"]
    assert told["forbidden"] == ["src_port"]
    before = out.read_bytes()
    again = medward("data", "schema", table, "--label", "what", "--out", out)
    assert again.code == 1
    assert "is there already" in again.sentence
    assert out.read_bytes() == before


def test_check_tells_of_ignored_columns(table: Path, tmp_path: Path, medward: Run) -> None:
    own = tmp_path / "own.toml"
    own.write_text('name = "mine"\nlabel = "what"\nbenign = ["Benign"]\n[columns]\ncheap = ["size"]\n')
    told = medward("data", "check", table, "--schema", own, "--json").document
    assert told["ignored"] == ["proto", "src_port", "noise"]
    assert set(told["classes"]) == {"Benign", "flood", "sweep"}


@pytest.mark.slow
def test_model_carries_its_schema(table: Path, schema: Path, tmp_path: Path, medward: Run) -> None:
    model = tmp_path / "model"
    trained = medward("train", "--data", table, "--schema", schema, "--out", model, "--json").document
    assert trained["data"] == "gateway"
    schema.unlink()
    judged = medward("evaluate", "--model", model, "--data", table, "--json").document
    assert judged["metrics"]["binary"]["macro_f1"] > 0.8
    lines = medward("detect", "--model", model, "--flows", table, "--alerts-only").out.splitlines()
    assert {json.loads(line)["class"] for line in lines} == {"flood", "sweep"}


@pytest.mark.slow
def test_federation_of_an_own_table(table: Path, schema: Path, tmp_path: Path, medward: Run) -> None:
    out = tmp_path / "out"
    words = ("--sites", "3", "--rounds", "3", "--protect", "none", "--simulate", "--out", out, "--json")
    document = medward("demo", "--data", table, "--schema", schema, *words).document
    assert document["data"] == "gateway"
    assert document["metrics"]["binary"]["attack_recall"] > 0.5


def test_federation_agrees_on_the_schema(table: Path, schema: Path, tmp_path: Path, medward: Run) -> None:
    out = tmp_path / "trial"
    seats = [
        word
        for name, port in (("a", 21000), ("b", 21010), ("c", 21020))
        for word in ("--member", f"{name}=127.0.0.1:{port}")
    ]
    begun = medward("federation", "init", "--out", out, "--schema", schema, "--rounds", "2", *seats, "--json").document
    agreed = json.loads((out / "federation.json").read_text())
    assert agreed["application"]["parameters"]["schema"] == to_toml(read_schema(schema))
    for home in begun["homes"].values():
        settings = read_settings(Home(Path(home)).configuration().participant)
        described = settings.described()
        assert described is not None
        assert plan_digest(plan_for(dataset_of(described), settings)) == agreed["application"]["parameters"]["plan"]
    # A home whose hospital has not said where its rows are does not start.
    said = medward("node", "up", "--home", begun["homes"]["a"])
    assert said.code == 1
    assert "say where this hospital's rows are: medward federation join" in said.sentence


def test_demo_of_nodes_agrees_on_the_schema_too(table: Path, schema: Path, tmp_path: Path) -> None:
    file = read_schema(schema)
    settings = ParticipantSettings(data=str(table), sites=4, members=4, schema=to_toml(file))
    plan = plan_for(dataset_of(file), settings)
    launcher = Trial(tmp_path, TrialOptions(settings, member_names(4)), plan).found()
    for home in launcher.homes.values():
        own = read_settings(home.configuration().participant)
        assert own.schema == home.federation().application.parameters["schema"] == settings.schema
        assert home.federation().application.parameters["plan"] == plan_digest(plan)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--train", "ward"), "give one of the two"),
        ((), "does not say everything"),
    ],
)
def test_federation_refuses_what_says_too_much_or_too_little(
    schema: Path, tmp_path: Path, medward: Run, words: tuple[str, ...], sentence: str
) -> None:
    if not words:
        schema.write_text('name = "mine"\nlabel = "what"\nbenign = ["Benign"]\n[columns]\ncategories = ["proto"]\n')
    member = ("--member", "a=127.0.0.1:21000")
    done = medward("federation", "init", "--out", tmp_path / "o", "--schema", schema, *words, *member)
    assert done.code in (1, 2)
    assert sentence in done.err
    assert not (tmp_path / "o").exists()


def test_rows_that_a_schema_does_not_fit_get_one_sentence(
    table: Path, schema: Path, tmp_path: Path, medward: Run
) -> None:
    other = tmp_path / "other.csv"
    other.write_text("size,what\n1,Benign\n")
    done = medward("train", "--data", other, "--schema", schema, "--out", tmp_path / "m")
    assert done.code == 1
    assert "'noise': the column is missing" in done.sentence
