"""etcd as it is measured: found, started, and called over gRPC and HTTP/JSON, by clients that tell of every refusal.

Where etcd is not installed, a short script stands for its program, a server of gRPC's own library for its gRPC, and a
server that answers with given bytes for its HTTP/JSON.
"""

import asyncio
import base64
import importlib
import json
import shlex
import ssl
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, get_args

import httpx
import pytest

from medward.bench.ledger import etcd
from medward.bench.ledger.certificate import Certificate
from medward.ledger.errors import LedgerError

MakeProgram = Callable[..., Path]
KEY, VALUE = bytes(range(20)), bytes(range(256)) * 2


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeProgram:
    """A maker of the program that MEDWARD_ETCD names, which tells a version and otherwise does as it is told."""

    def make(version: str = "etcd Version: 3.5.9", does: str = "exec sleep 60") -> Path:
        path = tmp_path / "etcd"
        told = f'if [ "$1" = --version ]; then printf %s {shlex.quote(version)}; exit; fi'
        keep = f'echo "$@" > {tmp_path}/$$.part; mv {tmp_path}/$$.part {tmp_path}/$$.words'
        path.write_bytes(f"#!/bin/sh\n{told}\n{keep}\n{does}\n".encode("latin-1"))
        path.chmod(0o700)
        monkeypatch.setenv("MEDWARD_ETCD", str(path))
        return path

    return make


def words_of(folder: Path, members: int) -> list[dict[str, str]]:
    """Return the options of each started program, in the order of their names."""
    for _ in range(1000):
        found = sorted(path.read_text() for path in folder.glob("*.words"))
        if len(found) == members:
            words = [one.split() for one in found]
            starts = [[i for i, word in enumerate(one) if word.startswith("--")] for one in words]
            return [
                {one[i]: " ".join(one[i + 1 : j]) for i, j in zip(at, [*at[1:], len(one)], strict=True)}
                for one, at in zip(words, starts, strict=True)
            ]
        time.sleep(0.01)
    raise AssertionError("the programs did not start")


@pytest.mark.parametrize(
    ("shown", "version"),
    [
        ("etcd Version: 3.5.9\nGit SHA: bdbbde998\n", "3.5.9"),
        ("etcd Version: 3.6.0-rc.2", "3.6.0-rc.2"),
        ("", None),
        ("\n", None),
        ("--version", None),
        ("etcd Version: unknown", None),
        ("\xff\xfe", None),
    ],
)
def test_version_is_what_etcd_tells_and_another_program_is_none(
    program: MakeProgram, shown: str, version: str | None
) -> None:
    path = program(shown)
    assert etcd.program() == str(path)
    assert etcd.version() == version
    assert bool(etcd.interfaces()) == (version is not None)


def test_where_etcd_is_not_installed_there_is_no_way_to_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MEDWARD_ETCD", str(tmp_path / "nothing"))
    assert (etcd.program(), etcd.version(), etcd.interfaces()) == (None, None, ())


def test_ways_are_those_of_this_machine(program: MakeProgram, monkeypatch: pytest.MonkeyPatch) -> None:
    program()
    monkeypatch.setattr(etcd.importlib.util, "find_spec", lambda _: None)
    assert set(get_args(etcd.Interface)) - set(etcd.interfaces()) == {"gRPC by grpcio"}
    monkeypatch.setattr(etcd.importlib.util, "find_spec", lambda _: object())
    assert set(etcd.interfaces()) == set(get_args(etcd.Interface))


@pytest.mark.parametrize("protected", [True, False])
def test_nodes_of_one_cluster_know_each_other_and_protect_all_that_they_say(
    program: MakeProgram, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, protected: bool
) -> None:
    program()
    (tmp_path / "disks").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "disks"))
    with etcd.nodes(3, protected=protected) as reached:
        words = words_of(tmp_path, 3)
        assert {node.context is not None for node in reached} == {protected}
    scheme = "https" if protected else "http"
    assert {one["--initial-cluster"] for one in words} == {
        ",".join(f"e{i}={one['--listen-peer-urls']}" for i, one in enumerate(words))
    }
    assert [one["--listen-client-urls"] for one in words] == [f"{scheme}://127.0.0.1:{node.grpc}" for node in reached]
    assert [one["--listen-client-http-urls"] for one in words] == [
        f"{scheme}://127.0.0.1:{node.http}" for node in reached
    ]
    urls = [one[f"--listen-{kind}-urls"] for one in words for kind in ("peer", "client", "client-http")]
    assert len(set(urls)) == 9
    assert all(one["--listen-peer-urls"].startswith(f"{scheme}:") for one in words)
    for one in words:
        assert ("--peer-client-cert-auth" in one) == protected
        if protected:
            assert one["--cert-file"] == one["--peer-trusted-ca-file"] == one["--peer-cert-file"]
    assert all(node.process is not None and node.process.returncode == -9 for node in reached)
    assert list((tmp_path / "disks").iterdir()) == []


