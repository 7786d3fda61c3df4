"""A federation that scores encrypted flows, as a node's rules."""

from medward.federation.scoring.application import ScoringApplication
from medward.node.computing.rules import ComputingRules


class ScoringRules(ComputingRules):
    """The rules of a federation that scores."""

    def make_application(self) -> ScoringApplication:
        """Return the application of a federation that begins."""
        return ScoringApplication(self._accounts)
