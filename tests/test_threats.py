"""The table of threats names tests that there are, and the script that runs them finds gaps."""

import ast
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def runner() -> ModuleType:
    spec = importlib.util.spec_from_file_location("run_threats", ROOT / "tools" / "run_threats.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["run_threats"] = module
    spec.loader.exec_module(module)
    return module


def test_every_threat_to_sums_has_a_row(runner: ModuleType) -> None:
    rows = runner.threats(runner.PAGE.read_text(encoding="utf-8"))
    assert [name for name in rows if name[0] == "M"] == [f"M{k}" for k in range(1, 17)]
    assert [name for name in rows if name[0] == "S"] == [f"S{k}" for k in range(1, 7)]


def test_every_test_that_is_named_is_one(runner: ModuleType) -> None:
    rows = runner.threats(runner.PAGE.read_text(encoding="utf-8"))
    named = sorted({one for ids in rows.values() for one in ids})
    assert len(named) > 50
    for file in sorted({one.partition("::")[0] for one in named}):
        module = ast.parse((ROOT / file).read_text(encoding="utf-8"))
        functions = {node.name for node in module.body if isinstance(node, ast.FunctionDef)}
        of_it = {one.partition("::")[2] for one in named if one.startswith(f"{file}::")}
        assert all(function.startswith("test_") for function in of_it)
        assert of_it <= functions, (file, of_it - functions)


def test_row_whose_tests_did_not_pass_is_a_gap(runner: ModuleType) -> None:
    page = "| M1 | a | b | t.py::x t.py::y |\n| M2 | a | b | none yet |\n| M3 | a | b | t.py::z |\n"
    rows = runner.threats(page)
    assert rows == {"M1": ["t.py::x", "t.py::y"], "M2": [], "M3": ["t.py::z"]}
    assert runner.gaps(rows, {"t.py::y[3]", "t.py::zebra"}) == ["M2", "M3"]


def test_malformed_or_repeated_row_is_refused(runner: ModuleType) -> None:
    for page in ("| M1 | a | t.py::x |", "| M1 | a | b | t.py::x |\n| M1 | a | b | t.py::x |"):
        with pytest.raises(ValueError, match="M1"):
            runner.threats(page)
