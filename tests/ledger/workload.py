"""A bank's clients against real processes, with a history that a checker can judge."""

import asyncio
import time
from dataclasses import dataclass
from random import Random

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from medward.ledger.bank import Balance, BankOrder, Deposit, Transfer
from medward.ledger.certificates import follow_handovers
from medward.ledger.encoding import encode
from medward.ledger.errors import LedgerError
from medward.ledger.membership import Membership
from medward.ledger.pbft.client import PbftClient
from medward.ledger.signatures import MemberSigner, MemberVerifier
from medward.ledger.types import Receipt
from tests.ledger.cluster import Cluster
from tests.ledger.simulator.linearizability import check_history


@dataclass
class Done:
    order: BankOrder
    invoked: int
    returned: int | None = None
    receipt: Receipt | None = None


def new_client(cluster: Cluster, **options: object) -> PbftClient:
    return PbftClient(cluster.genesis, MemberSigner(Ed25519PrivateKey.generate()), **options)


class Workload:
    def __init__(self, cluster: Cluster, seed: int, clients: int = 3) -> None:
        self.random = Random(seed)
        self.clients = [new_client(cluster, patience=0.5) for _ in range(clients)]
        self.history: list[Done] = []
        self.stopping = False
        self._tasks = [asyncio.create_task(self._run(client)) for client in self.clients]

    async def _run(self, client: PbftClient) -> None:
        while not self.stopping:
            account, other = self.random.choice("abc"), self.random.choice("abc")
            amount, kind = self.random.randint(1, 9), self.random.random()
            order: BankOrder = Deposit(account, amount)
            if kind > 0.5:
                order = Balance(account) if kind > 0.75 else Transfer(account, other, amount)
            done = Done(order, time.monotonic_ns())
            self.history.append(done)
            try:
                done.receipt = await client.submit(encode(order), give_up=90)
                done.returned = time.monotonic_ns()
            except LedgerError:
                return  # Nothing is known of it: the checker allows both. This client stops here.
            await asyncio.sleep(self.random.random() * 0.02)

    async def progress(self, operations: int, patience: float = 60) -> None:
        """Wait until so many more operations are answered."""
        goal = self.answered() + operations
        async with asyncio.timeout(patience):
            while self.answered() < goal:
                await asyncio.sleep(0.02)

    def answered(self) -> int:
        return sum(done.returned is not None for done in self.history)

    async def finish(self) -> None:
        self.stopping = True
        await asyncio.gather(*self._tasks)
        await asyncio.gather(*(client.close() for client in self.clients))
        check_history(self.history)


async def assert_agreement(
    cluster: Cluster, history: list[Done], names: list[str], membership: Membership | None = None
) -> None:
    """All reach one height and state, hold every acknowledged receipt, and nobody ever contradicted itself."""
    client = new_client(cluster)
    if membership is not None:
        client.follow(membership)
    needed = max((done.receipt.height for done in history if done.receipt is not None), default=0)
    try:
        async with asyncio.timeout(60):
            while True:
                statuses = [await client.status(name) for name in names]
                if all(s is not None and s.height >= needed for s in statuses) and (
                    len({(s.height, s.state) for s in statuses if s is not None}) == 1
                ):
                    break
                await asyncio.sleep(0.1)
        for status in statuses:
            assert status is not None
            assert status.evidence == ()
            assert status.halted is None
        await assert_blocks_prove_themselves(client, cluster, names[0])
    except TimeoutError:
        shown = [(s and (s.height, s.epoch, s.view, s.halted)) for s in statuses]
        raise AssertionError(f"no agreement above height {needed}: {shown}\n{cluster.logs()}") from None
    finally:
        await client.close()


async def assert_blocks_prove_themselves(client: PbftClient, cluster: Cluster, name: str) -> None:
    """An auditor verifies the last blocks from their certificates alone."""
    status = await client.status(name)
    assert status is not None
    genesis, verifier = cluster.genesis, MemberVerifier()
    epochs = follow_handovers(genesis.membership, status.handovers, genesis.chain, verifier)
    for height in range(max(1, status.height - 5), status.height + 1):
        reply = await client.block(name, height)
        assert reply is not None
        assert reply.block is not None
        header = reply.block.certificate.header
        assert header.height == height
        reply.block.verify(epochs[header.epoch], genesis.chain, verifier)
