"""A node's folder: secrets, the lock, new incarnations."""

import stat
import subprocess
import sys
from pathlib import Path

import pytest

from medward.node.errors import ExposedSecret, HomeInUse, NodeError, Retired
from medward.node.home import Home
from medward.node.private_files import read_private, write_private
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
        "import sys; from pathlib import Path; from medward.node.home import Home\n"
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
