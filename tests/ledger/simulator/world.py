"""One process, one seed: replicas on a simulated network with simulated disks, clients, crashes and liars."""

import hashlib
import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from medward.ledger.bank import Bank, BankOrder, ChangeMembers
from medward.ledger.encoding import encode
from medward.ledger.errors import JournalError
from medward.ledger.membership import ChainParameters, Genesis, Membership
from medward.ledger.pbft.effects import (
    Append,
    Broadcast,
    Compact,
    Halted,
    Received,
    Recovered,
    Refuse,
    ReplicaEffect,
    Reply,
    SaveChunk,
    Send,
    SendBlocks,
    SendChunk,
    StoreBlock,
    StoreEvidence,
    StoreSnapshot,
    Submitted,
    Tick,
    Write,
)
from medward.ledger.pbft.messages import BlockAnswer, ChunkAnswer, Message, decode_message, encode_message
from medward.ledger.pbft.parameters import Parameters
from medward.ledger.pbft.replica.machine import Replica
from medward.ledger.transactions import encode_transaction, sign_transaction
from medward.ledger.types import Application, Member, MemberUpdate, Receipt
from tests.ledger.simulator.behaviours import Behaviour
from tests.ledger.simulator.checker import Checker, Violation
from tests.ledger.simulator.disk import SimDisk
from tests.ledger.simulator.signing import Secrets, SimSigner, SimVerifier

WRITES = (Append, Compact, StoreBlock, StoreSnapshot, SaveChunk, StoreEvidence)
SIM_CHAIN = ChainParameters(checkpoint_interval=4, log_window=16, in_flight=4, max_batch=8, chunk_bytes=1024)
SIM_TIMERS = Parameters(
    request_timeout=600,
    status_interval=200,
    fetch_timeout=250,
    fetch_blocks=6,
    transfer_gap=12,
    future_per_peer=64,
    eager_in_flight=2,
)
GENESIS_TIME = 1_000_000


@dataclass
class Network:
    delay: tuple[int, int] = (1, 20)
    loss: float = 0.0
    duplication: float = 0.0
    groups: list[set[str]] | None = None
    #: Pairs (source, target) of which the target does not hear the source.
    deaf: set[tuple[str, str]] = field(default_factory=set)
    #: What does not get through besides: (source, target, message).
    drops: Callable[[str, str, Message], bool] | None = None

    def connected(self, source: str, target: str) -> bool:
        if (source, target) in self.deaf:
            return False
        return self.groups is None or any(source in group and target in group for group in self.groups)


@dataclass
class SimNode:
    name: str
    signer: SimSigner
    disk: SimDisk
    skew: int
    incarnation: int = 0
    replica: Replica | None = None
    behaviour: Behaviour | None = None
    generation: int = 0
    tick_at: int = -1
    damaged: bool = False
    halted: str | None = None
    #: Its clock is `skew` milliseconds ahead of the world's, and runs at this rate since `paced`; 0 stands still.
    rate: float = 1.0
    paced: int = 0
    #: Whether its clock is right all the time.
    right: bool = True


@dataclass
class Operation:
    client: str
    order: BankOrder
    nonce: int
    invoked: int
    returned: int | None = None
    receipt: Receipt | None = None


@dataclass
class SimClient:
    name: str
    signer: SimSigner
    orders: list[BankOrder]
    nonce: int = 0
    target: str | None = None
    replies: dict[int, dict[str, Receipt]] = field(default_factory=dict)
    open: dict[int, tuple[Operation, bytes]] = field(default_factory=dict)


