"""Blobs of audited homes: within their limits, and named without a store."""

from contextlib import closing
from pathlib import Path

import pytest

from medward.audit.computing.blobs import AuditedBlobs, name_of_file
from medward.audit.stores import Stores, open_blocks
from medward.federation.blobs import blob_name
from medward.store.cid import Cid
from medward.store.errors import BlockNotFound, InvalidCid, LimitExceeded
from medward.store.local import open_directory

CONTENT = bytes(range(256)) * 10_000


def test_blob_is_read_up_to_its_limit_and_no_further(tmp_path: Path) -> None:
    with open_directory(tmp_path) as store:
        name = str(store.add(CONTENT, pin="kept"))
    with closing(Stores({"home": open_blocks(tmp_path)})) as stores:
        blobs = AuditedBlobs(stores)
        assert blobs.get(name, len(CONTENT)) == CONTENT
        assert blobs.stream(name, len(CONTENT)).read(1000) == CONTENT[:1000]
        with pytest.raises(LimitExceeded):
            blobs.get(name, len(CONTENT) // 2)
        with pytest.raises(BlockNotFound):
            blobs.get(str(Cid.of(b"nowhere")), 100)
        with pytest.raises(InvalidCid):
            blobs.get("no name", 100)


@pytest.mark.parametrize("size", [0, 1, len(CONTENT)])
def test_name_of_a_file_is_the_one_that_every_store_gives_it(size: int) -> None:
    assert name_of_file(lambda file: file.write(CONTENT[:size])) == blob_name(CONTENT[:size])
