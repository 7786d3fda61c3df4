"""A client of the ledger: whom it asks, whom it believes, and when it gives up."""

import asyncio

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec.structs import replace

from medward.ledger.bank import Note
from medward.ledger.certificates import CertifiedAnswer, CheckpointBody, CheckpointCertificate, Handover, Vote
from medward.ledger.encoding import decode_form, encode
from medward.ledger.errors import LedgerError, TransactionRefused
from medward.ledger.execution import NONCE_WINDOW, StateSummary
from medward.ledger.membership import ChainParameters, Genesis, Membership
from medward.ledger.merkle import MerkleMap
from medward.ledger.pbft.client import PbftClient
from medward.ledger.pbft.client_protocol import (
    BlockReply,
    ClientMessage,
    GetStatus,
    NodeStatus,
    QueryAnswer,
    Receipts,
    Refusal,
    SubmitTransactions,
    WatchTransactions,
)
from medward.ledger.pbft.identity import NodeIdentity
from medward.ledger.signatures import Domain, MemberSigner
from medward.ledger.snapshots import MapSnapshot
from medward.ledger.transactions import decode_transaction
from medward.ledger.types import Member, Receipt, TxResult
from tests.streams import Ends, reset


def members_nowhere(count):
    signers = [MemberSigner(Ed25519PrivateKey.generate()) for _ in range(count)]
    return tuple(Member(f"h{i}", 0, signer.public_keys, b"", "nowhere:1") for i, signer in enumerate(signers))


def test_a_client_asks_one_replica_at_first_and_all_when_that_one_refuses():
    async def story():
        members = members_nowhere(4)
        genesis = Genesis("test", 0, ChainParameters(), members)
        client = PbftClient(genesis, MemberSigner(Ed25519PrivateKey.generate()), patience=60)
        sent = []

        class Recorded:
            def __init__(self, name):
                self.name = name

            async def send(self, data):
                sent.append((self.name, decode_form(data[4:], ClientMessage)))
                return True

            async def close(self):
                pass

        client._connections = {member.name: Recorded(member.name) for member in members}
        payloads = [encode(Note("a", bytes([number]))) for number in range(3)]
        waiting = [asyncio.create_task(client.submit(payload)) for payload in payloads]
        await asyncio.sleep(0.05)
        watch = WatchTransactions(client._client, 1, 3)
        assert [name for name, message in sent if isinstance(message, SubmitTransactions)] == ["h0"]
        assert sorted(name for name, message in sent if message == watch) == ["h1", "h2", "h3"]
        no = Refusal(client._client, 2, TxResult(5, b""), "not now")
        client._hear("h0", encode(no))
        await asyncio.sleep(0.05)
        # Long before its patience ends.
        assert [name for name, message in sent[4:] if isinstance(message, SubmitTransactions)] == [
            "h0",
            "h1",
            "h2",
            "h3",
        ]
        client._hear("h0", encode(no))
        await asyncio.sleep(0.05)
        assert len(sent) == 8
        client._hear("h1", encode(no))
        yes = Receipts(client._client, ((Receipt(1, TxResult(0, b"")), (1, 3)),))
        for name in ("h2", "h3"):
            client._hear(name, encode(yes))
        outcomes = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [Receipt, TransactionRefused, Receipt]
        await client.close()

    asyncio.run(story())


def test_a_client_gives_each_payload_up_at_its_own_time():
    async def story():
        members = members_nowhere(4)
        client = PbftClient(Genesis("test", 0, ChainParameters(), members), MemberSigner(Ed25519PrivateKey.generate()))
        late = asyncio.create_task(client.submit(b"a", give_up=30))
        soon, sooner = (asyncio.create_task(client.submit(b"a", give_up=seconds)) for seconds in (0.2, 0.1))
        with pytest.raises(LedgerError, match="came in time; it may still be ordered"):
            await sooner
        assert not soon.done()
        with pytest.raises(LedgerError, match="came in time"):
            await soon
        assert not late.done()
        await client.close()
        with pytest.raises(LedgerError, match="before this client hung up"):
            await late

    asyncio.run(story())


def test_a_client_that_follows_a_later_epoch_believes_only_its_members():
    async def story():
        members = members_nowhere(5)
        genesis = Genesis("test", 0, ChainParameters(), members[:4])
        client = PbftClient(genesis, MemberSigner(Ed25519PrivateKey.generate()))
        sending = asyncio.create_task(client.submit(encode(Note("a", b"")), give_up=0.3))
        await asyncio.sleep(0.01)
        lie = Receipt(7, TxResult(9, b"a lie"))
        client._count("h0", 1, lie)
        # h0 has left: what it said counts no more, nor what it says from now on.
        client.follow(Genesis("later", 0, ChainParameters(), members[1:]).membership)
        client._count("h1", 1, lie)
        client._count("h0", 1, lie)
        await asyncio.sleep(0)
        assert not sending.done()
        client._count("h2", 1, lie)
        assert await sending == lie
        await client.close()

    asyncio.run(story())


