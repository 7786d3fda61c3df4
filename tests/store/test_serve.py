"""`medward store serve`: a store for named peers, and one sentence for every mistake."""

import datetime
import json
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from medward.cli import main
from medward.store.errors import StoreError
from medward.store.gateway.named_peers import NamedPeers, addresses_of
from medward.store.gateway.tls import Signers, TlsIdentity
from medward.store.local import open_directory

from .certificates import Federation

MEDWARD = [sys.executable, "-c", "from medward.cli import main; main()"]


class World:
    """Alice has a store; bob and eve have certificates, each of an authority of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = folder / "store"
        with open_directory(self.store) as store:
            self.cid = str(store.add(b"a model", pin="model/current"))
        self.alice, self.bob, self.eve = (Federation(folder, name).member(name) for name in ("alice", "bob", "eve"))
        for one in (self.alice, self.bob, self.eve):
            one.key.chmod(0o600)

    def serve(self, **changes: object) -> list[str]:
        """Return the words of a command that serves the store to bob, with some options changed or (None) left out."""
        options: dict[str, object] = {
            "store": self.store,
            "listen": "127.0.0.1:0",
            "certificate": self.alice.certificate,
            "key": self.alice.key,
            "peer": f"bob={self.bob.certificate}",
            **changes,
        }
        return ["store", "serve", *(word for k, v in options.items() if v is not None for word in (f"--{k}", str(v)))]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def refusal(words: Sequence[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    monkeypatch.setattr(sys, "argv", ["medward", *words])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code in (1, 2)
    return capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"peer": "bob"}, "expected NAME=CERTIFICATE"),
        ({"peer": "Bob={tmp}/bob.pem"}, "expected NAME=CERTIFICATE"),
        ({"peer": "bob={tmp}/nobody.pem"}, "cannot read the certificate"),
        ({"peer": "bob={tmp}/bob.key"}, "is no certificate in PEM form"),
        ({"peer": "bob={tmp}/two.pem"}, "has 2 certificates"),
        ({"listen": "127.0.0.1"}, "expected HOST:PORT"),
        ({"listen": "192.0.2.1:0"}, "cannot listen on 192.0.2.1:0"),
        ({"certificate": "{tmp}/nobody.pem"}, "cannot read the certificate"),
        ({"certificate": "{tmp}/bob-root.pem"}, "names no host"),
        ({"key": "{tmp}/bob.key"}, "check that they belong together"),
        ({"key": "{tmp}/nobody.key"}, "cannot read the key"),
        ({"key": "{tmp}/open.key"}, "others may read the key"),
        ({"store": "{tmp}/nothing"}, "holds no store"),
    ],
)
def test_a_mistake_is_answered_in_one_sentence(
    world: World,
    changes: dict[str, str],
    sentence: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = world.folder
    (folder / "two.pem").write_bytes(world.bob.certificate.read_bytes() + world.eve.certificate.read_bytes())
    (folder / "open.key").write_bytes(world.alice.key.read_bytes())
    (folder / "open.key").chmod(0o640)
    said = refusal(world.serve(**{k: v.format(tmp=folder) for k, v in changes.items()}), monkeypatch, capsys)
    assert sentence in said
    assert said.count("\n") == 1


def test_a_key_that_others_can_read_is_refused_before_anything_is_served(world: World) -> None:
    world.alice.key.chmod(0o640)
    peers = NamedPeers([("bob", world.bob.certificate)])
    with (
        open_directory(world.store) as store,
        pytest.raises(StoreError, match="others may read the key"),
    ):
        peers.serve(store, "127.0.0.1", 0, certificate=world.alice.certificate, key=world.alice.key)


def test_a_store_is_not_served_to_everybody(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for option in ("peer", "certificate", "key"):
        assert f"Missing option '--{option}'" in refusal(world.serve(**{option: None}), monkeypatch, capsys)


def test_peers_have_names_and_certificates_of_their_own(world: World) -> None:
    bob, eve = world.bob.certificate, world.eve.certificate
    assert NamedPeers([("eve", eve), ("bob", bob)]).names == ("bob", "eve")
    with pytest.raises(StoreError, match="bob is named twice"):
        NamedPeers([("bob", bob), ("bob", eve)])
    with pytest.raises(StoreError, match="eve and bob have the same certificate"):
        NamedPeers([("bob", bob), ("eve", bob)])


def test_a_peer_is_known_by_its_own_certificate_or_by_the_one_that_signed_it(world: World) -> None:
    own, signer, other = (
        x509.load_pem_x509_certificate(path.read_bytes()).public_bytes(Encoding.DER)
        for path in (world.bob.certificate, world.bob.trusted, world.eve.certificate)
    )
    assert Signers({"bob": own})(own) == Signers({"bob": signer})(own) == "bob"
    assert Signers({"bob": own})(other) == ""


def test_a_certificate_whose_time_is_over_is_told_of_before_peers_meet_it(world: World) -> None:
    later = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=2)
    with pytest.raises(StoreError, match="is valid from"):
        NamedPeers([("bob", world.bob.certificate)], later)
    with pytest.raises(StoreError, match="is valid from"):
        addresses_of(world.alice.certificate, later)
    assert addresses_of(world.alice.certificate) == ("127.0.0.1",)


def get(world: World, who: TlsIdentity, name: str, url: str) -> subprocess.CompletedProcess[bytes]:
    identity = ["--certificate", who.certificate, "--key", who.key, "--trusted", world.alice.trusted]
    words = ["store", "get", world.cid, "--store", world.folder / name, "--peer", url, *identity]
    return subprocess.run([*MEDWARD, *map(str, words)], capture_output=True, check=False, timeout=30)


@pytest.fixture
def server(world: World) -> Iterator[tuple[str, "subprocess.Popen[bytes]"]]:
    with subprocess.Popen(
        [*MEDWARD, *world.serve(), "--json"], stdout=subprocess.PIPE, stderr=(world.folder / "log").open("wb")
    ) as process:
        assert process.stdout is not None
        document = b""
        while not document.endswith(b"}\n"):
            line = process.stdout.readline()
            assert line, (world.folder / "log").read_text()
            document += line
        yield json.loads(document)["url"], process
        process.kill()


@pytest.mark.processes
def test_a_named_peer_is_answered_and_nobody_else(world: World, server: tuple[str, "subprocess.Popen[bytes]"]) -> None:
    url, process = server
    got = get(world, world.bob, "bobs", url)
    assert (got.stdout, got.stderr) == (b"a model", b"")
    refused = get(world, world.eve, "eves", url)
    assert (refused.returncode, refused.stdout) == (1, b"")
    assert refused.stderr.count(b"\n") == 1
    log = (world.folder / "log").read_text()
    assert "to bob; the certificate is for 127.0.0.1" in log
    assert "a caller's certificate is no member's" in log
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=10) == 0
