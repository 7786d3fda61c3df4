"""Reading the ledgers of homes: a file that a stranger wrote is said to be wrong, and a lock is looked at only."""

import fcntl
from pathlib import Path

import msgspec
import pytest

from medward.audit.findings import AuditResult
from medward.audit.ledgers import read_ledgers
from medward.federation.records import decode_record
from medward.node.errors import NodeError
from medward.node.home.federation_file import ApplicationTerms, FederationFile, found_federation
from medward.node.home.folder import Home
from tests.node.conftest import homes

__all__ = ["homes"]


@pytest.fixture
def federation(homes: dict[str, Home]) -> FederationFile:
    return found_federation("ward", 1, [home.card() for home in homes.values()], ApplicationTerms("training"))


@pytest.mark.parametrize(
    "genesis", [None, "", "[]", "{}", '{"chain_id": 1, "genesis_time": 5, "validators": []}',
                '{"chain_id": "c", "genesis_time": "2024-01-01T00:00:00Z", "validators": [{}]}',
                '{"chain_id": "c", "genesis_time": "2024-01-01T00:00:00Z", "validators": 5}', "[" * 100_000]
)  # fmt: skip
def test_malformed_genesis_of_cometbft_is_said_in_one_sentence(federation: FederationFile, genesis: str | None) -> None:
    comet = {} if genesis is None else {"genesis": genesis}
    with pytest.raises(NodeError, match="CometBFT's genesis in the federation file of ward is malformed"):
        read_ledgers(
            {}, msgspec.structs.replace(federation, engine="cometbft", comet=comet), decode_record, AuditResult()
        )


def test_home_without_a_journal_is_a_problem_and_the_others_are_read(
    homes: dict[str, Home], federation: FederationFile
) -> None:
    found = AuditResult()
    _, lasts = read_ledgers(homes, federation, decode_record, found)
    assert lasts == {}
    assert {problem.home for problem in found.problems} == set(homes)


def test_home_of_cometbft_that_is_in_use_is_not_read(homes: dict[str, Home], federation: FederationFile) -> None:
    home: Path = homes["north"].folder
    with (home / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(NodeError, match="as long as its node runs"):
            read_ledgers(homes, msgspec.structs.replace(federation, engine="cometbft"), decode_record, AuditResult())
