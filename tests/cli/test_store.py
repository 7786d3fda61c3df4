"""`medward store` as a person or a script calls it: one sentence for every mistake, and nobody is served unasked."""

import json
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from medward.store.gateway.server import GatewayServer
from medward.store.gateway.tls import TlsIdentity
from medward.store.importer import UNIXFS_V0_2015, import_file
from medward.store.local import open_directory
from tests.cli.conftest import exit_code_of_main
from tests.node.hosts import MEDWARD
from tests.store import vectors
from tests.store.certificates import Federation

CONTENT = vectors.content(1024 * 1024 + 5, "command")


CID = str(import_file(CONTENT, lambda _cid, _block: None).cid)


class Done(NamedTuple):
    """What a command left: its exit code, and the bytes that it printed."""

    returncode: int
    stdout: bytes
    stderr: bytes


Run = Callable[..., Done]


@pytest.fixture
def medward(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]) -> Run:
    """Return a function that runs the command line with the given words, in an empty folder."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")

    def run(*words: object) -> Done:
        capsysbinary.readouterr()
        return Done(exit_code_of_main(monkeypatch, *words), *capsysbinary.readouterr())

    return run


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "content.bin"
    path.write_bytes(CONTENT)
    return path


def test_a_file_is_named_kept_found_and_checked(medward: Run, file: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    named = medward("store", "cid", file)
    assert (named.returncode, named.stdout.decode(), named.stderr) == (0, CID + "\n", b"")
    added = medward("store", "add", file, "--store", store, "--pin", "model/current")
    assert added.stdout.decode() == CID + "\n"
    assert medward("store", "get", CID, "--store", store).stdout == CONTENT
    out = tmp_path / "out.bin"
    assert medward("store", "get", CID, "--store", store, "--out", out).stdout == b""
    assert out.read_bytes() == CONTENT
    checked = json.loads(medward("store", "verify", "--store", store, "--json").stdout)
    assert checked["intact"] is True
    assert checked["blocks"] == 3


def test_the_profile_and_standard_input_are_taken(medward: Run, file: Path) -> None:
    old = str(import_file(CONTENT, lambda _cid, _block: None, UNIXFS_V0_2015).cid)
    assert medward("store", "cid", file, "--profile", "unixfs-v0-2015").stdout.decode().strip() == old
    assert (
        subprocess.run([*MEDWARD, "store", "cid", "-"], input=CONTENT, capture_output=True, check=False)
        .stdout.decode()
        .strip()
        == CID
    )


def test_damage_is_reported_with_exit_code_1(medward: Run, file: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    medward("store", "add", file, "--store", store)
    largest = max((store / "blocks").rglob("*"), key=lambda path: path.stat().st_size if path.is_file() else 0)
    largest.write_bytes(b"damaged")
    found = medward("store", "verify", "--store", store)
    assert found.returncode == 1
    assert b"damaged: bafkrei" in found.stdout
    assert b"get them again from a peer" in found.stderr


def test_what_is_missing_is_got_from_a_peer_over_mutual_tls(medward: Run, file: Path, tmp_path: Path) -> None:
    federation = Federation(tmp_path, "federation")
    bob = federation.member("bob")
    with open_directory(tmp_path / "alice") as alice:
        alice.add_file(file, pin="round/1")
        with GatewayServer(alice, tls=federation.member("alice")) as server:
            identity = ["--certificate", bob.certificate, "--key", bob.key, "--trusted", bob.trusted]
            got = medward("store", "get", CID, "--store", tmp_path / "bob", "--peer", server.url, *identity)
            assert (got.stdout, got.stderr) == (CONTENT, b"")
            half = medward("store", "get", CID, "--store", tmp_path / "bob", "--peer", server.url, "--key", bob.key)
            assert half.returncode == 2
            assert b"belong together" in half.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["cid", "{tmp}/nothing"], 1, "cannot read"),
        (["cid", "{tmp}"], 1, "is a folder"),
        (["cid", "{file}", "--profile", "other"], 2, "choose unixfs-v1-2025 or unixfs-v0-2015"),
        (["add", "{file}", "--store", "{file}"], 1, "cannot make a store"),
        (["add", "{file}", "--store", "{tmp}/store", "--pin", "Not A Label"], 1, "no pin label"),
        (["get", "nonsense", "--store", "{tmp}/store"], 1, "not a content identifier"),
        (["get", "bafkqaaa", "--store", "{tmp}/store"], 1, "holds no store"),
        (["get", "bafkqaaa", "--peer", "https://127.0.0.1:9"], 2, "asks who you are"),
        (["get", "bafkqaaa", "--peer", "http://192.0.2.1"], 1, "use https://"),
        (["get", "bafkqaaa", "--peer", "http://127.0.0.1:9", "--key", "{file}"], 2, "give all three"),
        (["verify", "--store", "{tmp}/store"], 1, "holds no store"),
        (["verify", "--store", "{file}"], 1, "holds no store"),
    ],
)
def test_a_mistake_is_answered_in_one_sentence(
    medward: Run, file: Path, tmp_path: Path, arguments: list[str], code: int, message: str
) -> None:
    done = medward("store", *[argument.format(tmp=tmp_path, file=file) for argument in arguments])
    assert done.returncode == code
    assert message in done.stderr.decode()
    assert len(done.stderr.decode().splitlines()) == 1
    assert done.stdout == b""


def test_an_unfinished_file_is_never_under_its_name(medward: Run, file: Path, tmp_path: Path) -> None:
    store, out = tmp_path / "store", tmp_path / "out.bin"
    medward("store", "add", file, "--store", store)
    for path in (store / "blocks").rglob("*"):
        if path.is_file() and path.stat().st_size == 5:
            path.unlink()
    done = medward("store", "get", CID, "--store", store, "--out", out)
    assert done.returncode == 1
    assert not out.exists()
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".out")]


@pytest.mark.parametrize(
    ("out", "told"),
    [("{tmp}/none/out.bin", "cannot write"), ("{tmp}", "is a folder"), (".", "is a folder"), ("/", "is a folder")],
)
def test_a_place_that_cannot_be_written_is_told_and_nothing_is_left(
    medward: Run, file: Path, tmp_path: Path, out: str, told: str
) -> None:
    medward("store", "add", file, "--store", tmp_path / "store")
    before = sorted(tmp_path.rglob("*"))
    done = medward("store", "get", CID, "--store", tmp_path / "store", "--out", out.format(tmp=tmp_path))
    assert (done.returncode, done.stdout) == (1, b"")
    assert told in done.stderr.decode()
    assert done.stderr.count(b"\n") == 1
    assert sorted(tmp_path.rglob("*")) == before


def test_what_is_there_is_replaced_only_by_a_whole_file(medward: Run, file: Path, tmp_path: Path) -> None:
    store, out = tmp_path / "store", tmp_path / "out.bin"
    medward("store", "add", file, "--store", store)
    out.write_bytes(b"an earlier one")
    [hole] = [path for path in (store / "blocks").rglob("*") if path.is_file() and path.stat().st_size == 5]
    kept = hole.read_bytes()
    hole.unlink()
    assert medward("store", "get", CID, "--store", store, "--out", out).returncode == 1
    assert out.read_bytes() == b"an earlier one"
    hole.write_bytes(kept)
    assert medward("store", "get", CID, "--store", store, "--out", out).returncode == 0
    assert out.read_bytes() == CONTENT


def test_a_hole_and_damage_are_listed_and_a_store_in_use_is_only_looked_at(
    medward: Run, file: Path, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    medward("store", "add", file, "--store", store)
    blocks = {path.stat().st_size: path for path in (store / "blocks").rglob("*") if path.is_file()}
    blocks[5].unlink()
    blocks[max(blocks)].write_bytes(b"damaged")
    with open_directory(store):
        found = medward("store", "verify", "--store", store, "--json")
        assert (found.returncode, blocks[max(blocks)].exists()) == (1, True)
    document = json.loads(found.stdout)
    assert (document["intact"], len(document["corrupt"]), len(document["missing"])) == (False, 1, 1)
    shown = medward("store", "verify", "--store", store)
    assert shown.returncode == 1
    assert f"damaged: {document['corrupt'][0]}" in shown.stdout.decode()
    assert b"missing below a pin: bafkrei" in shown.stdout
    assert not blocks[max(blocks)].exists(), "it is set aside, so that it is fetched anew"


@pytest.mark.parametrize("command", [[], ["cid"], ["add"], ["get"], ["verify"], ["serve"]])
def test_every_command_explains_itself_with_an_example(medward: Run, command: list[str]) -> None:
    shown = medward("store", *command, "--help")
    assert shown.returncode == 0
    assert not command or b"Example" in shown.stdout


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
def test_a_mistake_in_serving_is_answered_in_one_sentence(
    medward: Run, world: World, changes: dict[str, str], sentence: str
) -> None:
    folder = world.folder
    (folder / "two.pem").write_bytes(world.bob.certificate.read_bytes() + world.eve.certificate.read_bytes())
    (folder / "open.key").write_bytes(world.alice.key.read_bytes())
    (folder / "open.key").chmod(0o640)
    done = medward(*world.serve(**{k: v.format(tmp=folder) for k, v in changes.items()}))
    assert done.returncode in (1, 2)
    assert sentence in done.stderr.decode()
    assert done.stderr.count(b"\n") == 1


def test_words_that_name_no_peer_or_no_address_are_told_and_change_nothing_on_a_terminal(
    medward: Run, world: World
) -> None:
    for option, word in (
        *(("peer", word) for word in ("=bob.pem", "bob=", "b" * 41 + "=bob.pem", "\x1b[2J=bob.pem", "=")),
        *(("listen", word) for word in (":7443", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1", "7443")),
        *(("listen", "127.0.0.1:" + port) for port in ("9" * 5000, "\u0661", "1e3")),
    ):
        done = medward(*world.serve(**{option: word}))
        assert done.returncode == 2
        assert {"peer": b"expected NAME=CERTIFICATE", "listen": b"expected HOST:PORT"}[option] in done.stderr
        assert done.stderr.count(b"\n") == 1
        assert b"\x1b" not in done.stderr


def test_a_store_is_not_served_to_everybody(medward: Run, world: World) -> None:
    for option in ("peer", "certificate", "key"):
        done = medward(*world.serve(**{option: None}))
        assert done.returncode in (1, 2)
        assert f"Missing option '--{option}'" in done.stderr.decode()


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
