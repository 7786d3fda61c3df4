"""Asking the other members for blocks, while members come and go.

A `PeerExchange` trusts for its lifetime whom it trusted at first. When the members change, a new one takes its place;
fetches under way end on the old one.
"""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from medward.store.blocks import Blocks
from medward.store.cid import Cid
from medward.store.gateway.exchange import PeerExchange
from medward.store.gateway.peer import Peer
from medward.store.gateway.tls import TlsIdentity
from medward.store.limits import DagLimits


class MembersExchange:
    """Gets blocks from the present members; see `medward.store.local.Exchange`.

    Args:
        tls: this member's identity, whose file of trusted certificates names the present members.
    """

    def __init__(self, tls: TlsIdentity) -> None:
        self._tls = tls
        self._lock = threading.Lock()
        self._users: dict[PeerExchange, int] = {}
        self._present = PeerExchange((), tls)

    def set_peers(self, peers: Sequence[Peer], trust_anew: bool) -> None:
        """Ask these from the next fetch on.

        Args:
            peers: the other members' gateways.
            trust_anew: whether the trusted certificates changed.
        """
        if not trust_anew:
            self._present.set_peers(peers)
            return
        following = PeerExchange(peers, self._tls)
        with self._lock:
            former, self._present = self._present, following
            idle = self._users.get(former, 0) == 0
        if idle:
            former.close()

    def fetch(self, root: Cid, blocks: Blocks, limits: DagLimits, likely: str | None = None) -> None:
        """See `PeerExchange.fetch`."""
        with self._use() as exchange:
            exchange.fetch(root, blocks, limits, likely)

    def fetch_block(self, cid: Cid) -> bytes:
        """See `PeerExchange.fetch_block`."""
        with self._use() as exchange:
            return exchange.fetch_block(cid)

    def close(self) -> None:
        """Close connections."""
        self._present.close()

    @contextmanager
    def _use(self) -> Iterator[PeerExchange]:
        with self._lock:
            exchange = self._present
            self._users[exchange] = self._users.get(exchange, 0) + 1
        try:
            yield exchange
        finally:
            with self._lock:
                self._users[exchange] -= 1
                last = self._users[exchange] == 0
                if last:
                    del self._users[exchange]
                outdated = last and exchange is not self._present
            if outdated:
                exchange.close()
