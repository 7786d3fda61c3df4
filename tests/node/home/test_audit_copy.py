"""The copy that an auditor gets of a running node: all that an audit reads, and no secret; hostile ones are refused."""

import io
import os
import tarfile
from pathlib import Path

import pytest

from medward.ledger.pbft.reading import read_journal
from medward.ledger.pbft.runtime.journal import ReplicaJournal
from medward.node.errors import NodeError
from medward.node.home.audit_copy import read_copy, write_copy
from medward.node.home.folder import Home
from medward.store.local import open_directory
from tests.node.sealed_data.test_tar_stream import paxed, sparse


@pytest.fixture
def home(homes: dict[str, Home]) -> Home:
    home = homes["north"]
    ReplicaJournal.create(home.ledger / "journal", bytes(32)).close()
    with open_directory(home.store) as store:
        store.add(b"a blob" * 1000, pin="round/1")
    stray = next(home.store.glob("blocks/*")) / "notes.txt"
    stray.write_bytes(b"nobody's business")
    home.participant.mkdir(exist_ok=True)
    (home.participant / "secret").write_bytes(b"nobody's business")
    return home


def test_copy_becomes_a_home_with_the_same_ledger_and_store(home: Home, tmp_path: Path) -> None:
    archive = tmp_path / "copy.tar"
    archive.write_bytes(b"".join(write_copy(home)))
    made = read_copy(archive, tmp_path)
    assert made == tmp_path / "north"
    assert Home(made).federation().fingerprint == home.federation().fingerprint
    assert read_journal(made / "ledger" / "journal") == read_journal(home.ledger / "journal")
    blocks = {file.name: file.read_bytes() for file in home.store.glob("blocks/*/*") if not file.suffix}
    assert {file.name: file.read_bytes() for file in made.glob("store/blocks/*/*")} == blocks
    assert blocks


def test_copy_holds_no_secret(home: Home) -> None:
    archive = b"".join(write_copy(home))
    for secret in (home.token().encode(), (home.participant / "secret").read_bytes()):
        assert secret not in archive
    keys = [file for file in (home.ledger / "keys").rglob("*") if file.is_file()]
    assert keys
    assert not [file for file in keys if file.read_bytes() in archive]
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        tops = {name.split("/")[0] for name in opened.getnames()}
    assert tops == {"node.toml", "federation.json", "card.json", "ledger", "store"}


@pytest.mark.parametrize("name", ["../card.json", "/tmp/card.json", "ledger/keys/signing", "store/blocks/a/../../x"])
def test_file_that_no_home_has_is_refused(tmp_path: Path, name: str) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = 1
    _refused(tmp_path, entry)


def test_link_is_refused(tmp_path: Path) -> None:
    entry = tarfile.TarInfo("card.json")
    entry.type, entry.linkname = tarfile.SYMTYPE, "/etc/passwd"
    _refused(tmp_path, entry)


@pytest.mark.parametrize("content", [b"", b"no archive" * 100])
def test_what_is_no_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "copy.tar").write_bytes(content)
    with pytest.raises(NodeError, match="no copy of its home"):
        read_copy(tmp_path / "copy.tar", tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["copy.tar"]


def _refused(folder: Path, entry: tarfile.TarInfo) -> None:
    with tarfile.open(folder / "copy.tar", "w") as archive:
        archive.addfile(entry, io.BytesIO(b"x"))
    with pytest.raises(NodeError, match=r"which no home has|which is no plain file"):
        read_copy(folder / "copy.tar", folder)
    assert [file.name for file in folder.iterdir()] == ["copy.tar"]


def test_sparse_file_in_a_copy_is_refused_and_costs_nothing(tmp_path: Path) -> None:
    for forged in (sparse(2**43), paxed({"path": "card.json", "size": str(2**43)}), paxed({}, pieces=b"x" * 100_000)):
        (tmp_path / "copy.tar").write_bytes(forged + bytes(1024))
        with pytest.raises(NodeError, match="no copy of its home"):
            read_copy(tmp_path / "copy.tar", tmp_path)
        assert [file.name for file in tmp_path.iterdir()] == ["copy.tar"]


def test_copy_leaves_out_what_is_no_plain_file(home: Home, tmp_path: Path) -> None:
    folder = home.store / "blocks" / "a"
    os.mkfifo(folder / ("a" * 52))
    (folder / ("b" * 52)).symlink_to(home.token_file)
    archive = b"".join(write_copy(home))
    assert home.token().encode() not in archive
    (tmp_path / "copy.tar").write_bytes(archive)
    made = read_copy(tmp_path / "copy.tar", tmp_path)
    assert not [path for path in made.rglob("*") if path.name in ("a" * 52, "b" * 52)]
