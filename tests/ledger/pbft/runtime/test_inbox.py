"""What one peer may cost: its own connection and its share of the time, and no more."""

import asyncio

import pytest

from medward.ledger.errors import NotCanonical
from medward.ledger.pbft.messages import MAX_FRAME, Request, Status, decode_message, encode_message
from medward.ledger.pbft.runtime.inbox import SHARE_MESSAGES, Inbox, Share
from medward.ledger.pbft.runtime.transport import frame

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


def test_requests_are_passed_on_in_messages_that_the_others_read():
    largest = Request(tuple(bytes([i]) * 65_000 for i in range(17)))
    assert decode_message(encode_message(largest)) == largest