@pytest.mark.parametrize(
    ("version", "apart"),
    [("3.4.24", False), ("3.4.25", True), ("3.5.7", False), ("3.5.8", True), ("3.6.0-rc.1", True), ("3.3.30", False)],
)
def test_grpc_and_json_have_ports_of_their_own_where_the_version_can(
    program: MakeProgram, tmp_path: Path, version: str, apart: bool
) -> None:
    program(f"etcd Version: {version}")
    with etcd.nodes(1, protected=False) as (node,):
        (words,) = words_of(tmp_path, 1)
    assert ("--listen-client-http-urls" in words) == apart
    assert (node.grpc != node.http) == apart


def test_an_etcd_that_ends_before_it_answers_is_told_of(program: MakeProgram) -> None:
    program(does="exit 7")
    with pytest.raises(LedgerError, match=r"etcd ended with exit code 7 before it answered; .*MEDWARD_ETCD"):
        asyncio.run(asyncio.wait_for(etcd.run(1, 10, 2, 0.1, "gRPC by bare frames without TLS"), 20))


Answer = Callable[[int], bytes]


@asynccontextmanager
async def answering(answer: Answer) -> AsyncIterator[tuple[etcd.Reached, list[Any]]]:
    """Serve HTTP with what `answer` gives for the number of a request; nothing hangs up. Gives what was asked, too."""
    asked: list[Any] = []
    connections: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)
        with_more = True
        while with_more:
            try:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
            except asyncio.IncompleteReadError:
                break
            length = int(head.lower().split("content-length: ")[1].split("\r\n")[0])
            asked.append((len(connections), head.splitlines()[0], json.loads(await reader.readexactly(length))))
            given = answer(len(asked))
            writer.write(given)
            with_more = bool(given)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield etcd.Reached(0, server.sockets[0].getsockname()[1], None), asked


def test_puts_over_json_share_one_connection_and_are_asked_one_after_the_other() -> None:
    async def story() -> None:
        async with answering(lambda _: b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}") as (node, asked):
            client = etcd.JsonClient(node)
            await asyncio.gather(*(client.put(b"key-%d" % i, VALUE) for i in range(3)))
            await client.close()
            await client.close()
        encoded = base64.b64encode(VALUE).decode()
        assert asked == [
            (1, "POST /v3/kv/put HTTP/1.1", {"key": base64.b64encode(b"key-%d" % i).decode(), "value": encoded})
            for i in range(3)
        ]

    asyncio.run(story())


@pytest.mark.parametrize(
    "bad",
    [
        b"",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n",
        b"\xff\xfe\r\n\r\n",
    ],
)
def test_an_answer_over_json_that_is_none_is_an_error_and_the_next_put_calls_anew(bad: bytes) -> None:
    async def story() -> None:
        good = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
        async with answering(lambda number: bad if number == 1 else good) as (node, asked):
            client = etcd.JsonClient(node)
            with pytest.raises(LedgerError, match="etcd did not answer"):
                await client.put(KEY, VALUE)
            await client.put(KEY, VALUE)
            await client.close()
            assert [one[0] for one in asked] == [1, 2]

    asyncio.run(asyncio.wait_for(story(), 20))


def test_a_refusal_over_json_is_an_error_and_the_connection_stays() -> None:
    async def story() -> None:
        refused = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 7\r\n\r\n200 OK "
        good = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
        async with answering(lambda number: refused if number == 1 else good) as (node, asked):
            client = etcd.JsonClient(node)
            with pytest.raises(LedgerError, match=r"etcd answered http/1\.1 400"):
                await client.put(KEY, VALUE)
            await client.put(KEY, VALUE)
            await client.close()
            assert [one[0] for one in asked] == [1, 1]

    asyncio.run(story())


def test_nobody_who_listens_is_an_error_over_json() -> None:
    async def story() -> None:
        async with answering(lambda _: b"") as (node, _):
            pass
        with pytest.raises(LedgerError, match="etcd did not answer"):
            await etcd.JsonClient(node).put(KEY, VALUE)

    asyncio.run(story())


Connect = Callable[[etcd.Reached], Awaitable[etcd.Client]]


async def bare(node: etcd.Reached) -> etcd.Client:
    return await etcd.BareClient.connect(node)


async def by_grpcio(node: etcd.Reached) -> etcd.Client:
    return etcd.GrpcioClient(node)


