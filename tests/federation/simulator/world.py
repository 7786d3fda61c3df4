"""A federation in the simulator: the real rules on the simulated ledger, and every member's real machine beside it.

Each node's replica orders for a `FederationApplication`. Its member is the `FederationMember` that runs in a node: it
takes what its own replica has executed and says what it orders, fetches and stores. What it asks for is done here,
late, lost and interrupted as in the world: records go through the ledger, blobs come from whoever has them and can be
reached. Sums are stand-ins (sums.py).
"""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property, lru_cache, partial
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from medward.federation.application import FederationApplication, FederationSnapshot
from medward.federation.blobs import blob_name
from medward.federation.participant import FederationMember
from medward.federation.records import Change, Next, Record, Resume, decode_record, encode_record
from medward.federation.round.effects import (
    Advance,
    Advanced,
    Fetch,
    Fetched,
    Judge,
    Judged,
    OrderRecord,
    Produced,
    RoundEffect,
    RoundEvent,
    Store,
    Work,
)
from medward.federation.rules import Agreement, FederationState
from medward.ledger.encoding import encode
from medward.ledger.execution import Executed
from medward.ledger.pbft.effects import Reply, StoreBlock, StoreSnapshot, Submitted, Write
from medward.ledger.transactions import encode_transaction, sign_transaction
from medward.ledger.types import Application
from tests.federation.simulator.checker import FederationChecker
from tests.federation.simulator.sums import Journal, SimSum
from tests.ledger.simulator.world import SimNode, World

if TYPE_CHECKING:
    from tests.federation.simulator.liars import Lie

FIRST_MODEL = "model-0"
#: Milliseconds after which a member looks at its clock again, hands in what was not ordered, and asks for a blob again.
LOOK, AGAIN, FETCH = 250, 1_000, 300
#: Milliseconds after which an operator says once more what has not come about.
INSIST = 3_000
#: What a poisoned contribution adds; nobody accepts a model of it.
POISON = 10**6


#: Every member decodes every record.
_decoded = lru_cache(maxsize=1024)(decode_record)


class Model(msgspec.Struct, frozen=True):
    """A shared model: which step it is of, what it was made from, and the sum that was added to it."""

    step: int
    before: str
    total: int | None
    turnout: tuple[int, int]
    refused: int


@dataclass
class Blob:
    """A blob, and who can be asked for it."""

    content: bytes
    holders: set[str] = field(default_factory=set)
    #: Members that a liar serves it to; everybody where this is None.
    served: frozenset[str] | None = None


@dataclass
class Terms:
    """What a simulated federation agrees on."""

    deadline: float = 2.0
    protect: str = "aggregate"
    sample: float = 1.0
    surveys: int = 2
    steps: int = 6
    most_wrong: int = 9


