"""Signatures for the simulator: as unforgeable as its liars need, and a hundred times faster than Ed25519."""

import hashlib

from medward.ledger.signatures import CERTIFYING, AlgorithmBytes, Domain, Signer, Verifier

ALGORITHM = "test-mac"


class Secrets:
    """Who holds which secret; liars are only ever given their own signers."""

    def __init__(self) -> None:
        self.of_key: dict[bytes, bytes] = {}

    def signer(self, label: str) -> "SimSigner":
        secret = hashlib.sha256(b"secret " + label.encode()).digest()
        public = hashlib.sha256(b"public " + secret).digest()
        self.of_key[public] = secret
        return SimSigner(secret, public)


class SimSigner(Signer):
    def __init__(self, secret: bytes, public: bytes) -> None:
        self._secret = secret
        self._keys = (AlgorithmBytes(ALGORITHM, public),)

    @property
    def public_keys(self) -> tuple[AlgorithmBytes, ...]:
        return self._keys

    def sign(self, domain: Domain, digest: bytes) -> tuple[AlgorithmBytes, ...]:
        assert domain.kind in CERTIFYING or domain.kind
        mac = hashlib.sha256(self._secret + domain.preimage(digest)).digest()
        return (AlgorithmBytes(ALGORITHM, mac),)


class SimVerifier(Verifier):
    def __init__(self, secrets: Secrets) -> None:
        super().__init__(remembered=1)
        self._secrets = secrets

    def _known(self, key: AlgorithmBytes, message: bytes, signature: bytes) -> bool:
        return self._check(key, message, signature)

    def _check(self, key: AlgorithmBytes, message: bytes, signature: bytes) -> bool:
        secret = self._secrets.of_key.get(key.data)
        return secret is not None and hashlib.sha256(secret + message).digest() == signature
