"""From a request to its blocks: paths through records are followed exactly, and a dead end is told with its name."""

import pytest

from medward.store.cid import DAG_PB, Cid
from medward.store.errors import BlockNotFound, LimitExceeded
from medward.store.gateway.negotiation import ByteRange, CarRequest, HttpProblem, Scope
from medward.store.gateway.selection import follow_path, select_blocks
from medward.store.importer import Profile, import_directory, import_file
from medward.store.limits import DagLimits
from medward.store.records import RecordValue, encode_record, record_cid
from tests.store.test_unixfs import file_node

TINY = Profile("tiny", 1, 4, 3, True)


class Blocks(dict[Cid, bytes]):
    def __missing__(self, cid: Cid) -> bytes:
        raise BlockNotFound(f"{cid} is not here")

    def put(self, cid: Cid, block: bytes | memoryview) -> None:
        self[cid] = bytes(block)

    def record(self, value: RecordValue) -> Cid:
        block = encode_record(value)
        self[record_cid(block)] = block
        return record_cid(block)


@pytest.fixture
def blocks() -> Blocks:
    return Blocks()


def request(
    cid: Cid, *path: str, scope: Scope = Scope.ALL, byte_range: ByteRange | None = None, repeat: bool = False
) -> CarRequest:
    return CarRequest(cid, path, scope, byte_range, repeat, "x")


def selected(blocks: Blocks, wanted: CarRequest, limits: DagLimits | None = None) -> list[Cid]:
    found = select_blocks(wanted, follow_path(wanted, blocks.__getitem__), blocks.__getitem__, limits or DagLimits())
    return [cid for cid, _ in found]


@pytest.mark.parametrize(("name", "place"), [("0", 0), ("11", 11), ("000000011", 11)])
def test_item_of_a_list_is_that_of_its_number(blocks: Blocks, name: str, place: int) -> None:
    leaves = [blocks.record(number) for number in range(12)]
    root = blocks.record({"list": list(leaves)})
    assert follow_path(request(root, "list", name), blocks.__getitem__).terminus == leaves[place]


@pytest.mark.parametrize("name", ["12", "-1", "", "x", "1.0", "²", "0000000011", "9" * 5000, "999999999"])
def test_what_is_no_number_of_an_item_leads_nowhere(blocks: Blocks, name: str) -> None:
    root = blocks.record({"list": [blocks.record(number) for number in range(12)]})
    with pytest.raises(HttpProblem, match="the record has nothing under") as refused:
        follow_path(request(root, "list", name), blocks.__getitem__)
    assert refused.value.status == 404


def test_path_leads_through_records_and_directories_and_its_blocks_prove_it(blocks: Blocks) -> None:
    file = import_file(b"0123456789", blocks.put, TINY)
    folder = import_directory({"a b": file, "c": file}, blocks.put)
    root = blocks.record({"update": {"folder": folder.cid}})
    wanted = request(root, "update", "folder", "a b", scope=Scope.BLOCK)
    assert selected(blocks, wanted) == [root, folder.cid, file.cid]
    with pytest.raises(HttpProblem, match="has no entry 'd'"):
        follow_path(request(root, "update", "folder", "d"), blocks.__getitem__)
    with pytest.raises(HttpProblem, match="is a file and has no entry"):
        follow_path(request(file.cid, "d"), blocks.__getitem__)
    with pytest.raises(HttpProblem, match="holds no names"):
        follow_path(request(Cid.of(b"0123"), "d"), blocks.__getitem__)


def test_range_brings_the_parts_that_hold_it_alone(blocks: Blocks) -> None:
    root = import_file(bytes(range(20)), blocks.put, TINY).cid
    every = selected(blocks, request(root))
    assert len(every) == 1 + 2 + 5  # root, two nodes of three and two, five leaves
    one = selected(blocks, request(root, scope=Scope.ENTITY, byte_range=ByteRange(-1, None)))
    assert [cid for cid in one if blocks[cid] == bytes(range(16, 20))] == one[-1:]
    assert len(one) == 3
    with pytest.raises(HttpProblem, match="outside it") as refused:
        follow_path(request(root, scope=Scope.ENTITY, byte_range=ByteRange(20, None)), blocks.__getitem__)
    assert refused.value.status == 400


def test_hole_and_malformed_block_on_the_way_are_told_apart(blocks: Blocks) -> None:
    missing = blocks.record({"next": Cid.of(b"not here")})
    with pytest.raises(HttpProblem, match="not here") as refused:
        follow_path(request(missing, "next"), blocks.__getitem__)
    assert refused.value.status == 404
    broken = record_cid(b"\xff")
    blocks[broken] = b"\xff"
    with pytest.raises(HttpProblem, match="cannot be followed") as refused:
        follow_path(request(broken, "next"), blocks.__getitem__)
    assert refused.value.status == 400


def test_repeated_blocks_keep_no_gateway_busy(blocks: Blocks) -> None:
    leaf = Cid.of(b"x")
    middle = file_node([(leaf, 1)] * 100)
    top = file_node([(Cid.of(middle, DAG_PB), 100)] * 100)
    cid = Cid.of(top, DAG_PB)
    blocks.update({leaf: b"x", Cid.of(middle, DAG_PB): middle, cid: top})
    assert len(selected(blocks, request(cid))) == 3
    with pytest.raises(LimitExceeded, match="more than 4096"):
        selected(blocks, request(cid, repeat=True))
    with pytest.raises(LimitExceeded, match="more than 2 blocks"):
        selected(blocks, request(cid), DagLimits(max_blocks=2))
