"""Several peers: who is asked for which block, and what a failure costs.

Blocks are asked for one by one from all peers at once, which makes each answer checkable the moment it is there and
lets any peer go on where another failed. A DAG of many small blocks comes as one CAR first, to save the round trips;
what that leaves open is asked for block by block.
"""

import asyncio
import threading
from collections.abc import Coroutine, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TypeVar

import httpcore

from medward.store.blocks import Blocks, BlockWriter
from medward.store.cid import DAG_PB, Cid
from medward.store.dag import links_of
from medward.store.dagpb import decode_node
from medward.store.errors import (
    BlockNotFound,
    CorruptBlock,
    LimitExceeded,
    PeerFailure,
    StoreError,
)
from medward.store.gateway.connections import open_pool
from medward.store.gateway.peer import CarOrder, LyingPeer, Peer, PeerTimeouts, ask_for_block, ask_for_car
from medward.store.gateway.tls import TlsIdentity
from medward.store.interface import check_dag_size
from medward.store.limits import DagLimits
from medward.store.reader import check_root

_REQUESTS = 8  # in flight in one fetch, so that it holds at most 16 MiB of unfinished blocks
_REQUESTS_PER_PEER = 4
_FAILURES_FORGIVEN = 2  # a peer that failed more often is not asked again in the same fetch
_SMALL_BLOCK = 128 * 1024
_MANY_BLOCKS = 16

_Result = TypeVar("_Result")


class PeerExchange:
    """Gets blocks from the gateways of other members; see `medward.store.local.Exchange`.

    Args:
        peers: whom to ask; `set_peers` changes them.
        tls: this member's identity; None where all peers are on loopback addresses without TLS.
        patience: how long they may take.
    """

    def __init__(
        self, peers: Iterable[Peer], tls: TlsIdentity | None = None, patience: PeerTimeouts | None = None
    ) -> None:
        self._peers = tuple(peers)
        self._patience = patience or PeerTimeouts()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="exchange", daemon=True)
        self._thread.start()
        self._pool = open_pool(None if tls is None else tls.client_context(), 4 * _REQUESTS)

    def set_peers(self, peers: Iterable[Peer]) -> None:
        """Ask these from the next fetch on, for example after a member joined or left."""
        self._peers = tuple(peers)

    def fetch(self, root: Cid, blocks: Blocks, limits: DagLimits, likely: str | None = None) -> None:
        """Put every block of the DAG that `blocks` lacks into it, checked; ask the peer of the name `likely` first.

        Raises BlockNotFound, with what each peer did, if none gives a block; LimitExceeded or InvalidDag if the DAG
        itself is not acceptable. What arrived is kept in every case, so that the next attempt goes on from there.
        """
        with blocks.writer() as writer:
            fetch = _Fetch(
                self._pool,
                peers=self._peers,
                likely=likely,
                patience=self._patience,
                root=root,
                blocks=blocks,
                writer=writer,
                limits=limits,
            )
            failure = self._run(fetch.run())
        if failure is not None:
            raise failure

    def fetch_block(self, cid: Cid) -> bytes:
        """Return one block, checked; BlockNotFound, with what each peer did, if none gives it."""
        return self._run(self._first_to_give(cid))

    def close(self) -> None:
        """Close connections and end the thread."""
        self._run(self._pool.aclose())
        self._run(self._loop.shutdown_default_executor())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _first_to_give(self, cid: Cid) -> bytes:
        reasons = []
        for peer in self._peers:
            try:
                return await ask_for_block(self._pool, peer, cid, self._patience)
            except (BlockNotFound, PeerFailure) as error:
                reasons.append(str(error))
        raise _nobody_gives(cid, reasons)

    def _run(self, work: Coroutine[None, None, _Result]) -> _Result:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()


@dataclass
class _Standing:
    """What one fetch knows of a peer; `holds` says that it gave a block of the DAG, or is likely to have it."""

    peer: Peer
    running: int = 0
    holds: bool = False
    missed: int = 0
    failures: int = 0
    banned: bool = False
    reason: str = ""

    def can_take_more(self) -> bool:
        return not self.banned and self.running < _REQUESTS_PER_PEER

    def blame(self, error: StoreError) -> None:
        self.reason = str(error)
        self.missed += isinstance(error, BlockNotFound)
        if isinstance(error, PeerFailure):
            self.failures += 1
            self.banned = isinstance(error, LyingPeer) or self.failures > _FAILURES_FORGIVEN


