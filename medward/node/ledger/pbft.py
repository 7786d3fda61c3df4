"""The engine that a federation chose, with what the node must know of it: whether it failed, and whether it is current.

PBFT runs in this process. CometBFT is a program of its own beside it; its validators never change.
"""

import asyncio
import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from medward.admission import RefusalListener, nobody
from medward.ledger.certificates import CertifiedBlock, follow_handovers
from medward.ledger.errors import InvalidCertificate, LedgerError
from medward.ledger.membership import tolerated_faults
from medward.ledger.pbft.client import PbftClient
from medward.ledger.pbft.client_protocol import NodeStatus
from medward.ledger.pbft.identity import NodeIdentity
from medward.ledger.pbft.parameters import Parameters
from medward.ledger.pbft.runtime.engine import NodeSettings, PbftEngine
from medward.ledger.pbft.runtime.listener import ListenerRooms
from medward.ledger.pbft.runtime.reach import PeerReach, clock_behind
from medward.ledger.signatures import MemberVerifier
from medward.ledger.types import Application, Block, Engine, Member
from medward.node.errors import NodeError, Retired
from medward.node.home.configuration import LedgerTable
from medward.node.home.federation_file import FederationFile, members_to_call
from medward.node.home.folder import Home
from medward.node.ledger.forks import Forks, check_not_forked
from medward.node.ledger.reach import SILENCE_SECONDS

_LOG = logging.getLogger("medward.node")
_LOOK_AGAIN_SECONDS = 0.25
#: So long the others may take to say which block they have.
_COMPARE_SECONDS = 0.4


class Consensus(ABC):
    """An engine under the node's eye."""

    engine: Engine

    @property
    @abstractmethod
    def members(self) -> Sequence[Member]:
        """The members that vote now."""

    @abstractmethod
    async def start(self) -> None:
        """Start the engine."""

    @abstractmethod
    def failure(self) -> str | None:
        """Return why the engine stopped for good, None while it works."""

    @abstractmethod
    def describe(self) -> Mapping[str, Any]:
        """Return what `GET /status` shows of it."""

    @abstractmethod
    async def become_current(self, note: Callable[[str], None]) -> None:
        """Return once this member votes, has forgotten nothing, and is as far as the others.

        Args:
            note: is told what is waited for.

        Raises:
            Retired: newer keys took the place of these.
        """

    @abstractmethod
    async def certify(self, block: Block | None) -> None:
        """See `medward.node.interfaces.Ledger.certify`."""

    @abstractmethod
    async def close(self) -> None:
        """Stop the engine, and hang up."""


