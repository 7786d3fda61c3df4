"""The errors of the store; each says what happened, to which block, file or peer, and what to do."""

from medward.errors import MedwardError


class StoreError(MedwardError):
    """The root of the store's errors."""


class InvalidCid(StoreError):
    """A text or a byte string is not a content identifier, or one that this store cannot check."""


class InvalidDag(StoreError):
    """A block whose bytes do match its CID does not decode to what its place in the DAG promises."""


class InvalidRecord(StoreError):
    """A value has no DAG-CBOR form, or bytes are not the one canonical DAG-CBOR form of any value."""


class InvalidCar(StoreError):
    """A CAR stream is malformed, incomplete, or holds a block that does not match its CID."""


class LimitExceeded(StoreError):
    """Content is larger, deeper or wider than the caller or the store allows."""


class BlockNotFound(StoreError):
    """A block is neither in this store nor, where there are peers, with any of them."""


class CorruptBlock(StoreError):
    """A block on this store's own disk no longer matches its CID; it has been set aside."""


class StoreFull(StoreError):
    """The disk or the store's own limit has no room for a block; nothing half-written was kept."""


class StoreInUse(StoreError):
    """Another process has this store's directory open for writing."""


class PeerFailure(StoreError):
    """One peer did not answer as the gateway specification says, or not in time, or lied about a block."""


class KuboUnavailable(StoreError):
    """No Kubo program or daemon is there, or the daemon refused a request."""
