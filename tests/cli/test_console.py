"""No command is silent: lines of progress without a terminal, and what stops them."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from medward.cli import _console
from medward.cli._console import QUIET, end_narration, errors, narration, progress, say, unnarrated, waiting
from tests.cli.conftest import Run

LONG = 60.0
#: As every command has them, before `impatient` changes them.
FIRST, TELL, LOOK = _console._FIRST_SECONDS, _console._TELL_SECONDS, _console._LOOK_SECONDS


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines of progress come soon."""
    monkeypatch.delenv(QUIET)
    monkeypatch.setattr(_console, "_FIRST_SECONDS", 0.01)
    monkeypatch.setattr(_console, "_TELL_SECONDS", 0.01)
    monkeypatch.setattr(_console, "_LOOK_SECONDS", 0.01)


@pytest.fixture
def heard(capsys: pytest.CaptureFixture[str]) -> Callable[[str, int], str]:
    """Return a function that waits until a text was told so many times, and returns all that was."""

    def listen(text: str, times: int) -> str:
        told, until = "", time.monotonic() + LONG
        while told.count(text) < times and time.monotonic() < until:
            told += capsys.readouterr().err
        return told

    return listen


def test_first_word_comes_after_two_seconds_and_no_silence_is_longer_than_five() -> None:
    """The tutorial promises five seconds. A line is due at a look, so a look's time comes on top."""
    assert FIRST <= 2
    assert max(FIRST, TELL) + LOOK < 5


def test_what_will_take_long_is_told_at_once(monkeypatch: pytest.MonkeyPatch, heard: Callable[[str, int], str]) -> None:
    monkeypatch.setattr(_console, "_FIRST_SECONDS", 2 * LONG)
    with narration():
        say("a federation begins", at_once=True)
        assert "a federation begins (" in heard("a federation begins", 1)


def test_long_steps_are_told_in_lines_that_change_nothing_on_a_terminal(heard: Callable[[str, int], str]) -> None:
    with narration():
        say("checking the \x1b[2Jledger [/]")
        told = heard("checking the \\x1b[2Jledger [/] (", 2)
    assert told.count("\n") >= 2
    assert "\x1b" not in told


def test_command_that_waits_says_for_what_and_then_goes_on_with_what_it_did(heard: Callable[[str, int], str]) -> None:
    with narration():
        say("asking")
        with waiting("the ledger to order it"):
            assert "waiting for the ledger to order it (" in heard("waiting", 1)
        assert "asking (" in heard("asking", 1)


def test_quick_command_says_nothing(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(_console, "_FIRST_SECONDS", LONG)
    with narration():
        say("reading")
        time.sleep(0.1)
    assert capsys.readouterr().err == ""


def test_what_is_printed_breaks_the_silence_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(_console, "_FIRST_SECONDS", LONG)
    monkeypatch.setattr(_console, "_TELL_SECONDS", LONG)
    with narration():
        _console._PRESENT.due = 0.0
        errors().print("training on 5 rows")
        time.sleep(0.1)
    assert capsys.readouterr().err.splitlines()[-1] == "training on 5 rows"


def test_servers_are_silent(capsys: pytest.CaptureFixture[str]) -> None:
    with narration(), unnarrated():
        capsys.readouterr()
        time.sleep(0.1)
        assert capsys.readouterr().err == ""


def test_no_thread_is_left_once_privileges_are_given_up(capsys: pytest.CaptureFixture[str]) -> None:
    with narration():
        end_narration()
        capsys.readouterr()
        assert _console._TELLER not in [thread.name for thread in threading.enumerate()]
        time.sleep(0.1)
        assert capsys.readouterr().err == ""


def test_variable_leaves_lines_out(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv(QUIET, "1")
    with narration():
        time.sleep(0.1)
    assert capsys.readouterr().err == ""


def test_bars_are_for_terminals() -> None:
    with progress() as bars:
        assert bars is None


def test_a_command_tells_what_it_does_and_its_document_stays_alone_on_standard_output(
    medward: Run, tmp_path: Path
) -> None:
    table = tmp_path / "ward.csv"
    assert medward("data", "make", "ward", "--rows", 3000, "--out", table).code == 0
    done = medward("data", "check", table, "--json")
    assert done.document["rows"] == 3000
    assert f"reading {table} (" in done.err
