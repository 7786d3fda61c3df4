"""CometBFT beside a node: what it says is believed once a quorum of the genesis' validators signed it."""

import asyncio
import base64
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec.structs import replace

from medward.ledger.bank import Bank
from medward.ledger.cometbft.light import data_hash
from medward.ledger.cometbft.process import VERSION
from medward.ledger.errors import LedgerError
from medward.ledger.signatures import MemberSigner
from medward.ledger.transactions import encode_transaction, sign_transaction
from medward.ledger.types import Block
from medward.node.errors import NodeError, NotCertified
from medward.node.home.folder import Home
from medward.node.ledger import cometbft
from medward.node.ledger.cometbft import CometConsensus, comet_folder
from medward.node.trial.founding import found_on_one_machine
from medward.node.trial.launcher import free_seats
from tests.ledger.cometbft.test_light import CHAIN, FOUR


def test_without_cometbft_a_federation_on_it_is_not_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDWARD_ENGINES", str(tmp_path / "none"))
    with pytest.raises(NodeError, match=r"CometBFT 0.38 is not installed"):
        found_on_one_machine(tmp_path / "ward", "ward", free_seats(["h0"]), "bank", engine="cometbft")


DEPOSITS = [
    sign_transaction(b"c" * 32, MemberSigner(Ed25519PrivateKey.from_private_bytes(bytes(32))), nonce, b"payload")
    for nonce in (1, 2)
]
DATA = [encode_transaction(transaction) for transaction in DEPOSITS]
BLOCK = Block(7, 1, tuple(DEPOSITS))
GENESIS = {"chain_id": CHAIN, "validators": FOUR.shown}
Answers = dict[str, Any]


@pytest.fixture
def consensus(homes: dict[str, Home], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CometConsensus:
    """The consensus of a node whose CometBFT is not started."""
    engines = tmp_path / "engines"
    engines.mkdir()
    program = engines / f"cometbft-{VERSION}.1"
    program.write_text("#!/bin/sh\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("MEDWARD_ENGINES", str(engines))
    home = homes["north"]
    (comet_folder(home, "north") / "config").mkdir(parents=True)
    peers = {f"peer/{name}": f"id-of-{name}@10.0.0.1:7450" for name in homes}
    comet = {"genesis": json.dumps(GENESIS), **peers}
    federation = replace(home.federation(), engine="cometbft", comet=comet)
    return CometConsensus(home, home.configuration().ledger, federation, home.card().member, Bank)


def answering(consensus: CometConsensus, monkeypatch: pytest.MonkeyPatch, answers: Answers) -> None:
    async def call(method: str, **parameters: Any) -> Any:
        found = answers[method]
        if isinstance(found, Exception):
            raise found
        return found

    monkeypatch.setattr(consensus.engine, "call", call)


def answers(*signers: int, data: list[bytes] = DATA, **changes: Any) -> Answers:
    signed = FOUR.signed(*signers, data_hash=data_hash(DATA), **changes)
    return {
        "commit": {"signed_header": signed},
        "block": {"block": {"data": {"txs": [base64.b64encode(one).decode() for one in data]}}},
    }


def certify(consensus: CometConsensus, block: Block | None = BLOCK) -> None:
    asyncio.run(consensus.certify(block))


def test_block_is_certified_by_more_than_two_thirds_of_the_genesis_validators(
    consensus: CometConsensus, monkeypatch: pytest.MonkeyPatch
) -> None:
    answering(consensus, monkeypatch, answers(0, 1, 2))
    certify(consensus)
    # Fewer were applied than were ordered: the application leaves out what no client signed.
    certify(consensus, Block(7, 1, (DEPOSITS[0],)))
    certify(consensus, None)


WRONG: dict[str, Answers] = {
    "two of four": answers(0, 1),
    "another chain": answers(0, 1, 2, chain="another"),
    "another height": answers(0, 1, 2, height="8"),
    "other transactions": answers(0, 1, 2, data=DATA[:1]),
    "more transactions": answers(0, 1, 2, data=[*DATA, b"x"]),
    "no transactions": {**answers(0, 1, 2), "block": {"block": {"data": {"txs": None}}}},
    "no block": {**answers(0, 1, 2), "block": {}},
    "no base64": {**answers(0, 1, 2), "block": {"block": {"data": {"txs": [5]}}}},
    "no header": {**answers(0, 1, 2), "commit": {"signed_header": {}}},
    "nothing": {"commit": None, "block": None},
    "a program that does not answer": {"commit": LedgerError("it does not answer"), "block": {}},
}


def test_block_that_no_quorum_signed_as_it_was_applied_is_not_certified(
    consensus: CometConsensus, monkeypatch: pytest.MonkeyPatch
) -> None:
    for answered in WRONG.values():
        answering(consensus, monkeypatch, answered)
        with pytest.raises(NotCertified, match="height 7"):
            certify(consensus)


def test_block_with_a_transaction_that_was_not_ordered_is_not_certified(
    consensus: CometConsensus, monkeypatch: pytest.MonkeyPatch
) -> None:
    answering(consensus, monkeypatch, answers(0, 1, 2))
    other = sign_transaction(b"c" * 32, MemberSigner(Ed25519PrivateKey.from_private_bytes(b"o" * 32)), 1, b"other")
    with pytest.raises(NotCertified, match="agreed on another block than was applied here"):
        certify(consensus, Block(7, 1, (DEPOSITS[0], other)))


def test_program_has_the_federation_s_genesis_and_the_other_members_as_peers(
    consensus: CometConsensus, homes: dict[str, Home]
) -> None:
    written = (comet_folder(homes["north"], "north") / "config" / "genesis.json").read_text()
    assert json.loads(written) == GENESIS
    assert consensus.engine._settings.peers == ("id-of-south@10.0.0.1:7450",)
    assert [member.name for member in consensus.members] == ["north", "south"]
    # It has not been started, so that it has not ended.
    assert consensus.failure() is None
    assert consensus.describe() == {"engine": "cometbft", "height": 0, "votes": False}


def test_node_waits_until_the_program_itself_says_that_it_has_caught_up(
    consensus: CometConsensus, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = [
        {"sync_info": {"catching_up": True, "latest_block_height": "0"}},
        {"sync_info": {"catching_up": False, "latest_block_height": "1"}},
        {"sync_info": {"catching_up": False, "latest_block_height": "0"}},
    ]
    told: list[str] = []

    async def call(method: str, **_: Any) -> Any:
        return said.pop(0)

    monkeypatch.setattr(consensus.engine, "call", call)
    monkeypatch.setattr(cometbft, "_LOOK_AGAIN_SECONDS", 0.0)
    asyncio.run(consensus.become_current(told.append))
    assert said == []
    assert told == ["CometBFT fetches what the others ordered"]


def test_home_without_comet_s_keys_is_refused_with_what_to_do(homes: dict[str, Home]) -> None:
    home = homes["north"]
    federation = replace(home.federation(), engine="cometbft", comet={"genesis": "{}"})
    with pytest.raises(NodeError, match=r"is missing: `medward federation init --ledger cometbft` makes"):
        CometConsensus(home, home.configuration().ledger, federation, home.card().member, Bank)
