"""The audit of a ledger on CometBFT, on blocks made by hand: what was altered is named with its home and height."""

import base64
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from medward.audit.cometbft_ledger import CometAudit
from medward.audit.findings import AuditResult
from medward.federation.records import Announce, encode_record
from medward.ledger.bank import Bank, Deposit
from medward.ledger.cometbft.light import data_hash, header_hash
from medward.ledger.cometbft.reading import StoredBlock, StoredChain
from medward.ledger.encoding import encode
from medward.ledger.execution import Execution
from medward.ledger.membership import ChainParameters, Genesis
from medward.ledger.signatures import AlgorithmBytes, MemberSigner
from medward.ledger.transactions import encode_transaction, sign_transaction
from medward.ledger.types import Member, Transaction
from tests.ledger.cometbft.test_light import CHAIN, FOUR

TIME = "2024-01-01T00:00:00Z"
KEY = Ed25519PrivateKey.from_private_bytes(b"h" * 32)
SIGNER = MemberSigner(KEY)
MEMBER = Member("h0", 0, (AlgorithmBytes("ed25519", KEY.public_key().public_bytes_raw()),), b"", "127.0.0.1:1")
GENESIS = Genesis("ward", 1_704_067_200_000, ChainParameters(), (MEMBER,))
COMET_GENESIS = json.dumps({"chain_id": CHAIN, "genesis_time": TIME, "validators": FOUR.shown})


def signed(nonce: int, payload: bytes | None = None) -> Transaction:
    return sign_transaction(GENESIS.chain, SIGNER, nonce, encode(Deposit("a", nonce)) if payload is None else payload)


#: Four blocks; the second has none, the third a record of a federation.
BATCHES = ((signed(1), signed(2)), (), (signed(3, encode_record(Announce(b"here"))), signed(4)), (signed(5),))


def chain_of(batches: Sequence[Sequence[Transaction]] = BATCHES, **forged: dict[int, Any]) -> StoredChain:
    """Return a chain that three of four validators certified.

    Args:
        batches: each block's transactions.
        forged: what a header says by height, instead of what is so, and the validators certified all the same.
    """
    execution, chain = Execution(Bank(), GENESIS.time), StoredChain(len(batches))
    last: dict[str, Any] = {"hash": "", "parts": {"total": 0, "hash": ""}}
    commit: dict[str, Any] = {}
    for height, batch in enumerate(batches, 1):
        encoded = tuple(map(encode_transaction, batch))
        says = {
            "height": str(height),
            "time": f"2024-01-01T00:00:{height:02}Z",
            "app_hash": execution.summary.root.hex().upper(),
            "data_hash": data_hash(encoded),
            "last_block_id": last,
        } | {key: by[height] for key, by in forged.items() if height in by}
        certified = FOUR.signed(0, 1, 2, **says)
        chain.blocks[height] = StoredBlock(certified["header"], encoded, commit, certified, ())
        execution.execute(GENESIS.time + 1000 * height, batch)
        last = {"hash": header_hash(certified["header"]).hex().upper(), "parts": {"total": 1, "hash": "00" * 32}}
        commit = certified["commit"]
    return chain


def audited(**chains: StoredChain) -> tuple[int, AuditResult, list[Transaction]]:
    """Return the height that the replay reached, what was found, and the transactions that were taken."""
    found, taken = AuditResult(), list[Transaction]()
    audit = CometAudit(GENESIS, COMET_GENESIS, chains, found)
    replayed = audit.run(Bank(), lambda _, transaction, __: taken.append(transaction))
    return replayed.height, found, taken


def changed(chain: StoredChain, height: int, **parts: Any) -> StoredChain:
    return replace(chain, blocks={**chain.blocks, height: replace(chain.blocks[height], **parts)})


WHOLE = chain_of()


def test_sound_chains_are_replayed_once_and_every_certificate_is_checked() -> None:
    height, found, taken = audited(h0=WHOLE, h1=WHOLE)
    assert (height, found.problems, found.remarks) == (4, [], [])
    assert taken == [transaction for batch in BATCHES for transaction in batch]
    assert found.checked == {"blocks": 4, "certificates": 8, "transactions": 5, "checkpoints": 3}


