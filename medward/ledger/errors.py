"""The errors of the ledger, each with what happened, to what, and what to do."""

from medward.errors import MedwardError


class LedgerError(MedwardError):
    """The root of the ledger's errors."""


class NotCanonical(LedgerError):
    """Bytes that are not the one canonical encoding of a value of the expected form."""


class InvalidSignature(LedgerError):
    """A signature that does not verify under the keys of the one it names."""


class InvalidCertificate(LedgerError):
    """A certificate that does not prove what it claims: too few signers, strangers, or another content."""


class InvalidProof(LedgerError):
    """A Merkle proof that does not lead to the root it is checked against."""


class JournalError(LedgerError):
    """The log on disk cannot be trusted any more; the replica must not vote with it."""


class JournalCorrupt(JournalError):
    """A record that was once durable does not read back as it was written."""


class JournalRolledBack(JournalError):
    """The log on disk ends before something that this replica is known to have signed."""


class SnapshotMismatch(LedgerError):
    """A snapshot whose content is not the one that the certificate names."""


class TransactionRefused(LedgerError):
    """A transaction that the ledger does not take; the text says why and whether to try again.

    Args:
        message: for a person.
        code: the result code that the rules, the replay protection or a limit gave; 0 where there is none.
    """

    def __init__(self, message: str, code: int = 0) -> None:
        super().__init__(message)
        self.code = code
