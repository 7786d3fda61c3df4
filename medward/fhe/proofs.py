"""Proofs that a ciphertext, a key and a decryption share are well-formed, without showing what they hide.

All three are one statement: short x_0, x_1, ..., x_R exist with

    t_r = g_r x_0 + x_r     for r = 1..R

    key         b = (-a) s + e
    ciphertext  c1 = a v + e1
    share       b = (-a) s + e   and   mu = C1 s + flood   (the same s)

The proof is Lyubashevsky's (Fiat-Shamir with aborts, ASIACRYPT'09) with one challenge: the ring's slots are fields of
degree four, too large to guess a challenge in one of them. Masks and answers are uniform on boxes, so an answer that is
shown is exactly independent of the witness, and the accept step is a comparison of integers. What is shown, with which
soundness, and what is not: spec/scheme.md, "Proofs".
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medward.fhe import _wide
from medward.fhe._primes import SLOT_DEGREE
from medward.fhe.encoding import Kind, body, header, pack_words, unpack_words
from medward.fhe.encryption import EncryptionWitness
from medward.fhe.errors import MalformedEncoding, ProofRejected
from medward.fhe.keys import SecretKey, parameters_ring
from medward.fhe.parameters import Mask, SumParameters
from medward.fhe.ring import Element, Ring
from medward.fhe.sampling import KeyStream, uniform_mask

Integers = NDArray[np.int64]

_SEED_BYTES = 32


@dataclass(frozen=True)
class Context:
    """What a proof is bound to, so that it proves nothing anywhere else.

    Args:
        federation: the federation's identifier.
        epoch, round, chunk: where the object belongs; round and chunk are 0 for keys.
        member: whose it is.
    """

    federation: bytes
    epoch: int
    round: int
    chunk: int
    member: int

    def encoded(self) -> bytes:
        """Return the context's unique encoding."""
        numbers = (self.epoch, self.round, self.chunk, self.member, len(self.federation))
        return b"".join(number.to_bytes(8, "little") for number in numbers) + self.federation


@dataclass(frozen=True)
class _Statement:
    """t_r = g_r x_0 + x_r, with the masks of x_0, x_1, ... and the digest of everything public."""

    parameters: SumParameters
    kind: Kind
    multipliers: tuple[Element, ...]
    targets: tuple[Element, ...]
    masks: tuple[Mask, ...]
    digest: bytes

    @property
    def ring(self) -> Ring:
        return parameters_ring(self.parameters)


def _statement(
    parameters: SumParameters,
    kind: Kind,
    context: Context,
    public: Sequence[bytes],
    relation: tuple[tuple[Element, ...], tuple[Element, ...]],
) -> _Statement:
    digest = hashlib.sha256(b"medward proof 2" + header(parameters, kind) + context.encoded())
    for item in public:
        digest.update(len(item).to_bytes(8, "little") + item)
    masks = parameters.share_masks if kind is Kind.SHARE_PROOF else parameters.ciphertext_masks
    return _Statement(parameters, kind, *relation, masks, digest.digest())


def prove_ciphertext(
    parameters: SumParameters,
    context: Context,
    a: Element,
    c1: Element,
    *,
    digest: bytes,
    witness: EncryptionWitness,
    stream: KeyStream | None = None,
) -> bytes:
    """Prove that c1 = v a + e1 with short v and e1; `digest` is the SHA-256 of the whole encoded ciphertext."""
    statement = _statement(parameters, Kind.CIPHERTEXT_PROOF, context, [digest], ((a,), (c1,)))
    return _prove(statement, (witness.v[None], witness.e1[None]), stream or KeyStream())


def verify_ciphertext(
    parameters: SumParameters, context: Context, a: Element, c1: Element, *, digest: bytes, proof: bytes
) -> None:
    """Check the proof of a ciphertext; `digest` is the SHA-256 of its encoding.

    Raises:
        ProofRejected: names the member of the context.
    """
    statement = _statement(parameters, Kind.CIPHERTEXT_PROOF, context, [digest], ((a,), (c1,)))
    _verify(statement, proof, context.member, "submitted a ciphertext whose proof does not verify")


