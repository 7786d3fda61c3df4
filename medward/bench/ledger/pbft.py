"""PBFT of n real processes over mutual TLS on loopback, every vote durable before it is sent."""

import asyncio
import json
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from medward.bench.ledger.load import Figures, measure
from medward.ledger.bank import Bank, Note
from medward.ledger.encoding import decode, encode
from medward.ledger.errors import LedgerError
from medward.ledger.execution import NONCE_WINDOW
from medward.ledger.membership import ChainParameters, Genesis
from medward.ledger.pbft.client import PbftClient
from medward.ledger.pbft.parameters import Parameters
from medward.ledger.pbft.runtime import event_loop
from medward.ledger.pbft.runtime.engine import NodeSettings, PbftEngine, prepare_folder
from medward.ledger.signatures import Domain, MemberSigner, MemberVerifier

_TIMERS = Parameters(request_timeout=10_000, status_interval=1000)


class Shares(msgspec.Struct, frozen=True):
    """What the replicas spent, added up.

    Args:
        verifying: seconds of CPU in signature checks: their number times what one takes.
        cpu: seconds of CPU in all.
        syncing: seconds of waiting for the disk.
        elapsed: seconds of running, added over the replicas.
        checks: signatures checked.
        syncs: transactions of the journal.
    """

    verifying: float
    cpu: float
    syncing: float
    elapsed: float
    checks: int
    syncs: int


def free_ports(count: int) -> list[int]:
    """Return ports on loopback that nobody listens on now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(s.getsockname()[1]) for s in sockets]
    for s in sockets:
        s.close()
    return ports


async def run(
    members: int, payload: int, workers: int, seconds: float, *, latencies: bool = True
) -> tuple[Figures, Shares]:
    """Measure n = `members` with transactions that carry `payload` bytes.

    Args:
        members, payload: see above.
        workers: closed loops, over as few clients as can have them all under way.
        seconds: at the peak, and again at half of it.
        latencies: whether to measure at half of the peak at all.

    Raises:
        LedgerError: a replica ended before the measurement did.
    """
    with tempfile.TemporaryDirectory(prefix="medward-bench-") as name:
        root = Path(name)
        ports = free_ports(members)
        names = [f"h{i:02d}" for i in range(members)]
        identities = tuple(
            prepare_folder(root / member).member(member, 0, f"127.0.0.1:{port}")
            for member, port in zip(names, ports, strict=True)
        )
        genesis = Genesis("benchmark", int(time.time() * 1000), ChainParameters(), identities)
        (root / "genesis").write_bytes(encode(genesis))
        command = [sys.executable, "-m", "medward.bench.ledger.pbft", name]
        replicas = {member: subprocess.Popen([*command, member], stdout=subprocess.PIPE) for member in names}
        try:
            figures = await _load(genesis, replicas, payload, workers, seconds, latencies)
            for member, replica in replicas.items():
                _check_running(member, replica)
        finally:
            for replica in replicas.values():
                replica.send_signal(signal.SIGTERM)
            reports = [await asyncio.to_thread(replica.communicate) for replica in replicas.values()]
        spent = [msgspec.json.decode(out, type=Shares) for out, _ in reports]
        total = Shares(*(sum(getattr(share, field) for share in spent) for field in Shares.__struct_fields__))
        return figures, total


def _check_running(member: str, replica: subprocess.Popen[bytes]) -> None:
    if replica.poll() is not None:
        raise LedgerError(
            f"replica {member} ended with exit code {replica.returncode} while it was measured; see above"
        )


async def _load(
    genesis: Genesis,
    replicas: Mapping[str, subprocess.Popen[bytes]],
    payload: int,
    workers: int,
    seconds: float,
    latencies: bool,
) -> Figures:
    number = -(-workers // NONCE_WINDOW)
    clients = [PbftClient(genesis, MemberSigner(Ed25519PrivateKey.generate()), patience=5) for _ in range(number)]
    filling = bytes(payload)

    async def submit(worker: int) -> None:
        await clients[worker % number].submit(encode(Note(f"note-{worker}", filling)))

    try:
        # A request that a replica heard before it could vote would wait for a time-out: start when all are there.
        for member, replica in replicas.items():
            while await clients[0].status(member) is None:
                _check_running(member, replica)
                await asyncio.sleep(0.05)
        await clients[0].submit(encode(Note("ready", b"")), give_up=120)
        return await measure(submit, workers, seconds, latencies=latencies)
    finally:
        await asyncio.gather(*(client.close() for client in clients))


def _seconds_of_a_check() -> float:
    """Return the CPU time of one Ed25519 check here and now."""
    signer, domain = MemberSigner(Ed25519PrivateKey.generate()), Domain(bytes(32), "commit", 0, 0, 1)
    signed = [(content, signer.sign(domain, content)) for content in (bytes([i]) * 32 for i in range(200))]
    verifier = MemberVerifier()
    started = time.process_time()
    for content, signatures in signed:
        verifier.valid(signer.public_keys, domain, content, signatures)
    return (time.process_time() - started) / len(signed)


async def _serve(root: Path, name: str) -> None:
    genesis = decode((root / "genesis").read_bytes(), Genesis)
    member = genesis.membership.member(name)
    assert member is not None
    engine = PbftEngine(NodeSettings(name, genesis, root / name, member.address, _TIMERS), Bank())
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    started = time.perf_counter()
    await engine.start()
    await stop.wait()
    verifier = engine.verifier
    spent = Shares(
        verifier.checks * _seconds_of_a_check(),
        time.process_time(),
        engine.commit_seconds,
        time.perf_counter() - started,
        verifier.checks,
        engine.commits,
    )
    await engine.stop()
    print(json.dumps(msgspec.to_builtins(spent)))


if __name__ == "__main__":
    event_loop.run(_serve(Path(sys.argv[1]), sys.argv[2]))
