"""etcd (Raft): three real nodes on loopback, default settings, every put synced; it survives crashes, not liars.

Its connections are protected as PBFT's are: nodes know each other by certificate, and clients check the node's. By one
interface it is measured without protection too. Under TLS an etcd that serves gRPC and HTTP/JSON at one port passes
every call through a general HTTP server, which carries less than gRPC's own; versions that can part the two do so here.
"""

import asyncio
import base64
import contextlib
import importlib.util
import json
import os
import re
import shutil
import ssl
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from medward.bench.ledger.certificate import Certificate
from medward.bench.ledger.grpc import UnaryCalls
from medward.bench.ledger.load import Figures, measure
from medward.bench.ledger.pbft import free_ports
from medward.ledger.cometbft.protobuf import varint
from medward.ledger.errors import LedgerError

Interface = Literal["gRPC by grpcio", "gRPC by bare frames", "HTTP/JSON", "gRPC by bare frames without TLS"]
_METHOD = "/etcdserverpb.KV/Put"


class Client(Protocol):
    """One connection to one node."""

    async def put(self, key: bytes, value: bytes) -> None:
        """Return once the value is durable and applied."""

    async def close(self) -> None:
        """Hang up."""


def interfaces() -> tuple[Interface, ...]:
    """Return the ways to etcd that can be measured here; none where it is not installed."""
    if version() is None:
        return ()
    usual: tuple[Interface, ...] = ("gRPC by grpcio",) if importlib.util.find_spec("grpc") is not None else ()
    return (*usual, "gRPC by bare frames", "HTTP/JSON", "gRPC by bare frames without TLS")


def program() -> str | None:
    """Return the etcd that is measured: the one that MEDWARD_ETCD names, else the first on the path."""
    return shutil.which(os.environ.get("MEDWARD_ETCD", "etcd"))


def version() -> str | None:
    """Return etcd's version, None where it is not installed or what has its name tells none as etcd does."""
    found = program()
    if found is None:
        return None
    shown = subprocess.run([found, "--version"], capture_output=True, text=True, errors="replace", check=False).stdout
    told = re.match(r"etcd Version: (\d+\.\d+\.\d+\S*)", shown)
    return told and told[1]


def _parts_listeners(of: str) -> bool:
    """Tell whether a version has `--listen-client-http-urls`: 3.4.25, 3.5.8 and later ones."""
    major, minor, patch = (int(number) for number in re.findall(r"\d+", of)[:3])
    return (major, minor, patch) >= (3, 5, 8) or ((major, minor) == (3, 4) and patch >= 25)


async def run(
    members: int, payload: int, workers: int, seconds: float, interface: Interface, *, latencies: bool = True
) -> Figures:
    """Measure puts of `payload` bytes.

    Args:
        members, payload, workers, seconds, latencies: as for PBFT.
        interface: gRPC, etcd's own, with a connection to each node that carries the calls of all workers there, by
            Google's client for Python (the extra `bench`) or by a client that writes the frames itself; or HTTP/JSON,
            where a connection answers one request after the other, with a connection for each worker. More connections
            of the one kind, or fewer of the other, carry no more.
    """
    clients: list[Client] = []
    with nodes(members, protected=not interface.endswith("without TLS")) as reached:
        try:
            for node in reached:
                await _wait_ready(node)
            if interface == "gRPC by grpcio":
                clients += [GrpcioClient(node) for node in reached]
            elif interface == "HTTP/JSON":
                clients += [JsonClient(reached[worker % members]) for worker in range(workers)]
            else:
                clients += [await BareClient.connect(node) for node in reached]

            async def submit(worker: int) -> None:
                await clients[worker % len(clients)].put(f"note-{worker}".encode(), bytes(payload))

            return await measure(submit, workers, seconds, latencies=latencies)
        finally:
            await asyncio.gather(*(client.close() for client in clients))


@dataclass(frozen=True)
class Reached:
    """Where clients reach a node.

    Args:
        grpc: the port of gRPC, on loopback.
        http: that of HTTP/JSON.
        certificate: what it shows; None without TLS.
        process: that serves there; None where it is not known.
    """

    grpc: int
    http: int
    certificate: Certificate | None
    process: subprocess.Popen[bytes] | None = None

    @property
    def context(self) -> ssl.SSLContext | None:
        """What a client needs for TLS."""
        return None if self.certificate is None else self.certificate.client_context()


@contextlib.contextmanager
def nodes(members: int, *, protected: bool = True) -> Iterator[list[Reached]]:
    """Run this many nodes of one cluster with their disks in a temporary folder.

    Args:
        members: how many.
        protected: whether they and their clients speak TLS.
    """
    found, installed = program(), version()
    assert found is not None
    assert installed is not None
    ports = free_ports(3 * members)
    with tempfile.TemporaryDirectory(prefix="medward-bench-") as root:
        certificate = Certificate.create(Path(root)) if protected else None
        urls = [f"{'https' if protected else 'http'}://127.0.0.1:{port}" for port in ports]
        peers, clients, json_clients = urls[:members], urls[members : 2 * members], urls[2 * members :]
        apart = _parts_listeners(installed)
        processes = [
            subprocess.Popen(
                [
                    found, "--name", f"e{i}", "--data-dir", str(Path(root) / f"e{i}"), "--log-level", "error",
                    "--listen-peer-urls", peers[i], "--initial-advertise-peer-urls", peers[i],
                    "--listen-client-urls", clients[i], "--advertise-client-urls", clients[i],
                    *(["--listen-client-http-urls", json_clients[i]] if apart else []),
                    "--initial-cluster", ",".join(f"e{j}={url}" for j, url in enumerate(peers)),
                    *_protection(certificate),
                ],
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )
            for i in range(members)
        ]  # fmt: skip
        grpc_ports, json_ports = ports[members : 2 * members], ports[(2 if apart else 1) * members :][:members]
        try:
            yield [
                Reached(grpc_port, json_port, certificate, process)
                for grpc_port, json_port, process in zip(grpc_ports, json_ports, processes, strict=True)
            ]
        finally:
            for process in processes:
                process.kill()
                process.wait()


