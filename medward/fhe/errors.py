"""The errors of secure sums and of computing on ciphertexts; the texts name rounds and numbers, never a secret."""

from medward.errors import MedwardError


class FheError(MedwardError):
    """The root of this part's errors."""


class UnsafeParameters(FheError):
    """Parameters that would be insecure, could fail to decode, or do not exist."""


class MalformedEncoding(FheError):
    """Bytes that are not an encoding of the expected object in the expected sum."""


class LaneOverflow(FheError):
    """A number that does not fit its lane, or more numbers than a contribution has room for."""


class DealingFault(FheError):
    """Something wrong with a dealing that everybody can check; the text is the end of a sentence about its dealer."""


class ShareFault(FheError):
    """A share that its dealer did not publish, or that is malformed or off its dealing's polynomial."""


class NoiseTooLarge(FheError):
    """An operation whose result could have a larger error than its parameters tolerate, or wrap around its modulus."""


class LevelsSpent(FheError):
    """A multiplication of a ciphertext that has no level left."""


class CiphertextMismatch(FheError):
    """Ciphertexts, values or keys that do not belong together."""


class BudgetSpent(FheError):
    """A result that a key may not open any more."""
