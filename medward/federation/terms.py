"""Who takes part in a federation, how many of them may lie, and what follows from that for every sum."""

from dataclasses import dataclass

from medward.fhe.parameters import MOST_HOLDERS


@dataclass(frozen=True)
class Terms:
    """What a federation agreed on before its first round.

    Args:
        name: the federation's name.
        members: all members, in an agreed order.
        deadline: the seconds that each phase of a round may take.
    """

    name: str
    members: tuple[str, ...]
    deadline: float = 600.0

    @property
    def faulty(self) -> int:
        """How many members may lie: f = floor((n - 1) / 3)."""
        return (len(self.members) - 1) // 3

    @property
    def holders(self) -> tuple[str, ...]:
        """Who holds shares of what is dealt: all members, or a committee of the first ones where they are many."""
        return self.members[:MOST_HOLDERS]

    @property
    def faulty_holders(self) -> int:
        """How many holders may lie: floor((h - 1) / 3)."""
        return (len(self.holders) - 1) // 3

    @property
    def threshold(self) -> int:
        """How many answers decrypt a sum: t = h - floor((h - 1) / 3)."""
        return len(self.holders) - self.faulty_holders

    @property
    def least_cohort(self) -> int:
        """How many contributions a sum needs: max(3, f + 2, t), so that more than f of them are honest."""
        return min(max(3, self.faulty + 2, self.threshold), len(self.members))
