"""The other hospital of the benchmark: it tells its URL, serves what the store has, and ends with its input."""

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from medward.bench.ledger.certificate import Certificate
from medward.bench.store import gateway_program
from medward.store.errors import StoreError
from medward.store.gateway.exchange import PeerExchange
from medward.store.gateway.peer import Peer
from medward.store.gateway.tls import TlsIdentity
from medward.store.limits import DEFAULT_LIMITS
from medward.store.local import in_memory, open_directory


@contextmanager
def serving(directory: Path, identity: TlsIdentity, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Run it in a thread with pipes for its input and output, and give the URL; its input ends behind the block."""
    read_input, write_input = os.pipe()
    read_output, write_output = os.pipe()
    with (
        os.fdopen(read_input) as given,
        os.fdopen(write_output, "w") as printing,
        os.fdopen(read_output) as output,
        os.fdopen(write_input, "w") as ending,
    ):
        monkeypatch.setattr(sys, "stdin", given)
        monkeypatch.setattr(sys, "stdout", printing)
        words = (directory, identity.certificate, identity.key, identity.trusted)
        monkeypatch.setattr(sys, "argv", ["gateway_program", *map(str, words)])
        program = threading.Thread(target=gateway_program.main)
        program.start()
        try:
            url = output.readline().strip()
            program.join(0.3)  # time for a program to end that does not wait for its input's end
            assert program.is_alive()
            yield url
            assert program.is_alive()
        finally:
            ending.close()
            program.join(30)
        assert not program.is_alive()


def test_members_fetch_until_its_input_ends_and_not_afterwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = Certificate.create(tmp_path)
    identity = TlsIdentity(shown.path, shown.key, shown.path)
    with open_directory(tmp_path / "store") as store:
        first, second = (store.add(os.urandom(1000), pin=name) for name in ("one", "two"))
        content = store.read(first, DEFAULT_LIMITS)
    with serving(tmp_path / "store", identity, monkeypatch) as url:
        assert url.startswith("https://127.0.0.1:")
        peer = Peer("the program", url)
        with in_memory(exchange=PeerExchange([peer], identity)) as taking:
            taking.fetch(first)
            assert taking.read(first, DEFAULT_LIMITS) == content
    with in_memory(exchange=PeerExchange([peer], identity)) as taking, pytest.raises(StoreError):
        taking.fetch(second)


def test_a_stranger_gets_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "other").mkdir()
    shown, other = Certificate.create(tmp_path), Certificate.create(tmp_path / "other")
    with open_directory(tmp_path / "store") as store:
        cid = store.add(b"content", pin="one")
    identity = TlsIdentity(shown.path, shown.key, shown.path)
    stranger = TlsIdentity(other.path, other.key, shown.path)
    with (
        serving(tmp_path / "store", identity, monkeypatch) as url,
        in_memory(exchange=PeerExchange([Peer("the program", url)], stranger)) as taking,
        pytest.raises(StoreError),
    ):
        taking.fetch(cid)
