"""The gateway as the Trustless Gateway specification has it, asked over real connections."""

import ssl
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medward.store.car import CarReader
from medward.store.cid import DAG_PB, Cid
from medward.store.dagpb import PbLink, bytes_field, encode_node, integer_field
from medward.store.errors import StoreError
from medward.store.gateway.negotiation import ByteRange, HttpProblem, read_request
from medward.store.gateway.server import GatewayServer
from medward.store.hamt import BucketPath
from medward.store.importer import Imported, Profile, import_directory, import_file
from medward.store.local import LocalStore, in_memory
from medward.store.unixfs import NodeType
from tests.store import vectors
from tests.store.certificates import Federation

SMALL = Profile("small", 1, 256, 4, True)
FILE = vectors.content(256 * 9 + 2, "file")
RAW = {"Accept": "application/vnd.ipld.raw"}
CAR = {"Accept": "application/vnd.ipld.car"}


@pytest.fixture(scope="module")
def store() -> Iterator[LocalStore]:
    with in_memory() as opened:
        yield opened


@pytest.fixture(scope="module")
def gateway(store: LocalStore) -> Iterator[httpx.Client]:
    with GatewayServer(store) as server, httpx.Client(base_url=server.url) as client:
        yield client


@pytest.fixture(scope="module")
def file(store: LocalStore) -> Cid:
    return store.add(FILE, pin="test", profile=SMALL)


@pytest.fixture(scope="module")
def folder(store: LocalStore) -> Cid:
    def build(put: object) -> Imported:
        big, small = import_file(FILE, put, SMALL), import_file(b"hello", put, SMALL)  # type: ignore[arg-type]
        inner = import_directory({"big.bin": big, "copy.bin": big}, put, SMALL)  # type: ignore[arg-type]
        return import_directory({"inner": inner, "hello.txt": small}, put, SMALL)  # type: ignore[arg-type]

    return store.add_dag(build, pin="test")


@pytest.fixture(scope="module")
def roots(file: Cid, folder: Cid) -> dict[str, Cid]:
    return {"file": file, "folder": folder}


def car_of(response: httpx.Response) -> list[Cid]:
    assert response.status_code == 200, response.text
    return [cid for cid, _ in CarReader([response.content])]


def leaves(start: int, stop: int) -> list[Cid]:
    return [Cid.of(FILE[offset : offset + 256]) for offset in range(start * 256, stop * 256, 256)]


def test_a_raw_block_comes_with_the_headers_that_caches_and_browsers_need(gateway: httpx.Client, file: Cid) -> None:
    response = gateway.get(f"/ipfs/{file}", headers=RAW)
    assert response.status_code == 200
    assert file.matches(response.content)
    assert response.headers["content-type"] == "application/vnd.ipld.raw"
    assert response.headers["content-length"] == str(len(response.content))
    assert response.headers["content-disposition"] == f'attachment; filename="{file}.bin"'
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["cache-control"] == "public, max-age=29030400, immutable"
    assert response.headers["etag"] == f'"{file}.raw"'
    assert response.headers["x-ipfs-path"] == f"/ipfs/{file}"
    assert response.headers["x-ipfs-roots"] == str(file)
    assert response.headers["content-location"] == f"/ipfs/{file}?format=raw"


def test_the_format_in_the_query_goes_before_the_accept_header(gateway: httpx.Client, file: Cid) -> None:
    assert gateway.get(f"/ipfs/{file}?format=raw", headers=CAR).headers["content-type"] == RAW["Accept"]
    as_car = gateway.get(f"/ipfs/{file}?format=car", headers=RAW)
    assert as_car.headers["content-type"] == "application/vnd.ipld.car; version=1; order=dfs; dups=n"


