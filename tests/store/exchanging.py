"""Fetching from peers over real connections: what the tests of it share."""

from contextlib import ExitStack

from medward.store.cid import Cid
from medward.store.dag import walk
from medward.store.gateway.exchange import PeerExchange
from medward.store.gateway.peer import Peer, PeerTimeouts
from medward.store.gateway.server import GatewayServer
from medward.store.importer import Profile, import_file
from medward.store.local import LocalStore, in_memory

from . import vectors

CONTENT = vectors.content(5 * 1024 * 1024 + 321, "exchange")
HASTY = PeerTimeouts(connect=5, block=5.0, hedge=0.2, fetch=60)  # enough for an honest peer on a busy machine
VERY_HASTY = PeerTimeouts(
    connect=2, block=0.4, hedge=0.2, fetch=60
)  # where nobody is honest, or what is late is repeated
SMALL = Profile("small", 1, 1024, 1024, True)


def served(stack: ExitStack, content: bytes | None = None, profile: Profile | None = None) -> tuple[LocalStore, Peer]:
    """A store with `content`, behind a gateway."""
    store = stack.enter_context(in_memory())
    if content is not None:
        store.add(content, pin="test", **({"profile": profile} if profile else {}))
    server = stack.enter_context(GatewayServer(store))
    return store, Peer(f"honest-{server.port}", server.url)


def fetching(stack: ExitStack, peers: list[Peer], patience: PeerTimeouts = HASTY) -> LocalStore:
    return stack.enter_context(in_memory(exchange=PeerExchange(peers, patience=patience)))


def cid_of(content: bytes, profile: Profile | None = None) -> Cid:
    return import_file(content, lambda _cid, _block: None, **({"profile": profile} if profile else {})).cid


def small_file_blocks() -> list[tuple[Cid, bytes]]:
    blocks: dict[Cid, bytes] = {}
    root = import_file(CONTENT[: 100 * 1024], lambda cid, block: blocks.update({cid: bytes(block)}), SMALL).cid
    return list(walk(root, blocks.__getitem__))
