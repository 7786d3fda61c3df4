"""The snapshot of an application that keeps everything in one map."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medward.ledger.encoding import encode
from medward.ledger.errors import SnapshotMismatch
from medward.ledger.merkle import MerkleMap, verify_proof
from medward.ledger.snapshots import MapSnapshot, decode_map
from tests.bombs import crowd_of_lists, most_memory_of


@given(st.dictionaries(st.text(max_size=8).map(str.encode), st.binary(max_size=8), max_size=20))
def test_snapshot_gives_the_same_map_back(content: dict[bytes, bytes]) -> None:
    snapshot = MapSnapshot(MerkleMap().update(content))
    again = MapSnapshot(decode_map(snapshot.encode()))
    assert again.app_hash == snapshot.app_hash
    assert again.encode() == snapshot.encode()


@pytest.mark.parametrize(("path", "value"), [("here", b"1"), ("absent", None)])
def test_what_stands_at_a_path_is_proved(path: str, value: bytes | None) -> None:
    snapshot = MapSnapshot(MerkleMap().set(b"here", b"1"))
    found, key, proof = snapshot.prove(path)
    assert (found, key) == (value, path.encode())
    verify_proof(snapshot.app_hash, key, found, proof)


@pytest.mark.parametrize("data", [b"", b"\x80", encode([[[b"key", 1]]]), encode([[[b"key", b"1"]]]) + b"\x00"])
def test_bytes_that_are_no_snapshot_are_refused(data: bytes) -> None:
    with pytest.raises(SnapshotMismatch, match="no snapshot of a map"):
        decode_map(data)


def test_bytes_that_decode_to_much_more_are_refused_before_they_do() -> None:
    crowd = b"\x81" + crowd_of_lists()

    def decoded() -> None:
        with pytest.raises(SnapshotMismatch, match="no snapshot of a map"):
            decode_map(crowd)

    assert most_memory_of(decoded) < 24 * len(crowd)
