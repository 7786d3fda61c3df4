"""The runtime around a replica: one task that steps it, makes its writes durable, and only then sends.

Events that came while the disk was busy are stepped together and their writes committed together, so the number of
fsyncs falls as the load rises (group commit). See spec/ledger.md, "The journal".
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

from medward.admission import RefusalListener, nobody
from medward.ledger.certificates import CertifiedBlock
from medward.ledger.encoding import digest
from medward.ledger.errors import JournalCorrupt, JournalError, LedgerError, TransactionRefused
from medward.ledger.membership import Genesis
from medward.ledger.pbft.client_protocol import (
    BlockReply,
    GetBlock,
    GetStatus,
    NodeStatus,
    QueryAnswer,
    Refusal,
    StateQuery,
    WatchTransactions,
)
from medward.ledger.pbft.effects import (
    Append,
    Asked,
    Broadcast,
    Compact,
    Damaged,
    Halted,
    MendBlock,
    Received,
    Refuse,
    ReplicaEffect,
    ReplicaEvent,
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
from medward.ledger.pbft.identity import NodeIdentity
from medward.ledger.pbft.messages import BlockAnswer, ChunkAnswer, Message, encode_message
from medward.ledger.pbft.parameters import Parameters
from medward.ledger.pbft.replica.machine import Replica
from medward.ledger.pbft.runtime.client_service import ClientService, Submission
from medward.ledger.pbft.runtime.inbox import Inbox, Share
from medward.ledger.pbft.runtime.journal import ReplicaJournal
from medward.ledger.pbft.runtime.listener import Caller, Listener, ListenerRooms
from medward.ledger.pbft.runtime.reach import Reach
from medward.ledger.pbft.runtime.transport import Outgoing, end_task
from medward.ledger.signatures import MemberVerifier
from medward.ledger.transactions import decode_transaction, encode_transaction
from medward.ledger.types import Application, Block, Engine, Member, Receipt, Transaction

_SUBMISSIONS_PER_TURN = 512
# What one peer may have read from the disk for it in one turn; it asks again for the rest.
_BULK_PER_TURN = {SendBlocks: 1, SendChunk: 4}
# A disk that is done before that is waited for where the replica stands; the average is over so many flushes.
_QUICK_FLUSH, _FLUSHES = 0.004, 8
# Tuples, not unions: a union is made anew each time it is looked at.
_WRITES = (Append, Compact, StoreBlock, MendBlock, StoreSnapshot, SaveChunk, StoreEvidence)
_GROWTH = (StoreBlock, StoreSnapshot, MendBlock)
_BULK = (SendBlocks, SendChunk)


class NodeSettings(msgspec.Struct, frozen=True):
    """What one node needs to take part.

    Args:
        name: the member's name.
        genesis: what all agreed on.
        folder: holds keys/ and journal/, made by `prepare_folder`.
        listen: host:port to listen on.
        parameters: timers and limits.
        introduced: members to call besides those that the ledger names, for one who joins late.
        members_only: whether callers without a member's certificate are told where the replica stands, and nothing
            else: no block, no value, no receipt; nor are their transactions taken.
    """

    name: str
    genesis: Genesis
    folder: Path
    listen: str
    parameters: Parameters = Parameters()
    introduced: tuple[Member, ...] = ()
    members_only: bool = False


def prepare_folder(folder: Path) -> NodeIdentity:
    """Make the keys of a new incarnation; its journal is made with the first start, and only then."""
    identity = NodeIdentity.create(folder / "keys")
    (folder / "fresh").touch()
    return identity


def open_journal(settings: NodeSettings, identity: NodeIdentity) -> ReplicaJournal:
    """Open the journal, or make it where the folder says that these keys never voted.

    Raises:
        JournalError: there is none, though these keys may have voted.
    """
    fresh, folder = settings.folder / "fresh", settings.folder / "journal"
    if fresh.exists() and not (folder / "journal.sqlite").exists():
        ReplicaJournal.create(
            folder, digest([settings.genesis.chain, settings.name, identity.signer.public_keys])
        ).close()
    journal = ReplicaJournal(folder)
    journal.allocate()
    fresh.unlink(missing_ok=True)
    return journal


class PbftEngine(Engine):
    """PBFT over real sockets and a real disk.

    Args:
        settings: who this node is.
        application: in its genesis state; the engine owns it from now on.
        refused: told of callers and of outsiders' transactions that are turned away.
        rooms: places for callers; the usual ones where None.
        told: gets a sentence about each stored block that does not read back, and about what became of it.

    Raises:
        JournalError: the disk must not be voted from; the text says why.
    """

    def __init__(
        self,
        settings: NodeSettings,
        application: Application,
        refused: RefusalListener = nobody,
        rooms: ListenerRooms | None = None,
        told: Callable[[str], None] = lambda sentence: None,
    ) -> None:
        self._settings = settings
        self._identity = NodeIdentity(settings.folder / "keys")
        self._journal = open_journal(settings, self._identity)
        self.verifier = MemberVerifier()
        self._replica = Replica(
            settings.name,
            settings.genesis,
            self._identity.signer,
            self.verifier,
            application,
            parameters=settings.parameters,
            found=self._journal.recover(),
        )
        self._listener = Listener(self._identity.server_context(), self._serve, self._who, refused, rooms)
        self.reach = Reach(time.monotonic())
        self._peers: dict[str, Outgoing] = {}
        self._known: dict[str, Member] = {}
        self._inboxes: dict[str, Inbox] = {}
        self._wake = asyncio.Event()
        self._told = told
        # Heights of blocks that do not read back, and whether the replica has heard of it.
        self._damaged: dict[int, bool] = {}
        self._clients = ClientService(self._wake.set, self._answer, refused, settings.members_only)
        self._grown = asyncio.Condition()
        self._task: asyncio.Task[None] | None = None
        self._disk = ThreadPoolExecutor(1)
        self._folding: asyncio.Task[None] | None = None
        self.failure: LedgerError | None = None
        self.commit_seconds = 0.0
        # What a flush took lately; how quick the disk is shows with the first few.
        self._flush_seconds = _QUICK_FLUSH

    # The engine's interface.

    async def start(self) -> None:
        """Listen, call the others, and take part."""
        self._refresh_peers()
        await self._listener.start(self._settings.listen)
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Stop; everything acknowledged is on disk already."""
        if self._task is not None:
            await end_task(self._task)
        await self._listener.close()
        await asyncio.gather(*(peer.close() for peer in self._peers.values()))
        if self._folding is not None:
            await asyncio.wait([self._folding])
        self._disk.shutdown()
        self._journal.close()

    async def submit(self, transaction: Transaction) -> Receipt:
        """Return the receipt once this node has executed the certified block that holds the transaction."""
        outcome = await self._clients.hand_in(Submission(encode_transaction(transaction), transaction))
        if isinstance(outcome, Refusal):
            raise TransactionRefused(
                f"the ledger does not take transaction {transaction.nonce}: {outcome.reason}", outcome.result.code
            )
        return outcome

    async def query(self, path: str) -> bytes | None:
        """Return the value at `path` in this node's latest state."""
        return self._replica.execution.application.query(path)

    async def blocks(self, first: int) -> AsyncIterator[Block]:
        """Yield every block from `first` on as it was proposed, null blocks too, waiting for new ones."""
        height = first
        while True:
            async with self._grown:
                while self._replica.height < height:
                    await self._grown.wait()
            stored = self._stored(height)
            if stored is None and height not in self._damaged:
                raise LedgerError(f"this node took over a later state and does not hold block {height}")
            if stored is None and not self._peers:
                raise LedgerError(f"block {height} does not read back, and there is nobody to ask for it")
            if stored is None:
                async with self._grown:
                    while height in self._damaged:
                        await self._grown.wait()
                continue
            header = stored.certificate.header
            transactions = tuple(decode_transaction(data) for data in stored.transactions)
            yield Block(height, header.time, transactions, header.epoch)
            height += 1

    @property
    def height(self) -> int:
        """The last height executed here."""
        return self._replica.height

    @property
    def members(self) -> Sequence[Member]:
        """The members that vote now."""
        return self._replica.membership.members

    @property
    def replica(self) -> Replica:
        """The replica, to be read only."""
        return self._replica

    def certified(self, height: int) -> CertifiedBlock | None:
        """Return the block at a height with its certificate; None where this node took over a later state, or where
        the disk does not give it back and no other member has sent it yet.
        """
        return self._stored(height)

    @property
    def damaged_blocks(self) -> Sequence[int]:
        """The heights of blocks that the disk does not give back and that are not mended yet."""
        return sorted(self._damaged)

    def _stored(self, height: int) -> CertifiedBlock | None:
        """Return a stored block, None where there is none; one that does not read back is asked of the others (T7)."""
        why = "is missing"
        try:
            block = self._journal.block(height)
        except JournalCorrupt as error:
            block, why = None, str(error)
        held = 0 < self._replica.oldest_block <= height <= self._replica.height
        if block is None and held and height not in self._damaged:
            self._damaged[height] = False
            self._told(f"block {height} does not read back ({why}); the other members are asked for it")
            self._wake.set()
        return block

    @property
    def commits(self) -> int:
        """How many times the journal was synced."""
        return self._journal.commits

    # The one task that steps the replica.

    async def _run(self) -> None:
        try:
            while True:
                await self._wait()
                await self._turn()
        except JournalError as error:
            # What was not written is not sent; a replica whose disk fails is silent from here on.
            self.failure = error
        except Exception as error:
            self.failure = LedgerError(f"the replica of {self._settings.name} stopped over a defect: {error!r}")
            raise

    async def _wait(self) -> None:
        if self._clients or any(self._inboxes.values()):
            await asyncio.sleep(0)
            return
        left = self._replica.next_deadline() / 1000 - time.monotonic()
        if left > 0 and not self._wake.is_set():
            alarm = asyncio.get_running_loop().call_later(left, self._wake.set)
            try:
                await self._wake.wait()
            finally:
                alarm.cancel()
        self._wake.clear()

    async def _turn(self) -> None:
        """Step through a fair share of what waits, make what follows durable, and only then send."""
        writes: list[Write] = []
        others: list[ReplicaEffect] = []
        for peer, inbox in self._inboxes.items():
            share = Share() if inbox else None
            while share is not None and share.take() and (message := inbox.next()) is not None:
                self.reach.note(peer, message, time.monotonic(), time.time())
                self._step(Received(peer, message), writes, others)
        asked = self._clients.take(_SUBMISSIONS_PER_TURN)
        submitted = [wish for wish in asked if isinstance(wish, Submission)]
        if submitted:
            encoded, decoded = tuple(s.encoded for s in submitted), tuple(s.transaction for s in submitted)
            self._step(Submitted(encoded, decoded), writes, others)
        for wish in asked:
            if isinstance(wish, WatchTransactions):
                self._step(Asked(wish.client, range(wish.first, wish.first + wish.count)), writes, others)
        for height in [height for height, heard in self._damaged.items() if not heard]:
            self._damaged[height] = True
            self._step(Damaged(height), writes, others)
        due = time.monotonic() * 1000 >= self._replica.next_deadline()
        if due:
            self._step(Tick(), writes, others)
        await self._make_durable(writes, idle=due)
        self._note_mended(writes)
        if any(isinstance(write, _GROWTH) for write in writes):
            self._refresh_peers()
            async with self._grown:
                self._grown.notify_all()
        bulk: Counter[tuple[str, type[ReplicaEffect]]] = Counter()
        for effect in others:
            if isinstance(effect, Reply):
                # Nearly all of them; what is looked at for each costs a share of every transaction.
                self._clients.settle(effect.client, effect.nonce, effect.receipt)
                continue
            if isinstance(effect, _BULK):
                bulk[effect.peer, type(effect)] += 1
                if bulk[effect.peer, type(effect)] > _BULK_PER_TURN[type(effect)]:
                    continue
            self._carry_out(effect)
        self._clients.flush()

    def _note_mended(self, writes: Sequence[Write]) -> None:
        """Look whether the blocks that were mended read back now."""
        for write in writes:
            if isinstance(write, MendBlock):
                height = write.block.certificate.header.height
                if self._reads_back(write.block):
                    self._damaged.pop(height, None)
                    self._told(f"block {height} is whole again")
                else:
                    self._told(f"block {height} cannot be mended: come back on another disk, with new keys")

    def _reads_back(self, block: CertifiedBlock) -> bool:
        try:
            return self._journal.block(block.certificate.header.height) == block
        except JournalCorrupt:
            return False

    def _step(self, event: ReplicaEvent, writes: list[Write], others: list[ReplicaEffect]) -> None:
        for effect in self._replica.step(event, int(time.monotonic() * 1000), int(time.time() * 1000)):
            if isinstance(effect, _WRITES):
                writes.append(effect)
            else:
                others.append(effect)

    async def _make_durable(self, writes: list[Write], idle: bool) -> None:
        """Write, and wait for the disk unless these are blocks alone: votes at a quorum hold those (J6)."""
        if writes:
            self._journal.write(writes)
        if not idle and all(isinstance(write, StoreBlock) for write in writes):
            return
        if self._journal.seal():
            await self._flush()
        if (self._folding is None or self._folding.done()) and self._journal.unfolded:
            self._folding = asyncio.create_task(asyncio.to_thread(self._journal.fold))

    async def _flush(self) -> None:
        """Wait for the disk: in a thread, so that the node goes on reading, or on the spot if it is quick as a rule.

        Only the wait is done in a thread: one that runs statements waits for the interpreter's lock with each of them,
        which took longer than the disk did.
        """
        started = time.perf_counter()
        if self._flush_seconds < _QUICK_FLUSH:
            self._journal.flush()
        else:
            await asyncio.get_running_loop().run_in_executor(self._disk, self._journal.flush)
        took = time.perf_counter() - started
        self.commit_seconds += took
        self._flush_seconds += (took - self._flush_seconds) / _FLUSHES

    def _carry_out(self, effect: ReplicaEffect) -> None:
        if isinstance(effect, Broadcast):
            data = encode_message(effect.message)
            for outgoing in self._peers.values():
                outgoing.send(data)
        elif isinstance(effect, Send):
            self._send(effect.peer, effect.message)
        elif isinstance(effect, _BULK):
            self._send_stored(effect)
        elif isinstance(effect, Refuse):
            transaction = decode_transaction(effect.transaction)
            refusal = Refusal(transaction.client, transaction.nonce, effect.result, effect.reason[:500])
            self._clients.settle(transaction.client, transaction.nonce, refusal)
        elif isinstance(effect, Halted):
            self.failure = LedgerError(effect.reason)

    def _send_stored(self, effect: SendBlocks | SendChunk) -> None:
        outgoing = self._peers.get(effect.peer)
        if outgoing is None or outgoing.congested:
            return
        if isinstance(effect, SendBlocks):
            for height in range(effect.first, effect.last + 1):
                block = self._stored(height)
                if block is not None:
                    outgoing.send(encode_message(BlockAnswer(block)))
        else:
            size = self._settings.genesis.parameters.chunk_bytes
            data = self._journal.snapshot_chunk(effect.height, effect.index, size)
            if data is not None:
                outgoing.send(encode_message(ChunkAnswer(effect.height, effect.index, data)))

    def _send(self, peer: str, message: Message) -> None:
        outgoing = self._peers.get(peer)
        if outgoing is not None:
            outgoing.send(encode_message(message))

    # Peers.

    def _refresh_peers(self) -> None:
        """Talk to whom the ledger names: call new members, trust their certificates, forget those long gone."""
        introduced = (m for m in self._settings.introduced if not self._replica.has_left(m))
        wanted = {m.name: m for m in (*introduced, *self._replica.recent_members)}
        wanted.pop(self._settings.name, None)
        if wanted == self._known:
            return
        for name in [name for name in self._peers if wanted.get(name) != self._known.get(name)]:
            outgoing = self._peers.pop(name)
            asyncio.get_running_loop().create_task(outgoing.close())
            # What it called this node with is not listened to any more, either.
            if (inbox := self._inboxes.pop(name, None)) is not None:
                inbox.close()
        for name, member in wanted.items():
            if name not in self._peers:
                self._listener.trust(member)
                self._peers[name] = Outgoing(member, self._identity.client_context(member))
        self._known = wanted
        self._listener.expect(wanted.values())

    def _who(self, certificate: bytes) -> str | None:
        return next((name for name, member in self._known.items() if member.certificate == certificate), None)

    async def _serve(self, caller: Caller) -> None:
        if caller.name is None or caller.as_client:
            await self._clients.serve(caller)
        else:
            await self._inboxes.setdefault(caller.name, Inbox()).listen(caller.reader, caller.writer, self._wake)

    # Clients.

    def _answer(self, message: StateQuery | GetBlock | GetStatus) -> QueryAnswer | BlockReply | NodeStatus:
        if isinstance(message, StateQuery):
            return QueryAnswer(self._replica.query(message.path))
        if isinstance(message, GetBlock):
            return BlockReply(self._stored(message.height))
        replica = self._replica
        epoch, view, _ = replica.view
        failure = replica.halted or (str(self.failure) if self.failure is not None else None)
        return NodeStatus(
            replica.height,
            epoch,
            view,
            replica.execution.summary.digest(),
            replica.membership,
            tuple(replica.handovers),
            tuple(self._journal.evidence()[:64]),
            failure,
        )
