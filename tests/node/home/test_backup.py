"""Backups: everything that may exist twice, nothing that may not."""

import io
import secrets
import stat
import tarfile
from pathlib import Path

import pytest

from medward.errors import MedwardError
from medward.federation.sums.journal import AnswerJournal
from medward.node.errors import NodeError
from medward.node.home.backup import read_backup, write_backup
from medward.node.home.folder import Home
from medward.node.training.files import TrainingFiles
from medward.store.limits import DEFAULT_LIMITS
from medward.store.local import open_directory
from tests.node.sealed_data.test_tar_stream import paxed, sparse

CONTENT = bytes(range(256)) * 10_000
#: The secret of a sealing key, and what a contribution is drawn from.
SEALING, DRAWN = secrets.token_bytes(96), secrets.token_bytes(32)


@pytest.fixture
def backed_up(homes: dict[str, Home], tmp_path: Path) -> tuple[Home, Path]:
    home = homes["north"]
    files = TrainingFiles(home.participant)
    files.secret()
    with AnswerJournal(files.answers) as journal:
        journal.keep_sealing_key(b"public", SEALING)
        journal.once("ward", 7, "secret", b"values", lambda: DRAWN)
    with open_directory(home.store) as store:
        model = store.add(CONTENT, pin="model/current")
        store.add(b"small", pin="round/7")
        store.put_record({"round": 7, "model": model}, pin="ledger")
        # A running node has the store open; a backup only looks.
        write_backup(home.folder, tmp_path / "north.tar")
    return home, tmp_path / "north.tar"


def test_everything_that_was_pinned_comes_back_under_new_keys(backed_up: tuple[Home, Path], tmp_path: Path) -> None:
    home, file = backed_up
    card = read_backup(file, tmp_path / "again")
    restored = Home(tmp_path / "again")
    assert card.member.incarnation == 1
    assert restored.federation() == home.federation()
    assert restored.configuration() == home.configuration()
    assert restored.token() != home.token()
    assert {key.data for key in card.member.keys}.isdisjoint(key.data for key in home.card().member.keys)
    with open_directory(restored.store) as store, open_directory(home.store, read_only=True) as before:
        assert store.pins() == before.pins()
        assert store.verify().intact
        [model] = [pin.cid for pin in store.pins("model/current")]
        assert store.read(model, DEFAULT_LIMITS) == CONTENT


def test_a_backup_holds_no_secret(backed_up: tuple[Home, Path]) -> None:
    home, file = backed_up
    content = file.read_bytes()
    journal = b"".join(path.read_bytes() for path in home.participant.glob("answers.sqlite*"))
    for secret in (SEALING, DRAWN):
        assert secret in journal
        assert secret not in content
    for secret_file in (
        home.participant / "secret",
        home.token_file,
        home.swarm_key_file,
        home.ledger / "keys" / "signing.key",
        home.ledger / "keys" / "tls.key",
    ):
        assert secret_file.read_bytes().strip() not in content
    assert b"PRIVATE KEY" not in content
    with tarfile.open(file) as archive:
        assert [name for name in archive.getnames() if not name.startswith("blocks/")] == [
            "node.toml",
            "federation.json",
            "card.json",
            "pins.json",
        ]


def test_a_backup_is_not_overwritten_and_a_home_neither(backed_up: tuple[Home, Path]) -> None:
    home, file = backed_up
    with pytest.raises(NodeError, match="is there already"):
        write_backup(home.folder, file)
    with pytest.raises(NodeError, match="is not empty"):
        read_backup(file, home.folder)


def rewritten(file: Path, change: str) -> Path:
    """A copy of the backup with one thing wrong."""
    other = file.with_name(f"{change}.tar")
    with tarfile.open(file) as source, tarfile.open(other, "w") as target:
        for entry in source:
            content = source.extractfile(entry)
            assert content is not None
            data = content.read()
            if change == "block" and entry.name.startswith("blocks/"):
                data = bytes([data[0] ^ 1]) + data[1:]
            if change == "name" and entry.name.startswith("blocks/"):
                entry.name = "../../outside"
            if change == "lacks" and entry.name.startswith("blocks/bafkrei"):
                continue
            if change == "files" and entry.name == "card.json":
                continue
            target.addfile(entry, io.BytesIO(data))
    return other


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("block", "does not match its name"),
        ("name", "which no backup does"),
        ("lacks", "does not hold all of"),
        ("files", "it lacks card.json"),
    ],
)
def test_a_damaged_or_forged_backup_is_refused(
    backed_up: tuple[Home, Path], tmp_path: Path, change: str, told: str
) -> None:
    with pytest.raises(MedwardError, match=told):
        read_backup(rewritten(backed_up[1], change), tmp_path / "again")
    assert not (tmp_path / "outside").exists()


def test_what_is_no_backup_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"no archive")
    with pytest.raises(NodeError, match="is no backup of a node"):
        read_backup(tmp_path / "file", tmp_path / "again")


def test_backup_is_private_and_a_forged_one_costs_nothing(backed_up: tuple[Home, Path], tmp_path: Path) -> None:
    _, file = backed_up
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    for number, forged in enumerate((sparse(2**43), paxed({"size": str(2**43)}), paxed({}, pieces=b"x" * 100_000))):
        (tmp_path / f"{number}.tar").write_bytes(forged + bytes(1024))
        with pytest.raises(NodeError, match="is no backup of a node"):
            read_backup(tmp_path / f"{number}.tar", tmp_path / "again")
    assert not (tmp_path / "again").exists()
