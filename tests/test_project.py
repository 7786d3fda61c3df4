"""What the project says of itself in several files is the same in all of them."""

import re
import tomllib
from itertools import chain

import medward
from tests.conftest import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_version_is_the_same_everywhere() -> None:
    citation = re.search(r"^version: (.*)$", (ROOT / "CITATION.cff").read_text(), flags=re.MULTILINE)
    assert citation is not None
    assert PROJECT["version"] == medward.__version__ == citation[1]


def test_hosted_ci_runs_every_python_that_is_promised() -> None:
    promised = re.findall(r"Python :: (3\.\d+)", " ".join(PROJECT["classifiers"]))
    matrix = re.search(r"python: \[(.*)\]", (ROOT / ".github" / "workflows" / "ci.yml").read_text())
    assert matrix is not None
    assert re.findall(r"3\.\d+", matrix[1]) == promised
    assert PROJECT["requires-python"] == f">={promised[0]}"


def test_lock_has_hashes_and_names_no_index() -> None:
    lines = [line for line in (ROOT / "requirements-lock.txt").read_text().splitlines() if not line.startswith("#")]
    pinned = [line for line in lines if not line.startswith(" ")]
    assert all(re.match(r"[a-z0-9.-]+==\S+( ; .*)? \\$", line) for line in pinned)
    assert len(lines) > 2 * len(pinned)
    assert not [line for line in lines if "://" in line or line.startswith("-")]


def test_lock_pins_what_the_project_requires() -> None:
    pinned = set(re.findall(r"^([a-z0-9.-]+)==", (ROOT / "requirements-lock.txt").read_text(), flags=re.MULTILINE))
    extras = (PROJECT["optional-dependencies"][name] for name in ("test", "check", "docs", "release"))
    required = [*PROJECT["dependencies"], *chain.from_iterable(extras)]
    assert {re.split(r"[<>=!;\[ ]", name)[0].lower() for name in required} <= pinned