class SimMember:
    """A member on its node.

    Args:
        world: where it is.
        node: its node; another one with the same name is another incarnation.
    """

    def __init__(self, world: "FederationWorld", node: SimNode) -> None:
        self.world, self.node, self.name = world, node, node.name
        self.journal = Journal()
        self.lies: list[Lie] = []
        self.machine: FederationMember | None = None
        self.height = 0
        self._nonce = 0
        self._pending: dict[int, bytes] = {}

    @property
    def honest(self) -> bool:
        return self.node.behaviour is None and not self.node.damaged

    @property
    def account(self) -> bytes:
        return self.node.signer.public_keys[0].data

    @property
    def clock(self) -> float:
        """What this node's clock says, in seconds."""
        return self.world.clock(self.node) / 1000

    @property
    def state(self) -> FederationState | None:
        return None if self.machine is None else self.machine.state

    # What the node tells.

    def started(self) -> None:
        """Go on from what the replica has executed."""
        self._pending.clear()
        if self.node.replica is not None:
            self.restored()
            self._later(self.world.random.randint(1, LOOK), self._look)

    def stopped(self) -> None:
        self.machine = None

    def restored(self) -> None:
        """Take over the state that the replica has now."""
        replica = self.node.replica
        assert replica is not None
        application = replica.execution.application
        assert isinstance(application, FederationApplication)
        self.height = replica.height
        self.machine = FederationMember(self.name, application.federation, self._sums())
        self._do(self.machine.begin())

    def _sums(self) -> SimSum:
        label = f"{self.name}/{self.node.incarnation}"
        answered = partial(self.world.federation.answered, self)
        for lie in self.lies:
            if (sums := lie.sums(self, label, answered)) is not None:
                return sums
        return SimSum(self.name, label, self.journal, self.world.terms.most_wrong, answered)

    def lie(self, lies: "Iterable[Lie]") -> None:
        """Lie from now on."""
        self.lies = list(lies)
        if self.machine is not None:
            self.restored()

    def ordered(self, executed: Executed) -> None:
        """Take a block that the replica has executed."""
        machine, world = self.machine, self.world
        assert machine is not None
        snapshot = executed.state.application
        assert isinstance(snapshot, FederationSnapshot)
        self.height = executed.block.height
        for place, (transaction, receipt) in enumerate(executed.replies):
            if transaction.client == self.account:
                self._pending.pop(transaction.nonce, None)
            record = _decoded(transaction.payload)
            author = machine.state.author(transaction.client)
            if receipt.result.code or record is None or author is None:
                continue
            before = machine.state
            block = executed.block
            effects = machine.ordered(record, author, block.time / 1000, snapshot.block, block.epoch)
            if self.honest:
                world.federation.ordered(self, (self.height, place), before, record, author, machine.state)
            self._do(effects)
        if self.honest and self.height % 4 == 0:
            world.federation.agree(self, snapshot)
        self._do(machine.duties(self.clock))

    def _look(self) -> None:
        """Look at the clock."""
        self._later(LOOK, self._look)
        if self.machine is None:
            return
        if self.machine.wake() <= self.clock:
            self._do(self.machine.duties(self.clock))
        for lie in self.lies:
            for record in lie.says(self):
                self.hand_in(record)

    # What the machine asks for.

    def _do(self, effects: list[RoundEffect]) -> None:
        random = self.world.random
        for effect in effects:
            match effect:
                case Store():
                    self.put(effect.content)
                case OrderRecord():
                    self._order(effect.record)
                case Fetch():
                    self._later(random.randint(*self.world.network.delay), partial(self._fetch, effect))
                case Work():
                    value = hashlib.sha256(f"{self.name} {effect.round}".encode()).digest()[0]
                    event = Produced(effect.round, np.array([value], np.int64))
                    self._later(random.randint(5, 60), partial(self._step, event))
                case Advance():
                    self._later(random.randint(1, 30), partial(self._step, self.world.advanced(effect)))
                case Judge():
                    self._later(random.randint(1, 30), partial(self._judge, effect))

    def _step(self, event: RoundEvent) -> None:
        if self.machine is not None:
            self._do(self.machine.step(event))

    def _judge(self, effect: Judge) -> None:
        model = self.world.models.get(effect.after)
        if model is not None:
            self._step(Judged(effect.round, model.total is None or model.total < POISON))

    def _order(self, record: Record) -> None:
        orders = [(0, record)]
        for lie in self.lies:
            orders = [(late + more, said) for late, one in orders for more, said in lie.instead(self, one)]
        for late, said in orders:
            self._later(late, partial(self.hand_in, said))

    def put(self, content: bytes, served: frozenset[str] | None = None) -> str:
        """Store a blob; return its name."""
        name = blob_name(content)
        blob = self.world.blobs.setdefault(name, Blob(content))
        blob.holders.add(self.name)
        for lie in self.lies:
            served = lie.serves(self, content) if served is None else served
        if served is not None:
            blob.served = served
        return name

    def _fetch(self, fetch: Fetch) -> None:
        """Get what can be had now, and ask again for the rest as long as the phase lasts."""
        now = None if self.state is None else self.state.round
        if now is None or (now.number, now.phase) != (fetch.round, fetch.why):
            return
        found = {name: self.world.blobs[name].content for name in fetch.names if self._reaches(name)}
        for name in found:
            self.world.blobs[name].holders.add(self.name)
        if rest := tuple(name for name in fetch.names if name not in found):
            self._later(FETCH, partial(self._fetch, Fetch(fetch.round, fetch.why, rest)))
        if found:
            self._step(Fetched(fetch.round, found))

    def _reaches(self, name: str) -> bool:
        blob = self.world.blobs.get(name)
        return blob is not None and any(self._serves(blob, holder) for holder in blob.holders)

    def _serves(self, blob: Blob, holder: str) -> bool:
        node = self.world.nodes[holder]
        if holder == self.name:
            return True
        if node.replica is None or not self.world.network.connected(holder, self.name):
            return False
        return node.behaviour is None or blob.served is None or self.name in blob.served

    # Handing in.

    def hand_in(self, record: Record) -> None:
        """Hand a record in, until this node's replica has executed it."""
        if self.node.replica is None:
            return
        if self.honest:
            self.world.federation.said(self, record)
        self._nonce += 1
        transaction = sign_transaction(self.world.genesis.chain, self.node.signer, self._nonce, encode_record(record))
        encoded = encode_transaction(transaction)
        self.world.checker.submitted.add(encoded)
        self._pending[self._nonce] = encoded
        self._later(self.world.random.randint(0, 3), partial(self._submit, self.name, encoded))
        self._later(AGAIN, partial(self._again, self._nonce))

    def _again(self, nonce: int) -> None:
        if (encoded := self._pending.get(nonce)) is None:
            return
        network = self.world.network
        for name in sorted(self.world.nodes):
            if network.connected(self.name, name) and self.world.random.random() >= network.loss:
                self._later(self.world.random.randint(*network.delay), partial(self._submit, name, encoded))
        self._later(2 * AGAIN, partial(self._again, nonce))

    def _submit(self, name: str, encoded: bytes) -> None:
        self.world.step(self.world.nodes[name], Submitted((encoded,)))

    def _later(self, delay: int, action: Callable[[], None]) -> None:
        """Do something later, unless the node has crashed until then."""
        generation = self.node.generation

        def act() -> None:
            if self.node.generation == generation and self.node.replica is not None:
                action()

        self.world.at(self.world.now + delay, act)


