"""A small round in each of its phases, record by record."""

from collections.abc import Iterable
from dataclasses import replace

from medward.federation.records import (
    Answer,
    Attest,
    BeginRound,
    Commitment,
    Finish,
    Next,
    NoFit,
    RoundRecord,
    RoundTick,
    Submit,
    commitment_to,
)
from medward.federation.round.rules import apply_to_round, begin_round
from medward.federation.round.state import Phase, Round
from medward.federation.terms import Terms

NAMES = ("a", "b", "c", "d")
TERMS = Terms("test", NAMES, deadline=10.0)
KEYS = {name: name.encode() * 32 for name in NAMES}
THEN = Next("train", 1, 3)
BEGIN = BeginRound(5, "train", "model-0", NAMES, 1, 3)
BLOCK = b"block" * 6


def commit(member: str) -> Commitment:
    return Commitment(5, member, commitment_to("test", 5, member, f"blob-{member}"))


def submit(member: str) -> Submit:
    return Submit(5, member, f"blob-{member}", f"response-{member}")


def after(state: Round, *records: RoundRecord, time: float | None = None) -> Round:
    for record in records:
        state = apply_to_round(state, record, state.since if time is None else time, BLOCK)
    return state


def late(state: Round) -> Round:
    return after(state, RoundTick(5), time=state.due)


def begun(**fields: object) -> Round:
    return replace(begin_round(TERMS, KEYS, BEGIN, 0.0, BLOCK), **fields)  # type: ignore[arg-type]


def checking(members: Iterable[str] = NAMES, **fields: object) -> Round:
    """The state after these members have committed and submitted."""
    state = after(begun(**fields), *map(commit, members))
    state = late(state) if state.phase is Phase.COMMITTING else state
    return after(state, *map(submit, members))


def attested(state: Round, *complaints: tuple[str, str]) -> Round:
    """All holders found everything good, but for these complaints (holder, dealer)."""
    for holder in NAMES:
        bad = tuple(dealer for who, dealer in complaints if who == holder)
        state = after(state, Attest(5, holder, tuple(d for d in state.submissions if d not in bad), (), bad))
    return state


def answering(**fields: object) -> Round:
    return attested(checking(**fields))


def finishing(answers: Iterable[str] = NAMES) -> Round:
    state = after(answering(), *(Answer(5, holder, f"answer-{holder}") for holder in answers))
    return state if state.phase is Phase.FINISHING else late(state)


def auditing() -> Round:
    return after(finishing(), *(NoFit(5, member, ("a", "b", "c")) for member in "ab"))


def voting() -> Round:
    return after(finishing(), *(Finish(5, member, "model-1", None) for member in "ac"))
