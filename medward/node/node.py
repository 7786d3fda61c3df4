"""One hospital's node: everything put together, started in order, watched, and stopped in the opposite order."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any

from medward import __version__
from medward.ledger.errors import LedgerError
from medward.ledger.types import Block, Member, Receipt
from medward.node.api.metrics import NodeCollector, render_metrics
from medward.node.api.server import ApiRooms, ApiServer, Shown
from medward.node.applications import PROGRAMS, program_of
from medward.node.descriptors import places_share
from medward.node.errors import InvalidConfiguration, NodeError
from medward.node.home.audit_copy import write_copy
from medward.node.home.cards import Card
from medward.node.home.configuration import Configuration
from medward.node.home.federation_file import FederationFile, members_to_call, render_federation
from medward.node.home.folder import Home
from medward.node.interfaces import FINISHED, Host, Ledger, LedgerEvent, Participant, Program
from medward.node.ledger.cometbft import CometConsensus
from medward.node.ledger.feed import Feed, observed
from medward.node.ledger.pbft import Consensus, PbftConsensus
from medward.node.ledger.reach import clock_warnings, no_quorum, problem_of, silence_warnings
from medward.node.ledger.submitter import Nonces, Submitter
from medward.node.membership import MembershipWatcher
from medward.node.refused_requests import RefusedRequests
from medward.node.store.blobs import NodeStore
from medward.node.store.disk_space import disk_warnings
from medward.node.supervision import Restarts, keep_running, run_once

_LOG = logging.getLogger("medward.node")
_WATCH_SECONDS = 0.2
_KNOCK_SECONDS = 5.0
_GRACE_SECONDS = 10.0
_API_SECONDS = 3.0


class _LedgerSeen(Ledger):
    """The ledger, as the participant sees it."""

    def __init__(self, consensus: Consensus, feed: Feed, submitter: Submitter) -> None:
        self._consensus = consensus
        self._feed = feed
        self._submitter = submitter

    def events(self) -> AsyncIterator[LedgerEvent]:
        """See `Ledger.events`."""
        return self._feed.events()

    async def submit(self, payload: bytes) -> Receipt:
        """See `Ledger.submit`."""
        return await self._submitter.submit(payload)

    async def certify(self, block: Block | None) -> None:
        """See `Ledger.certify`."""
        await self._consensus.certify(block)

    def query(self, path: str) -> bytes | None:
        """See `Ledger.query`."""
        return self._feed.query(path)

    @property
    def members(self) -> Sequence[Member]:
        """See `Ledger.members`."""
        return self._consensus.members


class Node(Shown):
    """A node that has not started.

    Args:
        home: its folder, locked by the caller.
        configuration: what node.toml says.
        programs: the kinds of federation that it can run.

    Raises:
        NodeError: the home is not complete, or does not fit the federation.
    """

    def __init__(self, home: Home, configuration: Configuration, programs: Mapping[str, Program] = PROGRAMS) -> None:
        self._home = home
        self._configuration = configuration
        federation = home.federation()
        card = home.card()
        _check_home(home, configuration, federation, card)
        program = program_of(federation.application.name, programs)
        self._card = card
        self._identity = home.identity()
        self._rules = program.make_rules(federation.application.parameters)
        self._feed = Feed()
        members = members_to_call(federation)
        self._refused_requests = RefusedRequests()
        share = places_share()
        self._blobs = NodeStore(
            home, configuration.name, configuration.store, members, self._refused_requests.at("store"), share
        )
        make = observed(self._rules.make_application, self._feed)
        table = configuration.ledger
        self._consensus: Consensus
        if federation.engine == "cometbft":
            self._consensus = CometConsensus(home, table, federation, card.member, make)
        else:
            refused = self._refused_requests.at("ledger")
            closed = self._rules.members_only
            self._consensus = PbftConsensus(
                home, table, federation, card.member, self._identity, make, closed, refused, share
            )
        engine = self._consensus.engine
        chain = federation.genesis.chain
        self._membership = MembershipWatcher(
            home, card, federation, self._rules, self._consensus, self._feed.query, self._blobs
        )
        self._submitter = Submitter(engine, chain, self._identity.signer, Nonces(home.ledger / "nonce"))
        self._api = ApiServer(
            self,
            configuration.api,
            home.folder,
            home.token(),
            self._refused_requests.at("API"),
            ApiRooms.of(share, bool(configuration.api.certificate)),
        )
        self.stopping = asyncio.Event()
        self._host = Host(
            configuration.name,
            card.member,
            chain,
            home.participant,
            home.data,
            configuration.participant,
            self._blobs.store,
            _LedgerSeen(self._consensus, self._feed, self._submitter),
            self.stopping,
            home.model,
        )
        self._make_participant = program.make_participant
        self._participant: Participant | None = None
        self._restarts = Restarts()
        self._phase = "starting"
        self._start_time = time.monotonic()

    async def run(self, tell: Callable[[str], None] = lambda _: None) -> None:
        """Run until `stopping` is set, or until something happens that the node must not survive.

        Args:
            tell: told each phase, from the moment on when the node listens.

        Raises:
            MedwardError: why the node had to stop.
        """
        name, federation = self._configuration.name, self._membership.federation
        _LOG.info("%s of %s (%s) starts from %s", name, federation.name, federation.fingerprint, self._home.folder)
        tasks: list[asyncio.Task[None]] = []
        try:
            tasks.append(_task("the HTTP API", self._keep("the HTTP API", self._serve_api)))
            await asyncio.to_thread(self._blobs.serve)
            await self._consensus.start()
            tasks.append(_task("the ledger", run_once("the ledger", self._watch_ledger)))
            tasks.append(_task("the members", self._keep("the watch over the members", self._membership.watch)))
            tasks.append(_task("the gateway", self._keep("the store's gateway", self._watch_gateway)))
            tasks.append(_task("the participant", self._take_part(tell)))
            stop = asyncio.create_task(self.stopping.wait())
            await asyncio.wait([*tasks, stop], return_when=asyncio.FIRST_COMPLETED)
            stop.cancel()
            self._raise_first(tasks)
        finally:
            await self._shut_down(tasks)

    async def _take_part(self, tell: Callable[[str], None]) -> None:
        self._phase = "catching up"
        tell(self._phase)
        await self._consensus.become_current(lambda waits_for: _LOG.info("%s", waits_for))
        _LOG.info("current with the others at height %d", self._consensus.engine.height)
        self._participant = self._make_participant(self._host)
        # A journal that was rolled back must stop the node, never the participant alone.
        await self._participant.check_journal()
        await self._membership.announce(self._submitter)
        self._phase = "running"
        tell(self._phase)
        await self._keep("the participant", self._run_participant)

    async def _run_participant(self) -> None:
        if self._participant is None:
            self._participant = self._make_participant(self._host)
            await self._participant.check_journal()
        try:
            await self._participant.run()
        finally:
            self._participant = None
        if not self.stopping.is_set():
            raise NodeError("the participant ended although nobody asked it to")

    async def _serve_api(self) -> None:
        await self._api.run()

    async def _watch_ledger(self) -> None:
        while (failure := self._consensus.failure()) is None:
            await asyncio.sleep(_WATCH_SECONDS)
        raise LedgerError(failure)

    async def _watch_gateway(self) -> None:
        while True:
            await asyncio.sleep(_KNOCK_SECONDS)
            if await asyncio.to_thread(self._blobs.keep_serving):
                _LOG.warning("the store's gateway did not answer; it was started again")
                self._restarts.note("the store's gateway")

    async def _shut_down(self, tasks: list[asyncio.Task[None]]) -> None:
        _LOG.info("stopping")
        self._phase = "stopping"
        self.stopping.set()
        self._feed.end()
        participant = [task for task in tasks if task.get_name() == "the participant" and not task.done()]
        if participant and self._participant is not None:
            await asyncio.wait(participant, timeout=_GRACE_SECONDS)
        self._api.stop()
        await asyncio.wait(tasks[:1], timeout=_API_SECONDS)
        for task in tasks:
            while not task.done():
                task.cancel()
                await asyncio.wait([task], timeout=0.5)
        await self._consensus.close()
        await asyncio.to_thread(self._blobs.close)
        _LOG.info("stopped")

    def _raise_first(self, tasks: Sequence[asyncio.Task[None]]) -> None:
        for task in tasks:
            if task.done() and not task.cancelled():
                failure = task.exception()
                if failure is not None and not self._membership.leaving:
                    raise failure
                if failure is not None:
                    _LOG.info("%s", failure)

    def _keep(self, part: str, run: Callable[[], Awaitable[None]]) -> Awaitable[None]:
        return keep_running(part, run, self._restarts)

    # What the API shows.

    def health(self) -> str | None:
        """See `Shown.health`."""
        return self._problem(self._consensus.describe())

    def _problem(self, ledger: Mapping[str, Any]) -> str | None:
        failure = self._consensus.failure()
        if failure is not None:
            return failure
        if self._phase == "running" and self._participant is None:
            return "the participant is down"
        return problem_of(self._phase, ledger)

    def has_quorum(self) -> bool:
        """See `Shown.has_quorum`."""
        return no_quorum(self._consensus.describe()) is None

    async def status(self) -> Mapping[str, Any]:
        """See `Shown.status`."""
        federation, member = self._membership.federation, self._card.member
        participant, ledger = self._participant, self._consensus.describe()
        told = {} if participant is None else dict(participant.status())
        store = await asyncio.to_thread(self._blobs.describe)
        return {
            "name": member.name,
            "incarnation": member.incarnation,
            "federation": federation.name,
            "fingerprint": federation.fingerprint,
            "application": federation.application.name,
            "phase": FINISHED if self._phase == "running" and told.get("done") else self._phase,
            "problem": self._problem(ledger),
            "uptime_seconds": round(time.monotonic() - self._start_time, 1),
            "members": [m.name for m in self._consensus.members],
            "ledger": dict(ledger),
            "store": dict(store),
            "participant": told,
            "waiting": self._feed.waiting,
            "restarts": dict(self._restarts.counts),
            "version": __version__,
            "warnings": [*clock_warnings(ledger), *silence_warnings(ledger), *disk_warnings(store)],
        }

    def members(self) -> Sequence[Mapping[str, Any]]:
        """See `Shown.members`."""
        gateways = {card.name: card.gateway for card in self._membership.federation.cards}
        return [
            {
                "name": member.name,
                "incarnation": member.incarnation,
                "address": member.address,
                "gateway": gateways.get(member.name),
                "keys": {key.algorithm: key.data.hex() for key in member.keys},
            }
            for member in self._consensus.members
        ]

    def rounds(self) -> Sequence[Mapping[str, Any]]:
        """See `Shown.rounds`."""
        return () if self._participant is None else self._participant.rounds()

    def models(self) -> Sequence[Mapping[str, Any]]:
        """See `Shown.models`."""
        return () if self._participant is None else self._participant.models()

    def datasets(self) -> Sequence[Mapping[str, Any]]:
        """See `Shown.datasets`."""
        return () if self._participant is None else self._participant.datasets()

    async def about_data(self, wanted: Mapping[str, str]) -> Mapping[str, Any]:
        """See `Shown.about_data`."""
        if self._participant is None:
            raise NodeError(f"the node is {self._phase}; try again once it runs")
        return await self._participant.about_data(wanted)

    async def resume(self) -> Mapping[str, Any]:
        """See `Shown.resume`."""
        if self._participant is None:
            raise NodeError(f"the node is {self._phase}; try again once it runs")
        return await self._participant.resume()

    async def metrics(self) -> bytes:
        """See `Shown.metrics`."""
        status = await self.status()
        healthy = status["problem"] is None
        refused = (self._api.guard.refused, self._refused_requests.counts)
        return render_metrics(NodeCollector(status, *refused, self._restarts.counts, healthy))

    def federation(self) -> bytes:
        """See `Shown.federation`."""
        return render_federation(self._membership.federation)

    def audit_copy(self) -> Iterator[bytes]:
        """See `Shown.audit_copy`."""
        if self._membership.federation.engine == "cometbft":
            raise NodeError(
                "CometBFT writes this ledger as long as the node runs, so that it cannot be copied: stop the node, and "
                "audit its home with `medward audit --home`"
            )
        return write_copy(self._home)

    async def admit(self, card: Card) -> Mapping[str, Any]:
        """See `Shown.admit`."""
        return await self._membership.admit(card, self._submitter)

    async def remove(self, name: str) -> Mapping[str, Any]:
        """See `Shown.remove`."""
        return await self._membership.remove(name, self._submitter)

    async def retract(self, name: str) -> Mapping[str, Any]:
        """See `Shown.retract`."""
        return await self._membership.retract(name, self._submitter)

    async def leave(self) -> Mapping[str, Any]:
        """See `Shown.leave`."""
        return await self._membership.remove(self._configuration.name, self._submitter)


def _task(name: str, work: Awaitable[None]) -> asyncio.Task[None]:
    async def run() -> None:
        await work

    return asyncio.create_task(run(), name=name)


def _check_home(home: Home, configuration: Configuration, federation: FederationFile, card: Card) -> None:
    """Check that the files of a home fit each other."""
    file, name = home.configuration_file, configuration.name
    if card.name != name:
        raise InvalidConfiguration(f"{file}: name: expected {card.name}, whose keys these are, got '{name}'")
    if configuration.ledger.engine != federation.engine:
        raise InvalidConfiguration(
            f"{file}: ledger.engine: expected {federation.engine}, on which {federation.name} agreed, "
            f"got '{configuration.ledger.engine}'"
        )