def fields(message: bytes) -> dict[int, bytes]:
    """Return the fields of bytes in a message of protobuf."""
    found, at = {}, 0

    def number() -> int:
        nonlocal at
        value = shift = 0
        while True:
            value |= (message[at] & 0x7F) << shift
            at, shift = at + 1, shift + 7
            if not message[at - 1] & 0x80:
                return value

    while at < len(message):
        tag = number()
        assert tag & 7 == 2
        length = number()
        found[tag >> 3], at = message[at : at + length], at + length
    return found


@pytest.mark.parametrize("protected", [True, False])
@pytest.mark.parametrize("connect", [bare, by_grpcio])
def test_puts_reach_a_server_of_grpcs_own_library_and_its_refusals_are_errors(
    connect: Connect, protected: bool, tmp_path: Path
) -> None:
    pytest.importorskip("grpc", reason="grpcio is not installed (the extra `bench`)")
    grpc = importlib.import_module("grpc")
    kept: dict[bytes, bytes] = {}

    def put(message: bytes, context: Any) -> bytes:
        found = fields(message)
        if not found[1]:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "key is not provided")
        kept[found[1]] = found[2]
        return b""

    async def story(node: etcd.Reached) -> None:
        client = await connect(node)
        await asyncio.gather(*(client.put(key, value) for key, value in puts.items()))
        with pytest.raises(LedgerError, match=r"refused|key is not provided"):
            await client.put(b"", VALUE)
        await client.put(KEY, VALUE)
        await client.close()

    puts = {b"key-%d" % i: bytes([i]) * 20_000 for i in range(8)}
    server = grpc.server(ThreadPoolExecutor(2))
    handlers = {"Put": grpc.unary_unary_rpc_method_handler(put)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("etcdserverpb.KV", handlers),))
    certificate = Certificate.create(tmp_path) if protected else None
    if certificate is None:
        port = server.add_insecure_port("127.0.0.1:0")
    else:
        pair = (certificate.key.read_bytes(), certificate.path.read_bytes())
        port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([pair]))
    server.start()
    try:
        asyncio.run(asyncio.wait_for(story(etcd.Reached(port, 0, certificate)), 30))
    finally:
        server.stop(None).wait()
    assert kept == {**puts, KEY: VALUE}


with_etcd = pytest.mark.skipif(etcd.version() is None, reason="etcd is not installed (Debian: etcd-server)")


@pytest.mark.slow
@with_etcd
@pytest.mark.parametrize("interface", get_args(etcd.Interface))
def test_etcd_is_measured_with_the_same_clients(interface):
    figures = asyncio.run(etcd.run(3, 200, 16, 1.0, interface))
    assert figures.failed == 0
    assert figures.peak > 0
    assert figures.p99 >= figures.p50 > 0


@with_etcd
@pytest.mark.parametrize("protected", [True, False])
@pytest.mark.parametrize("connect", [bare, by_grpcio])
def test_what_is_put_over_grpc_is_in_etcd_and_what_etcd_refuses_is_an_error(connect, protected):
    async def story(node):
        client = await connected(connect, node)
        puts = [(b"key-%d" % i, bytes([i]) * 10_000) for i in range(40)]
        await asyncio.gather(*(client.put(key, value) for key, value in puts))
        with pytest.raises(LedgerError, match=r"refused|key is not provided"):
            await client.put(b"", b"a value without a key")
        if connect is bare:
            with pytest.raises(LedgerError, match="longer"):
                await client.put(b"key", bytes(70_000))
        await client.put(b"last", b"after errors")
        await client.close()
        for key, value in [*puts, (b"last", b"after errors")]:
            assert await asyncio.to_thread(stored, node, key) == value

    with etcd.nodes(1, protected=protected) as reached:
        asyncio.run(story(reached[0]))


@with_etcd
@pytest.mark.parametrize("connect", [bare, by_grpcio])
def test_a_client_does_not_speak_to_an_etcd_with_another_certificate(connect, tmp_path):
    async def story(node):
        await (await connected(connect, node)).close()
        stranger = etcd.Reached(node.grpc, node.http, Certificate.create(tmp_path))
        with pytest.raises((ssl.SSLError, LedgerError)):
            await (await connect(stranger)).put(b"key", b"value")

    with etcd.nodes(1) as reached:
        asyncio.run(story(reached[0]))


async def connected(connect, node):
    for _ in range(300):
        try:
            client = await connect(node)
            await client.put(b"ready", b"1")
        except (OSError, LedgerError):
            await asyncio.sleep(0.1)
        else:
            return client
    raise AssertionError("etcd did not start")


def stored(node, key):
    body = {"key": base64.b64encode(key).decode()}
    scheme, trusted = ("http", True) if node.context is None else ("https", node.context)
    found = httpx.post(f"{scheme}://127.0.0.1:{node.http}/v3/kv/range", json=body, verify=trusted).json()
    return base64.b64decode(found["kvs"][0]["value"])
