"""The answer journal: one answer per place, across kill, restart, concurrent processes and damaged files."""

import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from medward.federation.journal import Journal
from medward.fhe.member import AnswerKind, Slot

from medward.fhe.errors import AnswerRefused


def _slot(round: int = 1, chunk: int = 0, kind: AnswerKind = "share", epoch: int = 1) -> Slot:
    return Slot(b"ward", epoch, kind, round, chunk)


def test_answer_is_stored_before_it_is_returned_and_repeated_after_restart(tmp_path: Path) -> None:
    path = tmp_path / "answers.sqlite"
    with Journal(path) as journal:
        assert journal.once(_slot(), b"q", 10, lambda: b"first") == b"first"
    with Journal(path) as journal:
        assert journal.once(_slot(), b"q", 10, lambda: b"second") == b"first"
        assert journal.stored(_slot()) == b"first"
        with pytest.raises(AnswerRefused, match="another question"):
            journal.once(_slot(), b"other", 10, lambda: b"second")


def test_answer_given_in_one_epoch_is_refused_in_the_next(tmp_path: Path) -> None:
    """Else a cohort, then the cohort less one member, could be opened under two keys."""
    with Journal(tmp_path / "answers.sqlite") as journal:
        journal.once(_slot(epoch=1), b"q1", 10, lambda: b"first")
        with pytest.raises(AnswerRefused, match="another question"):
            journal.once(_slot(epoch=2), b"q2", 10, lambda: b"second")


def test_budget_counts_per_epoch_and_kind_and_survives_restart(tmp_path: Path) -> None:
    path = tmp_path / "answers.sqlite"
    for round in range(3):
        with Journal(path) as journal:
            journal.once(_slot(round), b"q", 3, lambda: b"a")
    with Journal(path) as journal:
        assert journal.spent(b"ward", 1, "share") == 3
        with pytest.raises(AnswerRefused, match="new key epoch"):
            journal.once(_slot(9), b"q", 3, lambda: b"a")
        assert journal.once(_slot(1), b"q", 3, lambda: b"b") == b"a"
        journal.once(_slot(9, epoch=2), b"q", 3, lambda: b"a")
        journal.once(_slot(9, kind="seal"), b"q", 3, lambda: b"a")
        assert journal.last_round(b"ward") == 9


def test_opening_has_one_place_per_epoch(tmp_path: Path) -> None:
    with Journal(tmp_path / "answers.sqlite") as journal:
        for epoch in (1, 2):
            assert journal.once(_slot(3, kind="reveal", epoch=epoch), b"q", 1, lambda: b"s") == b"s"
        with pytest.raises(AnswerRefused):
            journal.once(_slot(4, kind="reveal", epoch=2), b"q", 1, lambda: b"s")
        assert journal.last_round(b"ward") is None


def test_failure_while_answering_leaves_nothing_behind(tmp_path: Path) -> None:
    def fail() -> bytes:
        raise RuntimeError("power")

    with Journal(tmp_path / "answers.sqlite") as journal:
        with pytest.raises(RuntimeError):
            journal.once(_slot(), b"q", 1, fail)
        assert journal.stored(_slot()) is None
        assert journal.once(_slot(), b"q", 1, lambda: b"a") == b"a"


def test_forgotten_answer_is_never_given_again(tmp_path: Path) -> None:
    with Journal(tmp_path / "answers.sqlite") as journal:
        for round in (1, 2):
            journal.once(_slot(round), b"q", 9, lambda: b"a")
        assert journal.forget_bytes(b"ward", 2) == 1
        with pytest.raises(AnswerRefused, match="dropped"):
            journal.once(_slot(1), b"q", 9, lambda: b"a")
        assert journal.once(_slot(2), b"q", 9, lambda: b"b") == b"a"