def test_head_answers_as_get_does_without_a_body(gateway: httpx.Client, file: Cid) -> None:
    for headers in (RAW, CAR):
        head, get = (gateway.request(method, f"/ipfs/{file}", headers=headers) for method in ("HEAD", "GET"))
        assert head.status_code == get.status_code == 200
        assert head.content == b""
        for name in ("etag", "content-type", "cache-control", "content-disposition"):
            assert head.headers[name] == get.headers[name]
    assert gateway.head(f"/ipfs/{Cid.of(b'absent')}", headers=RAW).status_code == 404


def test_what_the_client_already_has_is_not_sent_again(gateway: httpx.Client, file: Cid) -> None:
    for headers in (RAW, CAR):
        etag = gateway.get(f"/ipfs/{file}", headers=headers).headers["etag"]
        for condition in (etag, f'"other", {etag}', "*", etag.removeprefix("W/")):
            again = gateway.get(f"/ipfs/{file}", headers={**headers, "If-None-Match": condition})
            assert (again.status_code, again.content) == (304, b"")
        assert gateway.get(f"/ipfs/{file}", headers={**headers, "If-None-Match": '"other"'}).status_code == 200


def test_answers_that_differ_have_etags_that_differ(gateway: httpx.Client, folder: Cid) -> None:
    paths = ["", "?dag-scope=block", "?dag-scope=entity", "/inner", "/inner/big.bin"]
    paths += ["/inner/big.bin?entity-bytes=0:9", "/inner/big.bin?entity-bytes=0:*", "?car-dups=y"]
    etags = [gateway.head(f"/ipfs/{folder}{path}", headers=CAR).headers["etag"] for path in paths]
    assert len(set(etags)) == len(paths)
    assert all(etag.startswith('W/"') for etag in etags)


def test_what_is_not_here_is_404_and_412_where_only_the_cache_was_asked(gateway: httpx.Client) -> None:
    absent = Cid.of(b"absent")
    for headers in (RAW, CAR):
        assert gateway.get(f"/ipfs/{absent}", headers=headers).status_code == 404
        cached = {**headers, "Cache-Control": "only-if-cached"}
        assert gateway.get(f"/ipfs/{absent}", headers=cached).status_code == 412


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/ipfs/nonsense", RAW, 400),
        ("/ipfs/", RAW, 400),
        (
            "/ipfs/bafkrgqhhyivzstcz3hhswshfjgy6ertgmnqeleynhwt4dlfsthi4hn7zgh4uvlsb5xncykzapi3ocd4lzogukir6ksdy6wzrnz6ohnv4aglcs",
            RAW,
            400,
        ),
        ("/ipfs/{file}", {}, 400),
        ("/ipfs/{file}", {"Accept": "*/*"}, 400),
        ("/ipfs/{file}", {"Accept": "text/html"}, 406),
        ("/ipfs/{file}?format=tar", {}, 406),
        ("/ipfs/{file}/a", RAW, 400),
        ("/ipfs/{file}?dag-scope=everything", CAR, 400),
        ("/ipfs/{file}?entity-bytes=1", CAR, 400),
        ("/ipfs/{file}?entity-bytes=a:b", CAR, 400),
        ("/ipfs/{file}?entity-bytes=99999:*", CAR, 400),
        ("/ipfs/{file}?car-version=2", CAR, 400),
        ("/ipfs/{file}", {"Accept": "application/vnd.ipld.car; version=2"}, 400),
        ("/ipfs/{file}", {"Accept": "application/vnd.ipld.car; order=rnd"}, 400),
        ("/ipfs/{file}", {"Accept": "application/vnd.ipld.car; dups=maybe"}, 400),
        ("/ipfs/{file}", {"Accept": "application/vnd.ipld.raw; q=much"}, 400),
        ("/ipfs/{file}/name", CAR, 404),
        ("/ipfs/{folder}/nothing", CAR, 404),
        ("/ipfs/{folder}/inner/big.bin/more", CAR, 404),
        ("/ipfs/{folder}/" + "a/" * 40, CAR, 400),
        ("/ipns/name", RAW, 404),
        ("/", RAW, 404),
    ],
)
def test_requests_that_make_no_sense_get_the_status_of_the_specification(
    gateway: httpx.Client, roots: dict[str, Cid], path: str, headers: dict[str, str], status: int
) -> None:
    with httpx.Client(base_url=gateway.base_url) as client:
        del client.headers["accept"]
        response = client.get(path.format(**roots), headers=headers)
    assert response.status_code == status
    assert "Traceback" not in response.text


