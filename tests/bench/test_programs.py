"""Programs that are run for a figure: what they print, and one sentence where they fail."""

import signal
from pathlib import Path

import pytest

from medward.bench.programs import output_of
from medward.errors import MedwardError


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return tmp_path / "measured.py"


def test_output_is_what_the_program_prints_of_its_arguments(program: Path) -> None:
    program.write_text("import sys; print(sys.argv[1:])", encoding="utf-8")
    assert output_of("a figure", "measured", 3, program) == f"{['3', str(program)]}\n"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("raise SystemExit(3)", r"exit status 3 \(it said nothing\)"),
        ("[][0]", r"exit status 1 \(IndexError: list index out of range\)"),
        ("import sys; sys.exit('no room\\x1b[2J')", r"exit status 1 \(no room\\x1b\[2J\)"),
        (f"import os; os.kill(os.getpid(), {int(signal.SIGKILL)})", r"signal 9 \(it said nothing\)"),
    ],
)
def test_program_that_fails_is_told_in_one_sentence(program: Path, content: str, told: str) -> None:
    program.write_text(content, encoding="utf-8")
    with pytest.raises(
        MedwardError, match=rf"^a figure could not be measured: measured ended with {told}; see that"
    ) as said:
        output_of("a figure", "measured")
    assert "\n" not in str(said.value)
