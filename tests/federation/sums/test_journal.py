"""The journal: one answer a place, across kill, restart, concurrent processes and damaged files; secrets are erased."""

import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from medward.federation.sums.interface import SumRefused
from medward.federation.sums.journal import AnswerJournal


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[AnswerJournal]:
    with AnswerJournal(tmp_path / "answers.sqlite") as opened:
        yield opened


def test_answer_is_stored_before_it_is_returned_and_repeated_after_restart(tmp_path: Path) -> None:
    path = tmp_path / "answers.sqlite"
    with AnswerJournal(path) as journal:
        assert journal.once("ward", 1, "answer", b"q", lambda: b"first") == b"first"
    with AnswerJournal(path) as journal:
        assert journal.once("ward", 1, "answer", b"q", lambda: b"second") == b"first"
        assert journal.given("ward", 1, "answer") == b"first"
        with pytest.raises(SumRefused, match="another question"):
            journal.once("ward", 1, "answer", b"other", lambda: b"second")


def test_places_of_other_kinds_rounds_and_federations_are_others(journal: AnswerJournal) -> None:
    for place in (("ward", 1, "answer"), ("ward", 2, "answer"), ("ward", 1, "audit"), ("clinic", 1, "answer")):
        assert journal.given(*place) is None
        assert journal.once(*place, b"q", lambda place=place: repr(place).encode()) == repr(place).encode()
    assert journal.last_round("ward") == 2
    assert journal.last_round("clinic") == 1
    assert journal.last_round("nowhere") is None


def test_answer_is_looked_up_by_its_question(journal: AnswerJournal) -> None:
    journal.once("ward", 1, "answer", b"q", lambda: b"a")
    assert journal.given("ward", 1, "answer", b"q") == b"a"
    assert journal.given("ward", 1, "answer", b"other") is None
    assert journal.was_given("ward", 1, "answer")
    assert not journal.was_given("ward", 2, "answer")


def test_secret_and_what_is_made_of_it_are_stored_together_or_not_at_all(journal: AnswerJournal) -> None:
    def fail() -> bytes:
        journal.once("ward", 1, "secret", b"q", lambda: b"key")
        raise RuntimeError("power")

    with pytest.raises(RuntimeError):
        journal.once("ward", 1, "contribution", b"q", fail)
    assert journal.given("ward", 1, "secret") is None
    assert not journal.was_given("ward", 1, "contribution")

    def make() -> bytes:
        return b"made of " + journal.once("ward", 1, "secret", b"q", lambda: b"key")

    assert journal.once("ward", 1, "contribution", b"q", make) == b"made of key"
    assert journal.given("ward", 1, "secret") == b"key"


def test_forgotten_answers_are_never_given_again(journal: AnswerJournal) -> None:
    for round in (1, 2):
        for kind in ("secret", "answer"):
            journal.once("ward", round, kind, b"q", lambda: b"a")
    assert journal.forget("ward", 2) == 2
    assert journal.forget("ward", 2) == 0
    with pytest.raises(SumRefused, match="erased"):
        journal.once("ward", 1, "answer", b"q", lambda: b"a")
    with pytest.raises(SumRefused, match="another question"):
        journal.once("ward", 1, "answer", b"other", lambda: b"a")
    assert journal.once("ward", 2, "answer", b"q", lambda: b"b") == b"a"
    assert journal.last_round("ward") == 2
    assert journal.was_given("ward", 1, "answer")


def test_erased_secrets_are_in_none_of_the_files(tmp_path: Path) -> None:
    """M11: what a seized disk shows of a finished round."""
    secrets = {name: bytes(f"the secret of {name}!", "ascii") * 40 for name in ("round", "sealing", "kept")}

    def found(name: str) -> bool:
        return any(secrets[name] in path.read_bytes() for path in tmp_path.iterdir())

    with AnswerJournal(tmp_path / "answers.sqlite") as journal:
        journal.once("ward", 1, "secret", b"q", lambda: secrets["round"])
        journal.keep_sealing_key(b"old", secrets["sealing"])
        journal.keep_sealing_key(b"new", secrets["kept"])
        assert all(found(name) for name in secrets)
        assert journal.sealing_keys() == {b"old": secrets["sealing"], b"new": secrets["kept"]}
        assert journal.erase_sealing_keys_but([b"new", b"unknown"]) == 1
        journal.forget("ward", 2)
        assert [name for name in secrets if found(name)] == ["kept"]
        assert journal.sealing_keys() == {b"new": secrets["kept"]}
    assert [name for name in secrets if found(name)] == ["kept"]


