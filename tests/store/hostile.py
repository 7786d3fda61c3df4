"""Peers that do wrong: small real HTTP servers whose every answer is a chosen misdeed."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from medward.store.gateway.peer import Peer


class Exchange(BaseHTTPRequestHandler):
    """One request; `send` writes to the client and says whether it is still there."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def send(self, data: bytes) -> bool:
        try:
            self.wfile.write(data)
            self.wfile.flush()
        except OSError:
            return False
        return True

    def begin(
        self, status: int = 200, length: int | None = None, content_type: str = "application/octet-stream"
    ) -> None:
        self.close_connection = True
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Connection", "close")
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.end_headers()


Misdeed = Callable[[Exchange], None]


class HostilePeer:
    """A peer at `peer`, the number of whose requests is in `asked`."""

    def __init__(self, misdeed: Misdeed, name: str) -> None:
        self.asked = 0
        self.leaving = threading.Event()
        outer = self

        class Handler(Exchange):
            def do_GET(self) -> None:
                outer.asked += 1
                misdeed(self)

            def do_POST(self) -> None:
                self.do_GET()

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.peer = Peer(name, f"http://127.0.0.1:{self.server.server_address[1]}")


@contextmanager
def hostile_peer(misdeed: Misdeed, name: str = "mallory") -> Iterator[HostilePeer]:
    hostile = HostilePeer(misdeed, name)
    thread = threading.Thread(target=hostile.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield hostile
    finally:
        hostile.server.shutdown()
        hostile.server.server_close()
        thread.join()
