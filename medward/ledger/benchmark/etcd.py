"""etcd (Raft): three real nodes on loopback, default settings, every put synced; it survives crashes, not liars."""

import asyncio
import base64
import contextlib
import importlib.util
import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, Protocol

from medward.ledger.benchmark.grpc import UnaryCalls
from medward.ledger.benchmark.load import Figures, measure
from medward.ledger.benchmark.pbft import free_ports
from medward.ledger.cometbft.protobuf import varint
from medward.ledger.errors import LedgerError

Interface = Literal["gRPC by grpcio", "gRPC by bare frames", "HTTP/JSON"]
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
    return (*usual, "gRPC by bare frames", "HTTP/JSON")


def version() -> str | None:
    """Return etcd's version, None where it is not installed."""
    if shutil.which("etcd") is None:
        return None
    shown = subprocess.run(["etcd", "--version"], capture_output=True, text=True, check=False).stdout
    return shown.splitlines()[0].removeprefix("etcd Version: ") if shown else None


async def run(
    members: int, payload: int, workers: int, seconds: float, interface: Interface, *, latencies: bool = True
) -> Figures:
    """Measure puts of `payload` bytes.

    Args:
        members, payload, workers, seconds, latencies: as for PBFT.
        interface: gRPC, etcd's own, with a connection to each node that carries the calls of all workers there, by
            Google's client for Python (the extra `bench`) or by a client that writes the frames itself; or HTTP/JSON,
            where a connection answers one request after the other, with a connection for each worker. More connections
            of the one kind, or fewer of the other, carry less.
    """
    clients: list[Client] = []
    with nodes(members) as ports:
        try:
            for port in ports:
                await _wait_ready(port)
            if interface == "gRPC by grpcio":
                clients += [GrpcioClient(port) for port in ports]
            elif interface == "gRPC by bare frames":
                clients += [await BareClient.connect(port) for port in ports]
            else:
                clients += [JsonClient(ports[worker % members]) for worker in range(workers)]

            async def submit(worker: int) -> None:
                await clients[worker % len(clients)].put(f"note-{worker}".encode(), bytes(payload))

            return await measure(submit, workers, seconds, latencies=latencies)
        finally:
            await asyncio.gather(*(client.close() for client in clients))


@contextlib.contextmanager
def nodes(members: int) -> Iterator[list[int]]:
    """Run this many nodes of one cluster with their disks in a temporary folder; give the ports for clients."""
    ports = free_ports(2 * members)
    peers = ",".join(f"e{i}=http://127.0.0.1:{ports[2 * i]}" for i in range(members))
    with tempfile.TemporaryDirectory(prefix="medward-bench-") as root:
        processes = [
            subprocess.Popen(
                [
                    "etcd", "--name", f"e{i}", "--data-dir", str(Path(root) / f"e{i}"), "--log-level", "error",
                    "--listen-peer-urls", f"http://127.0.0.1:{ports[2 * i]}",
                    "--initial-advertise-peer-urls", f"http://127.0.0.1:{ports[2 * i]}",
                    "--listen-client-urls", f"http://127.0.0.1:{ports[2 * i + 1]}",
                    "--advertise-client-urls", f"http://127.0.0.1:{ports[2 * i + 1]}",
                    "--initial-cluster", peers,
                ],
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )
            for i in range(members)
        ]  # fmt: skip
        try:
            yield ports[1::2]
        finally:
            for process in processes:
                process.kill()
                process.wait()


async def _wait_ready(port: int) -> None:
    for _ in range(300):
        client = JsonClient(port)
        try:
            return await client.put(b"ready", b"1")
        except LedgerError:
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

    def __init__(self, port: int) -> None:
        grpc: Any = importlib.import_module("grpc")
        self._error: type[Exception] = grpc.RpcError
        self._channel: Any = grpc.aio.insecure_channel(f"127.0.0.1:{port}")
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
    async def connect(cls, port: int) -> "BareClient":
        """Call the node that listens on `port`."""
        loop, authority = asyncio.get_running_loop(), f"127.0.0.1:{port}"
        _, calls = await loop.create_connection(lambda: UnaryCalls(_METHOD, authority), "127.0.0.1", port)
        return cls(calls)

    async def put(self, key: bytes, value: bytes) -> None:
        """Return once the value is durable and applied."""
        await self._calls.call(_put_request(key, value))

    async def close(self) -> None:
        """Hang up."""
        self._calls.close()


class JsonClient:
    """One HTTP connection, kept open; its requests wait for each other, as HTTP/1.1 has it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._turn = asyncio.Lock()
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def put(self, key: bytes, value: bytes) -> None:
        """Return once the value is durable and applied."""
        named = {"key": base64.b64encode(key).decode(), "value": base64.b64encode(value).decode()}
        body = json.dumps(named).encode()
        async with self._turn:
            try:
                if self._streams is None:
                    self._streams = await asyncio.open_connection("127.0.0.1", self._port)
                reader, writer = self._streams
                head = f"POST /v3/kv/put HTTP/1.1\r\nHost: etcd\r\nContent-Length: {len(body)}\r\n\r\n"
                writer.write(head.encode() + body)
                answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30)
                lines = answer.decode("latin-1").lower().split("\r\n")
                length = next(int(line[15:]) for line in lines if line.startswith("content-length:"))
                await reader.readexactly(length)
            except (OSError, asyncio.IncompleteReadError, TimeoutError, StopIteration) as error:
                await self.close()
                raise LedgerError(f"etcd did not answer: {error!r}") from error
            if " 200 " not in lines[0] + " ":
                raise LedgerError(f"etcd answered {lines[0]}")

    async def close(self) -> None:
        """Hang up."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None