def prove_key(
    parameters: SumParameters,
    context: Context,
    a: Element,
    b: Element,
    *,
    digest: bytes,
    secret: SecretKey,
    stream: KeyStream | None = None,
) -> bytes:
    """Prove that b = -s a + e with short s and e; `digest` is the SHA-256 of the encoding of b."""
    statement = _statement(parameters, Kind.KEY_PROOF, context, [digest], ((-a,), (b,)))
    return _prove(statement, (secret.s[None], secret.e[None]), stream or KeyStream())


def verify_key(
    parameters: SumParameters, context: Context, a: Element, b: Element, *, digest: bytes, proof: bytes
) -> None:
    """Check the proof of a key's public part; `digest` is the SHA-256 of its encoding.

    Raises:
        ProofRejected: names the member of the context.
    """
    statement = _statement(parameters, Kind.KEY_PROOF, context, [digest], ((-a,), (b,)))
    _verify(statement, proof, context.member, "published a key whose proof does not verify")


@dataclass(frozen=True)
class ShareStatement:
    """The public part of "mu is s C1 plus a short flood, for the s in b".

    Args:
        a, b, c1, share: elements in evaluation form.
        public: the SHA-256 digests of the encodings of b, of the aggregate and of the share.
    """

    a: Element
    b: Element
    c1: Element
    share: Element
    public: tuple[bytes, bytes, bytes]

    def relation(self) -> tuple[tuple[Element, ...], tuple[Element, ...]]:
        """Return (multipliers, targets)."""
        return (-self.a, self.c1), (self.b, self.share)


def prove_share(
    parameters: SumParameters,
    context: Context,
    claim: ShareStatement,
    *,
    secret: SecretKey,
    flood: Integers,
    stream: KeyStream | None = None,
) -> bytes:
    """Prove a decryption share; `flood` holds the digits of its flood."""
    statement = _statement(parameters, Kind.SHARE_PROOF, context, claim.public, claim.relation())
    return _prove(statement, (secret.s[None], secret.e[None], flood), stream or KeyStream())


def verify_share(parameters: SumParameters, context: Context, claim: ShareStatement, proof: bytes) -> None:
    """Check the proof of a decryption share.

    Raises:
        ProofRejected: names the member of the context.
    """
    statement = _statement(parameters, Kind.SHARE_PROOF, context, claim.public, claim.relation())
    _verify(statement, proof, context.member, "gave a decryption share whose proof does not verify")


def proof_bytes(parameters: SumParameters, kind: Kind) -> int:
    """Return the size of a proof's encoding."""
    masks = parameters.share_masks if kind is Kind.SHARE_PROOF else parameters.ciphertext_masks
    return len(header(parameters, kind)) + _body_bytes(parameters, masks)


