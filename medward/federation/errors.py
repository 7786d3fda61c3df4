"""The errors of a federation.

The store is medward.store.interface.BlobStore, the log is any medward.ledger.types.Engine under the rules of rules.py,
and sums are described in sums/interface.py.
"""

from medward.errors import MedwardError


class FederationError(MedwardError):
    """Something that keeps a federation from going on."""


class NothingToTrain(FederationError):
    """A hospital has no row that could be trained on, or too few to hide in what is decrypted."""


class RecordRefused(FederationError):
    """A record that breaks a rule of the round; it changes nothing."""


class MissingBlob(FederationError):
    """A blob that no reachable store holds."""
