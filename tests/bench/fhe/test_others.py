"""Systems that sums are compared with: each is right before it is timed, and left out where it is not installed."""

import sys
from pathlib import Path

import pytest

from medward.bench.fhe import others
from medward.errors import MedwardError

from .conftest import MakeInterpreter


def test_alternatives_add_correctly_where_they_can_add() -> None:
    assert others.elgamal().error == 0
    assert others.quaternion().error == 0
    assert others.rsa_oaep().add is None
    assert others.aes_gcm().add is None
    for optional in (others.tenseal(), others.openfhe(), others.paillier()):  # with what is installed
        assert optional is None or (optional.error is not None and optional.error < 1e-5)


def test_openfhe_runs_with_an_interpreter_of_its_own_and_says_when_that_one_cannot(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MEDWARD_OPENFHE_PYTHON", "/nowhere/python3")
    with pytest.raises(MedwardError, match="MEDWARD_OPENFHE_PYTHON = /nowhere/python3 cannot run OpenFHE"):
        others.openfhe()


def test_openfhe_is_left_out_where_nothing_can_run_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MEDWARD_OPENFHE_PYTHON", raising=False)
    monkeypatch.setattr(sys, "path", [])
    assert others.openfhe() is None


def test_openfhes_figures_are_those_of_its_program(
    interpreter: MakeInterpreter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEDWARD_OPENFHE_PYTHON", str(interpreter()))
    found = others.openfhe()
    assert found is not None
    assert (found.name, found.size, found.error) == ("OpenFHE 9.8.7 CKKS, N = 16", 5, pytest.approx(0.125))


@pytest.mark.parametrize(
    "instead",
    [
        "exit 0",
        "echo Traceback; exit 1",
        "echo hello",
        "printf '\\377'",
        "echo '[]'",
        """echo '{"name": "OpenFHE"}'""",
        """echo '{"name": "x", "encrypt": "fast", "add": 1, "decrypt": 1, "size": 1, "error": 0}'""",
    ],
)
def test_an_interpreter_that_prints_no_figures_is_told_of_in_one_sentence(
    interpreter: MakeInterpreter, monkeypatch: pytest.MonkeyPatch, instead: str
) -> None:
    path = interpreter(instead)
    monkeypatch.setenv("MEDWARD_OPENFHE_PYTHON", str(path))
    with pytest.raises(MedwardError, match=f"MEDWARD_OPENFHE_PYTHON = {path} cannot run OpenFHE"):
        others.openfhe()


def test_a_library_that_does_not_load_here_is_as_one_that_is_not_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "library_of_another_python.py").write_text("raise ImportError('built for CPython 3.8')")
    monkeypatch.syspath_prepend(tmp_path)
    assert others.installed("library_of_another_python") is None


def test_elgamal_adds_with_pythons_integers_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(others, "installed", lambda _: None)
    monkeypatch.setattr(others, "seconds", lambda _: 1.0)
    found = others.elgamal()
    assert (found.error, found.name) == (0, "ElGamal-2048 in the exponent (Python integers)")
    assert (others.tenseal(), others.paillier()) == (None, None)


def test_a_time_is_the_median_after_a_run_that_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock is a stand-in: runs take 100, then 1, 2 and 7."""
    clock, spent = [0.0], iter([100.0, 1.0, 7.0, 2.0])
    monkeypatch.setattr(others.time, "process_time", lambda: clock[0])

    def work() -> None:
        clock[0] += next(spent)

    assert others.seconds(work, repeat=3) == 2