def test_nothing_at_all_is_no_problem_and_proves_nothing() -> None:
    assert audited()[0] == audited(h0=StoredChain())[0] == 0
    assert audited(h0=StoredChain())[1].problems == []


Alteration = Callable[[StoredBlock], dict[str, Any]]


def _in_certified_header(**says: object) -> Alteration:
    def alter(block: StoredBlock) -> dict[str, Any]:
        header = {**block.header, **says}
        return {"header": header, "signed_header": {**block.signed_header, "header": header}}

    return alter


def _with_another_signature(block: StoredBlock) -> dict[str, Any]:
    commit = block.signed_header["commit"]
    first = {**commit["signatures"][0], "signature": base64.b64encode(bytes(64)).decode()}
    return {
        "signed_header": {**block.signed_header, "commit": {**commit, "signatures": [first, *commit["signatures"][1:]]}}
    }


@pytest.mark.parametrize(
    ("alter", "told"),
    [
        (_in_certified_header(app_hash="00" * 32), "the certificate of the block is not valid"),
        (_in_certified_header(time="2023-01-01T00:00:00Z"), "the certificate of the block is not valid"),
        (_in_certified_header(last_block_id=None), "the certificate of the block is not valid"),
        (_with_another_signature, "the certificate of the block is not valid"),
        (lambda block: {"signed_header": {}}, "the certificate of the block is not valid"),
        (lambda block: {"signed_header": None}, "the certificate of the block is not valid"),
        (lambda block: {"header": None}, "is not the one that was certified"),
        (lambda block: {"header": {**block.header, "evidence_hash": "00" * 32}}, "is not the one that was certified"),
        (lambda block: {"header": {}}, "is not the one that was certified"),
        (
            lambda block: {"transactions": (block.transactions[0][:-1] + b"!", block.transactions[1])},
            "transaction 1 of 2, the record Announce of h0, was altered",
        ),
        (
            lambda block: {"transactions": (block.transactions[0], b"\xff" * 9)},
            "transaction 2 of 2, an unknown record of h0, was altered",
        ),
        (lambda block: {"transactions": block.transactions[:1]}, "its transactions are not those that its header"),
        (lambda block: {"transactions": block.transactions[::-1]}, "transaction 1 of 2"),
        (lambda block: {"transactions": (*block.transactions, b"")}, "its transactions are not those that its header"),
        (lambda block: {"last_commit": {}}, "the commit that it has of the block before is another"),
    ],
)  # fmt: skip
def test_altered_part_is_named_with_its_home_and_height_and_others_are_enough(alter: Alteration, told: str) -> None:
    height, found, taken = audited(h0=WHOLE, h1=changed(WHOLE, 3, **alter(WHOLE.blocks[3])))
    assert (height, len(taken)) == (4, 5)
    assert {(problem.home, problem.height) for problem in found.problems} == {("h1", 3)}
    assert told in next(problem.what for problem in found.problems if problem.height == 3)


def test_altered_transaction_that_no_home_has_whole_is_found_by_its_signature() -> None:
    first, second = WHOLE.blocks[3].transactions
    altered = changed(WHOLE, 3, transactions=(first, second[:-1] + bytes([second[-1] ^ 1])))
    height, found, taken = audited(h0=altered)
    assert (height, taken) == (2, list(BATCHES[0]))
    assert [str(problem) for problem in found.problems] == [
        "h0, height 3: transaction 2 of 2, an unknown record of h0, was altered",
        "height 3: no home has this block whole, so nothing from here on can be replayed",
    ]


def test_block_that_cannot_be_read_or_is_left_out_ends_the_replay_unless_another_home_has_it() -> None:
    less = replace(WHOLE, blocks={h: b for h, b in WHOLE.blocks.items() if h != 2}, damage={2: "it is cut short"})
    height, found, _ = audited(h0=less)
    assert height == 1
    assert [str(problem) for problem in found.problems] == [
        "h0, height 2: the block cannot be read: it is cut short",
        "height 2: no home has this block whole, so nothing from here on can be replayed",
    ]
    height, found, _ = audited(h0=less, h1=WHOLE)
    assert (height, len(found.problems)) == (4, 1)