class Replicas:
    """What the replicas of a client would say, in place of its connections to them; it notes what each was asked."""

    def __init__(self, client, answers):
        self.client, self.answers, self.asked = client, answers, []
        client._connections = {name: Line(self, name) for name in answers}


class Line:
    """The connection to one replica; what it says is an encoded message, or None where it says nothing."""

    def __init__(self, replicas, name):
        self.replicas, self.name = replicas, name

    async def send(self, data):
        message = decode_form(data[4:], ClientMessage)
        self.replicas.asked.append((self.name, message))
        said = self.replicas.answers[self.name](message)
        if said is not None:
            self.replicas.client._hear(self.name, encode(said))
        return True

    async def close(self):
        pass


SIGNERS = {f"h{i}": MemberSigner(Ed25519PrivateKey.generate()) for i in range(5)}
KNOWN = tuple(Member(name, 0, signer.public_keys, b"", "nowhere:1") for name, signer in SIGNERS.items())
GENESIS = Genesis("test", 0, ChainParameters(), KNOWN[:4])
STATE = MerkleMap().set(b"a", b"1").set(b"b", b"2")


def signed_body(signers, epoch, height, following, app_hash=STATE.root):
    summary = StateSummary(height, 1, app_hash, bytes(32))
    body = CheckpointBody(GENESIS.chain, epoch, height, summary, bytes(32), following.digest(), bytes(32))
    domain = Domain(GENESIS.chain, "checkpoint", epoch, 0, height)
    return CheckpointCertificate(body, tuple(Vote(n, SIGNERS[n].sign(domain, body.digest())) for n in signers))


def answer(path, signers=("h0", "h1", "h2"), epoch=0, following=GENESIS.membership):
    value, key, proof = MapSnapshot(STATE).prove(path)
    return CertifiedAnswer(key, value, proof, signed_body(signers, epoch, 128, following))


def says(found, handovers=()):
    """A replica that gives this answer to any query."""
    status = NodeStatus(128, len(handovers), 0, bytes(32), GENESIS.membership, handovers, (), None)
    return lambda message: status if isinstance(message, GetStatus) else QueryAnswer(found)


def queried(*lies, path="a", honest=None):
    """Ask replicas of which the first ones lie; return what was believed, and how many were asked."""

    async def story():
        client = PbftClient(GENESIS, SIGNERS["h4"], patience=0.01)
        answers = [*lies, says(honest)]
        replicas = Replicas(client, {f"h{number}": one for number, one in enumerate(answers)})
        try:
            found = await client.query(path)
        finally:
            await client.close()
        return found, len({name for name, _ in replicas.asked})

    return asyncio.run(story())


LIES = {
    "no answer": lambda _: None,
    "the wrong kind": lambda _: BlockReply(None),
    "no checkpoint yet": says(None),
    "too few signed": says(answer("a", ("h0", "h1"))),
    "a stranger signed": says(answer("a", ("h0", "h1", "h4"))),
    "another value": says(replace(answer("a"), value=b"1000")),
    "an absence": says(replace(answer("a"), value=None)),
    "another key": says(answer("b")),
    "a cut proof": says(replace(answer("a"), proof=replace(answer("a").proof, siblings=()))),
    "an endless proof": says(replace(answer("a"), proof=replace(answer("a").proof, siblings=(bytes(32),) * 256))),
    "an epoch that nobody proved": says(answer("a", epoch=1)),
    "members that nobody handed over to": says(
        answer("a", ("h4",), 1),
        (Handover(signed_body(("h0", "h1"), 0, 64, Membership(1, 65, KNOWN[4:])), Membership(1, 65, KNOWN[4:])),),
    ),
}


@pytest.mark.parametrize("lie", LIES)
def test_query_that_one_replica_answers_with_a_lie_is_answered_by_the_next(lie):
    found, asked = queried(LIES[lie], honest=answer("a"))
    assert found == answer("a")
    assert found.value == b"1"
    assert asked == 2


def test_query_is_believed_of_members_to_whom_the_genesis_members_handed_over():
    later = Membership(1, 65, KNOWN[1:])
    handover = Handover(signed_body(("h0", "h1", "h2"), 0, 64, later), later)
    found = answer("a", ("h2", "h3", "h4"), 1, later)
    assert queried(says(found, (handover,)))[0].value == b"1"


