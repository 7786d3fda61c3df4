"""What one peer or client may cost: its own connection and its share of the time, and no more."""

import asyncio

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from medward.ledger.bank import Note
from medward.ledger.encoding import encode
from medward.ledger.errors import NotCanonical
from medward.ledger.membership import ChainParameters, Genesis
from medward.ledger.pbft.client import PbftClient
from medward.ledger.pbft.client_desk import ClientDesk, Submission
from medward.ledger.pbft.inbox import SHARE_MESSAGES, Inbox, Share
from medward.ledger.pbft.messages import MAX_FRAME, Request, Status, decode_message, encode_message
from medward.ledger.pbft.transport import frame
from medward.ledger.signatures import MemberSigner
from medward.ledger.transactions import encode_transaction, sign_transaction
from medward.ledger.types import Member, Receipt, TxResult

STATUS = Status(0, 0, False, 0, 0, 0, False)


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


def transaction(signer, nonce):
    made = sign_transaction(bytes(32), signer, nonce, b"x")
    return Submission(encode_transaction(made), made, True)


def test_a_client_that_hands_in_much_does_not_keep_the_others_or_the_node_itself_waiting():
    async def story():
        desk = ClientDesk(lambda: None, lambda message: None)
        many, few, own = (MemberSigner(Ed25519PrivateKey.generate()) for _ in range(3))
        connections = [Connection(), Connection()]

        class Writer:
            async def drain(self):
                pass

        from medward.ledger.pbft.client_protocol import Submit  # noqa: PLC0415

        flood = [transaction(many, nonce + 1).encoded for nonce in range(64)]
        connections[0].reader.feed_data(frame(encode(Submit(tuple(flood), True))) * 50)
        connections[1].reader.feed_data(frame(encode(Submit((transaction(few, 1).encoded,), True))))
        serving = [asyncio.create_task(desk.serve(connection.reader, Writer())) for connection in connections]
        await asyncio.sleep(0.05)
        desk.hand_in(transaction(own, 1))
        taken = [submission.transaction.client for submission in desk.take(100)]
        assert taken[0] == own.public_keys[0].data
        assert few.public_keys[0].data in taken
        left = len(desk.take(10_000))
        # The flood is read no further than a few of its groups; the rest waits in its own connection.
        assert left < 500
        for task in serving:
            task.cancel()

    asyncio.run(story())


def test_a_client_that_follows_a_later_epoch_believes_only_its_members():
    async def story():
        signers = [MemberSigner(Ed25519PrivateKey.generate()) for _ in range(5)]
        members = tuple(Member(f"h{i}", 0, signer.public_keys, b"", "nowhere:1") for i, signer in enumerate(signers))
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