class FederationWorld(World):
    """Members of a federation on replicas of its ledger.

    Args:
        seed: of everything.
        members: how many found it.
        terms: what they agree on.
    """

    def __init__(self, seed: int, members: int, terms: Terms, **options: object) -> None:
        self.terms = terms
        self.members: dict[str, SimMember] = {}
        self.blobs: dict[str, Blob] = {}
        self.models: dict[str, Model] = {FIRST_MODEL: Model(0, "", None, (0, 0), 0)}
        self.wanted: list[Change] = []
        self.federation = FederationChecker(self)
        super().__init__(seed, members, **options)  # type: ignore[arg-type]

    @cached_property
    def agreement(self) -> Agreement:
        accounts = {member.name: member.keys[0].data for member in self.genesis.members}
        return Agreement(
            self.genesis.name, tuple(accounts), accounts, self.terms.deadline,
            protect=self.terms.protect, bits=16, plan="plan", model=FIRST_MODEL, first=self._next(0),
            sample=self.terms.sample,
        )  # type: ignore[arg-type]  # fmt: skip

    def application(self) -> Application:
        return FederationApplication(self.agreement)

    def _next(self, step: int) -> Next | None:
        if step < self.terms.surveys:
            return Next("survey", 1, 0)
        return Next("train", 0, 1) if step < self.terms.surveys + self.terms.steps else None

    def advanced(self, effect: Advance) -> Advanced:
        """Make the next shared model."""
        step = self.models[effect.model].step + 1
        total = None if effect.total is None else int(effect.total[0])
        model = Model(step, effect.model, total, effect.turnout, effect.refused)
        content = msgspec.msgpack.encode(model)
        self.models[blob_name(content)] = model
        self.federation.advanced(effect.round, blob_name(content), self._next(step))
        return Advanced(effect.round, content, self._next(step))

    # Nodes.

    def start(self, node: SimNode) -> None:
        super().start(node)
        if (member := self.members.get(node.name)) is None or member.node is not node:
            member = self.members[node.name] = SimMember(self, node)
        member.started()

    def crash(self, node: SimNode) -> None:
        super().crash(node)
        self.members[node.name].stopped()

    def reincarnate(self, name: str) -> None:
        for blob in self.blobs.values():
            blob.holders.discard(name)
        super().reincarnate(name)

    def wrote(self, node: SimNode, writes: list[Write]) -> None:
        super().wrote(node, writes)
        member = self.members[node.name]
        if any(isinstance(w, StoreSnapshot) and w.certificate.body.height > member.height for w in writes):
            member.restored()
            return
        for write in writes:
            if isinstance(write, StoreBlock):
                member.ordered(write.executed)

    def _reply(self, node: SimNode, reply: Reply) -> None:
        """Members learn from their own replica what was ordered."""

    def honest(self) -> list[SimMember]:
        """Return the honest members that the newest state names, with the keys that it names."""
        state = self.federation.latest
        return [
            member
            for name, member in sorted(self.members.items())
            if member.honest and state.accounts.get(name) == member.account
        ]

    # Operators.

    def want(self, change: Change) -> None:
        """Have the operators of all honest members want a change of membership, until it has come about."""
        self.wanted = [other for other in self.wanted if other.name != change.name] + [change]
        if change.account is None and self.members[change.name].honest:
            self._insist(self.members[change.name], change)  # who leaves says so itself
            return
        for member in self.honest():
            if member.name != change.name:
                self.at(self.now + self.random.randint(0, 400), partial(self._insist, member, change))

    def has_come_about(self, change: Change, state: FederationState) -> bool:
        return state.accounts.get(change.name) == change.account

    def _insist(self, member: SimMember, change: Change) -> None:
        if change not in self.wanted:
            return
        # Who is to leave may not have come yet.
        has_come_about = self.has_come_about(change, self.federation.latest)
        if not has_come_about and member.state is not None and member.name in member.state.terms.members:
            member.hand_in(change)
        self.at(self.now + INSIST, partial(self._insist, member, change))

    def resume_when_stopped(self) -> None:
        """Have the operators look at times whether the federation has stopped, and say that it goes on."""
        for member in self.honest():
            state = member.state
            if state is not None and state.stopped is not None and member.name not in state.resuming:
                member.hand_in(Resume())
        self.at(self.now + INSIST, self.resume_when_stopped)

    def newcomer(self, name: str, incarnation: int = 0) -> Change:
        """Return the wish that lets a node come, or come back."""
        identity = self.identity(name, incarnation)
        return Change(name, identity.keys[0].data, encode(identity), b"contact")
