"""A federation that trains on encrypted rows, as a node's rules."""

from medward.federation.outsourced.application import OutsourcedApplication
from medward.node.computing.rules import ComputingRules


class OutsourcedRules(ComputingRules):
    """The rules of a federation that trains on encrypted rows."""

    def make_application(self) -> OutsourcedApplication:
        """Return the application of a federation that begins."""
        return OutsourcedApplication(self._accounts)
