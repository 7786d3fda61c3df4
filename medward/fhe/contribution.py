"""The bytes of a contribution: a member's check block, ciphertext blocks and dealing, readable by everybody.

    header | b | c_1 | c_2 | ... | digest of each dealt share | sealed share of each holder

Digests and shares are those of the holders that are present, in their order.
"""

import hashlib
import hmac
from dataclasses import dataclass

from medward.fhe import hybrid
from medward.fhe.context import SumContext
from medward.fhe.encoding import HEADER_BYTES, EncodingKind, body, header, residue_bytes

SEED_BYTES = 32
SALT_BYTES = 32
HASH_BYTES = 32


@dataclass(frozen=True)
class Contribution:
    """The parts of a contribution, each still packed.

    Args:
        check_block: b.
        blocks: c_1, c_2, ... one after another.
        digests: holder's number -> salted hash of its share.
        boxes: holder's number -> its share, sealed.
    """

    check_block: memoryview
    blocks: memoryview
    digests: dict[int, bytes]
    boxes: dict[int, memoryview]


def share_bytes(context: SumContext, holder: int) -> int:
    """Return the size of a share with its salt: holders 1 to t - 1 get a seed, the others residues."""
    parameters = context.parameters
    vector = SEED_BYTES if holder < parameters.threshold else residue_bytes(parameters.width)
    return vector + SALT_BYTES


def contribution_bytes(context: SumContext) -> int:
    """Return the exact size of every contribution to this sum."""
    element = residue_bytes(context.parameters.degree)
    boxes = sum(share_bytes(context, holder) + hybrid.OVERHEAD for holder in context.present)
    return HEADER_BYTES + (1 + context.blocks) * element + HASH_BYTES * len(context.present) + boxes


def write_contribution(
    context: SumContext, check_block: bytes, blocks: bytes, digests: dict[int, bytes], boxes: dict[int, bytes]
) -> bytes:
    """Return the bytes of a contribution from its packed parts."""
    dealt = [digests[holder] for holder in context.present] + [boxes[holder] for holder in context.present]
    return header(EncodingKind.CONTRIBUTION, context.digest) + check_block + blocks + b"".join(dealt)


def read_contribution(context: SumContext, data: bytes) -> Contribution:
    """Return the parts of a contribution; whether their residues are below the prime is checked where they are used.

    Raises:
        MalformedEncoding: another length, kind, version or sum.
    """
    rest = body(EncodingKind.CONTRIBUTION, context.digest, data, contribution_bytes(context) - HEADER_BYTES)
    element = residue_bytes(context.parameters.degree)
    check_block, blocks = rest[:element], rest[element : (1 + context.blocks) * element]
    at = (1 + context.blocks) * element
    digests, boxes = {}, {}
    for holder in context.present:
        digests[holder] = bytes(rest[at : at + HASH_BYTES])
        at += HASH_BYTES
    for holder in context.present:
        size = share_bytes(context, holder) + hybrid.OVERHEAD
        boxes[holder] = rest[at : at + size]
        at += size
    return Contribution(check_block, blocks, digests, boxes)


def share_label(context: SumContext, dealer: int, holder: int) -> bytes:
    """Return the label that a share is sealed and hashed under."""
    return context.label("share", dealer, holder)


def share_digest(context: SumContext, dealer: int, holder: int, share: bytes) -> bytes:
    """Return the hash that a dealer publishes of a share with its salt."""
    return hashlib.sha256(share_label(context, dealer, holder) + share).digest()


def fits_digest(context: SumContext, contribution: Contribution, dealer: int, holder: int, share: bytes) -> bool:
    """Whether a share is the one whose digest its dealer published."""
    published = contribution.digests.get(holder)
    return published is not None and hmac.compare_digest(share_digest(context, dealer, holder, share), published)
