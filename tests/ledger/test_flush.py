"""Where a replica waits for its disk: beside what else it does if the disk is slow, on the spot if it is quick."""

import asyncio
import threading
import time

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from medward.bench.ledger.pbft import free_ports
from medward.ledger.bank import Bank, Deposit
from medward.ledger.encoding import encode
from medward.ledger.membership import ChainParameters, Genesis
from medward.ledger.pbft.runtime.engine import NodeSettings, PbftEngine, prepare_folder
from medward.ledger.signatures import MemberSigner
from medward.ledger.transactions import sign_transaction

FEW = 12


async def flushing_threads(folder, seconds):
    """Submit to a ledger of one whose disk takes `seconds`, or what it takes where None; return who waited for it."""
    address = f"127.0.0.1:{free_ports(1)[0]}"
    member = prepare_folder(folder).member("h00", 0, address)
    genesis = Genesis("flush", int(time.time() * 1000), ChainParameters(), (member,))
    engine = PbftEngine(NodeSettings("h00", genesis, folder, address), Bank())
    flush, threads = engine._journal.flush, []

    def watched():
        threads.append(threading.get_ident())
        flush()
        if seconds is not None:
            # What is left of the time that this disk is to take.
            time.sleep(seconds)

    engine._journal.flush = watched
    if seconds is None:
        # Whatever this machine's disk takes counts as quick.
        engine._flush_seconds = 0.0
    await engine.start()
    signer = MemberSigner(Ed25519PrivateKey.generate())
    try:
        for nonce in range(1, FEW + 1):
            payload = encode(Deposit("a", 1))
            receipt = await engine.submit(sign_transaction(genesis.chain, signer, nonce, payload))
            assert not receipt.result.code
    finally:
        await engine.stop()
    return threads


def test_a_slow_disk_is_waited_for_in_a_thread_of_its_own(tmp_path):
    threads = asyncio.run(flushing_threads(tmp_path, 0.02))
    assert len(threads) >= FEW
    assert threading.get_ident() not in threads


def test_a_quick_disk_is_waited_for_on_the_spot(tmp_path):
    threads = asyncio.run(flushing_threads(tmp_path, None))
    assert threads[0] == threading.get_ident()
