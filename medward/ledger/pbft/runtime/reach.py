"""Who was heard of lately, and how far each one's clock is from this node's: what an operator is told, nothing more.

The replica decides nothing by it: what a member says of its clock here moves nobody's votes (spec/ledger.md, "Time").
With fewer members in reach than a quorum nothing is ordered until more come back.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median

from medward.ledger.pbft.messages import Message, Status


@dataclass(frozen=True)
class PeerReach:
    """What is known of one other member.

    Args:
        name: the member.
        heard_seconds: how long ago it was heard of last; since the start, where it never was.
        clock_ahead_seconds: how far its clock is ahead of this node's, as it says; None where it has not said.
        height: the last height that it says it has executed; None where it has not said.
    """

    name: str
    heard_seconds: float
    clock_ahead_seconds: float | None
    height: int | None


class Reach:
    """The last words of the other members.

    Args:
        begun: when this node started, in monotonic seconds.
    """

    def __init__(self, begun: float) -> None:
        self._begun = begun
        self._heard: dict[str, float] = {}
        self._said: dict[str, tuple[float, int]] = {}

    def note(self, peer: str, message: Message, now: float, clock: float) -> None:
        """Take down a message.

        Args:
            peer: who sent it.
            message: what it says.
            now: monotonic seconds.
            clock: this node's wall clock, seconds since 1970.
        """
        self._heard[peer] = now
        if isinstance(message, Status):
            self._said[peer] = (message.clock / 1000 - clock, message.executed)

    def of(self, names: Iterable[str], now: float) -> list[PeerReach]:
        """Return what is known of these members at a time in monotonic seconds."""
        found = []
        for name in names:
            ahead, height = self._said.get(name, (None, None))
            found.append(PeerReach(name, max(0.0, now - self._heard.get(name, self._begun)), ahead, height))
        return found


def clock_behind(peers: Iterable[PeerReach]) -> float | None:
    """Return how far this node's clock is behind the median of all clocks, in seconds; None where nobody told its own.

    With f liars among 3f + 1 members the median of the clocks, this node's among them, lies between honest ones.
    """
    said = [peer.clock_ahead_seconds for peer in peers if peer.clock_ahead_seconds is not None]
    return median([0.0, *said]) if said else None
