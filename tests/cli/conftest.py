"""Running commands in this process, and one small trained model that several tests share."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from medward.agents.sentinel.central import train_centrally
from medward.agents.sentinel.model import Provenance
from medward.agents.sentinel.recipe import Recipe
from medward.cli import main
from medward.flows.datasets import DATASETS, ward
from medward.flows.prepared import prepare


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


@pytest.fixture
def medward(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Return a function that runs the command line with the given words."""

    def run(*words: object) -> Done:
        monkeypatch.setattr(sys, "argv", ["medward", *map(str, words)])
        capsys.readouterr()
        code = 0
        try:
            main()
        except SystemExit as stop:
            code = int(stop.code or 0)
        printed = capsys.readouterr()
        return Done(code, printed.out, printed.err)

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