class PbftConsensus(Consensus):
    """PBFT in this process.

    Args:
        home: holds keys and journal.
        table: addresses and timers.
        federation: its genesis.
        member: this member's present incarnation.
        identity: its keys.
        make_application: gives the application in its genesis state.
        members_only: whether only members may read the ledger and hand in transactions.
        refused: told of callers that are turned away.
        share: of the usual places for callers; see `medward.node.descriptors`.

    Raises:
        Forked: this node saw a fork before.
    """

    def __init__(
        self,
        home: Home,
        table: LedgerTable,
        federation: FederationFile,
        member: Member,
        identity: NodeIdentity,
        make_application: Callable[[], Application],
        members_only: bool,
        refused: RefusalListener = nobody,
        share: float = 1.0,
    ) -> None:
        check_not_forked(home.ledger)
        parameters = Parameters(
            request_timeout=table.request_timeout,
            status_interval=table.status_interval,
            fetch_timeout=table.fetch_timeout,
        )
        others = tuple(other for other in members_to_call(federation) if other.name != member.name)
        settings = NodeSettings(
            member.name, federation.genesis, home.ledger, table.listen, parameters, others, members_only
        )
        self._federation = federation
        self._listen = table.listen
        self._member = member
        self._identity = identity
        self._client_members: tuple[Member, ...] = ()
        self._client: PbftClient | None = None
        self._anonymous: PbftClient | None = None
        self.engine: PbftEngine = PbftEngine(
            settings, make_application(), refused, ListenerRooms.of(share), _LOG.warning
        )
        replica, chain = self.engine.replica, federation.genesis.chain
        self._forks = Forks(
            chain, lambda: replica.memberships, self.engine.certified, self._blocks_of_others, home.ledger
        )
        self._comparing = asyncio.Lock()

    @property
    def members(self) -> Sequence[Member]:
        """The members of the present epoch."""
        return self.engine.members

    async def start(self) -> None:
        """Listen and take part."""
        try:
            await self.engine.start()
        except OSError as error:
            raise NodeError(
                f"cannot listen on {self._listen}: {error.strerror or error}; change ledger.listen in node.toml"
            ) from None

    def failure(self) -> str | None:
        """Say why the replica stopped."""
        failed = self.engine.failure
        return self.engine.replica.halted or (None if failed is None else str(failed))

    def describe(self) -> Mapping[str, Any]:
        """Return height, epoch, view and leader."""
        replica = self.engine.replica
        epoch, view, changing = replica.view
        stable = replica.stable
        return {
            "engine": "pbft",
            "height": replica.height,
            "stable_height": 0 if stable is None else stable.body.height,
            "epoch": epoch,
            "view": view,
            "view_changing": changing,
            "leader": replica.membership.leader(view),
            "quorum": replica.membership.quorum,
            "faults_tolerated": replica.membership.faults,
            "votes": self._is_member() and replica.confirmed,
            "clock_off_seconds": replica.clock_off / 1000,
            **self._in_reach(),
            "journal_commits": self.engine.commits,
            "damaged_blocks": self.engine.damaged_blocks,
        }

    def _in_reach(self) -> Mapping[str, Any]:
        """Return who was heard of lately, whether those are a quorum, and how the clocks stand."""
        membership = self.engine.replica.membership
        names = [member.name for member in membership.members if member.name != self._member.name]
        peers = self.engine.reach.of(names, time.monotonic())
        heard = sum(peer.heard_seconds <= SILENCE_SECONDS for peer in peers)
        behind = clock_behind(peer for peer in peers if peer.heard_seconds <= SILENCE_SECONDS)
        return {
            "peers": {peer.name: _rounded(peer) for peer in peers},
            "in_reach": heard + self._is_member(),
            "has_quorum": heard + self._is_member() >= membership.quorum,
            "clock_behind_seconds": None if behind is None else round(behind, 1),
            "clock_drift_seconds": self._federation.genesis.parameters.clock_drift / 1000,
        }

    async def become_current(self, note: Callable[[str], None]) -> None:
        """Ask the others where they stand until this replica stands there, too."""
        said: str | None = ""
        try:
            while (waits_for := await self._lacks()) is not None:
                if waits_for != said:
                    note(waits_for)
                said = waits_for
                await asyncio.sleep(_LOOK_AGAIN_SECONDS)
        finally:
            await self._hang_up()

    async def certify(self, block: Block | None) -> None:
        """Verify the block's certificate, and compare it with those of the members that answer at once."""
        height = self.engine.height if block is None else block.height
        async with self._comparing:
            await self._forks.check(height, block)

    async def close(self) -> None:
        """Stop the replica, and hang up."""
        await self._hang_up()
        await self.engine.stop()

    async def _blocks_of_others(self, height: int) -> list[CertifiedBlock]:
        others = tuple(member for member in self.members if member.name != self._member.name)
        if not others:
            return []
        client = await self._client_of(others)
        asked = [asyncio.ensure_future(client.block(member.name, height)) for member in others]
        done, late = await asyncio.wait(asked, timeout=_COMPARE_SECONDS)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        replies = [task.result() for task in done if task.exception() is None]
        return [reply.block for reply in replies if reply is not None and reply.block is not None]

    async def _lacks(self) -> str | None:
        """Return what is missing to be current, None where nothing is."""
        replica = self.engine.replica
        known = {m.name: m for m in (*members_to_call(self._federation), *replica.recent_members)}
        known.pop(self._member.name, None)
        statuses = await self._ask(tuple(known.values()))
        newest = self._newest_members(statuses)
        check_not_replaced(self._member, newest)
        if self._is_member() and all(member.keys != self._member.keys for member in newest):
            # The others hang up on it, so its own ledger will not come to where it left.
            raise Retired(f"{self._member.name} is no member of {self._federation.name} any more; the node stops")
        if not self._is_member():
            return "waits until a member admits this one (`medward federation admit`)"
        membership = replica.membership
        heights = sorted((s.height for s in statuses if s.membership.epoch >= membership.epoch), reverse=True)
        needed = membership.quorum - 1
        if len(heights) < needed:
            return f"waits for {needed} of the other members; {len(heights)} answer"
        # Up to f of them may claim any height.
        goal = heights[tolerated_faults(membership.size)] if len(heights) > membership.faults else 0
        if replica.height < goal:
            return "fetches what the others ordered"
        return None if replica.confirmed else "asks the others whether its journal is complete"

    async def _ask(self, members: tuple[Member, ...]) -> list[NodeStatus]:
        """Ask members where they stand: as one of them, and as anybody, for those to whom this one is none."""
        if not members:
            return []
        clients = (await self._client_of(members), self._anonymous)
        found = await asyncio.gather(*(_first_status(clients, member.name) for member in members))
        return [status for status in found if status is not None]

    async def _client_of(self, members: tuple[Member, ...]) -> PbftClient:
        if self._client is None or self._client_members != members:
            await self._hang_up()
            self._client_members = members
            genesis, signer = self._federation.genesis, self._identity.signer
            mine = self._identity.asking_context
            self._client = PbftClient(genesis, signer, members=members, patience=0.4, context=mine)
            self._anonymous = PbftClient(genesis, signer, members=members, patience=0.4)
        return self._client

    async def _hang_up(self) -> None:
        for client in (self._client, self._anonymous):
            if client is not None:
                await client.close()
        self._client, self._anonymous, self._client_members = None, None, ()

    def _newest_members(self, statuses: list[NodeStatus]) -> tuple[Member, ...]:
        """Return the members of the latest epoch that is proved to this node."""
        newest = self.engine.replica.membership
        genesis, verifier = self._federation.genesis, MemberVerifier()
        for status in statuses:
            if status.membership.epoch <= newest.epoch:
                continue
            try:
                newest = follow_handovers(genesis.membership, status.handovers, genesis.chain, verifier)[-1]
            except (InvalidCertificate, IndexError, LedgerError):
                continue
        return newest.members

    def _is_member(self) -> bool:
        return any(member.keys == self._member.keys for member in self.engine.members)


