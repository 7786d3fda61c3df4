"""Asking a node that is none: what it answers fills neither memory nor disk (threat T2)."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from medward.bench.store.memory_program import peak_beyond_now
from medward.node.api.client import NodeClient
from medward.node.errors import ApiRefused, NodeError
from tests.store.hostile import Exchange, hostile_peer

PACKED = gzip.compress(bytes(2**28))


def compressed(request: Exchange) -> None:
    request.close_connection = True
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(PACKED)}\r\nConnection: close\r\n\r\n"
    request.send(head.encode() + PACKED)


def endless(request: Exchange) -> None:
    request.begin()
    while request.send(b" " * 65536):
        pass


def nested(request: Exchange) -> None:
    request.begin(content_type="application/json")
    request.send(b"[" * 200_000)


def refused_at_length(request: Exchange) -> None:
    request.begin(status=403)
    while request.send(b" " * 65536):
        pass


@pytest.mark.parametrize("answer", [compressed, endless, nested, refused_at_length], ids=lambda one: one.__name__)
def test_answer_that_no_node_gives_is_refused_in_one_sentence(answer: Callable[[Exchange], None]) -> None:
    def ask() -> None:
        with hostile_peer(answer) as hostile, NodeClient(hostile.peer.url, "token") as client:
            with pytest.raises(NodeError) as refused:
                client.get("/status")
            assert str(refused.value).isprintable()

    assert peak_beyond_now(ask) < 128  # the server, and twice the answer, are in it


def test_compressed_copy_is_not_unpacked(tmp_path: Path) -> None:
    with (
        hostile_peer(compressed) as hostile,
        NodeClient(hostile.peer.url, "token") as client,
        pytest.raises(NodeError, match="is compressed"),
    ):
        client.save("/audit", tmp_path / "copy.tar")
    assert (tmp_path / "copy.tar").stat().st_size == 0


def test_refusal_is_told_with_its_reason(tmp_path: Path) -> None:
    def refuse(request: Exchange) -> None:
        request.begin(status=403)
        request.send(json.dumps({"error": "no"}).encode())

    with hostile_peer(refuse) as hostile, NodeClient(hostile.peer.url, "token") as client:
        for ask in (lambda: client.get("/status"), lambda: client.save("/audit", tmp_path / "copy.tar")):
            with pytest.raises(ApiRefused, match=r"refuses GET /\w+: no"):
                ask()
