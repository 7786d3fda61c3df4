"""Sealing a few secret bytes to a public key that is classical and post-quantum at once.

    k = HKDF-SHA256(X25519 secret || ML-KEM-768 secret, salt = SHA-256(all public values), info = label)
    box = X25519 ephemeral public key (32) || ML-KEM ciphertext (1088) || AES-256-GCM(k, secret; label)

Secret as long as one of X25519 (RFC 7748) and ML-KEM-768 (FIPS 203) is. k is used once, so the nonce is zero. Who made
a box is not authenticated by it. A box cannot be made again from what is in it: the library that encapsulates for
ML-KEM takes no coins.
"""

import hashlib

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_CURVE_BYTES = 32
_KEM_PUBLIC_BYTES = 1184
_KEM_SEED_BYTES = 64
_KEM_CIPHERTEXT_BYTES = 1088
_TAG_BYTES = 16
PUBLIC_BYTES = _CURVE_BYTES + _KEM_PUBLIC_BYTES
SECRET_BYTES = _CURVE_BYTES + _KEM_SEED_BYTES
#: How much longer a box is than what is in it.
OVERHEAD = _CURVE_BYTES + _KEM_CIPHERTEXT_BYTES + _TAG_BYTES


class HybridKey:
    """A key that boxes can be sealed to."""

    def __init__(self) -> None:
        self._take(X25519PrivateKey.generate(), MLKEM768PrivateKey.generate())

    def _take(self, curve: X25519PrivateKey, kem: MLKEM768PrivateKey) -> None:
        self._curve, self._kem = curve, kem
        self._public = curve.public_key().public_bytes_raw() + kem.public_key().public_bytes_raw()

    @classmethod
    def from_bytes(cls, secret: bytes) -> "HybridKey":
        """Return the key that `to_bytes` wrote; ValueError if it is none."""
        if len(secret) != SECRET_BYTES:
            raise ValueError(f"a key has {SECRET_BYTES} bytes, not {len(secret)}")
        key = cls.__new__(cls)
        curve, kem = secret[:_CURVE_BYTES], secret[_CURVE_BYTES:]
        key._take(X25519PrivateKey.from_private_bytes(curve), MLKEM768PrivateKey.from_seed_bytes(kem))
        return key

    def __repr__(self) -> str:
        return "HybridKey(...)"

    def to_bytes(self) -> bytes:
        """Return the secret, SECRET_BYTES long."""
        return self._curve.private_bytes_raw() + self._kem.private_bytes_raw()

    @property
    def public(self) -> bytes:
        """The public part, PUBLIC_BYTES long."""
        return self._public

    def unseal(self, box: bytes, label: bytes) -> bytes:
        """Return what is in a box; ValueError if it was not sealed to this key under this label."""
        if len(box) < OVERHEAD:
            raise ValueError("the box is too short")
        sent, rest = box[: _CURVE_BYTES + _KEM_CIPHERTEXT_BYTES], box[_CURVE_BYTES + _KEM_CIPHERTEXT_BYTES :]
        curve_secret = self._curve.exchange(X25519PublicKey.from_public_bytes(sent[:_CURVE_BYTES]))
        secret = curve_secret + self._kem.decapsulate(sent[_CURVE_BYTES:])
        try:
            return _cipher(secret, sent + self.public, label).decrypt(bytes(12), rest, label)
        except InvalidTag:
            raise ValueError("the box was not sealed to this key, or was changed") from None


def seal(public: bytes, content: bytes, label: bytes, coins: bytes | None = None) -> bytes:
    """Seal bytes to whoever has the secret of `public`; ValueError if that is malformed or of low order.

    Args:
        public: of the receiver.
        content: what is sealed.
        label: what the box is for; it opens under no other.
        coins: 32 secret bytes of this box alone, from which the X25519 part is drawn; left out, from the system.
    """
    ephemeral = X25519PrivateKey.generate() if coins is None else X25519PrivateKey.from_private_bytes(coins)
    curve_secret, kem_secret, encapsulated = _exchange(ephemeral, public)
    sent = ephemeral.public_key().public_bytes_raw() + encapsulated
    return sent + _cipher(curve_secret + kem_secret, sent + public, label).encrypt(bytes(12), content, label)


def check_public(public: bytes) -> None:
    """Check that something can be sealed to a key; ValueError if not. The answer depends on the key alone."""
    _exchange(X25519PrivateKey.generate(), public)


def _exchange(ephemeral: X25519PrivateKey, public: bytes) -> tuple[bytes, bytes, bytes]:
    """Return (X25519 secret, ML-KEM secret, ML-KEM ciphertext)."""
    if len(public) != PUBLIC_BYTES:
        raise ValueError(f"a public key has {PUBLIC_BYTES} bytes, not {len(public)}")
    curve_secret = ephemeral.exchange(X25519PublicKey.from_public_bytes(public[:_CURVE_BYTES]))
    kem_secret, encapsulated = MLKEM768PublicKey.from_public_bytes(public[_CURVE_BYTES:]).encapsulate()
    return curve_secret, kem_secret, encapsulated


def _cipher(secret: bytes, exchanged: bytes, label: bytes) -> AESGCM:
    salt = hashlib.sha256(exchanged).digest()
    return AESGCM(HKDF(algorithm=SHA256(), length=32, salt=salt, info=label).derive(secret))
