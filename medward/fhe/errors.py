"""What can go wrong in a secure sum; the texts name members, rounds and sets, never a secret."""

from medward.errors import MedwardError


class FheError(MedwardError):
    """The root of this part's errors."""


class UnsafeParameters(FheError):
    """A parameter set that would be insecure, could fail to decode, or does not exist."""


class MalformedEncoding(FheError):
    """Bytes that are not an encoding of the expected object under the expected parameters."""


class LaneOverflow(FheError):
    """A value that does not fit its lane, more contributors than the lanes were sized for, or noise out of bounds."""


class MemberFault(FheError):
    """Something that one member did and that everybody can check.

    Args:
        member: the member's number, 1..n.
        reason: what it did, as the end of a sentence that starts with the member.
    """

    def __init__(self, member: int, reason: str) -> None:
        super().__init__(f"member {member} {reason}")
        self.member = member
        self.reason = reason


class ProofRejected(MemberFault):
    """A proof of a member does not verify."""


class ShareRejected(MemberFault):
    """A decryption share, dealt share or opened key of a member is not what it committed to."""


class SumRejected(FheError):
    """An aggregate that is not the sum of the cohort's committed ciphertexts."""


class AnswerRefused(FheError):
    """A decryption share that must not be given: another one was given already, or the epoch's budget is spent."""
