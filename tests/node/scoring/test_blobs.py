"""Ciphertexts in a node's store, written and read one after the other."""

from itertools import islice
from pathlib import Path

import pytest

from medward.federation.scoring.circuit import flow_ciphertexts
from medward.fhe.errors import MalformedEncoding
from medward.node.scoring.blobs import ScoringBlobs
from medward.store.errors import StoreError
from medward.store.local import in_memory
from tests.federation.scoring.world import parties, some_inputs

MOST = 1 << 24


def test_ciphertexts_come_back_in_their_order_and_each_is_made_when_it_is_written(tmp_path: Path) -> None:
    blobs, world = ScoringBlobs(in_memory(), tmp_path), parties()
    made = list(flow_ciphertexts(world.hospital, some_inputs(3), world.terms))
    name = blobs.put_ciphertexts(iter(made), world.terms, "flows")
    for input_only in (True, False):
        found = list(blobs.ciphertexts(name, world.terms, MOST, input_only=input_only))
        assert len(found) == len(made) > 1
        assert blobs.put_ciphertexts(found, world.terms, "again") == name
    # Who needs the first alone reads no more of it.
    assert len(list(islice(blobs.ciphertexts(name, world.terms, MOST), 1))) == 1


@pytest.mark.parametrize("content", [b"", b"\x00" * 1000, b"no ciphertexts"])
def test_blob_that_is_no_file_of_ciphertexts_is_refused(tmp_path: Path, content: bytes) -> None:
    blobs, world = ScoringBlobs(in_memory(), tmp_path), parties()
    name = blobs.put(content, "flows")
    with pytest.raises(MalformedEncoding):
        list(blobs.ciphertexts(name, world.terms, MOST))


def test_file_that_is_cut_or_longer_than_it_may_be_is_refused(tmp_path: Path) -> None:
    blobs, world = ScoringBlobs(in_memory(), tmp_path), parties()
    whole = blobs.put_ciphertexts(flow_ciphertexts(world.hospital, some_inputs(2), world.terms), world.terms, "flows")
    content = blobs.get(whole, MOST)
    with pytest.raises(MalformedEncoding):
        list(blobs.ciphertexts(blobs.put(content[:-1], "flows"), world.terms, MOST))
    with pytest.raises(StoreError):
        list(blobs.ciphertexts(whole, world.terms, len(content) // 2))
