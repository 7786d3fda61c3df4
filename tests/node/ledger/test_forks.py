"""Nobody shows anything of a round whose block a quorum did not sign, or of one of two that it signed (threat M7).

f + 1 = 2 of 4 members sign two blocks of one height, each with another honest one: both bear a quorum's signatures.
Keys, certificates and the participant are real; only the network between the members is not there.
"""

import asyncio
import json
import secrets
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from medward.federation.application import FederationApplication
from medward.federation.records import Commitment, Record, SealingKey, Submit, decode_record, encode_record
from medward.federation.sums.encrypted import EncryptedSum
from medward.federation.sums.journal import AnswerJournal
from medward.flows.datasets import DATASETS
from medward.ledger.certificates import BlockHeader, CertifiedBlock, CommitCertificate, Vote
from medward.ledger.execution import Execution, transactions_root
from medward.ledger.membership import ChainParameters, Genesis
from medward.ledger.signatures import Domain, MemberSigner
from medward.ledger.transactions import decode_transaction, encode_transaction, sign_transaction
from medward.ledger.types import Block, Member, Receipt, Transaction, TxResult
from medward.node.errors import Forked, NotCertified
from medward.node.home.folder import Home
from medward.node.interfaces import Host, Ledger, LedgerEvent
from medward.node.ledger.feed import Feed, Observed
from medward.node.ledger.forks import MARKER, Forks, check_not_forked
from medward.node.node import Node
from medward.node.training.data import ParticipantSettings, plan_for
from medward.node.training.participant import TrainingParticipant
from medward.node.training.rules import agreement_parameters, read_agreement
from medward.store.local import in_memory

NAMES = ("h0", "h1", "h2", "h3")
SIGNERS = {name: MemberSigner(Ed25519PrivateKey.generate()) for name in NAMES}
MEMBERS = tuple(Member(name, 0, SIGNERS[name].public_keys, b"", "127.0.0.1:1") for name in NAMES)
GENESIS = Genesis("forks", 0, ChainParameters(), MEMBERS)
CHAIN = GENESIS.chain
#: h2 and h3 lie; h0 and h1 do not hear of each other.
HERE, THERE = ("h0", "h2", "h3"), ("h1", "h2", "h3")


def ordered(height: int, transactions: Sequence[Transaction], voters: Sequence[str], at: int) -> CertifiedBlock:
    """Return a block that these members have signed."""
    encoded = tuple(encode_transaction(transaction) for transaction in transactions)
    header = BlockHeader(CHAIN, 0, height, at, transactions_root(encoded), len(encoded))
    domain = Domain(CHAIN, "commit", 0, 0, height)
    votes = tuple(Vote(name, SIGNERS[name].sign(domain, header.digest())) for name in voters)
    return CertifiedBlock(CommitCertificate(header, 0, votes), encoded)


def said(name: str, nonce: int, payload: bytes = b"x") -> Transaction:
    return sign_transaction(CHAIN, SIGNERS[name], nonce, payload)


BLOCK = ordered(5, [said("h0", 1)], HERE, 9)
OTHER = ordered(5, [said("h1", 1)], THERE, 9)
APPLIED = Block(5, 9, tuple(decode_transaction(one) for one in BLOCK.transactions))


def check(folder: Path, own: CertifiedBlock | None, others: Sequence[CertifiedBlock], block: Block | None) -> None:
    async def tell(height: int) -> Sequence[CertifiedBlock]:
        assert height == 5
        return others

    asyncio.run(Forks(CHAIN, lambda: [GENESIS.membership], lambda _: own, tell, folder).check(5, block))


def test_block_of_a_quorum_that_all_others_have_too_is_certified(tmp_path: Path) -> None:
    later_view = ordered(5, [said("h0", 1)], ("h1", "h2", "h3"), 9)
    check(tmp_path, BLOCK, [BLOCK, later_view], APPLIED)
    check_not_forked(tmp_path)


@pytest.mark.parametrize(
    ("own", "block"),
    [
        (None, APPLIED),
        (ordered(5, [said("h0", 1)], ("h2", "h3"), 9), APPLIED),
        (ordered(5, [said("h0", 1)], ("h2", "h2", "h3"), 9), APPLIED),
        (ordered(6, [said("h0", 1)], HERE, 9), APPLIED),
        (BLOCK, Block(5, 9, (said("h0", 2),))),
        (ordered(5, [said("h0", 1)], HERE, 10), APPLIED),
    ],
    ids=["no block", "too few votes", "a vote twice", "another height", "another transaction", "a later time"],
)
def test_block_that_no_quorum_signed_is_not_certified(tmp_path: Path, own: CertifiedBlock | None, block: Block) -> None:
    with pytest.raises(NotCertified):
        check(tmp_path, own, [], block)
    check_not_forked(tmp_path)


def test_second_certified_block_of_a_height_stops_the_node_for_good(tmp_path: Path) -> None:
    with pytest.raises(Forked, match="two different blocks of height 5"):
        check(tmp_path, BLOCK, [OTHER], APPLIED)
    with pytest.raises(Forked, match="stops for good"):
        check_not_forked(tmp_path)
    assert len(json.loads((tmp_path / MARKER).read_text())["certificates"]) == 2


def test_node_that_saw_a_fork_does_not_start_again(homes: dict[str, Home]) -> None:
    home = homes["north"]
    with pytest.raises(Forked):
        check(home.ledger, BLOCK, [OTHER], APPLIED)
    with pytest.raises(Forked, match="stops for good"):
        Node(home, home.configuration())


def test_fork_shows_after_a_restart_too(tmp_path: Path) -> None:
    with pytest.raises(Forked):
        check(tmp_path, BLOCK, [OTHER], None)


