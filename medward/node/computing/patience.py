"""How often a member tries again what fails because a blob cannot be had: less and less often, and not for ever.

Whoever orders a batch or a task may withhold its blobs. Without this, each look at the ledger would wait for them
again, and all other work behind them.
"""

from collections.abc import Collection

_LONGEST_SECONDS = 3600.0
#: After so many tries in vain, over half an hour and more, a batch is declined.
MOST_TRIES = 12


class Patience:
    """Tries in vain, by what was tried."""

    def __init__(self) -> None:
        self._tries: dict[str, tuple[int, float]] = {}

    def ready(self, what: str, now: float) -> bool:
        """Return whether it may be tried.

        Args:
            what: a name of it.
            now: seconds of a clock that only goes forward.
        """
        return what not in self._tries or now >= self._tries[what][1]

    def failed(self, what: str, now: float) -> int:
        """Note a try in vain, and return how many there were: the next one is due in 1, 2, 4, ... seconds."""
        tries = self.tries(what) + 1
        self._tries[what] = tries, now + min(2.0 ** (tries - 1), _LONGEST_SECONDS)
        return tries

    def tries(self, what: str) -> int:
        """Return how often it was tried in vain."""
        return self._tries.get(what, (0, 0.0))[0]

    def keep(self, wanted: Collection[str]) -> None:
        """Forget about all others than these."""
        self._tries = {what: tried for what, tried in self._tries.items() if what in wanted}

    def done(self, what: str) -> None:
        """Forget about it."""
        self._tries.pop(what, None)
