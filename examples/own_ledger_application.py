"""A register of lent infusion pumps that four hospitals agree on: an application of one's own on the PBFT ledger."""

import asyncio
import tempfile
from pathlib import Path

from medward.ledger.membership import ChainParameters, Genesis
from medward.ledger.merkle import MerkleMap
from medward.ledger.pbft.client import PbftClient
from medward.ledger.pbft.runtime.engine import NodeSettings, PbftEngine, prepare_folder
from medward.ledger.snapshots import MapSnapshot, decode_map
from medward.ledger.types import Application, Applied, Block, Transaction, TxResult

ADDRESSES = {name: f"127.0.0.1:{7601 + i}" for i, name in enumerate(("east", "north", "south", "west"))}
LENT, TAKEN, UNREADABLE = TxResult(0, b"lent"), TxResult(1, b"somebody has it"), TxResult(2, b"write PUMP to HOSPITAL")


class Pumps(Application):
    """Lends a pump to the first who asks. No clock, chance or disk: every replica must come to the same state."""

    lent = MerkleMap()  # pump -> hospital; a map never changes, `set` returns another

    def check(self, transaction: Transaction) -> TxResult:  # a filter before ordering; `apply` decides
        return LENT if b" to " in transaction.payload else UNREADABLE

    def apply(self, block: Block) -> Applied:  # a lying leader may order anything, so nothing here may raise
        results = []
        for transaction in block.transactions:
            pump, _, hospital = transaction.payload.partition(b" to ")
            results.append(TAKEN if self.lent.get(pump) else self.check(transaction))
            if results[-1] is LENT:
                self.lent = self.lent.set(pump, hospital)
        return Applied(tuple(results), self.snapshot())

    def query(self, path: str) -> bytes | None:
        return self.lent.get(path.encode())

    def snapshot(self) -> MapSnapshot:  # shares with the past, so one after each block costs little
        return MapSnapshot(self.lent)

    def restore(self, data: bytes) -> bytes:
        self.lent = decode_map(data)
        return self.lent.root


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        members = tuple(prepare_folder(Path(folder, name)).member(name, 0, at) for name, at in ADDRESSES.items())
        genesis = Genesis("pumps", 0, ChainParameters(), members)
        engines = [PbftEngine(NodeSettings(m.name, genesis, Path(folder, m.name), m.address), Pumps()) for m in members]
        await asyncio.gather(*(engine.start() for engine in engines))
        client = PbftClient(genesis, prepare_folder(Path(folder, "client")).signer)  # believes f + 1 = 2 equal answers
        print("north asks for pump-7:", (await client.submit(b"pump-7 to north")).result.data.decode())
        await engines[3].stop()
        print("south asks for it, with west away:", (await client.submit(b"pump-7 to south")).result.data.decode())
        await asyncio.gather(client.close(), *(engine.stop() for engine in engines[:3]))


if __name__ == "__main__":
    asyncio.run(main())
