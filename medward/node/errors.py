"""The errors of a node, each with what happened, where, and what to do."""

from medward.errors import MedwardError


class NodeError(MedwardError):
    """The root of the node's errors."""


class InvalidConfiguration(NodeError):
    """A file that configures a node does not say what is needed; the text names file, key and what was expected."""


class HomeInUse(NodeError):
    """Another process runs on this home."""


class ExposedSecret(NodeError):
    """A file that only its owner may read can be read by others."""


class InvalidCard(NodeError):
    """A member's public card is malformed, or not signed by the keys that it shows."""


class Retired(NodeError):
    """The keys in this home must not be used any more: newer ones took their place, or the member is gone."""


class ApiRefused(NodeError):
    """A node's HTTP API did not do what was asked."""


class EarlierFormat(Retired, InvalidConfiguration):
    """A home or a federation of a format that this version does not continue."""


class NotCertified(NodeError):
    """A block was applied here, and nothing proves that a quorum agreed on it."""


class Forked(Retired):
    """Two blocks of one height bear a quorum's signatures: more members lied than may, and nothing is agreed on."""
