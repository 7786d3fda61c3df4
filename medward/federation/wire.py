"""What a sum costs on the wire: a formula in the parameter set, so that every member counts the same bytes.

    a member's contribution   chunks (ciphertext + its proof), to n - 1 others
    a holder's share          chunks (share + its proof), to n - 1 others
    the aggregate             chunks ciphertext, to n - 1 others
    the records               8 n + 2, each a request and in a block, to n - 1 others, and 2 n (n - 1) votes on it

Blobs are exact. Records are an upper bound for the built-in ledger: each is taken to fill a block of its own.
"""

from dataclasses import dataclass

from medward.fhe.encoding import HEADER_BYTES, Kind, element_bytes
from medward.fhe.lanes import BlockLayout
from medward.fhe.parameters import MOST_HOLDERS, SumParameters, capacity, sum_parameters
from medward.fhe.proofs import proof_bytes

#: A signed record with its envelope, and a replica's vote, in bytes; rounded up.
RECORD_BYTES, VOTE_BYTES = 512, 256


@dataclass(frozen=True)
class Parts:
    """The sizes of a sum's blobs in bytes.

    Args:
        contribution: what a member contributes.
        share: what a holder gives to open the sum.
        aggregate: the sum.
    """

    contribution: int
    share: int
    aggregate: int


def sum_set(key_set: str, bits: int, members: int) -> SumParameters:
    """Return the parameter set of a federation's sums of this width."""
    return sum_parameters(key_set, bits, capacity(members), min(members, MOST_HOLDERS))


def parts(parameters: SumParameters, counts: int, values: int) -> Parts:
    """Return the sizes of the blobs of a sum of so many counts and values."""
    chunks = BlockLayout(parameters, counts, values).blocks
    element = element_bytes(parameters)
    ciphertext, share = HEADER_BYTES + 2 * element, HEADER_BYTES + element
    proofs = (0, 0)
    if parameters.malicious:
        proofs = proof_bytes(parameters, Kind.CIPHERTEXT_PROOF), proof_bytes(parameters, Kind.SHARE_PROOF)
    return Parts(chunks * (ciphertext + proofs[0]), chunks * (share + proofs[1]), chunks * ciphertext)


def record_bytes(members: int) -> int:
    """Return the most bytes that the records of a round and the votes on them take, all members together."""
    records, others = 8 * members + 2, members - 1
    return records * others * (2 * RECORD_BYTES + 2 * members * VOTE_BYTES)


def sum_bytes(key_set: str, bits: int, members: int, counts: int, values: int) -> int:
    """Return the bytes that leave the members' machines for one sum, all members together."""
    blobs = parts(sum_set(key_set, bits, members), counts, values)
    sent = members * (blobs.contribution + blobs.share) + blobs.aggregate
    return (members - 1) * sent + record_bytes(members)