def test_nothing_can_be_written(gateway: httpx.Client, file: Cid) -> None:
    for method in ("PUT", "POST", "DELETE", "PATCH"):
        assert gateway.request(method, f"/ipfs/{file}", content=b"x").status_code == 405


def test_the_probe_of_the_specification_is_answered(gateway: httpx.Client) -> None:
    raw = gateway.get("/ipfs/bafkqaaa?format=raw")
    assert (raw.status_code, raw.content) == (200, b"")
    car = gateway.get("/ipfs/bafkqaaa?format=car")
    assert car.status_code == 200
    reader = CarReader([car.content])
    assert [str(root) for root in reader.roots] == ["bafkqaaa"]
    assert list(reader) == []
    assert gateway.head("/ipfs/bafkqaaa?format=raw").status_code == 200


def test_a_car_of_a_file_holds_all_its_blocks_depth_first(gateway: httpx.Client, store: LocalStore, file: Cid) -> None:
    cids = car_of(gateway.get(f"/ipfs/{file}", headers=CAR))
    assert cids[0] == file
    assert [cid for cid in cids if cid.codec != DAG_PB] == leaves(0, 10)
    assert b"".join(store.export_car(file)) == gateway.get(f"/ipfs/{file}", headers=CAR).content


def test_scopes_choose_the_blocks_of_the_specification(gateway: httpx.Client, store: LocalStore, folder: Cid) -> None:
    def ask(path: str) -> list[Cid]:
        return car_of(gateway.get(f"/ipfs/{folder}{path}", headers=CAR))

    big = import_file(FILE, lambda _cid, _block: None, SMALL).cid
    inner = ask("/inner?dag-scope=block")[-1]
    whole_file = [cid for cid, _ in CarReader(store.export_car(big))]
    assert ask("?dag-scope=block") == [folder]
    assert ask("?dag-scope=entity") == [folder]
    assert ask("/inner?dag-scope=entity") == [folder, inner]
    assert ask("/inner/big.bin?dag-scope=block") == [folder, inner, big]
    assert ask("/inner/big.bin?dag-scope=entity") == [folder, inner, *whole_file]
    assert ask("/inner/big.bin") == [folder, inner, *whole_file]
    assert ask("/inner") == [folder, inner, *whole_file]
    assert ask("/inner?car-dups=y") == [folder, inner, *whole_file, *whole_file]
    assert set(ask("")) == {folder, inner, *whole_file, Cid.of(b"hello")}


@pytest.mark.parametrize(
    ("byte_range", "first", "last"),
    [
        ("0:0", 0, 0),
        ("0:255", 0, 0),
        ("0:256", 0, 1),
        ("512:1023", 2, 3),
        ("512:-259", 2, 7),
        ("-5:*", 8, 9),
        ("-2:*", 9, 9),
        ("-99999:*", 0, 9),
        ("-99999:-3", 0, 8),
        ("0:99999", 0, 9),
    ],
)
def test_a_byte_range_brings_the_leaves_that_hold_it_and_no_other(
    gateway: httpx.Client, file: Cid, byte_range: str, first: int, last: int
) -> None:
    cids = car_of(gateway.get(f"/ipfs/{file}?entity-bytes={byte_range}", headers=CAR))
    assert cids[0] == file
    assert [cid for cid in cids if cid.codec != DAG_PB] == leaves(first, last + 1)


def test_an_empty_byte_range_brings_the_root_alone(gateway: httpx.Client, file: Cid) -> None:
    assert car_of(gateway.get(f"/ipfs/{file}?entity-bytes=10:5", headers=CAR)) == [file]


