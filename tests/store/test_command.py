"""`medward store` and `medward bench store` as a person or a script calls them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from medward.bench.store.measures import all_rows
from medward.store.gateway.server import GatewayServer
from medward.store.importer import UNIXFS_V0_2015, import_file
from medward.store.local import open_directory

from . import vectors
from .certificates import Federation

CONTENT = vectors.content(1024 * 1024 + 5, "command")
CID = str(import_file(CONTENT, lambda _cid, _block: None).cid)


def medward(*arguments: object, data: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-c", "from medward.cli import main; main()", *map(str, arguments)]
    return subprocess.run(command, input=data, capture_output=True, check=False)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "content.bin"
    path.write_bytes(CONTENT)
    return path


def test_a_file_is_named_kept_found_and_checked(file: Path, tmp_path: Path) -> None:
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


def test_the_profile_and_standard_input_are_taken(file: Path) -> None:
    old = str(import_file(CONTENT, lambda _cid, _block: None, UNIXFS_V0_2015).cid)
    assert medward("store", "cid", file, "--profile", "unixfs-v0-2015").stdout.decode().strip() == old
    assert medward("store", "cid", "-", data=CONTENT).stdout.decode().strip() == CID


def test_damage_is_reported_with_exit_code_1(file: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    medward("store", "add", file, "--store", store)
    largest = max((store / "blocks").rglob("*"), key=lambda path: path.stat().st_size if path.is_file() else 0)
    largest.write_bytes(b"damaged")
    found = medward("store", "verify", "--store", store)
    assert found.returncode == 1
    assert b"damaged: bafkrei" in found.stdout
    assert b"get them again from a peer" in found.stderr


def test_what_is_missing_is_got_from_a_peer_over_mutual_tls(file: Path, tmp_path: Path) -> None:
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
        (["verify", "--store", "{tmp}/store"], 1, "holds no store"),
    ],
)
def test_a_mistake_is_answered_in_one_sentence(
    file: Path, tmp_path: Path, arguments: list[str], code: int, message: str
) -> None:
    done = medward("store", *[argument.format(tmp=tmp_path, file=file) for argument in arguments])
    assert done.returncode == code
    assert message in done.stderr.decode()
    assert len(done.stderr.decode().splitlines()) == 1
    assert done.stdout == b""


def test_an_unfinished_file_is_never_under_its_name(file: Path, tmp_path: Path) -> None:
    store, out = tmp_path / "store", tmp_path / "out.bin"
    medward("store", "add", file, "--store", store)
    for path in (store / "blocks").rglob("*"):
        if path.is_file() and path.stat().st_size == 5:
            path.unlink()
    done = medward("store", "get", CID, "--store", store, "--out", out)
    assert done.returncode == 1
    assert not out.exists()
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".out")]


@pytest.mark.parametrize("command", [[], ["cid"], ["add"], ["get"], ["verify"]])
def test_every_command_explains_itself_with_an_example(command: list[str]) -> None:
    shown = medward("store", *command, "--help")
    assert shown.returncode == 0
    assert not command or b"Example" in shown.stdout


@pytest.mark.slow
def test_the_benchmark_measures_each_promise_and_stays_within_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MEDWARD_KUBO", str(tmp_path / "no-kubo"))
    said: list[str] = []
    rows = {row.what: row for row in all_rows(50_000_000, 1, said.append)}
    assert len(rows) == 5
    assert rows["additional memory, durable add"].ours < 64
    assert rows["additional memory, verified fetch"].ours < 64
    assert all(row.ours > 0 for row in rows.values())
    assert list(tmp_path.iterdir()) == []
