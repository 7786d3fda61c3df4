"""Signatures on everything that counts as evidence, separated by chain, kind, epoch, view and height.

A signature is a list of (algorithm, bytes), as a public key is. A member whose key list has ML-DSA-65 beside Ed25519
signs commits and checkpoints, the messages that certificates are made of, with both; all else with Ed25519 alone.
A signature is valid when it has exactly the algorithms that the key list and the kind ask for, in that order, and every
one verifies: an attacker has to break both. See spec/ledger.md, "Signatures".
"""

import struct
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Hashable, Iterable
from functools import lru_cache
from typing import Annotated, Final, Literal, get_args

import msgspec
from cryptography import exceptions
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey, MLDSA65PublicKey

from medward.ledger.encoding import Structure

ED25519: Final = "ed25519"
ML_DSA_65: Final = "ml-dsa-65"

SignatureKind = Literal[
    "transaction", "transactions", "pre-prepare", "prepare", "commit", "checkpoint", "view-change", "new-view"
]
_PREFIXES: dict[str, bytes] = {
    kind: b"medward/ledger/1" + kind.encode().ljust(16, b"\0") for kind in get_args(SignatureKind)
}
_NUMBERS = struct.Struct(">QQQ")
_PROVED = 2048
MAX_SIGNATURE_BYTES: Final = 4096
"""The longest public key or signature of one algorithm."""
CERTIFYING: Final[frozenset[str]] = frozenset({"commit", "checkpoint"})


class AlgorithmBytes(Structure, frozen=True):
    """One algorithm's public key or signature."""

    algorithm: Annotated[str, msgspec.Meta(min_length=1, max_length=16)]
    data: Annotated[bytes, msgspec.Meta(min_length=1, max_length=MAX_SIGNATURE_BYTES)]


Signatures = Annotated[tuple[AlgorithmBytes, ...], msgspec.Meta(min_length=1, max_length=2)]
PublicKeys = Annotated[tuple[AlgorithmBytes, ...], msgspec.Meta(min_length=1, max_length=2)]


class Domain(msgspec.Struct, frozen=True, gc=False):
    """What a signature is about besides the digest it covers.

    Args:
        chain: SHA-256 of the genesis, 32 bytes: a vote of one federation is worth nothing in another.
        kind: the kind of message.
        epoch: the membership epoch, 0 for transactions.
        view: the view, 0 where the kind has none.
        height: the height (sequence number); a transaction's nonce, 0 for a tree of transactions.
    """

    chain: bytes
    kind: SignatureKind
    epoch: int
    view: int
    height: int

    def preimage(self, digest: bytes) -> bytes:
        """Return the fixed-length bytes that are signed, unambiguous because every part has its own width."""
        return _PREFIXES[self.kind] + self.chain + _NUMBERS.pack(self.epoch, self.view, self.height) + digest


class Signer(ABC):
    """Holds one member's private keys."""

    @property
    @abstractmethod
    def public_keys(self) -> tuple[AlgorithmBytes, ...]:
        """The keys that others verify with."""

    @abstractmethod
    def sign(self, domain: Domain, digest: bytes) -> tuple[AlgorithmBytes, ...]:
        """Sign `digest` in `domain`; the same arguments always give the same votes' meaning."""


class Verifier(ABC):
    """Checks signatures; remembers those that were valid, as certificates repeat votes seen before, and what else they
    prove: `proved` holds that as whoever checks it has put it (`remember_proved`).
    """

    def __init__(self, remembered: int = 16384) -> None:
        self._valid: OrderedDict[tuple[str, bytes, bytes, bytes], None] = OrderedDict()
        self._remembered = remembered
        self.proved: OrderedDict[Hashable, None] = OrderedDict()

    @abstractmethod
    def _check(self, key: AlgorithmBytes, message: bytes, signature: bytes) -> bool: ...

    def valid(self, keys: PublicKeys, domain: Domain, digest: bytes, signatures: Signatures) -> bool:
        """Return whether `signatures` are exactly those that `keys` and the kind ask for, and all verify."""
        asked = keys if len(keys) == 1 or domain.kind in CERTIFYING else keys[:1]
        if [s.algorithm for s in signatures] != [k.algorithm for k in asked]:
            return False
        message = domain.preimage(digest)
        return all(self._known(key, message, s.data) for key, s in zip(asked, signatures, strict=True))

    def remember_proved(self, steps: Iterable[Hashable]) -> None:
        """Keep what a valid signature proves besides what was signed (`proved`), for as long as there is room."""
        for step in steps:
            self.proved[step] = None
        while len(self.proved) > _PROVED:
            self.proved.popitem(last=False)

    def _known(self, key: AlgorithmBytes, message: bytes, signature: bytes) -> bool:
        entry = (key.algorithm, key.data, message, signature)
        if entry in self._valid:
            self._valid.move_to_end(entry)
            return True
        if not self._check(key, message, signature):
            return False
        self._valid[entry] = None
        if len(self._valid) > self._remembered:
            self._valid.popitem(last=False)
        return True


class MemberSigner(Signer):
    """Signs with Ed25519 and, where a second key is given, with ML-DSA-65 on certifying messages too."""

    def __init__(self, ed25519: Ed25519PrivateKey, ml_dsa: MLDSA65PrivateKey | None = None) -> None:
        self._ed25519 = ed25519
        self._ml_dsa = ml_dsa
        keys = [AlgorithmBytes(ED25519, ed25519.public_key().public_bytes_raw())]
        if ml_dsa is not None:
            keys.append(AlgorithmBytes(ML_DSA_65, ml_dsa.public_key().public_bytes_raw()))
        self._public_keys = tuple(keys)

    @property
    def public_keys(self) -> tuple[AlgorithmBytes, ...]:
        """The Ed25519 key first, then the ML-DSA-65 key where there is one."""
        return self._public_keys

    def sign(self, domain: Domain, digest: bytes) -> tuple[AlgorithmBytes, ...]:
        """Sign with Ed25519 (RFC 8032) and, for certifying kinds, ML-DSA-65 (FIPS 204)."""
        message = domain.preimage(digest)
        signatures = [AlgorithmBytes(ED25519, self._ed25519.sign(message))]
        if self._ml_dsa is not None and domain.kind in CERTIFYING:
            signatures.append(AlgorithmBytes(ML_DSA_65, self._ml_dsa.sign(message)))
        return tuple(signatures)


@lru_cache(maxsize=4096)
def _ed25519(key: bytes) -> Ed25519PublicKey:
    return Ed25519PublicKey.from_public_bytes(key)


class MemberVerifier(Verifier):
    """Verifies Ed25519 and ML-DSA-65, and counts how often (`checks`)."""

    def __init__(self) -> None:
        super().__init__()
        self.checks = 0

    def _check(self, key: AlgorithmBytes, message: bytes, signature: bytes) -> bool:
        self.checks += 1
        try:
            if key.algorithm == ED25519:
                _ed25519(key.data).verify(signature, message)
            elif key.algorithm == ML_DSA_65:
                MLDSA65PublicKey.from_public_bytes(key.data).verify(signature, message)
            else:
                return False
        except (exceptions.InvalidSignature, ValueError):
            return False
        return True
