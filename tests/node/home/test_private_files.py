"""Files that only their owner may read: whole or not there, never readable by others, and what cannot be is said."""

import os
import stat
from collections.abc import Collection, Iterator
from pathlib import Path

import pytest

from medward.node.errors import ExposedSecret, NodeError
from medward.node.home.private_files import (
    check_private,
    make_private_folder,
    read_private,
    read_token,
    tighten,
    write_private,
)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


@pytest.fixture(params=[0o000, 0o022, 0o077])
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


@pytest.mark.usefixtures("umask")
def test_file_and_folder_are_private_whatever_the_umask(tmp_path: Path) -> None:
    make_private_folder(tmp_path / "a" / "b")
    write_private(tmp_path / "a" / "b" / "key", b"secret")
    assert mode(tmp_path / "a" / "b") == 0o700
    assert mode(tmp_path / "a" / "b" / "key") == 0o600


def test_folder_that_was_open_becomes_private(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    make_private_folder(tmp_path)
    assert mode(tmp_path) == 0o700


def test_link_in_a_secret_s_place_is_replaced_and_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "public").write_bytes(b"before")
    (tmp_path / "key").symlink_to(tmp_path / "public")
    write_private(tmp_path / "key", b"secret")
    assert (tmp_path / "public").read_bytes() == b"before"
    assert not (tmp_path / "key").is_symlink()


def test_file_that_cannot_be_written_is_said_and_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "key").mkdir()
    (tmp_path / "key" / "inside").touch()
    with pytest.raises(NodeError, match=r"cannot write .*key"):
        write_private(tmp_path / "key", b"secret")
    with pytest.raises(NodeError, match=r"cannot write .*key"):
        write_private(tmp_path / "missing" / "key", b"secret")
    with pytest.raises(NodeError, match=r"cannot use .*inside"):
        make_private_folder(tmp_path / "key" / "inside")
    assert [path.name for path in tmp_path.iterdir()] == ["key"]


@pytest.mark.parametrize("rights", [0o604, 0o640, 0o601, 0o660])
def test_secret_with_any_right_of_others_is_refused_unread(tmp_path: Path, rights: int) -> None:
    write_private(tmp_path / "key", b"secret")
    (tmp_path / "key").chmod(rights)
    for look in (check_private, read_private):
        with pytest.raises(ExposedSecret, match=f"mode {rights:04o}") as refused:
            look(tmp_path / "key")
        assert "secret'" not in str(refused.value)


def test_secret_that_is_not_there_or_no_file_is_said_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir(mode=0o700)
    for name in ("nothing", "folder"):
        with pytest.raises(NodeError, match="cannot read"):
            read_private(tmp_path / name)


def test_rights_of_others_go_and_what_had_them_is_told(tmp_path: Path) -> None:
    folder, outside = tmp_path / "folder", tmp_path / "outside"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep").chmod(0o755)
    outside.touch()
    outside.chmod(0o644)
    for name, rights in {"open": 0o644, "deep/tool": 0o755, "own": 0o600, "public": 0o644}.items():
        (folder / name).touch()
        (folder / name).chmod(rights)
    (folder / "link").symlink_to(outside)
    folder.chmod(0o700)
    told = tighten(folder, but=[folder / "public"])
    assert set(told) == {folder / "open", folder / "deep", folder / "deep" / "tool"}
    assert [mode(folder / name) for name in ("open", "deep/tool", "own", "public")] == [0o600, 0o700, 0o600, 0o644]
    assert mode(outside) == 0o644
    assert tighten(folder, but=[folder / "public"]) == []


class Removing(Collection[Path]):
    """Names no file, and has another command remove a temporary file as soon as it is asked about the first."""

    def __init__(self, temporary: Path) -> None:
        self._temporary = temporary

    def __contains__(self, path: object) -> bool:
        self._temporary.unlink(missing_ok=True)
        return False

    def __iter__(self) -> Iterator[Path]:
        return iter(())

    def __len__(self) -> int:
        return 0


def test_temporary_file_that_goes_meanwhile_leaves_no_other_file_open(tmp_path: Path) -> None:
    names = [f"file-{number}" for number in range(20)]
    for name in names:
        (tmp_path / name).touch()
        (tmp_path / name).chmod(0o644)
    first_read = next(iter(tmp_path.rglob("*")))
    tmp_path.chmod(0o755)
    tighten(tmp_path, but=Removing(first_read))
    assert not first_read.exists()
    assert {mode(path) for path in tmp_path.iterdir()} == {0o600}


def test_token_is_one_word_and_an_empty_file_lets_nobody_in(tmp_path: Path) -> None:
    file = tmp_path / "token"
    write_private(file, b" abc-DEF_1\n")
    assert read_token(file) == "abc-DEF_1"
    for content in (b"", b"\n", b"two words", b"two\nlines", "tøken".encode(), b"\xff", b"a\x00b"):
        write_private(file, content)
        with pytest.raises(NodeError, match="holds no token") as refused:
            read_token(file)
        assert str(refused.value).replace(str(file), "").isprintable()
