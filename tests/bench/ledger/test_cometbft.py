"""CometBFT as it is measured: a validator that ends is told of, and nothing of a run is left behind.

The program is a short script here, which leaves files of CometBFT's form, but where the real one is built.
"""

import asyncio
import tempfile
from pathlib import Path

import pytest

from medward.bench.ledger import cometbft
from medward.ledger.cometbft.process import find_program
from medward.ledger.errors import LedgerError

SCRIPT = """#!/bin/sh
case $1 in
init) mkdir -p $3/config
      for key in timeout_commit create_empty_blocks pex addr_book_strict allow_duplicate_ip
      do echo "$key = 1"; done > $3/config/config.toml
      echo '{"address": "AB", "pub_key": {"value": "AA=="}}' > $3/config/priv_validator_key.json
      echo '{}' > $3/config/genesis.json;;
show-node-id) echo 0123abcd;;
start) echo no more disk; exit 1;;
esac
"""


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "cometbft"
    path.write_text(SCRIPT)
    path.chmod(0o700)
    return path


def test_validators_that_end_at_once_are_told_of_with_their_last_words(
    program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(LedgerError, match="does not answer; its log ends: no more disk"):
        asyncio.run(asyncio.wait_for(cometbft.run(program, 2, 10, 2, 0.1), 30))
    assert list(tmp_path.iterdir()) == [program]


def test_a_program_that_is_none_of_cometbft_is_told_of(program: Path) -> None:
    program.write_text("#!/bin/sh\necho unknown command >&2\nexit 2\n")
    with pytest.raises(LedgerError, match="cometbft init failed: unknown command"):
        asyncio.run(cometbft.run(program, 2, 10, 2, 0.1))


@pytest.mark.engines
@pytest.mark.skipif(find_program() is None, reason="no CometBFT; .ci/cometbft builds it where Go is installed")
def test_four_validators_are_measured_with_the_same_clients() -> None:
    built = find_program()
    assert built is not None
    figures = asyncio.run(cometbft.run(built, 4, 200, 16, 1.0))
    assert figures.failed == 0
    assert figures.peak > 0
    assert figures.p99 >= figures.p50 > 0
