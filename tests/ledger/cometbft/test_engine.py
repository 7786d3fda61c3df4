"""Four real CometBFT validators with our application: same state as PBFT's replay, kill -9, snapshots, certificates."""

import asyncio
import copy
import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from medward.ledger.bank import Bank, Deposit
from medward.ledger.cometbft.engine import CometEngine, CometSettings
from medward.ledger.cometbft.light import verify_commit
from medward.ledger.cometbft.process import CometProcess, Ports, find_program, write_genesis
from medward.ledger.encoding import encode
from medward.ledger.errors import InvalidCertificate, TransactionRefused
from medward.ledger.execution import Execution
from medward.ledger.signatures import MemberSigner
from medward.ledger.transactions import sign_transaction
from medward.node.trial.ports import free_ports

PROGRAM = find_program()
CHAIN = hashlib.sha256(b"a comet chain").digest()
GENESIS_TIME = "2024-01-01T00:00:00Z"
GENESIS_MILLISECONDS = 1704067200000

pytestmark = [
    pytest.mark.engines,
    pytest.mark.skipif(PROGRAM is None, reason="no CometBFT here: .ci/cometbft builds it where there is Go"),
]


def make_processes(root, count):
    ports = free_ports(3 * count)
    processes = []
    for i in range(count):
        process = CometProcess(PROGRAM, root / f"v{i}", Ports(*ports[3 * i : 3 * i + 3]))
        process.initialise()
        processes.append(process)
    write_genesis(processes[:4], "bank-chain", GENESIS_TIME)
    return processes


def make_engine(processes, index, **options):
    peers = tuple(f"{p.node_id}@127.0.0.1:{p.ports.p2p}" for i, p in enumerate(processes) if i != index)
    return CometEngine(CometSettings(processes[index], peers, CHAIN, **options), Bank)


class Client:
    def __init__(self):
        self.signer = MemberSigner(Ed25519PrivateKey.generate())
        self.nonce = 0

    def deposit(self, account="a"):
        self.nonce += 1
        return sign_transaction(CHAIN, self.signer, self.nonce, encode(Deposit(account, 1)))


async def submit_many(engine, client, count):
    receipts = await asyncio.gather(*(engine.submit(client.deposit()) for _ in range(count)))
    assert all(receipt.result.code == 0 for receipt in receipts)


async def reach(engines, height):
    async with asyncio.timeout(60):
        while any(engine.height < height for engine in engines):
            await asyncio.sleep(0.05)


async def replay(engine, height):
    """Run CometBFT's blocks through the object that PBFT runs."""
    execution, roots = Execution(Bank(), GENESIS_MILLISECONDS), {}
    for number in range(1, height + 1):
        block = await engine.block(number)
        execution.execute(block.time, block.transactions)
        roots[number] = execution.summary.root
    return execution, roots


def test_four_validators_give_the_state_that_a_replay_gives_and_survive_kill_9(tmp_path):
    async def story():
        processes, client = make_processes(tmp_path, 4), Client()
        engines = [make_engine(processes, i, snapshot_interval=5) for i in range(4)]
        try:
            await asyncio.gather(*(engine.start() for engine in engines))
            await submit_many(engines[0], client, 30)
            first = client.deposit()
            await engines[1].submit(first)
            assert (await engines[1].submit(first)).result.code == 0
            with pytest.raises(TransactionRefused):
                await engines[2].submit(sign_transaction(bytes(32), client.signer, 99, encode(Deposit("a", 1))))
            processes[3].kill()
            await submit_many(engines[0], client, 10)
            await engines[3].stop()
            # The application's memory is gone as well: it comes back from its snapshot and CometBFT's own blocks.
            engines[3] = make_engine(processes, 3, snapshot_interval=5)
            await engines[3].start()
            await submit_many(engines[3], client, 5)
            last = engines[3].height
            await reach(engines, last)
            execution, roots = await replay(engines[0], last)
            assert int.from_bytes(execution.application.query("a"), "big") == client.nonce
            assert {engine.application.execution.summary.root for engine in engines} <= set(roots.values())
            await verify_certificates(engines[2], last, roots)
        finally:
            await asyncio.gather(*(engine.stop() for engine in engines))

    asyncio.run(story())


async def verify_certificates(engine, last, roots):
    """An auditor verifies headers alone; each certifies the state after the height before."""
    validators = (await engine.call("validators", height=str(last)))["validators"]
    for height in range(2, last + 1):
        signed = (await engine.call("commit", height=str(height)))["signed_header"]
        assert verify_commit(signed, validators, "bank-chain") == (height, roots[height - 1])
    forgeries = []
    for path in (("header", "app_hash"), ("header", "data_hash"), ("commit", "block_id", "hash")):
        forged = copy.deepcopy(signed)
        inner = forged
        for key in path[:-1]:
            inner = inner[key]
        inner[path[-1]] = "00" * 32
        forgeries.append(forged)
    few = copy.deepcopy(signed)
    few["commit"]["signatures"] = few["commit"]["signatures"][:1] * 4
    forgeries.append(few)
    for forged in forgeries:
        with pytest.raises(InvalidCertificate):
            verify_commit(forged, validators, "bank-chain")
    with pytest.raises(InvalidCertificate):
        verify_commit(signed, validators, "another-chain")
    with pytest.raises(InvalidCertificate):
        verify_commit(signed, validators[:3], "bank-chain")


def test_a_new_node_restores_a_snapshot(tmp_path):
    async def story():
        processes, client = make_processes(tmp_path, 5), Client()
        write_genesis(processes[:4], "bank-chain", GENESIS_TIME)
        genesis = (processes[0].home / "config" / "genesis.json").read_text()
        (processes[4].home / "config" / "genesis.json").write_text(genesis)
        engines = [make_engine(processes, i, snapshot_interval=4) for i in range(4)]
        try:
            await asyncio.gather(*(engine.start() for engine in engines))
            while engines[0].height < 11:
                await submit_many(engines[0], client, 3)
            assert len(engines[0].application.answer({"list_snapshots": {}})["list_snapshots"]["snapshots"]) == 2
            trusted = (await engines[0].call("commit", height="2"))["signed_header"]["commit"]["block_id"]["hash"]
            servers = ",".join(f"127.0.0.1:{p.ports.rpc}" for p in processes[:2])
            processes[4].change_settings(
                {
                    "statesync.enable": "true",
                    "statesync.rpc_servers": f'"{servers}"',
                    "statesync.trust_height": "2",
                    "statesync.trust_hash": f'"{trusted}"',
                    "statesync.trust_period": '"876000h0m0s"',
                    "statesync.discovery_time": '"5s"',
                }
            )
            newcomer = make_engine(processes, 4, snapshot_interval=4)
            engines.append(newcomer)
            await newcomer.start()
            async with asyncio.timeout(90):
                while newcomer.height < 4:
                    await asyncio.sleep(0.1)
            await submit_many(engines[0], client, 2)
            await reach(engines, engines[0].height)
            assert await newcomer.query("a") == await engines[0].query("a")
            # It never had the first blocks.
            with pytest.raises(Exception, match="height"):
                await newcomer.block(1)
        finally:
            await asyncio.gather(*(engine.stop() for engine in engines))

    asyncio.run(story())
