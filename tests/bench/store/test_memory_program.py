"""The program that tells how much memory an add or a fetch needs: it does the work, and counts what is held at once."""

import os
import sys
from pathlib import Path

import pytest

from medward.bench.ledger.certificate import Certificate
from medward.bench.store import memory_program
from medward.bench.store.memory_program import peak_beyond_now
from medward.errors import MedwardError
from medward.store.gateway.server import GatewayServer
from medward.store.gateway.tls import TlsIdentity
from medward.store.limits import DEFAULT_LIMITS
from medward.store.local import open_directory


def printed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: object) -> float:
    monkeypatch.setattr(sys, "argv", ["memory_program", *map(str, words)])
    memory_program.main()
    return float(capsys.readouterr().out)


def test_a_peak_that_is_over_counts_and_what_was_there_before_does_not() -> None:
    before = b"x" * (20 << 20)
    peak = peak_beyond_now(lambda: len(b"y" * (40 << 20)))
    assert 35 < peak < 45
    assert len(before) > peak_beyond_now(lambda: None) * (1 << 20)
    assert peak_beyond_now(lambda: None) < 5


def test_an_add_keeps_the_file_in_the_store_that_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    content = os.urandom(100_000)
    (tmp_path / "content").write_bytes(content)
    assert printed(monkeypatch, capsys, "add", tmp_path / "store", tmp_path / "content") >= 0
    with open_directory(tmp_path / "store") as store:
        (pin,) = store.pins("bench")
        assert store.read(pin.cid, DEFAULT_LIMITS) == content


def test_a_fetch_gets_the_content_over_tls_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = Certificate.create(tmp_path)
    identity = TlsIdentity(shown.path, shown.key, shown.path)
    with open_directory(tmp_path / "source") as source:
        cid = source.add(os.urandom(50_000), pin="bench")
        with GatewayServer(source, tls=identity) as server:
            here = sorted(tmp_path.iterdir())
            who = (shown.path, shown.key, shown.path)
            assert printed(monkeypatch, capsys, "fetch", tmp_path / "taking", cid, server.url, *who) >= 0
            assert sorted(tmp_path.iterdir()) == here
            missing = "bafkreibm6jg3ux5qumhcn2b3flc3tyu6dmlb4xa7u5bf44yegnrjhc4yeq"
            with pytest.raises(MedwardError):
                printed(monkeypatch, capsys, "fetch", tmp_path / "taking", missing, server.url, *who)
