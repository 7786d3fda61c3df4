"""The bytes of a sum on the wire: a formula in the numbers of members, so that every member counts the same.

    a member's contribution   ciphertexts, and its secret dealt to all holders, to n - 1 others
    its response              to the beacon that challenges its dealing, to n - 1 others
    a holder's answer         one sum of shares, whatever is summed, to n - 1 others
    the records               7 n + 1, each a request and in a block, to n - 1 others, and 2 n (n - 1) votes on it

Blobs are exact. Records are an upper bound for the built-in ledger: each is taken to fill a block of its own.
"""

from dataclasses import dataclass

from medward.federation.terms import Terms
from medward.fhe.checking import response_bytes
from medward.fhe.context import SumContext
from medward.fhe.contribution import contribution_bytes
from medward.fhe.packing import BlockLayout
from medward.fhe.parameters import SumParameters, sum_parameters
from medward.fhe.reconstruction import answer_bytes

#: A signed record with its envelope, one with a sealing key in it, and a replica's vote, in bytes; rounded up.
RECORD_BYTES, KEY_RECORD_BYTES, VOTE_BYTES = 512, 2048, 256


@dataclass(frozen=True)
class Parts:
    """The sizes of a sum's blobs in bytes.

    Args:
        contribution: what a member contributes.
        response: what it responds to the beacon.
        answer: what a holder answers for the cohort.
    """

    contribution: int
    response: int
    answer: int


def sum_set(bits: int, members: int) -> SumParameters:
    """Return the parameters of a federation's sums of this width to which all members contribute."""
    terms = Terms("", tuple(map(str, range(members))))
    return sum_parameters(bits, members, len(terms.holders), terms.faulty, terms.threshold)


def parts(parameters: SumParameters, counts: int, values: int) -> Parts:
    """Return the sizes of the blobs of a sum of so many counts and values, with all holders present."""
    holders = tuple(range(1, parameters.holders + 1))
    context = SumContext(parameters, b"", holders, BlockLayout(parameters, counts, values).blocks)
    return Parts(contribution_bytes(context), response_bytes(context), answer_bytes())


def record_bytes(members: int) -> int:
    """Return the most bytes that the records of a round and the votes on them take, all members together."""
    others = members - 1
    votes = (7 * members + 1) * 2 * members * others * VOTE_BYTES
    return votes + others * 2 * ((6 * members + 1) * RECORD_BYTES + members * KEY_RECORD_BYTES)


def sum_bytes(bits: int, members: int, counts: int, values: int) -> int:
    """Return the bytes that leave the members' machines for one sum, all members together."""
    blobs = parts(sum_set(bits, members), counts, values)
    sent = members * (blobs.contribution + blobs.response + blobs.answer)
    return (members - 1) * sent + record_bytes(members)