def test_a_path_through_a_record_follows_its_links(gateway: httpx.Client, store: LocalStore, folder: Cid) -> None:
    record = store.put_record({"models": [{"root": folder, "round": 1}]}, pin="test")
    cids = car_of(gateway.get(f"/ipfs/{record}/models/0/root/hello.txt", headers=CAR))
    assert cids == [record, folder, Cid.of(b"hello")]
    assert car_of(gateway.get(f"/ipfs/{record}/models/0/round", headers=CAR))[0] == record
    assert car_of(gateway.get(f"/ipfs/{record}?dag-scope=entity", headers=CAR)) == [record]
    for missing in ("/other", "/models/1", "/models/x", "/models/0/round/1"):
        assert gateway.get(f"/ipfs/{record}{missing}", headers=CAR).status_code == 404


def sharded_folder(store: LocalStore, names: list[str]) -> tuple[Cid, dict[str, Cid]]:
    """A directory of 8 buckets a shard, with one level of shards below the root for every bucket in use."""
    entries = {name: Cid.of(name.encode()) for name in names}
    buckets: dict[int, dict[int, list[str]]] = {}
    for name in names:
        path = BucketPath(name)
        first, second = path._hash >> 61 & 7, path._hash >> 58 & 7
        buckets.setdefault(first, {}).setdefault(second, []).append(name)

    def shard(links: list[PbLink]) -> bytes:
        message = integer_field(1, NodeType.HAMT_SHARD) + bytes_field(2, b"\xff")
        return encode_node(links, message + integer_field(5, 0x22) + integer_field(6, 8))

    def build(put: object) -> Imported:
        assert callable(put)
        top = []
        for first, below in sorted(buckets.items()):
            links = []
            for second, inside in sorted(below.items()):
                assert len(inside) == 1
                put(entries[inside[0]], inside[0].encode())
                links.append(PbLink(entries[inside[0]], f"{second:X}{inside[0]}", 1))
            block = shard(links)
            put(Cid.of(block, DAG_PB), block)
            top.append(PbLink(Cid.of(block, DAG_PB), f"{first:X}", 1))
        block = shard(top)
        put(Cid.of(block, DAG_PB), block)
        return Imported(Cid.of(block, DAG_PB), 0, 0)

    return store.add_dag(build, pin="test"), entries


def test_a_path_through_a_sharded_directory_takes_one_shard_a_level(gateway: httpx.Client, store: LocalStore) -> None:
    root, entries = sharded_folder(store, ["alpha", "beta", "gamma", "delta", "omega"])
    for name, cid in entries.items():
        cids = car_of(gateway.get(f"/ipfs/{root}/{name}", headers=CAR))
        assert len(cids) == 3
        assert (cids[0], cids[-1]) == (root, cid)
    assert gateway.get(f"/ipfs/{root}/epsilon", headers=CAR).status_code == 404
    shards = car_of(gateway.get(f"/ipfs/{root}?dag-scope=entity", headers=CAR))
    assert shards[0] == root
    assert not set(shards) & set(entries.values())


def test_a_hole_cuts_the_answer_off_where_the_client_will_notice(
    gateway: httpx.Client, store: LocalStore, caplog: pytest.LogCaptureFixture
) -> None:
    root = store.add(vectors.content(256 * 8, "hole"), pin="test", profile=SMALL)
    missing = Cid.of(vectors.content(256 * 8, "hole")[256 * 5 : 256 * 6])
    store.blocks.delete(missing)
    with pytest.raises(httpx.RemoteProtocolError):
        gateway.get(f"/ipfs/{root}", headers=CAR)
    (said,) = caplog.records
    assert said.getMessage() == f"an answer was cut off: {missing} is not in this store"
    assert said.exc_info is None
    assert len(car_of(gateway.get(f"/ipfs/{root}?entity-bytes=0:600", headers=CAR))) >= 4


