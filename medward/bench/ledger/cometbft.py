"""CometBFT: four real validators on loopback with our application, the same clients and the same transactions."""

import asyncio
import hashlib
import tempfile
from itertools import count
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from medward.bench.ledger.load import Figures, measure
from medward.bench.ledger.pbft import free_ports
from medward.ledger.bank import Bank, Note
from medward.ledger.cometbft.engine import CometEngine, CometSettings
from medward.ledger.cometbft.process import CometProcess, Ports, write_genesis
from medward.ledger.encoding import encode
from medward.ledger.signatures import MemberSigner
from medward.ledger.transactions import sign_transaction

_CHAIN = hashlib.sha256(b"benchmark").digest()
_CLIENTS = 8


async def run(program: Path, members: int, payload: int, workers: int, seconds: float) -> Figures:
    """Measure `members` validators with transactions that carry `payload` bytes."""
    with tempfile.TemporaryDirectory(prefix="medward-bench-") as root:
        ports = free_ports(3 * members)
        processes = [
            CometProcess(program, Path(root) / f"v{i}", Ports(*ports[3 * i : 3 * i + 3])) for i in range(members)
        ]
        for process in processes:
            process.initialise()
        write_genesis(processes, "benchmark", "2024-01-01T00:00:00Z")
        engines = []
        for i, process in enumerate(processes):
            peers = tuple(f"{p.node_id}@127.0.0.1:{p.ports.p2p}" for j, p in enumerate(processes) if j != i)
            engines.append(CometEngine(CometSettings(process, peers, _CHAIN), Bank))
        signers = [MemberSigner(Ed25519PrivateKey.generate()) for _ in range(_CLIENTS)]
        nonces = [count(1) for _ in range(_CLIENTS)]
        filling = bytes(payload)

        async def submit(worker: int) -> None:
            client = worker % _CLIENTS
            order = encode(Note(f"note-{worker}", filling))
            transaction = sign_transaction(_CHAIN, signers[client], next(nonces[client]), order)
            await engines[client % members].submit(transaction)

        try:
            await asyncio.gather(*(engine.start() for engine in engines))
            return await measure(submit, workers, seconds)
        finally:
            await asyncio.gather(*(engine.stop() for engine in engines))
