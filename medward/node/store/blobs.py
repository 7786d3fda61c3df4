"""The store's side of a node: the store itself, the gateway that serves it, and the other members' gateways."""

import logging
import shutil
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from medward.admission import RefusalListener, nobody
from medward.ledger.types import Member
from medward.node.errors import NodeError
from medward.node.home.cards import Contact
from medward.node.home.configuration import StoreTable, split_address
from medward.node.home.folder import Home
from medward.node.home.private_files import read_private
from medward.node.store.exchange import MembersExchange
from medward.node.store.gateway_keys import make_gateway_identity, write_trusted
from medward.store.errors import StoreError
from medward.store.gateway.peer import Peer
from medward.store.gateway.server import GatewayRooms, GatewayServer
from medward.store.gateway.tls import Signers
from medward.store.interface import BlobStore
from medward.store.kubo.daemon import KuboDaemon
from medward.store.kubo.store import KuboStore
from medward.store.local import open_directory

_LOG = logging.getLogger("medward.node")


class NodeStore:
    """A store that the other members can read from, and that reads from theirs. Every method blocks: use a thread.

    Args:
        home: where it lies.
        name: this member.
        table: how it is configured.
        members: whom to trust at first.
        refused: told of callers that are turned away.
        share: of the usual places for callers; see `medward.node.descriptors`.
    """

    def __init__(
        self,
        home: Home,
        name: str,
        table: StoreTable,
        members: Sequence[Member],
        refused: RefusalListener = nobody,
        share: float = 1.0,
    ) -> None:
        self._on_refusal = refused
        self._share = share
        self._members = tuple(members)
        self._home = home
        self._name = name
        self._table = table
        self._trusted = _certificates(members)
        self._contacts: dict[str, Contact] = {}
        self._tls = make_gateway_identity(home.gateway, home.ledger / "keys", table.address, sorted(self._trusted))
        self._exchange = MembersExchange(self._tls)
        self._daemon: KuboDaemon | None = None
        self.store: BlobStore = self._open()
        self._gateway: GatewayServer | None = None
        self._serving = threading.Lock()

    @property
    def contact(self) -> Contact:
        """Where this member's own store is reached."""
        swarm = () if self._daemon is None else tuple(self._daemon.swarm_addresses())
        return Contact(self._name, self._table.address, swarm)

    def serve(self) -> None:
        """Start the gateway, in place of one that serves already; StoreError if its address can't be had."""
        with self._serving:
            self._serve()

    def keep_serving(self) -> bool:
        """Start the gateway again where it does not work any more; say whether that was needed."""
        with self._serving:
            if self._gateway is not None and self._gateway.serving:
                return False
            self._serve()
            return True

    def set_members(self, members: Sequence[Member], contacts: Mapping[str, Contact]) -> None:
        """Ask these members from now on, and serve nobody else.

        Args:
            members: who is trusted.
            contacts: where they are reached, by name; one without is not asked.
        """
        trusted = _certificates(members)
        others = {name: contact for name, contact in contacts.items() if name != self._name}
        if (trusted, others) == (self._trusted, self._contacts):
            return
        anew = trusted != self._trusted
        if anew:
            write_trusted(self._tls, sorted(trusted))
        peers = [Peer(name, f"https://{contact.gateway}") for name, contact in sorted(others.items())]
        self._exchange.set_peers(peers, anew)
        self._trusted, self._contacts, self._members = trusted, others, tuple(members)
        if anew and self._gateway is not None:
            # A server trusts for its lifetime whom it trusted at first; who left must not be served any more.
            self.serve()
        else:
            with self._serving:
                self._expect_members()
        self.connect()

    def connect(self) -> None:
        """Connect Kubo to the other members' where it is used; who is away is tried again at the next call."""
        if self._daemon is None:
            return
        for contact in self._contacts.values():
            try:
                self._daemon.connect(list(contact.swarm))
            except StoreError as error:
                _LOG.debug("Kubo of %s is not reached: %s", contact.name, error)

    def describe(self) -> Mapping[str, Any]:
        """Return what `GET /status` shows of it."""
        usage = self.store.usage()
        return {
            "engine": self._table.engine,
            "blocks": usage.blocks,
            "bytes": usage.bytes,
            "limit": usage.limit,
            "disk_free": shutil.disk_usage(self._home.folder).free,
            "gateway": self._table.address,
            "peers": {name: contact.gateway for name, contact in sorted(self._contacts.items())},
        }

    def close(self) -> None:
        """Stop serving, asking and keeping."""
        with self._serving:
            if self._gateway is not None:
                self._gateway.stop()
        self.store.close()
        if self._daemon is not None:
            self._exchange.close()
            self._daemon.stop()

    def _serve(self) -> None:
        if self._gateway is not None:
            self._gateway.stop()
            self._gateway = None
        host, port = split_address(self._table.listen, "store.listen")
        self._gateway = GatewayServer(
            self.store,
            host,
            port,
            self._tls,
            refused=self._on_refusal,
            rooms=GatewayRooms.of(self._share),
            who=Signers({member.name: member.certificate for member in self._members}),
        ).start()
        self._expect_members()

    def _expect_members(self) -> None:
        if self._gateway is not None:
            addresses = [member.address for member in self._members if member.name != self._name]
            addresses += [contact.gateway for contact in self._contacts.values()]
            self._gateway.expect(address.rpartition(":")[0] for address in addresses)

    def _open(self) -> BlobStore:
        if self._table.engine == "embedded":
            limit = int(self._table.limit_gib * 2**30) or None
            return open_directory(self._home.store, limit, self._exchange)
        if not self._home.swarm_key_file.exists():
            raise NodeError(
                f"Kubo needs {self._home.swarm_key_file}, the swarm key that all members share; get it over a safe "
                "channel (mode 0600), or use the embedded store"
            )
        folder = self._home.store / "kubo"
        swarm_key = read_private(self._home.swarm_key_file, "agree with all members on a new swarm key")
        self._daemon = KuboDaemon(folder, swarm_key.decode("ascii"), self._table.swarm).start()
        return KuboStore(self._daemon.rpc(), self._home.store / "pins.sqlite")


def _certificates(members: Sequence[Member]) -> frozenset[bytes]:
    return frozenset(member.certificate for member in members)
