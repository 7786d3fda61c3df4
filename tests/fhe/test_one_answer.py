"""No sequence of calls gets two different shares for one (round, chunk) out of a member, restarts included."""

import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from medward.federation.journal import Journal
from medward.fhe.errors import FheError
from medward.fhe.member import CheckedSum, Submission, SumMember
from medward.fhe.parameters import sum_parameters

from .rounds import Ward

_WARD = Ward.of(sum_parameters("AGG-S40", 8, 16, 3, "semi-honest"), contributors=5)
_SEALED: dict[tuple[int, int], dict[int, Submission]] = {
    (round, chunk): _WARD.sealed(round, chunk) for round in (1, 2) for chunk in (0, 1)
}


class OneShareForEver(RuleBasedStateMachine):
    """Member 1 as its peers see it: they choose rounds, chunks, cohorts, aggregates, and when its process dies."""

    @initialize()
    def start(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "answers.sqlite"
        self.shares: dict[tuple[int, int], set[bytes]] = {}
        self.checked: list[CheckedSum] = []
        self.journal = Journal(self.path)
        self.member = SumMember(_WARD.keys, 1, self.journal, _WARD.secrets[1])
        self.own = {at: self.member.seal(*at, _WARD.values[*at, 1]) for at in _SEALED}

    def teardown(self) -> None:
        if hasattr(self, "journal"):
            self.journal.close()
            self.folder.cleanup()

    @rule()
    def kill_and_restart(self) -> None:
        self.journal.close()
        self.journal = Journal(self.path)
        self.member = SumMember(_WARD.keys, 1, self.journal, _WARD.secrets[1])

    @rule(
        at=st.sampled_from(sorted(_SEALED)),
        passed_off_as=st.sampled_from([None, *sorted(_SEALED)]),
        cohort=st.sets(st.integers(1, 5), min_size=2),
    )
    def check(self, at: tuple[int, int], passed_off_as: tuple[int, int] | None, cohort: set[int]) -> None:
        submissions = {i: (self.own[at] if i == 1 else _SEALED[at][i]) for i in cohort}
        aggregate = self.member.add(submissions)
        round, chunk = passed_off_as or at
        try:
            commitments = _WARD.commitments(submissions, round, chunk)
            self.checked.append(self.member.check(round, chunk, commitments, submissions, aggregate))
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

    @invariant()
    def every_place_has_one_share(self) -> None:
        if hasattr(self, "shares"):
            assert all(len(shares) == 1 for shares in self.shares.values())


TestOneShareForEver = OneShareForEver.TestCase
TestOneShareForEver.settings = settings(max_examples=25, stateful_step_count=30, deadline=None)
