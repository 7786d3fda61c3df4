"""Peers that are named by hand: every file holds the one certificate that it should, which is valid now."""

import datetime
from pathlib import Path

import pytest

from medward.store.errors import StoreError
from medward.store.gateway.named_peers import NamedPeers, addresses_of
from medward.store.local import in_memory
from tests.store.certificates import Federation

NOW = datetime.datetime.now(datetime.UTC)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "cannot read the certificate"),
        (b"", "is no certificate in PEM form"),
        (b"\xff" * 2**21, "is no certificate"),
    ],
)
def test_file_without_a_certificate_is_told(tmp_path: Path, content: bytes | None, told: str) -> None:
    file = tmp_path / "peer.pem"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(StoreError, match=told):
        NamedPeers([("ahus", file)])
    with pytest.raises(StoreError, match=told):
        addresses_of(file)


def test_file_with_two_certificates_is_told(tmp_path: Path) -> None:
    one, other = Federation(tmp_path, "one"), Federation(tmp_path, "other")
    both = tmp_path / "both.pem"
    both.write_bytes(one.trusted.read_bytes() + other.trusted.read_bytes())
    with pytest.raises(StoreError, match="has 2 certificates; give ahus's own"):
        NamedPeers([("ahus", both)])


@pytest.mark.parametrize("days", [-1, 2])
def test_certificate_before_or_after_its_time_is_told(tmp_path: Path, days: int) -> None:
    identity = Federation(tmp_path, "ahus").member("gateway")
    when = NOW + datetime.timedelta(days=days)
    for call in (
        lambda: NamedPeers([("ahus", identity.trusted)], when),
        lambda: addresses_of(identity.certificate, when),
    ):
        with pytest.raises(StoreError, match=r"is valid from .* make a new one"):
            call()


def test_certificate_that_names_no_host_is_told(tmp_path: Path) -> None:
    federation = Federation(tmp_path, "ahus")
    assert addresses_of(federation.member("gateway", "10.0.0.7").certificate) == ("10.0.0.7",)
    with pytest.raises(StoreError, match="names no host"):
        addresses_of(federation.trusted)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_key_that_others_may_read_is_not_used(tmp_path: Path, mode: int) -> None:
    identity = Federation(tmp_path, "ahus").member("gateway")
    identity.key.chmod(mode)
    peers = NamedPeers([("bergen", Federation(tmp_path, "bergen").trusted)])
    with pytest.raises(StoreError, match="others may read the key"):
        peers.serve(in_memory(), "127.0.0.1", 0, certificate=identity.certificate, key=identity.key)


def test_nobody_named_is_nobody_answered() -> None:
    assert NamedPeers([]).names == ()


def test_peers_have_names_and_certificates_of_their_own(tmp_path: Path) -> None:
    bob, eve = (Federation(tmp_path, name).member(name).certificate for name in ("bob", "eve"))
    assert NamedPeers([("eve", eve), ("bob", bob)]).names == ("bob", "eve")
    with pytest.raises(StoreError, match="bob is named twice"):
        NamedPeers([("bob", bob), ("bob", eve)])
    with pytest.raises(StoreError, match="eve and bob have the same certificate"):
        NamedPeers([("bob", bob), ("eve", bob)])
