"""A member's journal of answers against the ledger: a home that was restored from an old copy must not answer again."""

from pathlib import Path

import msgspec

from medward.federation.application import decode_state
from medward.federation.round.state import Round
from medward.federation.rules import Federation
from medward.federation.sums.journal import Journal
from medward.node.errors import Retired
from medward.node.seam import Host


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
    shown = _last_shown(host, state)
    if shown is None:
        return
    known = None
    if answers.exists():
        with Journal(answers) as journal:
            known = journal.last_round(state.agreement.name)
    if known is None or known < shown:
        raise Retired(
            f"the ledger shows what {host.name} answered in round {shown}, and its journal does not: the home was "
            "restored from an old copy; come back with new keys (`medward federation rotate`)"
        )


def _last_shown(host: Host, state: Federation) -> int | None:
    """Return the last round in which this incarnation showed an encrypted contribution or an answer."""
    name, now = host.name, state.round
    if state.agreement.protect == "none" or state.accounts.get(name) != host.member.keys[0].data:
        return None
    # Rounds before this incarnation came are another journal's.
    for number in range(state.number - 1, state.joined.get(name, 0) - 1, -1):
        past = now if now is not None and now.number == number else None
        if past is None:
            found = host.ledger.query(f"round/{number:08d}")
            past = None if found is None else msgspec.msgpack.decode(found, type=Round)
        if past is not None and (name in past.submissions or name in past.answers):
            return number
    return None
