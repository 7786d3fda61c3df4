"""Running commands in this process, and one small trained model that several tests share."""

import json
import sys
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from typer.main import get_command

from medward import cli
from medward.agents.sentinel.central import train_centrally
from medward.agents.sentinel.model import Provenance
from medward.agents.sentinel.recipe import Recipe
from medward.flows.datasets import DATASETS, ward
from medward.flows.prepared import prepare

MEMBERS = [f"--member=h{number}=127.0.0.1:{22000 + 10 * number}" for number in range(4)]


class Done(NamedTuple):
    """What a command left: its exit code and what it printed."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        """The one JSON document on standard output."""
        found: dict[str, Any] = json.loads(self.out)
        return found

    @property
    def sentence(self) -> str:
        """The one line on standard error."""
        assert self.err.endswith("\n")
        assert self.err.count("\n") == 1
        assert "Traceback" not in self.err
        return self.err


Run = Callable[..., Done]


@cache
def command_line() -> Callable[[], object]:
    """The command line, of which Typer makes all commands anew for each call: a tenth of the time of these tests."""
    return get_command(cli.app)


def exit_code_of_main(monkeypatch: pytest.MonkeyPatch, *words: object) -> int:
    """Run the command line with the given words; return its exit code."""
    monkeypatch.setattr(sys, "argv", ["medward", *map(str, words)])
    monkeypatch.setattr(cli, "app", command_line())
    try:
        cli.main()
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


@pytest.fixture
def medward(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Return a function that runs the command line with the given words."""

    def run(*words: object) -> Done:
        capsys.readouterr()
        return Done(exit_code_of_main(monkeypatch, *words), *capsys.readouterr())

    return run


@pytest.fixture(scope="session")
def ward_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model trained on a small synthetic ward."""
    prepared = prepare(DATASETS["ward"], ward.generate(6000, 5), "honest", 5)
    recipe = Recipe().change(embedding=0, hidden=(32,), batch=128, epochs=6, cells=128, history_dropout=0.2)
    model = train_centrally(prepared, prepared.split.train, recipe, Provenance("central", None, 1, "none", True, 5))
    folder = tmp_path_factory.mktemp("model")
    model.save(folder)
    return folder


@pytest.fixture(scope="session")
def unseen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rows of another synthetic ward."""
    path = tmp_path_factory.mktemp("unseen") / "unseen.csv"
    ward.write_csv(path, 3000, 77)
    return path


@pytest.fixture
def trial(medward: Run, tmp_path: Path) -> Path:
    """Homes of four members that have not begun, of a federation that keeps a bank."""
    done = medward("federation", "init", "--out", tmp_path / "trial", *MEMBERS)
    assert done.code == 0, done.err
    return tmp_path / "trial"


def assert_bad_usage(medward: Run, folder: Path, words: Sequence[str]) -> None:
    """Assert that a command, run in this folder, is refused in one sentence as it is called, and leaves nothing."""
    done = medward(*words)
    assert (done.code, done.out) == (2, "")
    assert done.sentence.startswith("medward: ")
    assert not list(folder.glob("x/*"))
