"""A ledger of one member in this process, with a real socket and a real disk."""

import time
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from medward.ledger.bank import Bank, Deposit
from medward.ledger.encoding import encode
from medward.ledger.membership import ChainParameters, Genesis
from medward.ledger.pbft.runtime.engine import NodeSettings, PbftEngine, prepare_folder
from medward.ledger.signatures import MemberSigner
from medward.ledger.transactions import sign_transaction
from medward.node.trial.ports import free_ports


def ledger_of_one(folder: Path, **options: Any) -> PbftEngine:
    """Return the engine of a new ledger with one member; it is not started."""
    address = f"127.0.0.1:{free_ports(1)[0]}"
    member = prepare_folder(folder).member("h00", 0, address)
    genesis = Genesis("alone", int(time.time() * 1000), ChainParameters(), (member,))
    return PbftEngine(NodeSettings("h00", genesis, folder, address), Bank(), **options)


async def deposit(engine: PbftEngine, times: int) -> None:
    """Order so many transactions of a new client, one after the other."""
    chain, signer = engine.replica._state.chain, MemberSigner(Ed25519PrivateKey.generate())
    for nonce in range(1, times + 1):
        receipt = await engine.submit(sign_transaction(chain, signer, nonce, encode(Deposit("a", 1))))
        assert not receipt.result.code
