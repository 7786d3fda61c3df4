"""Sealing a dealt share to one holder, under a key that lives for one ceremony.

A box of hybrid.py whose label binds the federation, epoch, dealer and holder. Who sent it is not authenticated here:
the share's hash is published by the dealer in an ordered, signed record.
"""

from medward.fhe import hybrid
from medward.fhe.dealing import DealingContext
from medward.fhe.errors import MalformedEncoding
from medward.fhe.hybrid import PUBLIC_BYTES, HybridKey


class TransportKey:
    """A holder's one-time key for the shares that it is dealt in one ceremony; drop it afterwards."""

    def __init__(self) -> None:
        self._key = HybridKey()

    def __repr__(self) -> str:
        return "TransportKey(...)"

    @property
    def public(self) -> bytes:
        """The public part, PUBLIC_BYTES long, published with the holder's key."""
        return self._key.public

    def unseal(self, context: DealingContext, holder: int, sealed: bytes, size: int) -> bytes:
        """Return the share in `sealed`.

        Args:
            context: the dealing.
            holder: whose share it is.
            sealed: what `seal` returned.
            size: bytes of a share (dealing.dealt_share_bytes); anything else is refused before it is deciphered.

        Raises:
            MalformedEncoding: it was not sealed to this key, or for another dealing, or has another size.
        """
        if len(sealed) != hybrid.OVERHEAD + size:
            raise MalformedEncoding(
                f"the sealed share of member {context.dealer} has {len(sealed)} bytes, too few or many"
            )
        try:
            return self._key.open(sealed, _label(context, holder))
        except ValueError as error:
            raise MalformedEncoding(f"the sealed share of member {context.dealer} does not open") from error


def seal(context: DealingContext, holder: int, public: bytes, share: bytes) -> bytes:
    """Seal an encoded share to the holder with this public transport key.

    Raises:
        MalformedEncoding: the public key is malformed.
    """
    _check_length(holder, public)
    try:
        return hybrid.seal(public, share, _label(context, holder))
    except ValueError as error:
        raise MalformedEncoding(f"the transport key of member {holder} is not a valid key") from error


def check_public(holder: int, public: bytes) -> None:
    """Check that shares can be sealed to a transport key; the answer depends on the key alone.

    Raises:
        MalformedEncoding: the public key is malformed, or of low order.
    """
    _check_length(holder, public)
    try:
        hybrid.check_public(public)
    except ValueError as error:
        raise MalformedEncoding(f"the transport key of member {holder} is not a valid key") from error


def _check_length(holder: int, public: bytes) -> None:
    if len(public) != PUBLIC_BYTES:
        raise MalformedEncoding(f"the transport key of member {holder} has {len(public)} bytes, not {PUBLIC_BYTES}")


def _label(context: DealingContext, holder: int) -> bytes:
    return b"medward sealed share 1" + context.encoded() + holder.to_bytes(8, "little")
