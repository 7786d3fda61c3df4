"""The snapshot of an application whose whole state is one `MerkleMap`: what most applications need."""

from medward.ledger.encoding import Structure, decode, encode
from medward.ledger.errors import NotCanonical, SnapshotMismatch
from medward.ledger.merkle import MerkleMap, MerkleProof
from medward.ledger.types import Snapshot


class _Form(Structure, frozen=True):
    items: tuple[tuple[bytes, bytes], ...]


class MapSnapshot(Snapshot):
    """A map after one block. It shares with earlier and later ones, so one after each block costs little.

    Args:
        state: the map.
    """

    def __init__(self, state: MerkleMap) -> None:
        self._state = state

    @property
    def app_hash(self) -> bytes:
        """The map's root, 32 bytes."""
        return self._state.root

    def encode(self) -> bytes:
        """Return the whole map, in its order."""
        return encode(_Form(tuple(self._state.items())))

    def prove(self, path: str) -> tuple[bytes | None, bytes, MerkleProof]:
        """Return the value whose key is `path` in UTF-8, None where there is none, with the key and the proof."""
        key = path.encode()
        return self._state.get(key), key, self._state.prove(key)


def decode_map(data: bytes) -> MerkleMap:
    """Return the map that `MapSnapshot.encode` wrote.

    Raises:
        SnapshotMismatch: `data` is no such snapshot.
    """
    try:
        form = decode(data, _Form, thinnest=1)
    except NotCanonical as error:
        raise SnapshotMismatch(f"this is no snapshot of a map: {error}") from error
    return MerkleMap().update(dict(form.items))
