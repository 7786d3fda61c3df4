"""Serving TCP connections, a thread each, and waiting as a device does."""

import contextlib
import socket
import socketserver
import time
from collections.abc import Callable
from random import Random
from typing import Any


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: peers that break off are what attacks are made of."""


def serve(address: str, port: int, talk: Callable[[socket.socket], None]) -> None:
    """Accept connections for ever; `talk` speaks with each and closes it by returning.

    Raises:
        OSError: the port is taken.
    """

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.settimeout(60)
            with contextlib.suppress(OSError, EOFError, ValueError):
                talk(self.request)

    with _Server((address, port), Handler) as server:
        server.serve_forever()


def receive(connection: socket.socket, count: int) -> bytes:
    """Receive exactly so many octets.

    Raises:
        EOFError: the peer ended the connection.
    """
    octets = b""
    while len(octets) < count:
        if not (more := connection.recv(count - len(octets))):
            raise EOFError
        octets += more
    return octets


def wait(settings: dict[str, Any], random: Random) -> None:
    """Wait for about a drawn interval."""
    interval, jitter = settings["interval"], settings["jitter"]
    time.sleep(max(0.02, random.gauss(interval, interval * jitter)))
