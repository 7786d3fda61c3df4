"""The public keys of one key epoch, accepted only when committed first and proved.

Without the commitment the last holder could publish b* minus the others' parts and own the joint key alone; without
the proof it could publish a part for which it knows no short secret.
"""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from medward.fhe.dealing import threshold
from medward.fhe.encoding import Kind, decode_elements, encode_elements
from medward.fhe.errors import MalformedEncoding, ShareRejected, UnsafeParameters
from medward.fhe.keys import SecretKey, generate_key, joint_key, parameters_ring, reference_string
from medward.fhe.parameters import SumParameters, sum_parameters
from medward.fhe.proofs import Context, prove_key, verify_key
from medward.fhe.ring import Element
from medward.fhe.sampling import KeyStream


@dataclass(frozen=True)
class KeyContribution:
    """What a holder publishes when all commitments are known.

    Args:
        public: encoding of b.
        proof: proof that b = -s a + e with short s and e.
    """

    public: bytes
    proof: bytes

    def commitment(self, parameters: SumParameters, federation: bytes, epoch: int, member: int) -> bytes:
        """Return the hash that is published first; bound to federation, epoch and member."""
        context = Context(federation, epoch, 0, 0, member).encoded()
        parts = (hashlib.sha256(part).digest() for part in (self.public, self.proof))
        return hashlib.sha256(b"medward key commitment 1" + parameters.digest + context + b"".join(parts)).digest()


def contribute(
    parameters: SumParameters, federation: bytes, epoch: int, member: int, stream: KeyStream | None = None
) -> tuple[SecretKey, KeyContribution]:
    """Make this member's fresh secret for the epoch and what it publishes about it."""
    stream = stream or KeyStream()
    a = reference_string(parameters, federation, epoch)
    secret, b = generate_key(parameters, a, stream)
    public = encode_elements(parameters, Kind.PUBLIC_KEY, b)
    proof = prove_key(
        parameters,
        Context(federation, epoch, 0, 0, member),
        a,
        b,
        digest=hashlib.sha256(public).digest(),
        secret=secret,
        stream=stream,
    )
    return secret, KeyContribution(public, proof)


def check_contribution(
    parameters: SumParameters,
    federation: bytes,
    epoch: int,
    member: int,
    *,
    contribution: KeyContribution,
    commitment: bytes,
) -> Element:
    """Check a holder's public part against its commitment and proof, and return b in evaluation form.

    Raises:
        ShareRejected, ProofRejected: name the member.
    """
    if not hmac.compare_digest(contribution.commitment(parameters, federation, epoch, member), commitment):
        raise ShareRejected(member, "published another key than it had committed to")
    try:
        (b,) = decode_elements(parameters, Kind.PUBLIC_KEY, contribution.public)
    except MalformedEncoding as error:
        raise ShareRejected(member, f"published a malformed key: {error}") from error
    a = reference_string(parameters, federation, epoch)
    context = Context(federation, epoch, 0, 0, member)
    verify_key(parameters, context, a, b, digest=hashlib.sha256(contribution.public).digest(), proof=contribution.proof)
    return b


@dataclass(frozen=True, eq=False)
class EpochKeys:
    """The accepted public keys of an epoch; make it with `EpochKeys.accept`.

    Args:
        parameters: the parameter set.
        federation: the federation's identifier.
        epoch: the key epoch's number.
        a: common reference string.
        public: holder -> b, evaluation form.
        digests: holder -> SHA-256 of the encoding of b.
        joint: joint key, evaluation form.
    """

    parameters: SumParameters
    federation: bytes
    epoch: int
    a: Element = field(repr=False)
    public: Mapping[int, Element] = field(repr=False)
    digests: Mapping[int, bytes] = field(repr=False)
    joint: Element = field(repr=False)

    @classmethod
    def accept(
        cls,
        parameters: SumParameters,
        federation: bytes,
        epoch: int,
        contributions: Mapping[int, tuple[bytes, KeyContribution]],
    ) -> "EpochKeys":
        """Check every holder's (commitment, contribution) and form the joint key.

        Raises:
            ShareRejected, ProofRejected: name the first member whose key is not acceptable.
            UnsafeParameters: the parameter set was derived for another number of holders.
        """
        if len(contributions) != parameters.holders:
            raise UnsafeParameters(
                f"this parameter set is for {parameters.holders} key holders, not {len(contributions)}; derive another"
            )
        public = {
            member: check_contribution(
                parameters, federation, epoch, member, contribution=contribution, commitment=commitment
            )
            for member, (commitment, contribution) in sorted(contributions.items())
        }
        digests = {
            member: hashlib.sha256(contribution.public).digest() for member, (_, contribution) in contributions.items()
        }
        a = reference_string(parameters, federation, epoch)
        return cls(parameters, federation, epoch, a, public, digests, joint_key(parameters, list(public.values())))

    def of_width(self, update_bits: int) -> "EpochKeys":
        """Return the same keys for sums of values of another width.

        Ring, noise and Delta do not depend on the width: only how many lanes share a coefficient does. The width is
        part of every encoding's header and, through it, of every proof and commitment.

        Raises:
            UnsafeParameters: there is no such width.
        """
        p = self.parameters
        return replace(self, parameters=sum_parameters(p.name, update_bits, p.contributors, p.holders, p.members))

    @property
    def holders(self) -> tuple[int, ...]:
        """The holders' numbers, in order."""
        return tuple(sorted(self.public))

    @property
    def threshold(self) -> int:
        """How many shares open a silent holder."""
        return threshold(len(self.public))

    @property
    def most_openings(self) -> int:
        """How many holders may be opened in this epoch, n - t; then at once a new epoch."""
        return len(self.public) - self.threshold

    def secret_matches(self, member: int, secret: SecretKey) -> bool:
        """Whether `secret` belongs to the member's public part."""
        ring = parameters_ring(self.parameters)
        error = ring.forward(ring.embed(secret.e))
        rebuilt = ring.multiply_add(ring.forward(ring.embed(-secret.s)), self.a, error)
        return member in self.public and bool((rebuilt == self.public[member]).all())
