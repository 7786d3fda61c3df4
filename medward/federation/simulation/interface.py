"""The interface of what is federated to the machines: a state that all members share, and each member's private side.

Two are in the project: Sentinel (medward/federation/model/) and any network of flat weights
(medward/federation/networks/).
"""

from typing import Protocol, Self, TypeVar

from medward.federation.records import Next, Task
from medward.federation.sums.interface import IntVector


class SharedState(Protocol):
    """What the members share between two rounds: a value, and how the next one follows from a decrypted sum."""

    @property
    def task(self) -> Task:
        """What the next sum is for."""

    @property
    def next(self) -> Next | None:
        """The next sum's size and width, or None once the plan is fulfilled."""

    def advance(self, total: IntVector | None, refused: int = 0, turnout: tuple[int, int] | None = None) -> Self:
        """Return what follows from a sum; equal sums lead to equal bytes.

        Args:
            total: int64[counts + values]; None where the round summed nothing, and it goes on by what is public.
            refused: how many next states of this step the members have refused.
            turnout: how many members were invited, and how many contributed.

        Raises:
            FederationError: nothing can be learned from this sum.
        """


Shared = TypeVar("Shared", bound=SharedState)
_Shared_contra = TypeVar("_Shared_contra", bound=SharedState, contravariant=True)


class Contributor(Protocol[_Shared_contra]):
    """A member's private side."""

    def work(self, shared: _Shared_contra, number: int) -> IntVector:
        """Return this member's integers for the next sum, int64[counts + values], in the round of that number."""

    def accepts(self, before: _Shared_contra, after: _Shared_contra) -> bool:
        """Return whether the next state is not clearly worse for this member."""
