"""etcd (Raft): three real nodes on loopback, default settings, every put synced; it survives crashes, not liars."""

import asyncio
import base64
import contextlib
import json
import shutil
import subprocess
import tempfile
from pathlib import Path

from medward.ledger.benchmark.load import Figures, measure
from medward.ledger.benchmark.pbft import free_ports
from medward.ledger.errors import LedgerError


def version() -> str | None:
    """Return etcd's version, None where it is not installed."""
    if shutil.which("etcd") is None:
        return None
    shown = subprocess.run(["etcd", "--version"], capture_output=True, text=True, check=False).stdout
    return shown.splitlines()[0].removeprefix("etcd Version: ") if shown else None


async def run(members: int, payload: int, workers: int, seconds: float) -> Figures:
    """Measure puts of `payload` bytes over etcd's HTTP interface, each worker on a connection of its own: HTTP/1.1
    answers one request of a connection after the other, and with fewer connections etcd carries less.
    """
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
        clients = [_Connection(ports[2 * (i % members) + 1]) for i in range(workers)]
        try:
            await _wait_ready(clients[0])
            value = base64.b64encode(bytes(payload)).decode()

            async def submit(worker: int) -> None:
                key = base64.b64encode(f"note-{worker}".encode()).decode()
                await clients[worker].put(json.dumps({"key": key, "value": value}).encode())

            return await measure(submit, workers, seconds)
        finally:
            for client in clients:
                client.close()
            for process in processes:
                process.kill()
                process.wait()


async def _wait_ready(client: "_Connection") -> None:
    body = json.dumps({"key": "cmVhZHk=", "value": "MQ=="}).encode()
    for _ in range(300):
        with contextlib.suppress(LedgerError):
            await client.put(body)
            return
        await asyncio.sleep(0.1)
    raise LedgerError("etcd did not become ready within 30 s")


class _Connection:
    """One HTTP connection, kept open; its requests wait for each other, as HTTP/1.1 has it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._turn = asyncio.Lock()
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def put(self, body: bytes) -> None:
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
                self.close()
                raise LedgerError(f"etcd did not answer: {error!r}") from error
            if " 200 " not in lines[0] + " ":
                raise LedgerError(f"etcd answered {lines[0]}")

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None
