"""What one peer or client may cost: its own connection and its share of the time, and no more."""

import asyncio

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from medward.admission.rooms import Place
from medward.ledger.bank import Note
from medward.ledger.encoding import decode_form, encode
from medward.ledger.errors import LedgerError, NotCanonical, TransactionRefused
from medward.ledger.membership import ChainParameters, Genesis
from medward.ledger.pbft.client import PbftClient
from medward.ledger.pbft.client_protocol import (
    ClientMessage,
    Receipts,
    Refusal,
    ServerMessage,
    SubmitTransactions,
    WatchTransactions,
)
from medward.ledger.pbft.messages import MAX_FRAME, Request, Status, decode_message, encode_message
from medward.ledger.pbft.runtime.client_service import ClientService, Submission
from medward.ledger.pbft.runtime.inbox import SHARE_MESSAGES, Inbox, Share
from medward.ledger.pbft.runtime.listener import Caller
from medward.ledger.pbft.runtime.transport import frame
from medward.ledger.signatures import MemberSigner
from medward.ledger.transactions import encode_transaction, sign_transaction
from medward.ledger.types import Member, Receipt, TxResult

STATUS = Status(0, 0, False, 0, 0, 0, False, 0)


def list_of(count, item):
    return b"\x9a" + count.to_bytes(4, "big") + item * count