def _protection(certificate: Certificate | None) -> list[str]:
    """Return etcd's options: show the certificate to clients, and ask for it among nodes."""
    if certificate is None:
        return []
    shown, key = str(certificate.path), str(certificate.key)
    clients = ["--cert-file", shown, "--key-file", key]
    return [*clients, "--peer-cert-file", shown, "--peer-key-file", key, "--peer-client-cert-auth",
            "--peer-trusted-ca-file", shown]  # fmt: skip


async def _wait_ready(node: Reached) -> None:
    for _ in range(300):
        client = JsonClient(node)
        try:
            return await client.put(b"ready", b"1")
        except LedgerError:
            if node.process is not None and node.process.poll() is not None:
                raise LedgerError(
                    f"etcd ended with exit code {node.process.returncode} before it answered; mend its installation, "
                    "or name another with MEDWARD_ETCD"
                ) from None
            await asyncio.sleep(0.1)
        finally:
            await client.close()
    raise LedgerError("etcd did not become ready within 30 s")


def _put_request(key: bytes, value: bytes) -> bytes:
    # etcd's `PutRequest`: field 1 is the key, field 2 the value.
    return b"\x0a" + varint(len(key)) + key + b"\x12" + varint(len(value)) + value


class GrpcioClient:
    """The calls of many workers over one connection of Google's gRPC for Python, which is what etcd is usually called
    with from there.
    """

    def __init__(self, node: Reached) -> None:
        grpc: Any = importlib.import_module("grpc")
        self._error: type[Exception] = grpc.RpcError
        target = f"127.0.0.1:{node.grpc}"
        self._channel: Any
        if node.certificate is None:
            self._channel = grpc.aio.insecure_channel(target)
        else:
            trusted = grpc.ssl_channel_credentials(node.certificate.path.read_bytes())
            self._channel = grpc.aio.secure_channel(target, trusted)
        self._put: Any = self._channel.unary_unary(_METHOD)

    async def put(self, key: bytes, value: bytes) -> None:
        """Return once the value is durable and applied."""
        try:
            await self._put(_put_request(key, value))
        except self._error as error:
            raise LedgerError(f"etcd did not answer: {error!r}") from error

    async def close(self) -> None:
        """Hang up."""
        await self._channel.close()


class BareClient:
    """The calls of many workers over one HTTP/2 connection, with as little of gRPC as they need."""

    def __init__(self, calls: UnaryCalls) -> None:
        self._calls = calls

    @classmethod
    async def connect(cls, node: Reached) -> "BareClient":
        """Call a node."""
        loop, authority, context = asyncio.get_running_loop(), f"127.0.0.1:{node.grpc}", node.context
        if context is not None:
            context.set_alpn_protocols(["h2"])

        def calls() -> UnaryCalls:
            return UnaryCalls(_METHOD, authority, "http" if context is None else "https")

        _, made = await loop.create_connection(calls, "127.0.0.1", node.grpc, ssl=context)
        return cls(made)

    async def put(self, key: bytes, value: bytes) -> None:
        """Return once the value is durable and applied."""
        await self._calls.call(_put_request(key, value))

    async def close(self) -> None:
        """Hang up."""
        self._calls.close()


class JsonClient:
    """One HTTP connection, kept open; its requests wait for each other, as HTTP/1.1 has it."""

    def __init__(self, node: Reached) -> None:
        self._port, self._context = node.http, node.context
        self._turn = asyncio.Lock()
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def put(self, key: bytes, value: bytes) -> None:
        """Return once the value is durable and applied."""
        named = {"key": base64.b64encode(key).decode(), "value": base64.b64encode(value).decode()}
        body = json.dumps(named).encode()
        async with self._turn:
            try:
                if self._streams is None:
                    self._streams = await asyncio.open_connection("127.0.0.1", self._port, ssl=self._context)
                reader, writer = self._streams
                head = f"POST /v3/kv/put HTTP/1.1\r\nHost: etcd\r\nContent-Length: {len(body)}\r\n\r\n"
                writer.write(head.encode() + body)
                answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30)
                lines = answer.decode("latin-1").lower().split("\r\n")
                length = next(int(line[15:]) for line in lines if line.startswith("content-length:"))
                await asyncio.wait_for(reader.readexactly(length), 30)
            except (OSError, EOFError, TimeoutError, StopIteration, ValueError, asyncio.LimitOverrunError) as error:
                await self.close()
                raise LedgerError(f"etcd did not answer: {error!r}") from error
            if " 200 " not in lines[0] + " ":
                raise LedgerError(f"etcd answered {lines[0]}")

    async def close(self) -> None:
        """Hang up."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None