def test_damaged_or_foreign_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "answers.sqlite"
    with Journal(path) as journal:
        journal.once(_slot(), b"q", 9, lambda: b"answer")
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE answers SET answer = x'00'")
    connection.close()
    with Journal(path) as journal, pytest.raises(AnswerRefused, match="damaged"):
        journal.once(_slot(), b"q", 9, lambda: b"a")
    text = tmp_path / "notes.txt"
    text.write_text("not a journal, and long enough to be looked at as a database header would be" * 20)
    with pytest.raises(AnswerRefused, match="not an answer journal"):
        Journal(text)
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(AnswerRefused, match="version 99"):
        Journal(path)


def test_file_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    Journal(tmp_path / "answers.sqlite").close()
    assert (tmp_path / "answers.sqlite").stat().st_mode & 0o077 == 0


_ANSWER_AND_DIE = """
import os, signal, sys
from pathlib import Path
from medward.federation.journal import Journal
from medward.fhe.member import Slot
path, when = Path(sys.argv[1]), sys.argv[2]
def make():
    if when == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    return os.urandom(16)
answer = Journal(path).once(Slot(b"ward", 1, "share", 1, 0), b"q", 10, make)
print(answer.hex(), flush=True)
if when == "after":
    os.kill(os.getpid(), signal.SIGKILL)
"""


def _answer(path: Path, when: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", _ANSWER_AND_DIE, str(path), when], capture_output=True, text=True, check=False
    )


def test_killed_process_has_answered_durably_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "answers.sqlite"
    before = _answer(path, "before")
    assert before.returncode == -signal.SIGKILL
    assert before.stdout == ""
    with Journal(path) as journal:
        assert journal.stored(_slot()) is None
    after = _answer(path, "after")
    assert after.returncode == -signal.SIGKILL
    assert _answer(path, "never").stdout == after.stdout


def test_two_processes_with_one_file_give_one_answer(tmp_path: Path) -> None:
    path = tmp_path / "answers.sqlite"
    command = [sys.executable, "-c", _ANSWER_AND_DIE, str(path), "never"]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    answers = {process.communicate()[0] for process in running}
    assert len(answers) == 1
    assert answers.pop().strip()


class OneAnswerForEver(RuleBasedStateMachine):
    """Any sequence of questions, answers cut off half-way and restarts: never two answers for one place."""

    @initialize()
    def start(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "answers.sqlite"
        self.journal = Journal(self.path)
        self.seen: dict[tuple[int, int], set[bytes]] = {}
        self.budget = 4

    def teardown(self) -> None:
        if hasattr(self, "journal"):
            self.journal.close()
            self.folder.cleanup()

    @rule(
        round=st.integers(0, 2),
        chunk=st.integers(0, 1),
        epoch=st.integers(1, 2),
        question=st.sampled_from([b"x", b"y"]),
    )
    def ask(self, round: int, chunk: int, epoch: int, question: bytes) -> None:
        try:
            answer = self.journal.once(_slot(round, chunk, epoch=epoch), question, self.budget, lambda: os.urandom(8))
        except AnswerRefused:
            return
        self.seen.setdefault((round, chunk), set()).add(answer)

    @rule(round=st.integers(0, 2), chunk=st.integers(0, 1))
    def crash_while_answering(self, round: int, chunk: int) -> None:
        def crash() -> bytes:
            self.journal.close()
            raise ConnectionAbortedError

        try:
            answer = self.journal.once(_slot(round, chunk), b"x", self.budget, crash)
            self.seen.setdefault((round, chunk), set()).add(answer)
        except (AnswerRefused, ConnectionAbortedError, sqlite3.ProgrammingError):
            self.restart()

    @rule()
    def restart(self) -> None:
        self.journal.close()
        self.journal = Journal(self.path)

    @rule(before=st.integers(0, 3))
    def forget(self, before: int) -> None:
        self.journal.forget_bytes(b"ward", before)

    @invariant()
    def no_place_has_two_answers_and_no_budget_is_overspent(self) -> None:
        if not hasattr(self, "seen"):
            return
        assert all(len(answers) == 1 for answers in self.seen.values())
        assert all(self.journal.spent(b"ward", epoch, "share") <= self.budget for epoch in (1, 2))


TestOneAnswerForEver = OneAnswerForEver.TestCase
TestOneAnswerForEver.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
