"""Several homes' stores read as one: what is whole, what is altered, and what only seems to be there."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from medward.audit.findings import AuditResult
from medward.audit.stores import Stores
from medward.store.blocks import MemoryBlocks
from medward.store.cid import DAG_PB, RAW, SHA2_256, Cid
from medward.store.dag import walk
from medward.store.errors import CorruptBlock, LimitExceeded, StoreError
from medward.store.importer import Profile, import_file
from medward.store.limits import DEFAULT_LIMITS, file_of
from medward.store.records import encode_record, record_cid
from tests.store.test_unixfs import file_node

TINY = Profile("tiny", 1, 4, 2, True)
CONTENT = bytes(range(30))  # eight leaves below nodes of two: four levels


class Altered(MemoryBlocks):
    """Blocks in memory, of which a disk may alter some."""

    def alter(self, cid: Cid, content: bytes) -> None:
        self._blocks[cid.digest] = content

    def get(self, cid: Cid) -> bytes:
        block = super().get(cid)
        if not cid.matches(block):
            raise CorruptBlock(f"{cid} does not match its name")
        return block


@contextmanager
def read(**homes: Altered) -> Iterator[Stores]:
    stores = Stores(homes)
    yield stores
    stores.close()


def filled(content: bytes = CONTENT) -> tuple[Altered, Cid, list[Cid]]:
    """Return blocks that hold a blob, its name, and the names of all its blocks, the root first."""
    blocks = Altered()
    root = import_file(content, blocks.put, TINY).cid
    return blocks, root, [cid for cid, _ in walk(root, blocks.get)]


def told(stores: Stores, root: Cid) -> AuditResult:
    found = AuditResult()
    stores.verify(found)
    stores.tell({str(root): "the model"}, {str(root): "the model"}, found)
    return found


def test_blob_of_which_each_home_has_a_part_is_read_whole() -> None:
    blocks, root, names = filled()
    other = Altered()
    for place, cid in enumerate(names):
        if place % 2:
            other.put(cid, blocks.get(cid))
            blocks.delete(cid)
    with read(a=blocks, b=other) as stores:
        assert stores.read(str(root), DEFAULT_LIMITS) == CONTENT
        assert stores.size(str(root)) == len(CONTENT)
        assert stores.has(str(root))
        assert told(stores, root).problems == []


def test_blob_is_streamed_at_the_price_of_a_file_of_its_length() -> None:
    blocks, root, _ = filled()
    usual = import_file(CONTENT, blocks.put).cid
    with read(a=blocks) as stores:
        assert b"".join(stores.stream(str(usual))) == CONTENT
        assert stores.read(str(usual), file_of(len(CONTENT))) == CONTENT
        with pytest.raises(LimitExceeded):
            b"".join(stores.stream(str(root)))


@pytest.mark.parametrize("place", range(15))
def test_blob_that_lacks_any_block_is_not_whole_in_the_homes(place: int) -> None:
    blocks, root, names = filled()
    assert len(names) == 15
    blocks.delete(names[place])
    with read(a=blocks, b=Altered()) as stores:
        assert not stores.has(str(root))
        assert stores.read(str(root), DEFAULT_LIMITS) is None
        [problem] = told(stores, root).problems
        assert problem.what == "the model is whole in none of the homes"


@pytest.mark.parametrize("place", range(15))
def test_altered_block_is_told_with_its_home_and_another_home_s_is_read(place: int) -> None:
    blocks, root, names = filled()
    good = filled()[0]
    blocks.alter(names[place], b"altered")
    with read(a=blocks, b=good) as stores:
        found = told(stores, root)
        raw = Cid(1, RAW, SHA2_256, names[place].digest)  # which codec a block was put with is not kept
        assert [(one.home, str(raw) in one.what) for one in found.problems] == [("a", True)]
        assert "it is part of the model" in found.problems[0].what
        assert stores.read(str(root), DEFAULT_LIMITS) == CONTENT
    with read(a=blocks) as stores:
        assert "the model is not whole here" in [one.what for one in told(stores, root).problems]


def test_altered_block_that_the_ledger_does_not_name_is_told_as_such() -> None:
    blocks, root, _ = filled()
    stray = Cid.of(b"stray")
    blocks.put(stray, b"stray")
    blocks.alter(stray, b"stary")
    with read(a=blocks) as stores:
        [problem] = told(stores, root).problems
    assert "a blob that the ledger does not name" in problem.what


def test_blob_deeper_than_any_is_not_whole() -> None:
    blocks = Altered()
    cid = Cid.of(b"x")
    blocks.put(cid, b"x")
    for _ in range(DEFAULT_LIMITS.max_depth + 1):
        block = file_node([(cid, 1)])
        cid = Cid.of(block, DAG_PB)
        blocks.put(cid, block)
    with read(a=blocks) as stores:
        assert not stores.has(str(cid))


@pytest.mark.parametrize("name", ["", "no cid", "a" * 10_000, "\n"])
def test_name_that_is_none_is_nothing_that_a_member_may_name(name: str) -> None:
    with read(a=filled()[0]) as stores:
        assert stores.read(name, DEFAULT_LIMITS) == b""
        assert not stores.has(name)
        for ask in (stores.size, stores.stream):
            with pytest.raises(StoreError):
                ask(name)


def test_what_is_no_file_or_of_another_length_is_told_from_what_is_missing() -> None:
    blocks, root, _ = filled()
    record = encode_record([1])
    blocks.put(record_cid(record), record)
    with read(a=blocks) as stores:
        assert stores.read(str(record_cid(record)), DEFAULT_LIMITS) == b""
        assert stores.read(str(root), file_of(31)) == b""
        assert stores.read(str(Cid.of(b"missing")), DEFAULT_LIMITS) is None