@pytest.mark.parametrize(
    "claimed",
    [
        ordered(5, [said("h1", 1)], ("h2", "h3"), 9),
        ordered(6, [said("h1", 1)], THERE, 9),
        CertifiedBlock(OTHER.certificate, BLOCK.transactions),
    ],
    ids=["f + 1 votes alone", "another height", "other transactions than it names"],
)
def test_claims_of_liars_without_a_quorum_stop_nobody(tmp_path: Path, claimed: CertifiedBlock) -> None:
    check(tmp_path, BLOCK, [claimed], APPLIED)


class World(Ledger):
    """A ledger that orders at once what h0 hands in, in blocks of a quorum; h2 and h3 sign another one besides.

    Args:
        folder: gets the marker of a fork.
        application: the rules.
        checks: whether h0 asks for certificates at all.
        forked: whether h1, whom h0 reaches, has another block at each height.
    """

    def __init__(self, folder: Path, application: FederationApplication, checks: bool, forked: bool) -> None:
        self._feed, self._blocks, self._nonces = Feed(), dict[int, CertifiedBlock](), dict.fromkeys(NAMES, 0)
        self._execution = Execution(Observed(application, self._feed), 0)
        self._checks, self._forked = checks, forked
        self._forks = Forks(CHAIN, lambda: [GENESIS.membership], self._blocks.get, self._there, folder)
        self.records: list[Record] = []

    async def _there(self, height: int) -> Sequence[CertifiedBlock]:
        at = self._blocks[height].certificate.header.time
        return [ordered(height, [said("h1", 999)], THERE, at)] if self._forked else [self._blocks[height]]

    def events(self) -> AsyncIterator[LedgerEvent]:
        return self._feed.events()

    def order(self, *said_by: tuple[str, Record | bytes]) -> Receipt:
        transactions = []
        for name, record in said_by:
            self._nonces[name] += 1
            payload = record if isinstance(record, bytes) else encode_record(record)
            transactions.append(said(name, self._nonces[name], payload))
        height, at = self._execution.height + 1, max(int(time.time() * 1000), self._execution.time)
        self._blocks[height] = ordered(height, transactions, HERE, at)
        results = self._execution.execute(at, transactions).results
        for transaction, result in zip(transactions, results, strict=True):
            record_of = decode_record(transaction.payload)
            if not result.code and record_of is not None:
                self.records.append(record_of)
        return Receipt(height, results[-1] if results else TxResult(0, b""))

    async def submit(self, payload: bytes) -> Receipt:
        await asyncio.sleep(0)
        return self.order(("h0", payload))

    async def certify(self, block: Block | None) -> None:
        if self._checks:
            await self._forks.check(self._execution.height if block is None else block.height, block)

    def query(self, path: str) -> bytes | None:
        return self._feed.query(path)

    @property
    def members(self) -> Sequence[Member]:
        return MEMBERS


async def until_submitting(world: World, folder: Path) -> None:
    """Let the others give their sealing keys and commit, so that h0's turn comes to show its contribution."""
    for name in NAMES[1:]:
        with AnswerJournal(folder / f"{name}.sqlite") as journal:
            world.order((name, SealingKey(name, EncryptedSum(name, journal, bytes(32)).sealing_key())))
    while not any(isinstance(record, Commitment) for record in world.records):
        await asyncio.sleep(0.05)
    world.order(*((name, Commitment(0, name, secrets.token_bytes(32))) for name in NAMES[1:]))


def lived(folder: Path, *, checks: bool, forked: bool) -> tuple[World, BaseException | None]:
    """Let h0 take part until it shows its contribution, stops, or had long enough to."""
    settings = ParticipantSettings(data="ward", rows=1200, rounds=1, sites=4, trial=True)
    plan = plan_for(DATASETS["ward"], settings)
    agreement = read_agreement(agreement_parameters(plan, MEMBERS, name="forks", deadline=600.0))
    world = World(folder, FederationApplication(agreement), checks, forked)
    table = {key: getattr(settings, key) for key in ("data", "rows", "rounds", "sites", "trial")}

    async def run() -> BaseException | None:
        mine = folder / "participant"
        host = Host("h0", MEMBERS[0], CHAIN, mine, folder / "data", table, in_memory(), world, asyncio.Event())
        taking_part = asyncio.create_task(TrainingParticipant(host).run())
        others = asyncio.create_task(until_submitting(world, folder))
        try:
            async with asyncio.timeout(60):
                while not taking_part.done() and not any(isinstance(record, Submit) for record in world.records):
                    await asyncio.sleep(0.05)
        finally:
            for task in (taking_part, others):
                task.cancel()
            await asyncio.gather(taking_part, others, return_exceptions=True)
        return None if taking_part.cancelled() else taking_part.exception()

    return world, asyncio.run(run())


def test_member_responds_to_a_beacon_that_a_quorum_signed(tmp_path: Path) -> None:
    world, failure = lived(tmp_path, checks=True, forked=False)
    assert failure is None
    assert [record.member for record in world.records if isinstance(record, Submit)] == ["h0"]


def test_member_that_sees_a_fork_stops_before_it_responds(tmp_path: Path) -> None:
    world, failure = lived(tmp_path, checks=True, forked=True)
    assert isinstance(failure, Forked)
    assert not any(isinstance(record, Submit) for record in world.records)
    with pytest.raises(Forked):
        check_not_forked(tmp_path)


def test_without_the_check_a_member_responds_on_one_side_of_a_fork(tmp_path: Path) -> None:
    world, failure = lived(tmp_path, checks=False, forked=True)
    assert failure is None
    assert any(isinstance(record, Submit) for record in world.records)
