"""Serves a store until its standard input ends; prints its URL first. Run by the benchmark as a process of its own."""

import sys
from pathlib import Path

from medward.store.gateway.server import GatewayServer
from medward.store.gateway.tls import TlsIdentity
from medward.store.local import open_directory


def main() -> None:
    """Serve the store named first with the certificate, key and trusted certificates named next."""
    directory, certificate, key, trusted = (Path(argument) for argument in sys.argv[1:])
    with (
        open_directory(directory, read_only=True) as store,
        GatewayServer(store, tls=TlsIdentity(certificate, key, trusted)) as server,
    ):
        print(server.url, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
