"""CometBFT's program and its folder: the newest is found, settings are changed where they stand, and failures are told.

The program is a short script here, which leaves files of CometBFT's form; test_engine.py runs the real one.
"""

import asyncio
import json
from pathlib import Path

import pytest

from medward.ledger.cometbft.process import CometProcess, Ports, find_program, write_genesis
from medward.ledger.errors import LedgerError

CONFIG = """timeout_commit = "1s"
create_empty_blocks = true
pex = true
addr_book_strict = true
allow_duplicate_ip = false
laddr = "tcp://0.0.0.0:1"

[rpc]
laddr = "tcp://127.0.0.1:2"

[p2p]
laddr = "tcp://0.0.0.0:3"
"""
KEY = '{"address": "AB12", "pub_key": {"value": "' + "A" * 43 + '="}}'


def program(folder: Path, body: str) -> Path:
    path = folder / "cometbft"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o700)
    return path


def process(tmp_path: Path, config: str = CONFIG, name: str = "home") -> CometProcess:
    (tmp_path / "config.toml").write_text(config)
    (tmp_path / "key.json").write_text(KEY)
    body = f"""
case $1 in
init) mkdir -p $3/config; cp {tmp_path}/config.toml $3/config/; cp {tmp_path}/key.json $3/config/priv_validator_key.json
      echo '{{"app_state": 1}}' > $3/config/genesis.json;;
show-node-id) echo 0123abcd;;
start) echo started with "$@"; exec sleep 60;;
esac"""
    return CometProcess(program(tmp_path, body), tmp_path / name, Ports(1, 2, 3), "::1")


def test_the_newest_program_is_found_and_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDWARD_ENGINES", str(tmp_path))
    assert find_program() is None
    for name, mode in (("0.38.9", 0o700), ("0.38.17", 0o700), ("0.38.20", 0o600), ("0.39.1", 0o700)):
        (tmp_path / f"cometbft-{name}").write_bytes(b"")
        (tmp_path / f"cometbft-{name}").chmod(mode)
    (tmp_path / "cometbft-0.38.99").mkdir()
    assert find_program() == tmp_path / "cometbft-0.38.17"


def test_settings_are_changed_where_they_stand(tmp_path: Path) -> None:
    own = process(tmp_path)
    own.initialise()
    path = own.home / "config" / "config.toml"
    assert 'timeout_commit = "150ms"' in path.read_text()
    assert "allow_duplicate_ip = true" in path.read_text()
    own.change_settings({"p2p.laddr": r'"tcp://\1:4"', "pex": "true"})
    lines = path.read_text().splitlines()
    assert [line for line in lines if line.startswith("laddr")] == [
        'laddr = "tcp://0.0.0.0:1"', 'laddr = "tcp://127.0.0.1:2"', r'laddr = "tcp://\1:4"',
    ]  # fmt: skip
    assert "pex = true" in lines


@pytest.mark.parametrize("key", ["missing", "p2p.missing", "missing.laddr"])
def test_setting_that_is_not_there_is_told_and_nothing_is_changed(tmp_path: Path, key: str) -> None:
    own = process(tmp_path)
    own.initialise()
    before = (own.home / "config" / "config.toml").read_text()
    with pytest.raises(LedgerError, match=f"has no setting {key}"):
        own.change_settings({"pex": "true", key: "1"})
    assert (own.home / "config" / "config.toml").read_text() == before


def test_program_of_another_version_is_told(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="has no setting pex"):
        process(tmp_path, CONFIG.replace("pex = true\n", "")).initialise()


def test_failure_of_the_program_is_told(tmp_path: Path) -> None:
    failing = CometProcess(program(tmp_path, "echo no space left >&2; exit 3"), tmp_path / "home", Ports(1, 2, 3))
    with pytest.raises(LedgerError, match="cometbft init failed: no space left"):
        failing.initialise()


def test_keys_are_read_and_all_validators_have_one_genesis(tmp_path: Path) -> None:
    processes = [process(tmp_path, name=name) for name in ("north", "south")]
    for one in processes:
        one.initialise()
        assert (one.node_id, one.address, one.public_key) == ("0123abcd", "AB12", bytes(32))
    write_genesis(processes, "ward", "2026-01-01T00:00:00Z")
    first, second = (json.loads((one.home / "config" / "genesis.json").read_text()) for one in processes)
    assert first == second
    assert (first["chain_id"], first["app_state"]) == ("ward", 1)
    assert [one["name"] for one in first["validators"]] == ["north", "south"]


@pytest.mark.parametrize("gently", [True, False])
def test_program_is_started_and_ended(tmp_path: Path, gently: bool) -> None:
    own = process(tmp_path)
    own.initialise()
    own.kill()
    assert not own.running
    own.start(["id@host:1"])
    assert own.running
    if gently:
        asyncio.run(own.stop())
    else:
        own.kill()
    assert not own.running
    own.kill()
