"""The count of what a key has opened: before each release, among processes, through kills and restarts."""

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from medward.federation.computing.journal import OpeningJournal
from medward.fhe.errors import BudgetSpent

_KEY = "a" * 64


def test_count_is_there_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "openings.sqlite"
    with OpeningJournal.create(path, _KEY, 3) as journal:
        journal.spend()
        assert (journal.key, journal.outputs, journal.bits, journal.left) == (_KEY, 3, 64, 2)
    for left in (1, 0):
        with OpeningJournal(path) as journal:
            journal.spend()
            assert journal.left == left
    with OpeningJournal(path) as journal, pytest.raises(BudgetSpent, match="all 3 outputs of its life"):
        journal.spend()
    assert path.stat().st_mode & 0o077 == 0


_SPENDER = """
import sys
from pathlib import Path
from medward.federation.computing.journal import OpeningJournal
with OpeningJournal(Path(sys.argv[1])) as journal:
    while True:
        journal.spend()
        print("released", flush=True)
"""


def test_kill_at_any_moment_gives_no_output_back(tmp_path: Path) -> None:
    path, released = tmp_path / "openings.sqlite", 0
    OpeningJournal.create(path, _KEY, 10**6).close()
    for wanted in (1, 7, 20):
        process = subprocess.Popen([sys.executable, "-c", _SPENDER, str(path)], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        for _ in range(wanted):
            assert process.stdout.readline() == "released\n"
        os.kill(process.pid, signal.SIGKILL)
        released += wanted + len(process.stdout.readlines())
        process.wait()
        process.stdout.close()
        with OpeningJournal(path) as journal:
            spent = journal.outputs - journal.left
        assert spent >= released
        released = spent


def test_several_that_spend_at_once_share_one_budget(tmp_path: Path) -> None:
    path = tmp_path / "openings.sqlite"
    OpeningJournal.create(path, _KEY, 20).close()

    def spend_all(_: int) -> int:
        count = 0
        with OpeningJournal(path) as journal:
            while True:
                try:
                    journal.spend()
                except BudgetSpent:
                    return count
                count += 1

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(spend_all, range(4))) == 20


def test_journal_that_is_lost_or_damaged_or_another_file_opens_nothing(tmp_path: Path) -> None:
    path = tmp_path / "openings.sqlite"
    with pytest.raises(BudgetSpent, match="is not there, so nobody knows"):
        OpeningJournal(path)
    assert not path.exists(), "a lost journal is not made anew"
    path.write_bytes(b"no database" * 100)
    with pytest.raises(BudgetSpent, match="not an opening journal"):
        OpeningJournal(path)
    path.write_bytes(b"")
    with pytest.raises(BudgetSpent, match="has version 0"):
        OpeningJournal(path)
    with pytest.raises(BudgetSpent, match="is there already"):
        OpeningJournal.create(path, _KEY, 3)
    with pytest.raises(BudgetSpent, match="cannot make the opening journal"):
        OpeningJournal.create(tmp_path / "nowhere" / "openings.sqlite", _KEY, 3)


def test_output_that_cannot_be_counted_is_not_made(tmp_path: Path) -> None:
    path = tmp_path / "openings.sqlite"
    with OpeningJournal.create(path, _KEY, 3) as journal:
        journal._connection.execute("PRAGMA query_only = ON")
        with pytest.raises(BudgetSpent, match="could not be counted"):
            journal.spend()
        assert journal.left == 3
