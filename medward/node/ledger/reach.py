"""Sentences about who is in reach and whose clock is wrong, for operators, from what an engine says of itself."""

from collections.abc import Mapping
from typing import Any

#: A member that was not heard of for so long is out of reach; replicas say where they stand twice a second.
SILENCE_SECONDS = 5.0
#: Clocks that differ by more than this are told of.
CLOCK_SECONDS = 1.0


def no_quorum(ledger: Mapping[str, Any]) -> str | None:
    """Say that too few members are in reach to order anything, None where enough are, or the engine does not say."""
    if ledger.get("has_quorum", True):
        return None
    peers = ledger["peers"]
    silent = [name for name, peer in sorted(peers.items()) if peer["heard_seconds"] > SILENCE_SECONDS]
    return (
        f"no quorum: {ledger['in_reach']} of {len(peers) + 1} members are in reach and {ledger['quorum']} are needed, "
        f"so nothing is ordered; not heard of: {', '.join(silent)}"
    )


def problem_of(phase: str, ledger: Mapping[str, Any]) -> str | None:
    """Say what keeps a node from working, None where nothing does.

    Args:
        phase: what it is doing; "running" once it has caught up, for which it may need others, too.
        ledger: what its engine says of itself.
    """
    lost = no_quorum(ledger)
    if phase == "running":
        return lost
    return f"the node is {phase}" + (f"; {lost}" if lost else "")


def silence_warnings(ledger: Mapping[str, Any]) -> list[str]:
    """Return a sentence about the members that are out of reach, if there are any."""
    silent = {
        name: peer["heard_seconds"]
        for name, peer in sorted(ledger.get("peers", {}).items())
        if peer["heard_seconds"] > SILENCE_SECONDS
    }
    if not silent:
        return []
    return ["out of reach: " + ", ".join(f"{name} (last heard of {told:.0f} s ago)" for name, told in silent.items())]


def clock_warnings(ledger: Mapping[str, Any]) -> list[str]:
    """Return a sentence about this node's clock, if it is off, or else one about each member's whose clock is."""
    behind, drift = ledger.get("clock_behind_seconds"), ledger.get("clock_drift_seconds", 0.0)
    if behind is not None and abs(behind) > CLOCK_SECONDS:
        return [
            f"this node's clock is {_off(behind, 'behind', 'ahead of')} the others': set it, or have it kept by NTP"
            + _loud(behind, drift)
        ]
    return [
        f"the clock of {name} is {_off(ahead, 'ahead of', 'behind')} this node's" + _loud(ahead, drift)
        for name, peer in sorted(ledger.get("peers", {}).items())
        if (ahead := peer["clock_ahead_seconds"]) is not None
        and abs(ahead) > CLOCK_SECONDS
        and peer["heard_seconds"] <= SILENCE_SECONDS
    ]


def _off(seconds: float, more: str, less: str) -> str:
    return f"{abs(seconds):.1f} s {more if seconds > 0 else less}"


def _loud(seconds: float, drift: float) -> str:
    return f"; beyond {drift:g} s its proposals and its votes do not fit the others'" if abs(seconds) > drift else ""
