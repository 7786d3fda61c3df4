"""Wishes for other members, as a node tells of them: who wants what, how many more are needed, until when."""

import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from medward.federation.membership import Members, PendingChange, pending, replica

_LOG = logging.getLogger("medward.node")


def told(members: Members, now: float) -> list[dict[str, Any]]:
    """Return the changes of membership that are wanted, as JSON values.

    Args:
        members: as the rules have them.
        now: the time, in seconds since 1970.
    """
    return [_values(members, one) for one in pending(members, now)]


def sentence(wanted: Mapping[str, Any]) -> str:
    """Return one of `told` as a sentence."""
    by: Sequence[str] = wanted["by"]
    who = by[0] if len(by) == 1 else f"{', '.join(by[:-1])} and {by[-1]}"
    said = f"{who} {'wants' if len(by) == 1 else 'want'} {wanted['member']} {wanted['wants']}"
    if wanted["agreed"]:
        return f"{said}: agreed on, and made once the round and the ledger's epoch are over"
    more, until = wanted["more"], datetime.fromtimestamp(wanted["until"], UTC)
    if not more:
        return f"{said}: enough, now that there are fewer members, once one of them asks for it again"
    needed = "1 more member must want it" if more == 1 else f"{more} more members must want it"
    return f"{said}: {needed}, until {until:%Y-%m-%d %H:%M} UTC"


def log_wishes(before: Members, after: Members, now: float) -> None:
    """Log the wishes that are new, and the change that was made."""
    if before is after:
        return
    for one in told(after, now):
        wishes = ((name, one["member"]) for name in one["by"])
        if any(_wish(before, *wish) is not _wish(after, *wish) for wish in wishes):
            _LOG.info("%s", sentence(one))
    for name in (*before.names, *(name for name in after.names if name not in before.names)):
        if before.accounts.get(name) != after.accounts.get(name):
            came = "comes back with new keys" if name in before.names else "comes"
            what = came if name in after.names else "goes"
            _LOG.info("%s %s; the ledger follows at a checkpoint", name, what)


def _values(members: Members, one: PendingChange) -> dict[str, Any]:
    change = one.change
    card = None if change.account is None else replica(change.name, change.replica)
    wants = "to go" if card is None else "to come back with new keys" if change.name in members.names else "to come"
    return {
        "member": change.name,
        "wants": wants,
        "incarnation": None if card is None else card.incarnation,
        "by": list(one.by),
        "needed": one.needed,
        "more": max(0, one.needed - len(one.by)),
        "until": one.until,
        "agreed": one.agreed,
    }


def _wish(members: Members, author: str, about: str) -> object:
    return members.wishes.get(author, {}).get(about)
