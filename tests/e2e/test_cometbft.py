"""A federation whose ledger CometBFT orders: it trains, its homes are audited, and what was altered there is named."""

import asyncio
import base64
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from medward.audit.cometbft_ledger import CometAudit
from medward.audit.findings import AuditResult
from medward.audit.homes import audit
from medward.federation.application import FederationApplication
from medward.ledger.cometbft.process import find_program
from medward.ledger.cometbft.reading import StoredBlock, StoredChain, read_chain
from medward.node.errors import ApiRefused, NodeError
from medward.node.home.folder import Home
from medward.node.ledger.cometbft import comet_folder
from medward.node.training.rules import read_agreement
from medward.node.trial.ports import free_ports
from tests.e2e.ward import NAMES, Ward, run

PROGRAM = find_program()
pytestmark = [
    pytest.mark.engines,
    pytest.mark.skipif(PROGRAM is None, reason="no CometBFT here: .ci/cometbft builds it where there is Go"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The homes of four members after three surveys and a training round; while they ran, nobody could read them."""
    made = tmp_path_factory.mktemp("comet")

    async def tell(ward: Ward) -> None:
        await ward.until_done()
        with pytest.raises(NodeError, match=r"as long as its node runs.*stop the node"):
            await asyncio.to_thread(audit, made / "ward")
        with pytest.raises(ApiRefused, match="stop the node"):
            await asyncio.to_thread(ward.launcher.client("h0").save, "/audit", made / "copy.tar")
        await ward.launcher.stop(list(NAMES))

    run(made, 1, tell, engine="cometbft")
    return made / "ward"


@pytest.fixture(scope="module")
def chains(folder: Path) -> dict[str, StoredChain]:
    assert PROGRAM is not None
    return {name: read_chain(PROGRAM, comet_folder(Home(folder / name), name), *free_ports(1)) for name in NAMES}


def audited(folder: Path, chains: Mapping[str, StoredChain], chain: str | None = None) -> tuple[int, AuditResult]:
    """Audit what was read, under the name of another chain if wanted; return the height that the replay reached."""
    federation, found = Home(folder / NAMES[0]).federation(), AuditResult()
    genesis = federation.comet["genesis"]
    if chain is not None:
        genesis = genesis.replace(federation.name, chain)
    application = FederationApplication(read_agreement(federation.application.parameters))
    replayed = CometAudit(federation.genesis, genesis, chains, found).run(application, lambda *_: None)
    return replayed.height, found


def test_audit_verifies_all_that_cometbft_ordered_and_changes_nothing(folder: Path) -> None:
    def seen() -> dict[Path, tuple[int, int]]:
        return {path: (path.stat().st_size, path.stat().st_mtime_ns) for path in sorted(folder.rglob("*"))}

    before = seen()
    found = audit(folder)
    assert seen() == before
    assert found.sound, "\n".join(map(str, found.problems))
    assert [task for _, task, _ in found.outcomes] == ["survey", "survey", "survey", "train"]
    assert {ended for *_, ended in found.outcomes} == {"final"}
    ledger, rounds = found.groups["ledger"].checked, found.groups["rounds"].checked
    assert ledger["blocks"] == found.height > 4
    assert ledger["certificates"] > 3 * found.height
    assert ledger["transactions"] > 40
    assert (rounds["sums"], rounds["models"]) == (4, 4)


def test_database_that_cannot_be_read_is_told_and_the_others_are_enough(folder: Path) -> None:
    database = comet_folder(Home(folder / "h2"), "h2") / "data" / "blockstore.db"
    files = {path: path.read_bytes() for path in database.iterdir()}
    try:
        for path, content in files.items():
            path.write_bytes(bytes(len(content)))
        found = audit(folder)
    finally:
        for path, content in files.items():
            path.write_bytes(content)
    assert {problem.home for problem in found.problems} == {"h2"}
    assert len(found.outcomes) == 4


Alteration = Callable[[StoredBlock], StoredBlock]


def in_certified_header(key: str) -> Alteration:
    def alter(block: StoredBlock) -> StoredBlock:
        header: dict[str, Any] = {**block.header, key: "00" * 32}
        return replace(block, header=header, signed_header={**block.signed_header, "header": header})

    return alter


def in_header(block: StoredBlock) -> StoredBlock:
    return replace(block, header={**block.header, "evidence_hash": "00" * 32})


def in_signature(block: StoredBlock) -> StoredBlock:
    commit = block.signed_header["commit"]
    signatures = [dict(one) for one in commit["signatures"]]
    signed = next(one for one in signatures if one["signature"])
    signed["signature"] = base64.b64encode(bytes(64)).decode()
    return replace(block, signed_header={**block.signed_header, "commit": {**commit, "signatures": signatures}})


def in_transaction(block: StoredBlock) -> StoredBlock:
    *others, last = block.transactions
    return replace(block, transactions=(*others, last[:-1] + bytes([last[-1] ^ 1])))


def without_transaction(block: StoredBlock) -> StoredBlock:
    return replace(block, transactions=block.transactions[:-1])


@pytest.mark.parametrize(
    ("alter", "told"),
    [
        (in_certified_header("app_hash"), "the certificate of the block is not valid"),
        (in_certified_header("data_hash"), "the certificate of the block is not valid"),
        (in_certified_header("last_results_hash"), "the certificate of the block is not valid"),
        (in_header, "the header in the block is not the one that was certified"),
        (in_signature, "does not verify"),
        (in_transaction, r"transaction \d+ of \d+, the record \w+ of h\d, was altered"),
        (without_transaction, "its transactions are not those that its header names"),
    ],
)
def test_altered_part_of_a_block_is_named_with_its_home_and_height(
    folder: Path, chains: dict[str, StoredChain], alter: Alteration, told: str
) -> None:
    whole, found = audited(folder, chains)
    assert found.problems == []
    height = next(number for number, block in chains["h1"].blocks.items() if number > 3 and block.transactions)
    blocks = {**chains["h1"].blocks, height: alter(chains["h1"].blocks[height])}
    reached, found = audited(folder, {**chains, "h1": replace(chains["h1"], blocks=blocks)})
    assert reached == whole
    assert {problem.home for problem in found.problems} == {"h1"}
    assert re.search(told, next(problem.what for problem in found.problems if problem.height == height))


def test_another_chain_proves_nothing(folder: Path, chains: dict[str, StoredChain]) -> None:
    reached, found = audited(folder, chains, "another")
    assert reached == 0
    assert "the commit is not for this header" in found.problems[0].what


def test_without_cometbft_an_audit_says_what_to_install(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEDWARD_ENGINES", str(tmp_path / "none"))
    with pytest.raises(NodeError, match=r"CometBFT 0.38 is not installed: build it"):
        audit(folder)
