"""The past as an auditor rebuilds it: rounds with the blocks that matter, and whoever spoke against its own word."""

from collections.abc import Iterator

import pytest

from medward.audit.history import History
from medward.federation.blobs import blob_name
from medward.federation.records import (
    Announce,
    Answer,
    Attest,
    BeginRound,
    Commitment,
    Finish,
    ModelVote,
    NoFit,
    Record,
    Respond,
    RoundTick,
    Submit,
    beacon_of,
    commitment_to,
)
from medward.federation.round.state import NextModel, Phase, Round
from medward.flows.prepared import PreparedData
from tests.federation.lies import NAMES, Recorded, named
from tests.federation.test_application import AGREEMENT

ONE, TWO, THREE, FOUR = NAMES
A, B, C, D = AGREEMENT.members


@pytest.fixture
def four(prepared: PreparedData) -> Recorded:
    """Four members that have not begun."""
    return Recorded(prepared)


class Ordered:
    """A history to which records are told one by one, each in a block of its own."""

    def __init__(self) -> None:
        self.history, self.height, self.time = History(AGREEMENT), 0, 1.0

    def say(self, author: str, record: Record) -> int:
        """Order a record; return its height."""
        self.height += 1
        account = author.encode() * 32
        self.history.take(record, account, self.time, self.block(self.height), self.height)
        return self.height

    def block(self, height: int) -> bytes:
        return height.to_bytes(32, "big")

    def begin(self) -> BeginRound:
        begin = self.history.state.expected()
        self.say(A, begin)
        return begin

    def submit(self, member: str, contribution: str = "") -> Submit:
        number = len(self.history.rounds) - 1
        return Submit(number, member, contribution or f"blob-{member}", "response")

    def commit(self, *members: str) -> int:
        number = len(self.history.rounds) - 1
        for member in members:
            bound = commitment_to(AGREEMENT.name, number, member, f"blob-{member}")
            height = self.say(member, Commitment(number, member, bound))
        return height

    def answer(self) -> None:
        """Bring a round so far that all have answered."""
        number = len(self.history.rounds) - 1
        self.commit(A, B, C, D)
        for member in AGREEMENT.members:
            self.say(member, self.submit(member))
        for member in AGREEMENT.members:
            self.say(member, Attest(number, member, AGREEMENT.members))
        for member in self.history.rounds[number].now.terms.holders:
            self.say(member, Answer(number, member, f"answer-{member}"))


@pytest.fixture
def ordered() -> Ordered:
    """A federation whose first round has begun."""
    ordered = Ordered()
    ordered.begin()
    return ordered


def test_round_knows_the_block_that_closed_its_commitments_and_its_last_one(ordered: Ordered) -> None:
    ordered.commit(A, B, C)
    past = ordered.history.rounds[0]
    assert (past.closing, past.now.beacon) == (b"", b"")
    closed = ordered.commit(D)
    assert past.closing == ordered.block(closed)
    assert past.now.beacon == beacon_of(AGREEMENT.name, 0, past.closing, past.now.commitments)
    last = ordered.say(A, ordered.submit(A))
    ordered.say(A, ordered.submit(A))  # is refused, and changes nothing
    ordered.say(B, Announce(b"here"))  # is of no round
    assert (past.first_height, past.last_height, past.closing) == (1, last, ordered.block(closed))
    assert (ordered.history.taken, len(ordered.history.refused)) == (7, 1)


def test_block_from_which_no_answer_counted_is_kept(ordered: Ordered) -> None:
    ordered.answer()
    past = ordered.history.rounds[0]
    ordered.say(A, NoFit(0, A, AGREEMENT.members))
    assert past.auditing == b""
    height = ordered.say(B, NoFit(0, B, AGREEMENT.members))
    assert past.now.audit is not None
    assert past.auditing == ordered.block(height)
    ordered.say(C, Respond(0, C, b"response"))
    assert past.auditing == ordered.block(height)


def test_models_are_those_of_rounds_that_ended_well(ordered: Ordered) -> None:
    ordered.answer()
    for member in (A, B):
        ordered.say(member, Finish(0, member, "model-1", AGREEMENT.first))
    assert list(ordered.history.models()) == []
    for member in AGREEMENT.members:
        ordered.say(member, ModelVote(0, member, accept=True))
    assert list(ordered.history.models()) == [(0, "model-1")]
    ordered.begin()
    ordered.time += AGREEMENT.deadline
    ordered.say(B, RoundTick(1))
    assert ordered.history.rounds[1].now.phase is Phase.VOID
    assert list(ordered.history.models()) == [(0, "model-1")]