def _rounded(peer: PeerReach) -> dict[str, Any]:
    ahead = peer.clock_ahead_seconds
    return {
        "heard_seconds": round(peer.heard_seconds, 1),
        "clock_ahead_seconds": None if ahead is None else round(ahead, 1),
        "height": peer.height,
    }


async def _first_status(clients: Sequence[PbftClient | None], name: str) -> NodeStatus | None:
    """Return the first status that a member gives to one of these clients."""
    asked = [asyncio.ensure_future(client.status(name)) for client in clients if client is not None]
    try:
        for answered in asyncio.as_completed(asked):
            status = await answered
            if status is not None:
                return status
        return None
    finally:
        for late in asked:
            late.cancel()
        await asyncio.gather(*asked, return_exceptions=True)


def check_not_replaced(mine: Member, members: tuple[Member, ...]) -> None:
    """Check that the federation does not know this member by other keys.

    Raises:
        Retired: it does.
    """
    for member in members:
        if member.name == mine.name and member.keys != mine.keys and member.incarnation >= mine.incarnation:
            raise Retired(
                f"the federation knows {mine.name} by the keys of incarnation {member.incarnation}, and this home has "
                f"others, of incarnation {mine.incarnation}: it must neither vote nor answer; if it was restored from "
                "a backup, make a new incarnation with `medward federation rotate`"
            )