def test_query_that_nobody_proves_fails_in_a_sentence():
    with pytest.raises(LedgerError, match="no replica gave an answer about a that proves itself"):
        queried(LIES["another value"], LIES["too few signed"], honest=None)
    assert queried(path="nothing", honest=answer("nothing"))[0].value is None


def test_answers_of_another_kind_than_asked_for_are_no_status_and_no_block():
    async def story():
        client = PbftClient(GENESIS, SIGNERS["h4"], patience=0.01)
        Replicas(client, {"h0": lambda _: QueryAnswer(None), "h1": lambda _: None})
        for name in ("h0", "h1"):
            assert await client.status(name) is None
            assert await client.block(name, 1) is None
        # What nobody asked for is dropped.
        client._hear("h0", encode(QueryAnswer(None)))
        await client.close()

    asyncio.run(story())


def test_one_replica_that_answers_many_times_or_for_another_client_is_one_voice_or_none():
    async def story():
        client = PbftClient(GENESIS, SIGNERS["h4"], patience=60)
        Replicas(client, {f"h{number}": lambda _: None for number in range(4)})
        sending = asyncio.create_task(client.submit(b"a"))
        await asyncio.sleep(0.01)
        own, lie, truth = client._client, Receipt(1, TxResult(0, b"lie")), Receipt(1, TxResult(0, b"truth"))
        for name in ("h0", "h0", "nobody"):
            client._hear(name, encode(Receipts(own, ((lie, (1, 1, 1)),))))
        for name in ("h1", "h2", "h3"):
            client._hear(name, encode(Receipts(bytes(32), ((lie, (1,)),))))
            client._hear(name, encode(Receipts(own, ((lie, (2,)),))))
            client._hear(name, encode(Refusal(bytes(32), 1, lie.result, "no")))
        await asyncio.sleep(0)
        assert not sending.done()
        for name in ("h1", "h2"):
            client._hear(name, encode(Receipts(own, ((truth, (1,)),))))
        assert await sending == truth
        # What comes after it is settled changes nothing.
        client._hear("h3", encode(Receipts(own, ((lie, (1,)),))))
        await client.close()

    asyncio.run(story())


def test_no_nonce_is_sent_that_the_ledger_would_take_for_an_old_one():
    async def story():
        client = PbftClient(GENESIS, SIGNERS["h4"], first_nonce=1, patience=60, together=8)
        replicas = Replicas(client, {f"h{number}": lambda _: None for number in range(4)})
        sending = [asyncio.create_task(client.submit(bytes([number]))) for number in range(NONCE_WINDOW + 5)]
        await asyncio.sleep(0.1)

        def handed_in():
            groups = [m.transactions for _, m in replicas.asked if isinstance(m, SubmitTransactions)]
            return sorted(decode_transaction(one).nonce for group in groups for one in group)

        assert handed_in() == list(range(1, NONCE_WINDOW + 1))
        done = Receipt(1, TxResult(0, b""))
        for name in ("h0", "h1"):
            # All but the oldest: the window stays where it is.
            client._hear(name, encode(Receipts(client._client, ((done, tuple(range(2, NONCE_WINDOW + 1))),))))
        await asyncio.sleep(0.05)
        assert handed_in() == list(range(1, NONCE_WINDOW + 1))
        for name in ("h0", "h1"):
            client._hear(name, encode(Receipts(client._client, ((done, (1,)),))))
        await asyncio.sleep(0.05)
        assert handed_in() == list(range(1, NONCE_WINDOW + 6))
        await client.close()
        outcomes = await asyncio.gather(*sending, return_exceptions=True)
        assert sum(isinstance(one, LedgerError) for one in outcomes) == 5

    asyncio.run(story())


def test_replica_that_resets_the_connection_leaves_no_traceback(tmp_path):
    async def story():
        calls = asyncio.Queue()
        keys = NodeIdentity.create(tmp_path / "keys")
        server = await asyncio.start_server(
            lambda _, writer: calls.put_nowait(writer), "127.0.0.1", 0, ssl=keys.server_context()
        )
        member = keys.member("h0", 0, f"127.0.0.1:{server.sockets[0].getsockname()[1]}")
        client = PbftClient(Genesis("test", 0, ChainParameters(), (member,)), SIGNERS["h4"], patience=0.05)
        submitting = asyncio.create_task(client.submit(b"a", give_up=5))
        called = await calls.get()
        ends = Ends()
        reset(called)
        async with server:
            await calls.get()
        await client.close()
        with pytest.raises(LedgerError, match="hung up"):
            await submitting
        return ends.asked_for

    assert asyncio.run(story()) == [True]