def test_word_that_came_after_the_end_is_kept_and_the_first_one_counts(ordered: Ordered) -> None:
    ordered.answer()
    for member in (A, B):
        ordered.say(member, Finish(0, member, "model-1", None))
    for member in (A, B, C):
        ordered.say(member, ModelVote(0, member, accept=True))
    past = ordered.history.rounds[0]
    assert past.now.phase is Phase.FINAL
    last = past.last_height
    for model in ("model-2", "model-1"):
        ordered.say(C, Finish(0, C, model, None))
    assert past.finishes[C] == NextModel("model-2", None)
    assert C not in past.now.finishes
    assert past.last_height == last


@pytest.mark.parametrize("again", ["another", "the same"])
def test_second_record_contradicts_its_author_only_where_it_says_something_else(ordered: Ordered, again: str) -> None:
    ordered.answer()
    past, first = ordered.history.rounds[0], "answer-b"
    ordered.say(B, Answer(0, B, first if again == "the same" else "something else"))
    assert past.contradicting == ([] if again == "the same" else [(B, "ordered two different Answer records")])
    assert past.now.answers[B] == first


def test_nobody_contradicts_another(ordered: Ordered) -> None:
    """A record in another's name, under one's own key or a stranger's, is held against nobody."""
    ordered.answer()
    past = ordered.history.rounds[0]
    for author in (A, "x"):
        ordered.say(author, Answer(0, B, "forged"))
        ordered.say(author, Finish(0, B, "forged", None))
        ordered.say(author, ordered.submit(B, "forged"))
    assert (past.contradicting, past.finishes) == ([], {})
    assert {refused.author for refused in ordered.history.refused} == {A, ""}
    ordered.say(B, Answer(0, B, "answer-b"))
    assert past.contradicting == []


def test_contribution_that_was_never_committed_to_contradicts_its_author(ordered: Ordered) -> None:
    ordered.commit(A, B, C, D)
    ordered.say(C, ordered.submit(C, "another"))
    assert ordered.history.rounds[0].contradicting == [
        (C, "wanted to show another contribution than it had committed to")
    ]
    # Who committed to nothing has contradicted nothing.
    fresh = Ordered()
    fresh.begin()
    fresh.commit(A)
    fresh.say(C, fresh.submit(C, "another"))
    assert fresh.history.rounds[0].contradicting == []


def test_records_of_rounds_that_there_are_not_are_refused_and_held_against_nobody(ordered: Ordered) -> None:
    for number in (1, 2**40):
        ordered.say(A, Answer(number, A, "one"))
        ordered.say(A, Answer(number, A, "other"))
        ordered.say(A, Finish(number, A, "model", None))
    assert list(ordered.history.rounds) == [0]
    assert ordered.history.rounds[0].contradicting == []
    assert len(ordered.history.refused) == 6
    assert all(refused.kind in ("Answer", "Finish") and refused.why for refused in ordered.history.refused)


def test_two_different_answers_are_named_although_the_second_was_refused(four: Recorded) -> None:
    def twice(record: Record, now: Round) -> Iterator[Record]:
        yield record
        if isinstance(record, Answer):
            yield record  # the same again is no lie
            if now.number == 0:
                yield Answer(now.number, record.member, blob_name(b"another"))

    four.orders(THREE, twice)
    named(four, THREE, says="hospital-3 ordered two different Answer records")


def test_contribution_other_than_the_one_committed_to_is_named_although_it_was_refused(four: Recorded) -> None:
    def other(record: Record, now: Round) -> Iterator[Record]:
        if isinstance(record, Submit):
            record = Submit(record.round, record.member, blob_name(b"another"), record.response)
            bound = commitment_to(now.terms.name, now.number, TWO, record.contribution)
            assert bound != now.commitments[TWO]
        yield record

    four.orders(TWO, other)
    named(four, TWO, says="hospital-2 wanted to show another contribution than it had committed to")
    assert TWO not in four.round().now.submissions


def test_record_against_the_rules_is_kept_with_its_reason(four: Recorded) -> None:
    history = History(four.simulation.state.agreement)
    account = history.state.accounts[ONE]
    history.take(Commitment(0, ONE, bytes(32)), account, 0.0, bytes(32), 7)
    history.take(Commitment(0, ONE, bytes(32)), b"a stranger", 0.0, bytes(32), 8)
    assert [(one.height, one.author) for one in history.refused] == [(7, ONE), (8, "")]
    assert all(one.kind == "Commitment" and one.why for one in history.refused)
    assert history.taken == 0
