"""No sequence of calls gets two different shares for one (round, chunk) out of a member, kills and restarts included.

The member answers in a process of its own, from the answer journal on disk, and is killed with SIGKILL at every point
around the one that matters: before its answer is made, when it is made and not stored, and when it is stored and not
sent.
"""

import os
import signal
import tempfile
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from medward.federation.journal import Journal
from medward.fhe.errors import AnswerRefused, FheError
from medward.fhe.member import CheckedSum, Submission, SumMember
from medward.fhe.parameters import sum_parameters

from .rounds import Ward

Place = tuple[int, int]
Moment = Literal["before it is made", "before it is stored", "before it is sent", "never"]

_WARD = Ward.of(sum_parameters("AGG-S40", 8, 16, 3, "semi-honest"), contributors=5)
_SEALED: dict[Place, dict[int, Submission]] = {
    (round, chunk): _WARD.sealed(round, chunk) for round in (1, 2) for chunk in (0, 1)
}


class _Deadly(Journal):
    """A journal whose process dies at a given moment of its next answer."""

    def __init__(self, path: Path, moment: Moment) -> None:
        super().__init__(path)
        self.moment = moment

    def once(self, slot, question, budget, make):  # type: ignore[no-untyped-def]
        def watched() -> bytes:
            if self.moment == "before it is made":
                os.kill(os.getpid(), signal.SIGKILL)
            answer = make()
            if self.moment == "before it is stored":
                os.kill(os.getpid(), signal.SIGKILL)
            return answer

        answer = super().once(slot, question, budget, watched)
        if self.moment == "before it is sent":
            os.kill(os.getpid(), signal.SIGKILL)
        return answer


def _check(member: SumMember, own: Submission, at: Place, shown_as: Place, cohort: frozenset[int]) -> CheckedSum:
    """Let the member check a cohort's sum, its ciphertexts those of `at` and shown as those of another place."""
    submissions = {i: (own if i == 1 else _SEALED[at][i]) for i in cohort}
    aggregate = member.add(submissions)
    return member.check(*shown_as, _WARD.commitments(submissions, *shown_as), submissions, aggregate)


def _answer(path: Path, moment: Moment, question: tuple[Place, Place, frozenset[int]], out: Connection) -> None:
    """The life of a member's process: open the journal, check one sum, give one share, or die."""
    with _Deadly(path, "never") as journal:
        member = SumMember(_WARD.keys, 1, journal, _WARD.secrets[1])
        at, shown_as, cohort = question
        try:
            checked = _check(member, member.seal(*at, _WARD.values[*at, 1]), at, shown_as, cohort)
            journal.moment = moment
            out.send_bytes(member.share(checked))
        except FheError:
            out.send_bytes(b"")
    out.close()
    os._exit(0)


def _ask_a_process(path: Path, moment: Moment, question: tuple[Place, Place, frozenset[int]]) -> tuple[bytes, int]:
    """Return what came out of a process that may have been killed, and its exit code."""
    context = get_context("fork")
    receive, send = context.Pipe(duplex=False)
    process = context.Process(target=_answer, args=(path, moment, question, send))
    process.start()
    send.close()
    try:
        answer = receive.recv_bytes()
    except EOFError:
        answer = b""
    process.join()
    receive.close()
    assert process.exitcode is not None
    return answer, process.exitcode


QUESTION = ((1, 0), (1, 0), frozenset({1, 2, 3, 4}))
OTHER = ((1, 0), (1, 0), frozenset({1, 2, 3}))


def test_member_killed_before_its_answer_is_stored_has_not_answered(tmp_path: Path) -> None:
    """Nobody has seen anything, so the next question, whichever it is, may be answered."""
    path = tmp_path / "answers.sqlite"
    for moment in ("before it is made", "before it is stored"):
        assert _ask_a_process(path, moment, QUESTION) == (b"", -signal.SIGKILL)
    answer, code = _ask_a_process(path, "never", OTHER)
    assert answer
    assert code == 0
    assert _ask_a_process(path, "never", QUESTION) == (b"", 0)


