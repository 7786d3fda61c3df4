"""Sentences about a round for people: whose word it waits for, and what became of each contribution."""

from collections.abc import Container, Iterable

from medward.federation.round.state import Phase, Round


def awaited(now: Round) -> tuple[str, ...]:
    """Return whose word the present phase waits for until its deadline; some phases end before all have spoken."""
    responses = {} if now.audit is None else now.audit.responses
    spoken: dict[Phase, tuple[Iterable[str], Container[str]]] = {
        Phase.COMMITTING: (now.invited, now.commitments),
        Phase.SUBMITTING: (now.commitments, now.submissions),
        Phase.CHECKING: (now.sealing_keys, now.verdicts),
        Phase.SHOWING: (now.must_show, now.shown),
        Phase.JUDGING: (now.sealing_keys, now.judgements),
        Phase.ANSWERING: (now.sealing_keys, now.answers),
        Phase.FINISHING: (now.terms.members, {*now.finishes, *now.unfitting}),
        Phase.AUDITING: (now.cohort, responses),
        Phase.VOTING: (now.terms.members, now.votes),
    }
    needed, before = spoken.get(now.phase, ((), ()))
    return tuple(name for name in needed if name not in before)


def checks(now: Round) -> dict[str, int]:
    """Return how much was shown and what became of it, as reports tell it once the round is over."""
    return {
        "contributions": len(now.submissions),
        "in_the_cohort": len(now.cohort),
        "complaints": sum(len(now.complainers(dealer)) for dealer in now.submissions),
        "shown": len(now.shown),
        "answers": len(now.answers),
        "audited": 0 if now.audit is None else len(now.audit.answers),
    }