def test_home_that_claims_blocks_without_end_is_told_at_the_first_that_is_missing() -> None:
    height, found, _ = audited(h0=replace(WHOLE, last=2**62))
    assert (height, [problem.height for problem in found.problems]) == (4, [5])


def test_certified_block_at_another_height_is_named() -> None:
    moved = replace(WHOLE, blocks={**WHOLE.blocks, 4: WHOLE.blocks[3]})
    _, found, _ = audited(h0=moved)
    assert "it is that of height 3" in found.problems[0].what
    assert (found.problems[0].home, found.problems[0].height) == ("h0", 4)


@pytest.mark.parametrize(
    ("forged", "told"),
    [
        ({"app_hash": {3: "AB" * 32}}, "the certified state is not the one that the blocks lead to"),
        (
            {"last_block_id": {3: {"hash": "AB" * 32, "parts": {"total": 0, "hash": ""}}}},
            "it does not follow the block",
        ),
    ],
)
def test_what_a_quorum_certified_against_the_blocks_is_a_problem(forged: dict[str, Any], told: str) -> None:
    height, found, _ = audited(h0=chain_of(**forged))
    assert height == 4
    assert [(problem.home, problem.height) for problem in found.problems] == [(None, 3)]
    assert told in found.problems[0].what
    assert "more members lied than may" in found.problems[0].what


def test_two_blocks_that_a_quorum_certified_for_one_height_are_told_with_both_homes() -> None:
    other = chain_of((BATCHES[0], (), BATCHES[2], (signed(6),)))
    height, found, taken = audited(h0=WHOLE, h1=other)
    assert (height, taken[-1]) == (4, BATCHES[3][0])
    [problem] = found.problems
    assert (problem.home, problem.height) == ("h1", 4)
    assert "two different blocks are certified, here and in h0" in problem.what


@pytest.mark.parametrize("nonce", [7, 2])
def test_transaction_that_its_author_did_not_sign_is_a_problem_and_not_replayed(nonce: int) -> None:
    right = signed(nonce)
    forged = Transaction(right.client, right.nonce, encode(Deposit("a", 2**40)), right.signatures)
    found, taken = AuditResult(), list[Transaction]()
    chain = chain_of((BATCHES[0], (forged,)))
    replayed = CometAudit(GENESIS, COMET_GENESIS, {"h0": chain}, found).run(
        Bank(), lambda _, transaction, __: taken.append(transaction)
    )
    assert (replayed.height, taken) == (2, list(BATCHES[0]))
    assert [str(problem) for problem in found.problems] == ["height 2: a quorum ordered what its author did not sign"]


def test_proof_that_a_validator_signed_twice_is_told_and_a_missing_one_is_a_problem() -> None:
    _, found, _ = audited(h0=changed(WHOLE, 2, evidence=({"type": "duplicate vote"},) * 2))
    assert found.problems == []
    assert [str(remark) for remark in found.remarks] == [
        "h0, height 2: 2 proofs that a validator signed two blocks stand here, unread"
    ]
    _, found, _ = audited(h0=chain_of(evidence_hash={2: "AB" * 32}))
    assert [str(problem) for problem in found.problems] == [
        "h0, height 2: proofs that a validator signed two blocks are missing here"
    ]


def test_another_chain_and_other_validators_prove_nothing() -> None:
    for genesis in (
        COMET_GENESIS.replace(f'"{CHAIN}"', '"another"'),
        json.dumps(json.loads(COMET_GENESIS) | {"validators": FOUR.shown[:3]}),
    ):
        found = AuditResult()
        replayed = CometAudit(GENESIS, genesis, {"h0": WHOLE}, found).run(Bank(), lambda *_: None)
        assert replayed.height == 0
        assert sum("the certificate of the block is not valid" in problem.what for problem in found.problems) == 4