def test_member_killed_between_storing_and_sending_answers_the_same_afterwards(tmp_path: Path) -> None:
    path = tmp_path / "answers.sqlite"
    assert _ask_a_process(path, "before it is sent", QUESTION) == (b"", -signal.SIGKILL)
    assert _ask_a_process(path, "never", OTHER) == (b"", 0)
    answer, _ = _ask_a_process(path, "never", QUESTION)
    assert answer
    assert _ask_a_process(path, "never", QUESTION) == (answer, 0)


def test_answer_that_could_not_be_stored_is_not_given(tmp_path: Path) -> None:
    """A full disk: no share leaves, and the journal goes on when there is room again."""
    with Journal(tmp_path / "answers.sqlite") as journal:
        member = SumMember(_WARD.keys, 1, journal, _WARD.secrets[1])
        checked = _check(member, member.seal(1, 0, _WARD.values[1, 0, 1]), *QUESTION)
        journal._connection.execute("PRAGMA max_page_count = 1")
        with pytest.raises(AnswerRefused, match="could not be stored"):
            member.share(checked)
        journal._connection.execute("PRAGMA max_page_count = 100000")
        assert member.share(checked) == member.share(checked)


class OneShareForEver(RuleBasedStateMachine):
    """Member 1 as its peers see it: they choose rounds, chunks, cohorts, aggregates, and when its process dies."""

    @initialize()
    def start(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "answers.sqlite"
        self.shares: dict[Place, set[bytes]] = {}
        self.checked: list[CheckedSum] = []
        self.journal = Journal(self.path)
        self.member = SumMember(_WARD.keys, 1, self.journal, _WARD.secrets[1])
        self.own = {at: self.member.seal(*at, _WARD.values[*at, 1]) for at in _SEALED}

    def teardown(self) -> None:
        if hasattr(self, "journal"):
            self.journal.close()
            self.folder.cleanup()

    @rule()
    def restart(self) -> None:
        self.journal.close()
        self.journal = Journal(self.path)
        self.member = SumMember(_WARD.keys, 1, self.journal, _WARD.secrets[1])

    @rule(
        at=st.sampled_from(sorted(_SEALED)),
        shown_as=st.sampled_from([None, *sorted(_SEALED)]),
        cohort=st.frozensets(st.integers(1, 5), min_size=2),
    )
    def check(self, at: Place, shown_as: Place | None, cohort: frozenset[int]) -> None:
        try:
            self.checked.append(_check(self.member, self.own[at], at, shown_as or at, cohort))
        except FheError:
            return

    @rule(which=st.integers(0, 50))
    def share(self, which: int) -> None:
        if not self.checked:
            return
        checked = self.checked[which % len(self.checked)]
        try:
            share = self.member.share(checked)
        except FheError:
            return
        self.shares.setdefault((checked.round, checked.chunk), set()).add(share)

    @rule(
        moment=st.sampled_from(["before it is made", "before it is stored", "before it is sent", "never"]),
        at=st.sampled_from(sorted(_SEALED)),
        cohort=st.frozensets(st.integers(1, 5), min_size=3),
    )
    def ask_a_process_that_is_killed(self, moment: Moment, at: Place, cohort: frozenset[int]) -> None:
        self.journal.close()
        answer, code = _ask_a_process(self.path, moment, (at, at, cohort))
        assert code in (0, -signal.SIGKILL)
        if answer:
            self.shares.setdefault(at, set()).add(answer)
        self.restart()

    @invariant()
    def every_place_has_one_share(self) -> None:
        if hasattr(self, "shares"):
            assert all(len(shares) == 1 for shares in self.shares.values())


TestOneShareForEver = OneShareForEver.TestCase
TestOneShareForEver.settings = settings(max_examples=20, stateful_step_count=30, deadline=None)
