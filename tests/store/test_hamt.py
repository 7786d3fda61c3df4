"""Sharded directories: the buckets of Kubo, and shards that lead nowhere."""

import mmh3
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medward.store.cid import Cid
from medward.store.dagpb import PbLink, PbNode
from medward.store.errors import InvalidDag
from medward.store.hamt import BucketPath, child_shards

ENTRY, BELOW = Cid.of(b"entry"), Cid.of(b"shard")
FANOUTS = st.sampled_from([8, 16, 256, 1024])


def shard(*links: tuple[str, Cid]) -> PbNode:
    return PbNode([PbLink(cid, name, 0) for name, cid in links], b"")


def buckets(name: str, fanout: int) -> list[str]:
    """The buckets of a name as the specification has them: bits of its hash, from the most significant on."""
    bits, hashed = fanout.bit_length() - 1, f"{mmh3.hash64(name.encode(), signed=False)[0]:064b}"
    width = len(f"{fanout - 1:X}")
    return [f"{int(hashed[at : at + bits], 2):0{width}X}" for at in range(0, 64 - bits + 1, bits)]


@given(st.text(max_size=20), FANOUTS)
def test_name_is_followed_from_shard_to_shard_to_its_entry_and_no_deeper_than_its_hash(name: str, fanout: int) -> None:
    ways, path = buckets(name, fanout), BucketPath(name)
    for way in ways[:-1]:
        assert path.next_link(shard(("00zz", ENTRY), (way, BELOW)), fanout) == (BELOW, False)
    found = path.next_link(shard((ways[-1] + "x" + name, BELOW), (ways[-1] + name, ENTRY)), fanout)
    assert found == (ENTRY, bool(name))
    with pytest.raises(InvalidDag, match="deeper than its hash is long"):
        path.next_link(shard((ways[0], BELOW)), fanout)


@given(st.text(min_size=1, max_size=20), FANOUTS)
def test_name_that_is_not_there_is_not_found(name: str, fanout: int) -> None:
    way = buckets(name, fanout)[0]
    others = shard((way + name + "x", ENTRY), (way.lower() + "#" + name, ENTRY), (name, ENTRY), ("", BELOW))
    assert BucketPath(name).next_link(shard(), fanout) is None
    assert BucketPath(name).next_link(others, fanout) in (None, (ENTRY, True) if name == way + name else None)


@pytest.mark.parametrize(("fanout", "width"), [(8, 1), (16, 1), (32, 2), (256, 2), (512, 3), (1024, 3)])
def test_shards_are_told_from_entries_by_the_length_of_their_names(fanout: int, width: int) -> None:
    links = [("F" * length, Cid.of(bytes([length]))) for length in range(6)]
    assert list(child_shards(shard(*links), fanout)) == [Cid.of(bytes([width]))]
