"""Work that the ledger's state leaves to a member that computes on ciphertexts."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ComputingWork:
    """Something to do about a batch that is scored, or about a task of training on encrypted rows.

    Args:
        kind: what is to be done.
        number: of the batch or task.
    """

    kind: str
    number: str
