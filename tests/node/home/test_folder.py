"""A node's folder: secrets, the lock, new incarnations."""

import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from medward.errors import MedwardError
from medward.federation.sums.journal import AnswerJournal
from medward.node.errors import ExposedSecret, HomeInUse, NodeError, Retired
from medward.node.home.backup import write_backup
from medward.node.home.cards import write_card
from medward.node.home.folder import Home
from medward.node.home.private_files import read_private, write_private
from medward.node.sealed_data.folder import DataFolder
from medward.node.training.files import TrainingFiles
from medward.store.local import open_directory
from tests.node.conftest import seats


def test_secrets_can_be_read_by_their_owner_only(homes: dict[str, Home]) -> None:
    home = homes["north"]
    secret = [home.token_file, home.swarm_key_file, *(home.ledger / "keys").glob("*.key")]
    assert len(secret) == 4
    for path in secret:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(home.folder.stat().st_mode) == 0o700


def test_no_public_file_holds_a_secret(homes: dict[str, Home]) -> None:
    home = homes["north"]
    for path in (home.configuration_file, home.card_file, home.federation_file):
        assert home.token() not in path.read_text()
        assert "PRIVATE" not in path.read_text()


@pytest.mark.parametrize("name", ["token", "ledger/keys/signing.key", "ledger/keys/tls.key"])
def test_a_secret_that_others_could_read_is_refused(homes: dict[str, Home], name: str) -> None:
    home = homes["north"]
    (home.folder / name).chmod(0o640)
    with pytest.raises(ExposedSecret, match="mode 0640"):
        home.token() if name == "token" else home.identity()


def test_a_private_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_bytes(b"old")
    path.chmod(0o644)
    write_private(path, b"new")
    assert read_private(path) == b"new"
    assert [entry.name for entry in tmp_path.iterdir()] == ["secret"]


def test_a_home_is_not_made_over_something(homes: dict[str, Home]) -> None:
    before = homes["north"].token()
    with pytest.raises(NodeError, match="is not empty"):
        Home.create(homes["north"].folder, seats("north")[0].configuration())
    assert homes["north"].token() == before


def test_two_processes_cannot_hold_one_home(homes: dict[str, Home]) -> None:
    code = (
        "import sys; from pathlib import Path; from medward.node.home.folder import Home\n"
        "with Home(Path(sys.argv[1])).locked(): print('held', flush=True); sys.stdin.read()"
    )
    folder = homes["north"].folder
    with subprocess.Popen(
        [sys.executable, "-c", code, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(HomeInUse, match=f"process {other.pid}"), Home(folder).locked():
            pass
        other.stdin.close()
    with Home(folder).locked():  # who held it is gone, so it can be had
        pass


def test_a_new_incarnation_destroys_the_old_keys_and_secrets(homes: dict[str, Home]) -> None:
    home = homes["north"]
    before = home.card()
    (home.participant / "journal").write_bytes(b"secret shares")
    old = (home.ledger / "keys" / "signing.key").read_bytes()
    after = home.renew(1)
    assert after.member.incarnation == 1
    assert {key.data for key in after.member.keys}.isdisjoint(key.data for key in before.member.keys)
    assert after.member.certificate != before.member.certificate
    assert home.card() == after
    home.identity()
    assert not any(path.is_file() and path.read_bytes() == old for path in home.folder.rglob("*"))
    assert not (home.participant / "journal").exists()
    assert (home.ledger / "fresh").exists()


def test_keys_that_are_not_those_of_the_card_are_not_used(homes: dict[str, Home]) -> None:
    home = homes["north"]
    card = home.card_file.read_text()
    home.renew(1)
    home.card_file.write_text(card)
    with pytest.raises(Retired, match="rotate"):
        home.identity()


# Homes that were there before, and homes of somebody else (threat T12).


def test_folder_that_was_there_becomes_private(tmp_path: Path) -> None:
    folder = tmp_path / "home"
    folder.mkdir(mode=0o755)
    folder.chmod(0o755)
    Home.create(folder, seats("north")[0].configuration())
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for path in folder.rglob("*"):
        if path.is_file() and path.suffix != ".crt" and path.name != "fresh":
            assert stat.S_IMODE(path.stat().st_mode) == 0o600, path


def test_home_that_others_could_read_is_made_private_when_it_is_used(
    homes: dict[str, Home], caplog: pytest.LogCaptureFixture
) -> None:
    home = homes["north"]
    files = TrainingFiles(home.participant)
    with AnswerJournal(files.answers):
        pass
    with open_directory(home.store) as store:
        store.add(b"blob", pin="x")
    outside = home.folder.parent / "outside"
    outside.write_bytes(b"somebody else's")
    outside.chmod(0o644)
    (home.participant / "link").symlink_to(outside)
    home.log_file.parent.mkdir(exist_ok=True)
    home.log_file.write_text("a line")
    opened = [home.folder, home.participant, home.store, home.log_file, files.answers, home.participant / "models"]
    for path in opened:
        path.chmod(0o755 if path.is_dir() else 0o644)
    with home.locked():
        for path in opened:
            assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path
    assert stat.S_IMODE(outside.stat().st_mode) == 0o644
    assert str(files.answers) in caplog.text
    # What holds a secret in itself was in the open: that is for its owner to judge, and not put right in silence.
    files.secret()
    (home.participant / "secret").chmod(0o644)
    with home.locked(), pytest.raises(ExposedSecret):
        files.secret()


def test_journal_of_answers_is_private_also_where_it_was_not(tmp_path: Path) -> None:
    path = tmp_path / "answers.sqlite"
    AnswerJournal(path).close()
    path.chmod(0o644)
    AnswerJournal(path).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_folders_of_keys_become_private(tmp_path: Path) -> None:
    for make in (lambda path: DataFolder(path).key(), TrainingFiles):
        folder = tmp_path / f"folder-{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        folder.chmod(0o755)
        make(folder)
        for path in (folder, *folder.rglob("*")):
            assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


@contextmanager
def without_rights(folder: Path) -> Iterator[None]:
    """Be somebody who may not write to the folder; root becomes nobody for as long."""
    if os.geteuid():
        folder.chmod(0o500)
        yield
        folder.chmod(0o700)
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def lock(home: Home) -> None:
    with home.locked():
        pass


USES: dict[str, Callable[[Home], object]] = {
    "lock": lock,
    "a home inside": lambda home: Home.create(home.folder / "inner", seats("north")[0].configuration()),
    "card": lambda home: write_card(home.card(), home.folder / "copy.json"),
    "federation": lambda home: home.install(home.federation()),
    "store": lambda home: open_directory(home.folder / "new-store"),
    "data key": lambda home: DataFolder(home.folder / "new-data").key(),
    "unsent data": lambda home: DataFolder(home.folder / "new-data").write_unsent([b"x"]),
    "training": lambda home: TrainingFiles(home.folder / "new-participant"),
    "answers": lambda home: AnswerJournal(home.folder / "answers.sqlite"),
    "backup": lambda home: write_backup(home.folder, home.folder / "backup.tar"),
    "secret": lambda home: write_private(home.folder / "secret", b"x"),
}


@pytest.mark.parametrize("use", USES)
def test_home_that_cannot_be_written_to_is_said_in_one_sentence(homes: dict[str, Home], use: str) -> None:
    home = homes["north"]
    with open_directory(home.store):
        pass
    before = sorted(home.folder.rglob("*"))
    with without_rights(home.folder), pytest.raises(MedwardError) as refused:
        USES[use](home)
    assert str(refused.value).isprintable()
    assert sorted(home.folder.rglob("*")) == before
