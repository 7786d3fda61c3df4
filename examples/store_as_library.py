"""Content-addressed storage as a library: add, name, serve to a peer, notice damage, and heal it."""

import os
import tempfile
from pathlib import Path

from medward.store import in_memory, open_directory
from medward.store.gateway.exchange import PeerExchange
from medward.store.gateway.peer import Peer
from medward.store.gateway.server import GatewayServer
from medward.store.limits import file_of

CONTENT = os.urandom(3_000_000)


def main() -> None:
    """Move one file between two stores, and repair a copy that was damaged on disk."""
    with tempfile.TemporaryDirectory() as name, in_memory() as ours:
        # The name is a hash of the content: the same bytes have the same name in every IPFS store.
        root = ours.add(CONTENT, pin="example/scan")
        with in_memory() as others:
            assert others.add(CONTENT, pin="example/scan") == root
        print(f"{len(CONTENT)} bytes are called {root}")

        # A gateway serves blocks over HTTP. On another address than 127.0.0.1 it demands certificates of both sides.
        with GatewayServer(ours) as gateway:
            folder = Path(name) / "theirs"
            with open_directory(folder, exchange=PeerExchange([Peer("ours", gateway.url)])) as theirs:
                # The reader says how long the content is, so that no peer can make it fetch something huge.
                theirs.fetch(root, file_of(len(CONTENT)), pin="example/scan")
                assert theirs.read(root, file_of(len(CONTENT))) == CONTENT
                print(f"a peer fetched it; its store holds {theirs.usage().blocks} blocks, each checked")

                # One bit rots on the disk.
                damaged = max((folder / "blocks").rglob("*"), key=lambda path: path.is_file() and path.stat().st_size)
                damaged.chmod(0o600)
                data = bytearray(damaged.read_bytes())
                data[len(data) // 2] ^= 1
                damaged.write_bytes(data)

                # A block that does not match its name is set aside and never given out; a fetch gets it anew.
                found = theirs.verify()
                print(f"verify names the damaged block: {found.corrupt[0]}")
                assert len(found.corrupt) == 1
                theirs.fetch(root, file_of(len(CONTENT)))
                assert theirs.verify().intact
                print("fetched again from the peer: every block is intact")


if __name__ == "__main__":
    main()