@dataclass
class _Wanted:
    """A block that is not here yet: how deep it lies, and who could not give it or is being asked."""

    cid: Cid
    depth: int
    asked: set[str] = field(default_factory=set)
    tasks: set[asyncio.Task[bytes]] = field(default_factory=set)


class _Fetch:
    """One DAG on its way here."""

    def __init__(
        self,
        pool: httpcore.AsyncConnectionPool,
        *,
        peers: Sequence[Peer],
        likely: str | None,
        patience: PeerTimeouts,
        root: Cid,
        blocks: Blocks,
        writer: BlockWriter,
        limits: DagLimits,
    ) -> None:
        self._pool = pool
        self._standings = [_Standing(peer, holds=peer.name == likely) for peer in peers]
        self._patience = patience
        self._root = root
        self._here = blocks
        self._writer = writer
        self._limits = limits
        self._root_block = b""
        self._seen: set[Cid] = set()
        self._blocks, self._bytes = 0, 0
        self._wanted: dict[Cid, _Wanted] = {}
        self._asked_by: dict[asyncio.Task[bytes], tuple[_Wanted, _Standing]] = {}

    async def run(self) -> StoreError | None:
        """Fetch until all is here; return what stopped it otherwise, so that what arrived is kept."""
        try:
            async with asyncio.timeout(self._patience.fetch):
                self._want([self._root], 0)
                await self._get_block_by_block(only_root=True)
                await self._get_small_blocks_as_car()
                await self._get_block_by_block()
        except StoreError as error:
            return error
        except TimeoutError:
            return BlockNotFound(
                f"fetching {self._root} took longer than {self._patience.fetch:g} s and was given up; "
                f"{self._blocks} blocks are here, and another attempt goes on from there"
            )
        finally:
            for task in self._asked_by:
                task.cancel()
            await asyncio.gather(*self._asked_by, return_exceptions=True)
        return None

    def _want(self, cids: Iterable[Cid], depth: int) -> None:
        """Note what has to come; what is here already is looked into at once."""
        waiting = [(cid, depth) for cid in cids]
        while waiting:
            cid, depth = waiting.pop()
            if cid in self._seen:
                continue
            check_dag_size(self._root, len(waiting), 0, self._limits)
            self._seen.add(cid)
            if depth > self._limits.max_depth:
                raise LimitExceeded(f"the DAG below {self._root} is deeper than {self._limits.max_depth} links")
            check_dag_size(self._root, len(self._seen), self._bytes, self._limits)
            block = self._block_here(cid)
            if block is None:
                self._wanted[cid] = _Wanted(cid, depth)
            else:
                self._count(cid, block)
                waiting.extend((link, depth + 1) for link in self._new_links(cid, block))

    def _block_here(self, cid: Cid) -> bytes | None:
        if cid.inline is not None:
            return cid.inline
        try:
            return self._here.get(cid)
        except (BlockNotFound, CorruptBlock):
            return None

    async def _accept(self, wanted: _Wanted, block: bytes) -> None:
        """Keep a block that was checked and want what it links to."""
        self._count(wanted.cid, block)
        del self._wanted[wanted.cid]
        writing = asyncio.ensure_future(asyncio.to_thread(self._writer.put, wanted.cid, block))
        try:
            await asyncio.shield(writing)
        except asyncio.CancelledError:
            await writing  # the writer must be at rest before it is closed
            raise
        self._want(self._new_links(wanted.cid, block), wanted.depth + 1)

    def _new_links(self, cid: Cid, block: bytes) -> Sequence[Cid]:
        """Return what a block links to and nothing before it did."""
        return [link for link in dict.fromkeys(links_of(cid, block)) if link not in self._seen]

    def _count(self, cid: Cid, block: bytes) -> None:
        if cid == self._root:
            check_root(cid, block, self._limits)
            self._root_block = block
        self._blocks, self._bytes = self._blocks + 1, self._bytes + len(block)
        check_dag_size(self._root, self._blocks, self._bytes, self._limits)

    async def _get_block_by_block(self, only_root: bool = False) -> None:
        while self._wanted:
            if only_root and self._root not in self._wanted:
                return
            self._ask()
            if not self._asked_by:
                cid = next(iter(self._wanted))
                raise _nobody_gives(cid, [standing.reason for standing in self._standings if standing.reason])
            done, _ = await asyncio.wait(
                self._asked_by, timeout=self._patience.hedge, return_when=asyncio.FIRST_COMPLETED
            )
            if not done:
                self._hedge()
            for task in done:
                await self._take(task)

    def _ask(self) -> None:
        """Hand out what nobody is being asked for, to the peers that had what they were asked for, and the idlest."""
        for wanted in self._wanted.values():
            if len(self._asked_by) >= _REQUESTS:
                return
            if not wanted.tasks:
                self._ask_someone(wanted)

    def _hedge(self) -> None:
        """Nothing came for a while: ask others, too, for what is late."""
        for wanted in self._wanted.values():
            if len(self._asked_by) < 2 * _REQUESTS and wanted.tasks:
                self._ask_someone(wanted)

    def _ask_someone(self, wanted: _Wanted) -> None:
        able = [s for s in self._standings if s.can_take_more() and s.peer.name not in wanted.asked]
        if not able:
            return
        # Who gave a block of this DAG has the others, too, more likely than who was not asked yet, or had none.
        standing = min(able, key=lambda one: (one.failures, one.missed, not one.holds, one.running))
        request = ask_for_block(self._pool, standing.peer, wanted.cid, self._patience)
        task = asyncio.get_running_loop().create_task(request)
        wanted.asked.add(standing.peer.name)
        wanted.tasks.add(task)
        standing.running += 1
        self._asked_by[task] = (wanted, standing)

    async def _take(self, task: asyncio.Task[bytes]) -> None:
        if task not in self._asked_by:  # it lost the race for its block
            task.cancelled() or task.exception()
            return
        wanted, standing = self._forget(task)
        try:
            block = task.result()
        except (BlockNotFound, PeerFailure) as error:
            standing.blame(error)
            if isinstance(error, PeerFailure) and not standing.banned:
                wanted.asked.discard(standing.peer.name)  # it may have been bad luck
            return
        standing.holds = True
        for other in tuple(wanted.tasks):
            other.cancel()
            self._forget(other)
        await self._accept(wanted, block)

    def _forget(self, task: asyncio.Task[bytes]) -> tuple[_Wanted, _Standing]:
        wanted, standing = self._asked_by.pop(task)
        wanted.tasks.discard(task)
        standing.running -= 1
        return wanted, standing

    async def _get_small_blocks_as_car(self) -> None:
        """Where many small blocks are missing, take what one peer's CAR gives; the rest comes block by block."""
        if len(self._wanted) < _MANY_BLOCKS or not self._links_to_small_blocks():
            return
        for standing in self._standings:
            if standing.banned or not self._wanted:
                continue
            try:
                await self._read_car(standing.peer)
            except (BlockNotFound, PeerFailure) as error:
                standing.blame(error)

    async def _read_car(self, peer: Peer) -> None:
        budget = self._limits.max_bytes + 128 * self._limits.max_blocks  # blocks, and a name before each
        request = CarOrder(self._root, self._patience, budget, self._limits.max_blocks, self._wanted.__contains__)
        async with aclosing(ask_for_car(self._pool, peer, request)) as car:
            async for cid, block in car:
                if cid in self._wanted:
                    await self._accept(self._wanted[cid], block)
                elif cid not in self._seen:
                    raise LyingPeer(
                        f"{peer.name} sent {cid} in the CAR of {self._root}, but no block before links to it"
                    )

    def _links_to_small_blocks(self) -> bool:
        if self._root.codec != DAG_PB:
            return True  # a record's links say no sizes
        links = decode_node(self._root_block).links
        return sum(link.tree_size for link in links) < _SMALL_BLOCK * len(links)


def _nobody_gives(cid: Cid, reasons: Sequence[str]) -> BlockNotFound:
    what_they_did = "; ".join(reasons) if reasons else "there are no peers to ask"
    return BlockNotFound(f"no peer gives the block {cid}: {what_they_did}")