@pytest.mark.parametrize("kind", ["", "new-view", "manifest", "pre-prepare"])
@pytest.mark.parametrize("item", [b"\x00", b"\x80", b"\x81\x00"])
def test_a_frame_of_countless_empty_items_is_refused_before_they_are_made(kind, item):
    head = b"\x84" + bytes([0x60 + len(kind)]) + kind.encode()
    data = head + list_of((MAX_FRAME - 64) // len(item), item) + b"\x00\x00"
    with pytest.raises(NotCanonical, match=r"more items|longer than its kind"):
        decode_message(data)


def test_a_status_as_long_as_a_block_is_not_decoded():
    data = b"\x82\x66status" + b"\x5a" + (2**20).to_bytes(4, "big") + bytes(2**20)
    with pytest.raises(NotCanonical, match="longer than its kind"):
        decode_message(data)


def test_a_share_of_a_turn_ends():
    share, taken = Share(), 0
    while share.take():
        taken += 1
    assert 0 < taken <= SHARE_MESSAGES


class Connection:
    """What a listener holds of one connection: bytes to read, and whether it was broken off."""

    def __init__(self) -> None:
        self.reader = asyncio.StreamReader()
        self.aborted = False
        self.transport = self

    def abort(self) -> None:
        self.aborted = True


def test_a_peer_is_read_no_further_than_its_inbox_holds_and_the_newest_connection_counts():
    async def story():
        inbox, first, second, wake = Inbox(), Connection(), Connection(), asyncio.Event()
        first.reader.feed_data(frame(encode_message(STATUS)) * 3000)
        listening = asyncio.create_task(inbox.listen(first.reader, first, wake))
        await asyncio.sleep(0.05)
        waiting = 0
        while inbox.next() is not None:
            waiting += 1
        assert waiting == 1024
        again = asyncio.create_task(inbox.listen(second.reader, second, wake))
        await asyncio.sleep(0)
        assert first.aborted
        assert not second.aborted
        for task in (listening, again):
            task.cancel()

    asyncio.run(story())


def test_who_left_is_hung_up_on_and_what_it_said_last_is_forgotten():
    async def story():
        inbox, connection = Inbox(), Connection()
        connection.reader.feed_data(frame(encode_message(STATUS)) * 2000)
        listening = asyncio.create_task(inbox.listen(connection.reader, connection, asyncio.Event()))
        await asyncio.sleep(0.05)
        assert inbox
        inbox.close()
        assert connection.aborted
        assert not inbox
        listening.cancel()

    asyncio.run(story())


def test_who_sent_what_does_not_decode_is_not_listened_to_for_a_while():
    async def story():
        inbox, bad, next_try = Inbox(), Connection(), Connection()
        bad.reader.feed_data(frame(b"\xff"))
        with pytest.raises(NotCanonical):
            await inbox.listen(bad.reader, bad, asyncio.Event())
        next_try.reader.feed_data(frame(encode_message(STATUS)))
        async with asyncio.timeout(5):
            await inbox.listen(next_try.reader, next_try, asyncio.Event())
        assert not inbox

    asyncio.run(story())


def client(reader, writer):
    """A client without a certificate."""
    return Caller(None, True, reader, writer, Place("192.0.2.1", lambda: None))


def transaction(signer, nonce):
    made = sign_transaction(bytes(32), signer, nonce, b"x")
    return Submission(encode_transaction(made), made)


def test_a_client_that_hands_in_much_does_not_keep_the_others_or_the_node_itself_waiting():
    async def story():
        service = ClientService(lambda: None, lambda message: None)
        many, few, own = (MemberSigner(Ed25519PrivateKey.generate()) for _ in range(3))
        connections = [Connection(), Connection()]

        flood = [transaction(many, nonce + 1).encoded for nonce in range(64)]
        connections[0].reader.feed_data(frame(encode(SubmitTransactions(tuple(flood)))) * 50)
        connections[1].reader.feed_data(frame(encode(SubmitTransactions((transaction(few, 1).encoded,)))))
        serving = [
            asyncio.create_task(service.serve(client(connection.reader, Writer()))) for connection in connections
        ]
        await asyncio.sleep(0.05)
        service.hand_in(transaction(own, 1))
        taken = [submission.transaction.client for submission in service.take(100)]
        assert taken[0] == own.public_keys[0].data
        assert few.public_keys[0].data in taken
        left = len(service.take(10_000))
        # The flood is read no further than a few of its groups; the rest waits in its own connection.
        assert left < 500
        for task in serving:
            task.cancel()

    asyncio.run(story())


class Writer:
    """What a service answers into."""

    def __init__(self):
        self.said = []

    def write(self, data):
        self.said.append(decode_form(data[4:], ServerMessage))

    def is_closing(self):
        return False

    async def drain(self):
        pass


def test_who_only_watches_is_answered_as_who_handed_in():
    async def story():
        service, watcher = ClientService(lambda: None, lambda message: None), Writer()
        key = MemberSigner(Ed25519PrivateKey.generate()).public_keys[0].data
        connection = Connection()
        connection.reader.feed_data(frame(encode(WatchTransactions(key, 7, 3))))
        serving = asyncio.create_task(service.serve(client(connection.reader, watcher)))
        await asyncio.sleep(0.05)
        assert service.take(10) == [WatchTransactions(key, 7, 3)]
        done, other = Receipt(4, TxResult(0, b"")), Receipt(4, TxResult(2, b"why"))
        for nonce, receipt in ((6, done), (7, done), (8, other), (9, done), (10, done)):
            service.settle(key, nonce, receipt)
        service.flush()
        assert watcher.said == [Receipts(key, ((done, (7, 9)), (other, (8,))))]
        # Each is answered once.
        service.settle(key, 7, done)
        service.flush()
        assert len(watcher.said) == 1
        serving.cancel()

    asyncio.run(story())


def test_watching_without_end_is_read_no_further_than_the_replica_takes_it():
    async def story():
        service, connection = ClientService(lambda: None, lambda message: None), Connection()
        many = b"".join(frame(encode(WatchTransactions(bytes(32), 64 * number, 64))) for number in range(2000))
        connection.reader.feed_data(many)
        serving = asyncio.create_task(service.serve(client(connection.reader, Writer())))
        await asyncio.sleep(0.05)
        assert len(service.take(10_000)) < 500
        assert len(service._waiting) <= 4096
        serving.cancel()

    asyncio.run(story())


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


def test_requests_are_passed_on_in_messages_that_the_others_read():
    largest = Request(tuple(bytes([i]) * 65_000 for i in range(17)))
    assert decode_message(encode_message(largest)) == largest