def _body_bytes(parameters: SumParameters, masks: Sequence[Mask]) -> int:
    return _SEED_BYTES + sum(parameters.degree * (mask.bits + 1) // 8 for mask in masks)


def _prove(statement: _Statement, witnesses: Sequence[Integers], stream: KeyStream) -> bytes:
    """Answer a challenge, starting over with fresh masks until all answers lie in their boxes."""
    parameters = statement.parameters
    while True:
        answers = [uniform_mask(stream, parameters.degree, mask.bits) for mask in statement.masks]
        seed = _seed(statement, _commitments(statement, answers, None))
        positions, signs = _challenge(parameters, seed)
        for masked, witness in zip(answers, witnesses, strict=True):
            _wide.add_sparse_product(positions, signs, witness, masked)
        if all(_in_box(z, mask) for z, mask in zip(answers, statement.masks, strict=True)):
            packed = b"".join(_pack(z, mask) for z, mask in zip(answers, statement.masks, strict=True))
            return header(parameters, statement.kind) + seed + packed


def _verify(statement: _Statement, proof: bytes, member: int, reason: str) -> None:
    """Recompute the commitments from the answers and compare the hash."""
    parameters = statement.parameters
    try:
        data = body(parameters, statement.kind, proof, _body_bytes(parameters, statement.masks))
    except MalformedEncoding as error:
        raise ProofRejected(member, f"{reason}: {error}") from error
    seed, offset = bytes(data[:_SEED_BYTES]), _SEED_BYTES
    answers = []
    for mask in statement.masks:
        size = parameters.degree * (mask.bits + 1) // 8
        z = _unpack(data[offset : offset + size], mask, parameters.degree)
        if not _in_box(z, mask):
            raise ProofRejected(member, reason)
        answers.append(z)
        offset += size
    if _seed(statement, _commitments(statement, answers, _challenge(parameters, seed))) != seed:
        raise ProofRejected(member, reason)


def _seed(statement: _Statement, commitments: Integers) -> bytes:
    transcript = hashlib.sha256(statement.digest)
    transcript.update(commitments.data)
    return transcript.digest()


def _commitments(
    statement: _Statement, answers: Sequence[Integers], challenge: tuple[Integers, Integers] | None
) -> Integers:
    """Return w_r = g_r z_0 + z_r - c t_r (without the last term where there is no challenge yet), int64[R, L, N]."""
    ring = statement.ring
    c = None
    if challenge is not None:
        c = np.zeros(ring.degree, np.int64)
        c[challenge[0]] = challenge[1]
    w = ring.relation(answers, _wide.digit_weights(3), statement.multipliers, statement.targets, c)
    return w.astype("<i8", copy=False)


def _challenge(parameters: SumParameters, seed: bytes) -> tuple[Integers, Integers]:
    """Return the positions and signs of a challenge, a quarter of its weight on the powers of X that are r mod 4.

    Its coefficients are +-1 there and 0 elsewhere. Powers and signs are read from 32-bit little-endian words of
    SHAKE-256(seed), for r = 0 first; a word that gives a power again is skipped.
    """
    words = np.frombuffer(hashlib.shake_256(seed).digest(4 * 96), "<u4").tolist()
    each, rows = parameters.challenge_weight // SLOT_DEGREE, parameters.degree // SLOT_DEGREE
    positions: list[int] = []
    signs: list[int] = []
    for residue in range(SLOT_DEGREE):
        chosen: dict[int, int] = {}
        while len(chosen) < each:
            word = words.pop(0)
            chosen.setdefault(SLOT_DEGREE * (word % rows) + residue, 1 if word >> 31 else -1)
        positions += chosen
        signs += chosen.values()
    return np.array(positions, np.int64), np.array(signs, np.int64)


def _in_box(z: Integers, mask: Mask) -> bool:
    return _wide.all_below(z, _wide.digits_of((1 << mask.bits) - mask.bound, z.shape[0]))


def _widths(mask: Mask) -> list[int]:
    """How many bits of each digit are written."""
    if _wide.digit_count(mask.bits) == 1:
        return [mask.bits + 1]
    return [w for w in (40, min(40, mask.bits - 39), mask.bits - 79) if w > 0]


def _pack(z: Integers, mask: Mask) -> bytes:
    shifted = z + _wide.digits_of(1 << mask.bits, z.shape[0])[:, None]
    _wide.normalise(shifted)
    return b"".join(
        pack_words(row.astype(np.uint64), width) for row, width in zip(shifted, _widths(mask), strict=False)
    )


def _unpack(data: memoryview, mask: Mask, degree: int) -> Integers:
    z = np.zeros((_wide.digit_count(mask.bits), degree), np.int64)
    offset = 0
    for digit, width in enumerate(_widths(mask)):
        size = degree * width // 8
        z[digit] = unpack_words(data[offset : offset + size], width, degree).astype(np.int64)
        offset += size
    z -= _wide.digits_of(1 << mask.bits, z.shape[0])[:, None]
    _wide.normalise(z)
    return z
