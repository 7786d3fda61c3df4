"""A member's contribution to a sum: its one-time secret, dealt to the holders; its bytes; what it shows of the dealing.

    s, e_0 <- D_7;   w = (s; y; z) in F_p^(N+T+3)        T narrow masks y, three uniform masks z
    f of degree t - 1 over F_p^(N+T+3), f(0) = w         holders 1 .. t-1: f(j) = XOF(seed_j); others by interpolation
    Y(x)  = Phi f(x) + g(x)                              response to the beacon; g is the part of f that shares y
    Y2(x) = chi f(x) + h(x)                              response to the audit; h is the part that shares z

Everything is drawn from one stream in one order (`draw`), so that a member that kept the stream's key shows the same
again. Values of polynomials are given at 0, 1, ..., t - 1. The bytes of a contribution are readable by everybody:

    header | b | c_1 | c_2 | ... | digest of each dealt share | sealed share of each holder

Digests and shares are those of the holders that are present, in their order.
"""

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from medward.fhe import ciphertexts, hybrid
from medward.fhe.arrays import Doubles, Integers
from medward.fhe.context import Challenge, SumContext
from medward.fhe.encoding import HEADER_BYTES, EncodingKind, body, header, pack_residues, residue_bytes
from medward.fhe.parameters import AUDITS, DEGREE, SIGMA, TESTS, SumParameters
from medward.fhe.ring import polynomials
from medward.fhe.sampling import KeyStream, expand_vector, framed, gaussian, uniform_vector

SEED_BYTES = 32
SALT_BYTES = 32
HASH_BYTES = 32
COIN_BYTES = 32


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


@dataclass(frozen=True, repr=False)
class OneTimeSecrets:
    """What a member draws for one sum.

    Args:
        secret, error: s and e_0, int64[N].
        test_masks: y, int64[T].
        audit_masks: z, float64[AUDITS], balanced residues.
        seeds: of the shares of holders 1 to t - 1.
        salts, coins: for each holder, of its share's digest and of its box.
        stream: whence the errors of the blocks come.
    """

    secret: Integers
    error: Integers
    test_masks: Integers
    audit_masks: Doubles
    seeds: tuple[bytes, ...]
    salts: tuple[bytes, ...]
    coins: tuple[bytes, ...]
    stream: KeyStream


def draw(parameters: SumParameters, key: bytes) -> OneTimeSecrets:
    """Draw a member's secrets of a sum from the stream under a key; the same key gives the same."""
    stream = KeyStream(key)
    return OneTimeSecrets(
        secret=gaussian(stream, SIGMA**2, DEGREE),
        error=gaussian(stream, SIGMA**2, DEGREE),
        test_masks=gaussian(stream, parameters.mask_variance, TESTS),
        audit_masks=uniform_vector(stream, parameters.prime, AUDITS),
        seeds=tuple(stream.take(SEED_BYTES) for _ in range(parameters.threshold - 1)),
        salts=tuple(stream.take(SALT_BYTES) for _ in range(parameters.holders)),
        coins=tuple(stream.take(COIN_BYTES) for _ in range(parameters.holders)),
        stream=stream,
    )


def expand_share(parameters: SumParameters, seed: bytes) -> Doubles:
    """Return the share that a seed stands for, float64[N + T + AUDITS]."""
    return expand_vector(framed("medward share 1", seed), parameters.prime, parameters.width)


class Dealing:
    """One member's dealing in a sum.

    Args:
        context: of the sum.
        dealer: the member's number as contributor.
        key: of the stream that everything is drawn from.
    """

    def __init__(self, context: SumContext, dealer: int, key: bytes) -> None:
        self._context, self._dealer = context, dealer
        self.secrets = draw(context.parameters, key)
        hidden = np.concatenate([self.secrets.secret, self.secrets.test_masks, self.secrets.audit_masks])
        expanded = [expand_share(context.parameters, seed) for seed in self.secrets.seeds]
        #: f at 0, 1, ..., t - 1, float64[t, N + T + AUDITS].
        self.values: Doubles = np.stack([hidden, *expanded])

    def __repr__(self) -> str:
        return f"Dealing(dealer={self._dealer})"

    def shares(self, holders: Sequence[int]) -> dict[int, bytes]:
        """Return the shares of these holders, each with its salt behind it."""
        parameters = self._context.parameters
        further = [j for j in holders if j >= parameters.threshold]
        out = {j: self.secrets.seeds[j - 1] for j in holders if j < parameters.threshold}
        if further:
            weights = polynomials.weights(range(parameters.threshold), further, parameters.prime)
            rows = polynomials.combine(weights, self.values, parameters.prime)
            out |= {j: pack_residues(row, parameters.prime) for j, row in zip(further, rows, strict=True)}
        return {j: share + self.secrets.salts[j - 1] for j, share in out.items()}

    def contribute(self, values: Integers, keys: Mapping[int, bytes]) -> bytes:
        """Return the contribution: `values`, int64[blocks, lanes, N], encrypted, and the shares sealed to the holders.

        Args:
            values: each at most `largest_value` in absolute value.
            keys: the present holders' public keys.

        Raises:
            LaneOverflow: a value does not fit.
            ValueError: nothing can be sealed to one of the keys.
        """
        context, dealer = self._context, self._dealer
        check_block, blocks = self.check_block(), self.encrypted(values)
        shares = self.shares(context.present)
        digests = {j: share_digest(context, dealer, j, share) for j, share in shares.items()}
        boxes = {
            j: hybrid.seal(keys[j], share, share_label(context, dealer, j), self.secrets.coins[j - 1])
            for j, share in shares.items()
        }
        return write_contribution(context, check_block, blocks, digests, boxes)

    def check_block(self) -> bytes:
        """Return b, packed."""
        element = ciphertexts.check_block(self._context, self.secrets.secret, self.secrets.error)
        return pack_residues(element, self._context.parameters.prime)

    def encrypted(self, values: Integers) -> bytes:
        """Return c_1, c_2, ..., packed; once for a dealing, since the errors come from the rest of its stream."""
        return ciphertexts.encrypt(self._context, self.secrets.secret, values, self.secrets.stream)

    def respond(self, challenge: Challenge) -> bytes:
        """Return the response to a beacon: all tests of the polynomial; never to be shown for two beacons."""
        p = self._context.parameters.prime
        tested = challenge.tests(np.ascontiguousarray(self.values[:, :DEGREE]))
        response = polynomials.add(tested, self.values[:, DEGREE : DEGREE + TESTS], p)
        return header(EncodingKind.RESPONSE, self._context.digest) + pack_residues(response, p)

    def respond_to_audit(self, rows: Doubles) -> bytes:
        """Return the response to an audit's rows, float64[AUDITS, N]; never to be shown for two audits."""
        p = self._context.parameters.prime
        tested = polynomials.products(rows, np.ascontiguousarray(self.values[:, :DEGREE]), p)
        response = polynomials.add(tested, self.values[:, DEGREE + TESTS :], p)
        return header(EncodingKind.AUDIT_RESPONSE, self._context.digest) + pack_residues(response, p)

    def show(self, holders: Sequence[int]) -> bytes:
        """Return these holders' shares in the open, in the order of the holders."""
        shares = self.shares(sorted(holders))
        return header(EncodingKind.SHOWN_SHARES, self._context.digest) + b"".join(shares[j] for j in sorted(holders))
