"""A member's journal of answers against the ledger: a home that was restored from an old copy must not answer again."""

from pathlib import Path

import msgspec

from medward.federation.application import decode_state
from medward.federation.round.state import Round
from medward.federation.rules import FederationState
from medward.federation.sums.journal import AnswerJournal, ShownKind
from medward.node.errors import Retired
from medward.node.interfaces import Host


def check_journal(host: Host, answers: Path) -> None:
    """Refuse to go on where the ledger shows answers that this member's journal does not know. Blocks: use a thread.

    Args:
        host: the member, and its ledger.
        answers: the journal.

    Raises:
        Retired: the journal is an older one, or none.
    """
    encoded = host.ledger.query("state")
    if encoded is None:
        return
    state = decode_state(encoded)
    last = _last_of_mine(host, state)
    if last is None:
        return
    number, shown = last
    known: set[ShownKind] = set()
    if answers.exists():
        with AnswerJournal(answers) as journal:
            known = {kind for kind in shown if journal.was_given(state.agreement.name, number, kind)}
    if missing := sorted(shown - known):
        raise Retired(
            f"the ledger shows what {host.name} answered in round {number}, and its journal lacks that "
            f"({', '.join(missing)}): the home was restored from an old copy; come back with new keys "
            "(`medward federation rotate`)"
        )


def _last_of_mine(host: Host, state: FederationState) -> tuple[int, set[ShownKind]] | None:
    """Return the last round in which this incarnation showed anything of an encrypted sum, and what it showed."""
    name, now = host.name, state.round
    if state.agreement.protect == "none" or state.accounts.get(name) != host.member.keys[0].data:
        return None
    # Rounds before this incarnation came are another journal's.
    for number in range(state.number - 1, state.membership.joined.get(name, 0) - 1, -1):
        past = now if now is not None and now.number == number else None
        if past is None:
            found = host.ledger.query(f"round/{number:08d}")
            past = None if found is None else msgspec.msgpack.decode(found, type=Round)
        if past is not None and (shown := _shown_by(name, past)):
            return number, shown
    return None


def _shown_by(name: str, past: Round) -> set[ShownKind]:
    shown: dict[ShownKind, bool] = {
        "contribution": name in past.submissions,
        "response": name in past.submissions,
        "shown": name in past.shown,
        "answer": name in past.answers,
        "audit": past.audit is not None and name in past.audit.responses,
    }
    return {kind for kind, said in shown.items() if said}