def test_a_filename_cannot_smuggle_a_header(gateway: httpx.Client, file: Cid) -> None:
    response = gateway.get(f"/ipfs/{file}", params={"format": "raw", "filename": 'a"\r\nX-Evil: 1; é.bin'})
    assert response.headers["content-disposition"] == 'attachment; filename="a___X-Evil_ 1_ _.bin"'
    assert "x-evil" not in response.headers


@given(st.text(max_size=40), st.dictionaries(st.text(max_size=12), st.text(max_size=12), max_size=3), st.text())
def test_any_request_is_understood_or_refused_as_the_clients_fault(
    path: str, query: dict[str, str], accept: str
) -> None:
    try:
        read_request(path, query, accept)
    except HttpProblem as problem:
        assert problem.status in (400, 406)  # noqa: PT017


@given(st.integers(-50, 50), st.none() | st.integers(-50, 50), st.integers(0, 40))
def test_a_byte_range_is_that_of_a_list_of_bytes(first: int, last: int | None, size: int) -> None:
    start, stop = ByteRange(first, last).resolve(size)
    content = list(range(size))
    begin = first if first >= 0 else max(size + first, 0)
    end = size if last is None else (last if last >= 0 else size + last) + 1
    assert content[start : max(stop, 0)] == content[begin : max(end, 0)]


# --- who may connect


@pytest.fixture
def federation(tmp_path: Path) -> Federation:
    return Federation(tmp_path, "federation")


def test_members_talk_over_tls_13_only(store: LocalStore, file: Cid, federation: Federation) -> None:
    identity = federation.member("alice")
    with (
        GatewayServer(store, tls=identity) as server,
        httpx.Client(verify=federation.member("bob").client_context(), base_url=server.url) as client,
    ):
        assert client.get(f"/ipfs/{file}?format=raw").status_code == 200
        old = federation.member("carol").client_context()
        old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2
        with httpx.Client(verify=old, base_url=server.url) as outdated, pytest.raises(httpx.ConnectError):
            outdated.get(f"/ipfs/{file}?format=raw")


def test_who_has_no_certificate_of_the_federation_gets_no_byte(
    store: LocalStore, file: Cid, federation: Federation, tmp_path: Path
) -> None:
    with GatewayServer(store, tls=federation.member("alice")) as server:
        anonymous = ssl.create_default_context(cafile=str(federation.trusted))
        stranger = Federation(tmp_path, "elsewhere").member("mallory").client_context()
        stranger.load_verify_locations(federation.trusted)
        for context in (anonymous, stranger):
            with httpx.Client(verify=context, base_url=server.url) as client, pytest.raises(httpx.TransportError):
                client.get(f"/ipfs/{file}?format=raw")


def test_a_server_without_a_certificate_of_the_federation_is_not_asked(
    store: LocalStore, federation: Federation, tmp_path: Path
) -> None:
    impostor = Federation(tmp_path, "elsewhere").member("impostor")
    elsewhere = federation.member("dave", address="127.0.0.2")
    for identity in (impostor, elsewhere):
        with GatewayServer(store, tls=identity) as server:
            context = federation.member("bob").client_context()
            with httpx.Client(verify=context, base_url=server.url) as client, pytest.raises(httpx.ConnectError):
                client.get("/ipfs/bafkqaaa?format=raw")


def test_a_gateway_never_serves_the_world_in_the_clear(store: LocalStore) -> None:
    with pytest.raises(StoreError, match="needs a certificate"):
        GatewayServer(store, host="0.0.0.0")


def test_files_that_are_no_identity_are_named(federation: Federation, tmp_path: Path, store: LocalStore) -> None:
    alice, bob = federation.member("alice"), federation.member("bob")
    mixed = type(alice)(alice.certificate, bob.key, alice.trusted)
    with pytest.raises(StoreError, match="belong together"):
        GatewayServer(store, tls=mixed)
    with pytest.raises(StoreError, match=r"nothing\.pem"):
        type(alice)(tmp_path / "nothing.pem", alice.key, alice.trusted).client_context()