class World:
    def __init__(
        self,
        seed: int,
        members: int,
        *,
        chain: ChainParameters = SIM_CHAIN,
        timers: Parameters = SIM_TIMERS,
        codec: bool = False,
    ) -> None:
        self.seed = seed
        self.random = Random(seed)
        self.now = 0
        self.network = Network()
        self.checker = Checker()
        self.codec = codec
        self.timers = timers
        self.secrets = Secrets()
        self.verifier = SimVerifier(self.secrets)
        self.nodes: dict[str, SimNode] = {}
        self.clients: dict[str, SimClient] = {}
        self.history: list[Operation] = []
        self.steps = 0
        self._queue: list[tuple[int, int, Callable[[], None]]] = []
        self._count = 0
        self._trace = hashlib.sha256()
        self.governor = self.secrets.signer("governor")
        names = [f"h{i:02d}" for i in range(members)]
        identities = tuple(self.identity(name, 0) for name in names)
        self.genesis = Genesis(f"sim-{seed}", GENESIS_TIME, chain, identities)
        for name in names:
            self.add_node(name)

    # Nodes.

    def identity(self, name: str, incarnation: int) -> Member:
        keys = self.secrets.signer(f"{name}/{incarnation}").public_keys
        return Member(name, incarnation, keys, b"", "")

    def add_node(self, name: str, incarnation: int = 0) -> SimNode:
        skew = self.random.randint(-200, 200)
        node = SimNode(name, self.secrets.signer(f"{name}/{incarnation}"), SimDisk(self.codec), skew, incarnation)
        self.nodes[name] = node
        self.start(node)
        return node

    def start(self, node: SimNode) -> None:
        try:
            found = node.disk.recover()
            node.replica = self.replica_for(node, found)
        except JournalError as error:
            node.damaged = True
            self.trace("refused", node.name, str(error)[:20])
            return
        node.generation += 1
        self.checker.restarted(node.name, node.incarnation, node.replica.height)
        self._schedule_tick(node)

    def replica_for(self, node: SimNode, found: Recovered) -> Replica:
        # A liar does not let others remind it of what it said.
        confirm = node.behaviour is None
        return Replica(
            node.name, self.genesis, node.signer, self.verifier, self.application(),
            parameters=self.timers, found=found, confirm=confirm,
        )  # fmt: skip

    def application(self) -> Application:
        """Return what the ledger orders for, as it is at the genesis."""
        return Bank(self.governor.public_keys[0].data)

    def crash(self, node: SimNode) -> None:
        if node.replica is not None:
            node.replica = None
            node.generation += 1
            self.trace("crash", node.name, node.disk.crash(self.random))

    def restart(self, node: SimNode) -> None:
        if node.replica is None and not node.damaged:
            self.trace("restart", node.name, "")
            self.start(node)

    def reincarnate(self, name: str) -> None:
        """Empty a node's disk and start it with a new key; it votes once the members have ordered the change."""
        old = self.nodes[name]
        self.crash(old)
        old.damaged = True
        self.add_node(name, old.incarnation + 1)

    def order_members(self, update: MemberUpdate) -> None:
        """Have the governor order a change, after those that it has asked for before."""
        governor = self.clients.get("governor") or self.add_client("governor", [], self.governor)
        governor.orders.append(ChangeMembers((update,)))
        if not governor.open:
            self.issue(governor)

    def is_member(self, node: SimNode) -> bool:
        """Whether a node, with the key it has, is in the newest membership."""
        member = self.membership().member(node.name)
        return member is not None and member.incarnation == node.incarnation

    def correct(self) -> list[SimNode]:
        return [n for n in self.nodes.values() if n.behaviour is None and not n.damaged]

    # Time.

    def at(self, time: int, action: Callable[[], None]) -> None:
        self._count += 1
        heapq.heappush(self._queue, (max(time, self.now), self._count, action))

    def run(self, until: int, done: Callable[[], bool] | None = None) -> bool:
        """Run until `until` or until `done`; return whether `done` was reached."""
        while self._queue and self._queue[0][0] <= until:
            self.now, _, action = heapq.heappop(self._queue)
            self.steps += 1
            action()
            if done is not None and self.steps % 16 == 0 and done():
                return True
        self.now = max(self.now, until)
        return done is not None and done()

    def clock(self, node: SimNode) -> int:
        """What a node's clock shows, milliseconds."""
        return GENESIS_TIME + self.now + node.skew + int((node.rate - 1) * (self.now - node.paced))

    def _latest_right_clock(self) -> float:
        """What the foremost of the right clocks of correct members shows; there is no bound where none is right."""
        right = (self.clock(node) for node in self.nodes.values() if node.behaviour is None and node.right)
        return max(right, default=float("inf"))

    def pace(self, node: SimNode, rate: float) -> None:
        """Have a node's clock go on from where it is at `rate`."""
        node.skew += int((node.rate - 1) * (self.now - node.paced))
        node.rate, node.paced = rate, self.now

    def trace(self, *parts: object) -> None:
        self._trace.update(repr((self.now, parts)).encode())

    def fingerprint(self) -> str:
        return self._trace.hexdigest()

    def _schedule_tick(self, node: SimNode) -> None:
        assert node.replica is not None
        due = node.replica.next_deadline()
        if node.tick_at > self.now and node.tick_at <= due:
            return
        node.tick_at = due
        generation = node.generation

        def tick() -> None:
            if node.generation == generation and node.replica is not None and node.tick_at == due:
                node.tick_at = -1
                self.step(node, Tick())

        self.at(due, tick)

    # Steps and effects.

    def step(self, node: SimNode, event: Received | Submitted | Tick) -> None:
        replica = node.replica
        if replica is None:
            return
        effects = replica.step(event, self.now, self.clock(node))
        writes = [effect for effect in effects if isinstance(effect, WRITES)]
        node.disk.write(writes)
        if self._crash_now(node):
            return
        # Blocks alone are not waited for (spec/ledger.md, J6): a crash may lose them although answers were sent.
        if isinstance(event, Tick) or not all(isinstance(write, StoreBlock) for write in writes):
            node.disk.sync()
        self.wrote(node, writes)
        effects = node.behaviour.outgoing(self, node, effects) if node.behaviour is not None else effects
        for effect in effects:
            self._carry_out(node, effect)
        if node.replica is not None:
            self._schedule_tick(node)

    crash_chance: float = 0.0

    def _crash_now(self, node: SimNode) -> bool:
        """Crash between the write and the sync at times: nothing of this step was sent yet."""
        if self.crash_chance and node.behaviour is None and self.random.random() < self.crash_chance:
            self.crash(node)
            self.at(self.now + self.random.randint(50, 1500), lambda: self.restart(node))
            return True
        return False

    def wrote(self, node: SimNode, writes: list[Write]) -> None:
        """Check what a correct node has written, before anything of that step is sent."""
        if node.behaviour is not None:
            return
        for write in writes:
            if isinstance(write, StoreBlock):
                self.checker.executed(node.name, node.incarnation, write)
                self.checker.timed(write, self._latest_right_clock() + self.genesis.parameters.clock_drift)
            elif isinstance(write, StoreSnapshot):
                body = write.certificate.body
                if self.checker.heights.get((node.name, node.incarnation), 0) < body.height:
                    digest = body.state.digest()
                    self.checker.transferred(node.name, node.incarnation, body.height, digest)

    def _carry_out(self, node: SimNode, effect: ReplicaEffect) -> None:
        if isinstance(effect, Broadcast):
            for name in self.nodes:
                if name != node.name:
                    self.send(node, name, effect.message)
        elif isinstance(effect, Send):
            self.send(node, effect.peer, effect.message)
        elif isinstance(effect, SendBlocks | SendChunk):
            self._send_stored(node, effect)
        elif isinstance(effect, Reply):
            self._reply(node, effect)
        elif isinstance(effect, Halted):
            node.halted = effect.reason
            if node.behaviour is None:
                raise Violation(f"{node.name} halted: {effect.reason}")
        elif not isinstance(effect, (Refuse, *WRITES)):
            raise AssertionError(effect)

    def _send_stored(self, node: SimNode, effect: SendBlocks | SendChunk) -> None:
        if isinstance(effect, SendBlocks):
            for height in range(effect.first, effect.last + 1):
                stored = node.disk.block(height)
                if stored is not None:
                    self.send(node, effect.peer, BlockAnswer(stored.block))
            return
        snapshot = node.disk.snapshot()
        if snapshot is not None and snapshot.certificate.body.height == effect.height:
            size = self.genesis.parameters.chunk_bytes
            data = snapshot.data[effect.index * size : (effect.index + 1) * size]
            self.send(node, effect.peer, ChunkAnswer(effect.height, effect.index, data))

    def send(self, node: SimNode, to: str, message: Message) -> None:
        if node.behaviour is None:
            self.checker.sent(node.name, node.incarnation, message)
        target = self.nodes.get(to)
        network, random = self.network, self.random
        if target is None or not network.connected(node.name, to) or random.random() < network.loss:
            return
        if network.drops is not None and network.drops(node.name, to, message):
            return
        copies = 2 if network.duplication and random.random() < network.duplication else 1
        if self.codec:
            message = decode_message(encode_message(message))
        for _ in range(copies):
            self.at(self.now + random.randint(*network.delay), lambda: self._deliver(node.name, to, message))

    def _deliver(self, source: str, to: str, message: Message) -> None:
        target = self.nodes[to]
        if target.replica is None or not self.network.connected(source, to):
            return
        self.trace(source, to, type(message).__name__)
        if target.behaviour is not None and not target.behaviour.incoming(self, target, source, message):
            return
        self.step(target, Received(source, message))

    # Clients.

    def add_client(self, name: str, orders: list[BankOrder], signer: SimSigner | None = None) -> SimClient:
        client = SimClient(name, signer or self.secrets.signer(name), orders)
        self.clients[name] = client
        return client

    def issue(self, client: SimClient) -> None:
        """Send the client's next order to one node, and to all if no answer comes."""
        if not client.orders:
            return
        order = client.orders.pop(0)
        client.nonce += 1
        transaction = sign_transaction(self.genesis.chain, client.signer, client.nonce, encode(order))
        encoded = encode_transaction(transaction)
        self.checker.submitted.add(encoded)
        operation = Operation(client.name, order, client.nonce, self.now)
        self.history.append(operation)
        client.open[client.nonce] = (operation, encoded)
        self._submit(client.target or self.random.choice(sorted(self.nodes)), encoded)
        self.at(self.now + 900, lambda: self._retry(client, operation.nonce))

    def _retry(self, client: SimClient, nonce: int) -> None:
        if nonce in client.open:
            for name in sorted(self.nodes):
                self._submit(name, client.open[nonce][1])
            self.at(self.now + 1500, lambda: self._retry(client, nonce))

    def _submit(self, to: str, encoded: bytes) -> None:
        if self.random.random() >= self.network.loss:
            delay = self.random.randint(*self.network.delay)
            self.at(self.now + delay, lambda: self.step(self.nodes[to], Submitted((encoded,))))

    def _reply(self, node: SimNode, reply: Reply) -> None:
        if self.random.random() < self.network.loss:
            return
        client = next((c for c in self.clients.values() if c.signer.public_keys[0].data == reply.client), None)
        if client is not None:
            delay = self.random.randint(*self.network.delay)
            self.at(self.now + delay, lambda: self._answered(client, node.name, reply.nonce, reply.receipt))

    def _answered(self, client: SimClient, node: str, nonce: int, receipt: Receipt) -> None:
        """A client believes f+1 matching replies."""
        if nonce not in client.open:
            return
        replies = client.replies.setdefault(nonce, {})
        replies[node] = receipt
        if list(replies.values()).count(receipt) > self.membership().faults:
            operation, encoded = client.open.pop(nonce)
            transaction_client = client.signer.public_keys[0].data
            self.checker.acknowledge(transaction_client, nonce, receipt)
            operation.returned, operation.receipt = self.now, receipt
            del encoded
            self.at(self.now + self.random.randint(0, 40), lambda: self.issue(client))

    def membership(self) -> Membership:
        """The newest membership that a correct replica is in."""
        replicas = [node.replica for node in self.correct() if node.replica is not None]
        return max((r.membership for r in replicas), key=lambda m: m.epoch, default=self.genesis.membership)

    def all_answered(self) -> bool:
        return not any(client.open or client.orders for client in self.clients.values())

    def converged(self) -> bool:
        """Every correct member has executed all that any correct one has, and every client has its answers."""
        heights = {
            -1 if node.replica is None else node.replica.height for node in self.correct() if self.is_member(node)
        }
        return len(heights) == 1 and self.all_answered()
