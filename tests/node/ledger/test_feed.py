"""What a participant sees of the ledger."""

import asyncio

from medward.ledger.bank import Bank, Deposit
from medward.ledger.encoding import encode
from medward.ledger.signatures import ED25519, AlgorithmBytes
from medward.ledger.types import Block, Transaction
from medward.node.interfaces import LedgerEvent, Ordered, Restored
from medward.node.ledger.feed import Feed, Observed


def block(height: int, amount: int = 1) -> Block:
    order = encode(Deposit("ward", amount))
    return Block(height, height, (Transaction(bytes(32), height, order, (AlgorithmBytes(ED25519, b"s"),)),))


async def some(feed: Feed, count: int) -> list[LedgerEvent]:
    found = []
    async for event in feed.events():
        found.append(event)
        if len(found) == count:
            break
    return found


def balance(event: LedgerEvent) -> int:
    value, _, _ = event.state.prove("ward")
    return int.from_bytes(value or b"", "big")


def test_the_first_event_is_the_present_state_and_then_comes_every_block_once() -> None:
    async def story() -> None:
        feed = Feed()
        bank = Observed(Bank(), feed)
        bank.apply(block(1))
        seen = asyncio.create_task(some(feed, 4))
        await asyncio.sleep(0)
        for height in (2, 3, 4):
            bank.apply(block(height))
        events = await seen
        assert isinstance(events[0], Restored)
        assert [event.block.height for event in events[1:] if isinstance(event, Ordered)] == [2, 3, 4]
        assert [balance(event) for event in events] == [1, 2, 3, 4]  # each with the state of its own moment

    asyncio.run(story())


def test_a_state_that_was_taken_over_replaces_what_led_to_the_one_before() -> None:
    async def story() -> None:
        feed, other = Feed(), Bank()
        bank = Observed(Bank(), feed)
        seen = asyncio.create_task(some(feed, 3))
        await asyncio.sleep(0)
        bank.apply(block(1))
        other.apply(block(1, 40))
        bank.restore(other.snapshot().encode())
        bank.apply(block(9, 2))
        events = await seen
        assert [type(event) for event in events] == [Restored, Restored, Ordered]
        assert [balance(event) for event in events] == [0, 40, 42]
        assert feed.query("ward") == (42).to_bytes(8, "big")

    asyncio.run(story())


def test_a_participant_far_behind_goes_on_from_the_present_state() -> None:
    async def story() -> None:
        feed = Feed(most_waiting=10)
        bank = Observed(Bank(), feed)
        reading = feed.events()
        await anext(reading)
        for height in range(1, 26):
            bank.apply(block(height))
        assert feed.waiting <= 10
        first = await anext(reading)
        assert isinstance(first, Restored)
        rest = [await anext(reading) for _ in range(feed.waiting)]
        assert [balance(event) for event in (first, *rest)] == list(range(balance(first), 26))

    asyncio.run(story())


def test_a_reader_that_begins_again_begins_with_the_present_state() -> None:
    async def story() -> None:
        feed = Feed()
        bank = Observed(Bank(), feed)
        bank.apply(block(1))
        await some(feed, 1)
        bank.apply(block(2))
        [event] = await some(feed, 1)
        assert isinstance(event, Restored)
        assert balance(event) == 2

    asyncio.run(story())


def test_a_waiting_reader_ends_with_the_node() -> None:
    async def story() -> None:
        feed = Feed()
        Observed(Bank(), feed)
        reading = asyncio.create_task(some(feed, 100))
        await asyncio.sleep(0.01)
        feed.end()
        assert len(await reading) == 1

    asyncio.run(story())
