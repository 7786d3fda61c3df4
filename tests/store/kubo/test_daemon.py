"""A Kubo daemon of one's own: a program is found or told to be missing, and what goes wrong is told with its reason.

The program is a short script here, which fails as Kubo may; test_store.py runs the real one.
"""

import os
from pathlib import Path

import pytest

from medward.store.errors import KuboUnavailable, StoreError
from medward.store.kubo.configuration import new_swarm_key
from medward.store.kubo.daemon import KuboDaemon, find_kubo


def program(path: Path, body: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o700)
    return path


@pytest.fixture(autouse=True)
def nothing_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MEDWARD_KUBO", raising=False)
    monkeypatch.setenv("MEDWARD_ENGINES", str(tmp_path / "engines"))
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}/bin{os.pathsep}/usr/bin")


def test_program_is_the_one_given_or_named_or_on_the_path_or_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = program(tmp_path / "engines" / "ipfs", "")
    assert find_kubo() == built
    installed = program(tmp_path / "bin" / "ipfs", "")
    assert find_kubo() == installed
    named = program(tmp_path / "named", "")
    monkeypatch.setenv("MEDWARD_KUBO", str(named))
    assert find_kubo() == named
    assert find_kubo(built) == built


def test_missing_program_is_told_with_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(KuboUnavailable, match=r"there is no program 'ipfs' on the PATH.*install Kubo"):
        find_kubo()
    program(tmp_path / "engines" / "ipfs", "")
    with pytest.raises(KuboUnavailable, match="nowhere is no program"):
        find_kubo(tmp_path / "nowhere")


def test_malformed_swarm_key_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="the swarm key is malformed") as caught:
        KuboDaemon(tmp_path / "repo", "secret", program=program(tmp_path / "ipfs", ""))
    assert "secret" not in str(caught.value)
    assert not (tmp_path / "repo").exists()


def test_repository_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    failing = program(tmp_path / "ipfs", "echo no space left >&2; exit 1")
    with pytest.raises(KuboUnavailable, match=r"could not make a repository .* no space left"):
        KuboDaemon(tmp_path / "repo", new_swarm_key(), program=failing).start()


CONFIGURED = 'echo \'{"Addresses": {}, "Identity": {"PeerID": "x"}}\' > $IPFS_PATH/config'


def test_daemon_that_ends_at_once_is_told_with_the_end_of_its_log(tmp_path: Path) -> None:
    body = f"case $1 in init) {CONFIGURED};; *) echo the port is taken; exit 1;; esac"
    daemon = KuboDaemon(tmp_path / "repo", new_swarm_key(), program=program(tmp_path / "ipfs", body))
    with pytest.raises(KuboUnavailable, match=r"Kubo did not start in .*: the port is taken"):
        daemon.start()
    assert daemon.pid is None
    daemon.stop()
    for name in ("config", "swarm.key"):
        assert (tmp_path / "repo" / name).stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("content", ["", "{", "\0"])
def test_damaged_configuration_is_told_and_stays(tmp_path: Path, content: str) -> None:
    (tmp_path / "repo").mkdir()
    (tmp_path / "repo" / "config").write_text(content)
    with pytest.raises(KuboUnavailable, match=r"config is damaged: move it away"):
        KuboDaemon(tmp_path / "repo", new_swarm_key(), program=program(tmp_path / "ipfs", "")).start()
    assert (tmp_path / "repo" / "config").read_text() == content
