"""Evaluation keys that members published, as everybody reads them who computes, or who audits what was computed."""

from medward.federation.computing.records import KeyPublished
from medward.federation.errors import FederationError
from medward.fhe.computing.formats.keys import most_evaluation_key_bytes, read_evaluation_key
from medward.fhe.computing.keys import EvaluationKey
from medward.fhe.computing.parameters import ComputingParameters

#: Conjugation, where it is asked for.
_MOST_AUTOMORPHISMS = 1


class WrongKey(FederationError):
    """An evaluation key that is not the one on record."""


def most_key_bytes(parameters: ComputingParameters) -> int:
    """Return the size that no evaluation key on record exceeds."""
    return most_evaluation_key_bytes(parameters, _MOST_AUTOMORPHISMS)


def read_published_key(
    published: KeyPublished, member: str, parameters: ComputingParameters, label: bytes, data: bytes
) -> EvaluationKey:
    """Return a member's evaluation key.

    Args:
        published: the key's record.
        member: whose it is.
        parameters: of what is computed.
        label: of the federation that the key was made for.
        data: the blob that the record names.

    Raises:
        MalformedEncoding: it is no key with these parameters.
        WrongKey: it is another's.
    """
    key = read_evaluation_key(parameters, data)
    if key.owner != published.holder or key.label != label:
        raise WrongKey(f"the evaluation key of {member} is of another owner or federation")
    return key
