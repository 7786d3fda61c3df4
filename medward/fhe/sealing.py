"""Sealing a dealt share to one holder, under a key that lives for one ceremony.

    k = HKDF-SHA256(X25519 secret || ML-KEM-768 secret, salt = SHA-256(all public values), info = label)
    sealed = X25519 ephemeral public key (32) || ML-KEM ciphertext (1088) || AES-256-GCM(k, share; label)

Secret as long as one of X25519 and ML-KEM-768 (FIPS 203) is. k is used once, so the nonce is zero. The label binds the
federation, epoch, dealer and holder. Who sent it is not authenticated here: the share's hash is published by the
dealer in an ordered, signed record.
"""

import hashlib

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from medward.fhe.dealing import DealingContext
from medward.fhe.errors import MalformedEncoding

_CURVE_BYTES = 32
_KEM_PUBLIC_BYTES = 1184
_KEM_CIPHERTEXT_BYTES = 1088
PUBLIC_BYTES = _CURVE_BYTES + _KEM_PUBLIC_BYTES


class TransportKey:
    """A holder's one-time key for the shares that it is dealt in one ceremony; drop it afterwards."""

    def __init__(self) -> None:
        self._curve = X25519PrivateKey.generate()
        self._kem = MLKEM768PrivateKey.generate()

    def __repr__(self) -> str:
        return "TransportKey(...)"

    @property
    def public(self) -> bytes:
        """The public part, PUBLIC_BYTES long, published with the holder's key."""
        return self._curve.public_key().public_bytes_raw() + self._kem.public_key().public_bytes_raw()

    def unseal(self, context: DealingContext, holder: int, sealed: bytes) -> bytes:
        """Return the share in `sealed`.

        Raises:
            MalformedEncoding: it was not sealed to this key, or for another dealing.
        """
        if len(sealed) < _CURVE_BYTES + _KEM_CIPHERTEXT_BYTES + 16:
            raise MalformedEncoding(f"the sealed share of member {context.dealer} is too short")
        ephemeral, rest = sealed[:_CURVE_BYTES], sealed[_CURVE_BYTES:]
        encapsulated, box = rest[:_KEM_CIPHERTEXT_BYTES], rest[_KEM_CIPHERTEXT_BYTES:]
        label = _label(context, holder)
        try:
            curve_secret = self._curve.exchange(X25519PublicKey.from_public_bytes(ephemeral))
            secret = curve_secret + self._kem.decapsulate(encapsulated)
            return _cipher(secret, ephemeral + encapsulated + self.public, label).decrypt(bytes(12), box, label)
        except (InvalidTag, ValueError) as error:
            raise MalformedEncoding(f"the sealed share of member {context.dealer} does not open") from error


def seal(context: DealingContext, holder: int, public: bytes, share: bytes) -> bytes:
    """Seal an encoded share to the holder with this public transport key.

    Raises:
        MalformedEncoding: the public key is malformed.
    """
    ephemeral = X25519PrivateKey.generate()
    curve_secret, kem_secret, encapsulated = _exchange(ephemeral, holder, public)
    sent = ephemeral.public_key().public_bytes_raw() + encapsulated
    label = _label(context, holder)
    return sent + _cipher(curve_secret + kem_secret, sent + public, label).encrypt(bytes(12), share, label)


def check_public(holder: int, public: bytes) -> None:
    """Check that shares can be sealed to a transport key; the answer depends on the key alone.

    Raises:
        MalformedEncoding: the public key is malformed, or of low order.
    """
    _exchange(X25519PrivateKey.generate(), holder, public)


def _exchange(ephemeral: X25519PrivateKey, holder: int, public: bytes) -> tuple[bytes, bytes, bytes]:
    """Return (X25519 secret, ML-KEM secret, ML-KEM ciphertext)."""
    if len(public) != PUBLIC_BYTES:
        raise MalformedEncoding(f"the transport key of member {holder} has {len(public)} bytes, not {PUBLIC_BYTES}")
    try:
        curve_secret = ephemeral.exchange(X25519PublicKey.from_public_bytes(public[:_CURVE_BYTES]))
        kem_secret, encapsulated = MLKEM768PublicKey.from_public_bytes(public[_CURVE_BYTES:]).encapsulate()
    except ValueError as error:
        raise MalformedEncoding(f"the transport key of member {holder} is not a valid key") from error
    return curve_secret, kem_secret, encapsulated


def _label(context: DealingContext, holder: int) -> bytes:
    return b"medward sealed share 1" + context.encoded() + holder.to_bytes(8, "little")


def _cipher(secret: bytes, exchanged: bytes, label: bytes) -> AESGCM:
    salt = hashlib.sha256(exchanged).digest()
    return AESGCM(HKDF(algorithm=SHA256(), length=32, salt=salt, info=label).derive(secret))
