"""Kubo's RPC: whatever answers in its place is said in one sentence, and arguments and files go as Kubo takes them."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest

from medward.store.errors import KuboUnavailable
from medward.store.kubo.rpc import KuboRpc

Ask = Callable[[int, bytes], KuboRpc]


class Daemon:
    """A real server that gives one answer to everything, and notes what it was asked."""

    def __init__(self) -> None:
        self.status, self.answer = 200, b""
        self.asked: list[tuple[str, dict[str, list[str]], str | None, bytes]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                pass

            def do_POST(self) -> None:
                content = b""
                if self.headers.get("Transfer-Encoding") == "chunked":
                    while size := int(self.rfile.readline(), 16):
                        content += self.rfile.read(size)
                        self.rfile.readline()
                    self.rfile.readline()
                url = urlsplit(self.path)
                outer.asked.append((url.path, parse_qs(url.query), self.headers.get("Authorization"), content))
                self.send_response(outer.status)
                self.send_header("Content-Length", str(len(outer.answer)))
                self.end_headers()
                self.wfile.write(outer.answer)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()


@pytest.fixture
def daemon() -> Iterator[Daemon]:
    made = Daemon()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def rpc(daemon: Daemon) -> Iterator[KuboRpc]:
    made = KuboRpc(f"http://127.0.0.1:{daemon.server.server_port}", "the-token", timeout=5)
    yield made
    made.close()


def test_arguments_and_the_token_go_as_kubo_takes_them(daemon: Daemon, rpc: KuboRpc) -> None:
    daemon.answer = b'{"a": 1}\n\n{"a": 2}\n'
    assert list(rpc.lines("pin/add", None, arg="x", fetch_blocks=True, depth=3)) == [{"a": 1}, {"a": 2}]
    assert rpc.call("pin/add") == {"a": 2}
    path, query, token, _ = daemon.asked[0]
    assert (path, token) == ("/api/v0/pin/add", "Bearer the-token")
    assert query == {"arg": ["x"], "fetch-blocks": ["true"], "depth": ["3"]}
    daemon.answer = b""
    assert rpc.call("repo/gc") is None


def test_file_goes_in_pieces_whatever_is_in_it(daemon: Daemon, rpc: KuboRpc) -> None:
    content = [b"--boundary\r\n", b"\0\xff" * 100, b"\r\n--"]
    assert list(rpc.lines("add", content)) == []
    body = daemon.asked[0][3]
    assert b"\r\n\r\n" + b"".join(content) + b"\r\n--" in body
    boundary = body.partition(b"\r\n")[0]
    assert body.count(boundary) == 2


@pytest.mark.parametrize(
    ("status", "answer", "told"),
    [
        (500, json.dumps({"Message": "no such pin"}).encode(), "refused pin/ls: no such pin"),
        (500, b"<html>\n proxy  error", "refused pin/ls: <html> proxy error"),
        (500, b"", "status 500"),
        (500, b"[]", "refused pin/ls"),
        (403, b"", "check the token"),
        (404, b"x" * 10_000, "refused pin/ls"),
        (200, b"<html>", "is no JSON"),
        (200, b'{"cut": ', "is no JSON"),
        (200, b"[" * 100_000, "is no JSON"),
        (200, b'{"Type": "error", "Message": "halfway"}', "gave up on pin/ls: halfway"),
    ],
)
def test_whatever_else_answers_is_said_in_one_short_sentence(
    daemon: Daemon, rpc: KuboRpc, status: int, answer: bytes, told: str
) -> None:
    daemon.status, daemon.answer = status, answer
    with pytest.raises(KuboUnavailable, match=told) as refused:
        rpc.call("pin/ls")
    assert len(str(refused.value)) < 400
    assert "the-token" not in str(refused.value)


def test_bytes_come_back_whole_and_refusals_are_said(daemon: Daemon, rpc: KuboRpc) -> None:
    daemon.answer = bytes(range(256))
    assert rpc.fetch("block/get", 1.0, arg="x") == daemon.answer
    daemon.status = 500
    with pytest.raises(KuboUnavailable, match="refused block/get"):
        rpc.fetch("block/get", None)


def test_daemon_that_is_not_there_is_said(daemon: Daemon) -> None:
    daemon.server.server_close()
    rpc = KuboRpc(f"http://127.0.0.1:{daemon.server.server_port}", timeout=1)
    for ask in (lambda: rpc.call("id"), lambda: rpc.fetch("block/get", 0.5)):
        with pytest.raises(KuboUnavailable, match="check that it runs"):
            ask()
    rpc.close()