def test_damaged_foreign_or_later_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "answers.sqlite"
    with AnswerJournal(path) as journal:
        journal.once("ward", 1, "answer", b"q", lambda: b"answer")
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE answers SET answer = x'00'")
    connection.close()
    with AnswerJournal(path) as journal, pytest.raises(SumRefused, match="damaged"):
        journal.once("ward", 1, "answer", b"q", lambda: b"a")
    text = tmp_path / "notes.txt"
    text.write_text("not a journal, and long enough to be looked at as a database header would be" * 20)
    with pytest.raises(SumRefused, match="not an answer journal"):
        AnswerJournal(text)
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(SumRefused, match="version 99"):
        AnswerJournal(path)


def test_file_of_the_earlier_format_is_refused_and_how_to_start_anew_is_said(tmp_path: Path) -> None:
    path = tmp_path / "answers.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE answers (federation BLOB, epoch INTEGER)")
        connection.execute("PRAGMA user_version = 1")
    connection.close()
    with pytest.raises(SumRefused, match=r"earlier format.*start anew"):
        AnswerJournal(path)


def test_file_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    with AnswerJournal(tmp_path / "answers.sqlite") as journal:
        journal.once("ward", 1, "answer", b"q", lambda: b"a")
        for path in tmp_path.iterdir():
            assert path.stat().st_mode & 0o077 == 0


def test_full_disk_gives_no_answer(journal: AnswerJournal) -> None:
    (pages,) = journal._connection.execute("PRAGMA page_count").fetchone()
    journal._connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(SumRefused, match="look after the disk"):
        journal.once("ward", 1, "contribution", b"q", lambda: bytes(100_000))
    assert not journal.was_given("ward", 1, "contribution")


_ANSWER_AND_DIE = """
import os, signal, sys
from pathlib import Path
from medward.federation.sums.journal import AnswerJournal
path, when = Path(sys.argv[1]), sys.argv[2]
def make():
    if when == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    return os.urandom(16)
answer = AnswerJournal(path).once("ward", 1, "answer", b"q", make)
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
    with AnswerJournal(path) as journal:
        assert journal.given("ward", 1, "answer") is None
    after = _answer(path, "after")
    assert after.returncode == -signal.SIGKILL
    assert _answer(path, "never").stdout == after.stdout


def test_two_processes_with_one_file_give_one_answer(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _ANSWER_AND_DIE, str(tmp_path / "answers.sqlite"), "never"]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    answers = {process.communicate()[0] for process in running}
    assert len(answers) == 1
    assert answers.pop().strip()


class OneAnswerForEver(RuleBasedStateMachine):
    """Any sequence of questions, answers cut off half-way, erasures and restarts: never two answers for one place."""

    @initialize()
    def start(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "answers.sqlite"
        self.journal = AnswerJournal(self.path)
        self.seen: dict[tuple[int, str], set[bytes]] = {}

    def teardown(self) -> None:
        if hasattr(self, "journal"):
            self.journal.close()
            self.folder.cleanup()

    @rule(
        round=st.integers(0, 2),
        kind=st.sampled_from(["contribution", "response", "answer", "audit"]),
        question=st.sampled_from([b"x", b"y"]),
    )
    def ask(self, round: int, kind: str, question: bytes) -> None:
        try:
            answer = self.journal.once("ward", round, kind, question, lambda: os.urandom(8))
        except SumRefused:
            return
        self.seen.setdefault((round, kind), set()).add(answer)

    @rule(round=st.integers(0, 2))
    def crash_while_answering(self, round: int) -> None:
        def crash() -> bytes:
            self.journal.close()
            raise ConnectionAbortedError

        try:
            answer = self.journal.once("ward", round, "answer", b"x", crash)
            self.seen.setdefault((round, "answer"), set()).add(answer)
        except (SumRefused, ConnectionAbortedError, sqlite3.ProgrammingError):
            self.restart()

    @rule()
    def restart(self) -> None:
        self.journal.close()
        self.journal = AnswerJournal(self.path)

    @rule(before=st.integers(0, 3))
    def forget(self, before: int) -> None:
        self.journal.forget("ward", before)

    @invariant()
    def no_place_has_two_answers(self) -> None:
        if hasattr(self, "seen"):
            assert all(len(answers) == 1 for answers in self.seen.values())


TestOneAnswerForEver = OneAnswerForEver.TestCase
TestOneAnswerForEver.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
