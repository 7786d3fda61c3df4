"""What clients ask of a replica, and what strangers among them may cost and read (threats T5, T9 and D6)."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from medward.admission.rooms import Place
from medward.ledger.encoding import decode_form, encode
from medward.ledger.errors import NotCanonical
from medward.ledger.membership import ChainParameters, Genesis
from medward.ledger.pbft.client_protocol import (
    BlockReply,
    GetBlock,
    GetStatus,
    NodeStatus,
    QueryAnswer,
    Receipts,
    Refusal,
    ServerMessage,
    StateQuery,
    SubmitTransactions,
    WatchTransactions,
)
from medward.ledger.pbft.messages import Evidence
from medward.ledger.pbft.runtime import client_service
from medward.ledger.pbft.runtime.client_service import ClientService, Submission
from medward.ledger.pbft.runtime.listener import Caller
from medward.ledger.pbft.runtime.transport import frame, read_frame
from medward.ledger.signatures import MemberSigner
from medward.ledger.transactions import encode_transaction, sign_transaction, sign_transactions
from medward.ledger.types import Member, Receipt, TxResult
from tests.admission.world import until
from tests.ledger.pbft.runtime.port import Port, asked, live, rooms


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
        readers = [asyncio.StreamReader(), asyncio.StreamReader()]

        flood = [transaction(many, nonce + 1).encoded for nonce in range(64)]
        readers[0].feed_data(frame(encode(SubmitTransactions(tuple(flood)))) * 50)
        readers[1].feed_data(frame(encode(SubmitTransactions((transaction(few, 1).encoded,)))))
        serving = [asyncio.create_task(service.serve(client(reader, Writer()))) for reader in readers]
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
        reader = asyncio.StreamReader()
        reader.feed_data(frame(encode(WatchTransactions(key, 7, 3))))
        serving = asyncio.create_task(service.serve(client(reader, watcher)))
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
        service, reader = ClientService(lambda: None, lambda message: None), asyncio.StreamReader()
        many = b"".join(frame(encode(WatchTransactions(bytes(32), 64 * number, 64))) for number in range(2000))
        reader.feed_data(many)
        serving = asyncio.create_task(service.serve(client(reader, Writer())))
        await asyncio.sleep(0.05)
        assert len(service.take(10_000)) < 500
        assert len(service._waiting) <= 4096
        serving.cancel()

    asyncio.run(story())


def test_client_that_hangs_up_is_forgotten():
    async def story():
        service, reader, writer = ClientService(lambda: None, lambda message: None), asyncio.StreamReader(), Writer()
        signer = MemberSigner(Ed25519PrivateKey.generate())
        key = signer.public_keys[0].data
        handed_in = [transaction(signer, nonce).encoded for nonce in (1, 2)]
        asked = (SubmitTransactions(tuple(handed_in)), WatchTransactions(key, 3, 9))
        reader.feed_data(b"".join(frame(encode(message)) for message in asked))
        reader.feed_eof()
        with pytest.raises(asyncio.IncompleteReadError):
            await service.serve(client(reader, writer))
        assert not service
        assert service.take(100) == []
        service.settle(key, 1, Receipt(1, TxResult(0, b"")))
        service.flush()
        assert writer.said == []
        assert service._waiting == {}

    asyncio.run(story())


@pytest.mark.parametrize(
    "data",
    [
        frame(b"\xff"),
        frame(encode(SubmitTransactions((b"no transaction",)))),
        frame(encode(GetStatus()) + b"\x00"),
        (2**17 + 1).to_bytes(4, "big"),
    ],
)
def test_what_no_client_sends_ends_its_connection(data):
    async def story():
        service, reader = ClientService(lambda: None, lambda message: None), asyncio.StreamReader()
        reader.feed_data(data)
        with pytest.raises(NotCanonical):
            await service.serve(client(reader, Writer()))
        assert service.take(10) == []
        assert service._waiting == {}

    asyncio.run(story())


def test_client_that_waits_for_too_many_outcomes_is_told_of_the_latest(monkeypatch):
    monkeypatch.setattr(client_service, "_MAX_WAITING", 100)

    async def story():
        service, reader, writer = ClientService(lambda: None, lambda message: None), asyncio.StreamReader(), Writer()
        serving, wanted = asyncio.create_task(service.serve(client(reader, writer))), 320
        for first in range(1, wanted, 64):
            reader.feed_data(frame(encode(WatchTransactions(bytes(32), first, 64))))
            while not service.take(64):
                await asyncio.sleep(0)
        done = Receipt(1, TxResult(0, b""))
        for nonce in (1, wanted):
            service.settle(bytes(32), nonce, done)
        service.flush()
        assert writer.said == [Receipts(bytes(32), ((done, (wanted,)),))]
        assert len(service._waiting) < 101
        serving.cancel()

    asyncio.run(story())


def test_refusal_of_a_transaction_is_told_to_who_handed_it_in_and_to_the_operator():
    async def story():
        told, reader, writer = [], asyncio.StreamReader(), Writer()
        service = ClientService(lambda: None, lambda message: None, lambda what, why: told.append((what, why)))
        signer = MemberSigner(Ed25519PrivateKey.generate())
        key = signer.public_keys[0].data
        reader.feed_data(frame(encode(SubmitTransactions((transaction(signer, 7).encoded,)))))
        serving = asyncio.create_task(service.serve(client(reader, writer)))
        while not service.take(1):
            await asyncio.sleep(0)
        no = Refusal(key, 7, TxResult(5, b""), "not now")
        own = service.hand_in(transaction(signer, 7))
        service.settle(key, 7, no)
        assert writer.said == [no]
        assert await own == no
        assert told == [("a client's transaction", f"7 under the key {key.hex()[:16]}: not now")]
        serving.cancel()

    asyncio.run(story())


def status(height: int = 7) -> NodeStatus:
    genesis = Genesis("test", 0, ChainParameters(), tuple(Member(f"h{i}", 0, (), b"", "x:1") for i in range(4)))
    return NodeStatus(height, 0, 0, bytes(32), genesis.membership, (), (), None)


def costly(seconds: float) -> Callable[[object], object]:
    def answer(_message: object) -> object:
        end = time.thread_time() + seconds
        while time.thread_time() < end:
            pass
        return QueryAnswer(None)

    return answer


def test_questions_of_strangers_take_their_share_of_the_time_and_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A share so small that a busy machine has many times as much for this process.
    monkeypatch.setattr(client_service, "_SHARE", 0.01)
    work = 0.002
    port = Port(tmp_path, costly(work), rooms(strangers=40, anonymous=40))

    async def story() -> None:
        answered = 0
        end = time.monotonic() + 3

        async def flood() -> None:
            nonlocal answered
            reader, writer = await port.call()
            writer.write(frame(encode(StateQuery("a"))) * 1000)
            while time.monotonic() < end:
                await read_frame(reader)
                answered += 1

        flooding = [asyncio.create_task(flood()) for _ in range(30)]
        member = await port.call_as_member(asking=True)
        begun, waits = time.monotonic(), []
        while time.monotonic() < end:
            asking = time.monotonic()
            await asked(member, StateQuery("a"))
            waits.append(time.monotonic() - asking)
            await asyncio.sleep(0.05)
        elapsed = time.monotonic() - begun
        for one in flooding:
            one.cancel()
        await asyncio.gather(*flooding, return_exceptions=True)
        assert answered > 0
        # The share, what may be spent at once, and one answer that was begun.
        assert answered * work <= 0.01 * elapsed + 0.05 + 2 * work
        # The member has a share of its own, and waits for none of the thirty.
        assert sorted(waits)[len(waits) // 2] < 0.5

    live(port, story)


def test_strangers_are_told_a_status_that_was_put_together_for_all_of_them(tmp_path: Path) -> None:
    times = 0

    def answer(message: object) -> object:
        nonlocal times
        assert isinstance(message, GetStatus)
        times += 1
        return status(times)

    port = Port(tmp_path, answer, rooms())

    async def story() -> None:
        stranger, member = await port.call(), await port.call_as_member(asking=True)
        begun = time.monotonic()
        for _ in range(300):
            await asked(stranger, GetStatus())
        assert times <= 2 + (time.monotonic() - begun) / 0.25
        await asyncio.sleep(0.3)
        before = times
        assert await asked(stranger, GetStatus()) == encode(status(before + 1))
        # A member hears how it is, and not how it was.
        assert await asked(member, GetStatus()) == encode(status(before + 2))
        assert await asked(member, GetStatus()) == encode(status(before + 3))

    live(port, story)


QUESTIONS = [
    GetBlock(1),
    StateQuery("round/00000001"),
    WatchTransactions(b"\1" * 32, 1, 64),
    SubmitTransactions((transaction(MemberSigner(Ed25519PrivateKey.generate()), 1).encoded,)),
]


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: type(question).__name__)
@pytest.mark.parametrize("members_only", [True, False])
def test_where_only_members_are_served_a_stranger_is_hung_up_on_and_nothing_is_looked_up(
    tmp_path: Path, question: object, members_only: bool
) -> None:
    looked_up: list[object] = []

    def answer(message: object) -> object:
        looked_up.append(message)
        return BlockReply(None) if isinstance(message, GetBlock) else QueryAnswer(None)

    port = Port(tmp_path, answer, rooms(), members_only)

    def reached() -> bool:
        return bool(looked_up or port.service)

    async def story() -> None:
        reader, writer = await port.call()
        writer.write(frame(encode(question)) + frame(encode(GetStatus())))
        if not members_only:
            await until(reached, "a stranger's question arrived")
            return
        assert await reader.read() == b""
        assert not reached()
        assert [what for what, _ in port.told] == ["a caller without a member's certificate asked for records"]
        _, writer = await port.call_as_member(asking=True)
        writer.write(frame(encode(question)))
        await until(reached, "a member's question arrived")

    live(port, story)


@pytest.mark.parametrize("members_only", [True, False])
def test_stranger_is_told_who_the_members_are_and_what_proves_them_and_where_only_members_are_served_nothing_else(
    tmp_path: Path, members_only: bool
) -> None:
    less = status()
    whole = msgspec.structs.replace(less, evidence=(Evidence("h1", b"yes", b"no"),), halted="the disk is full")
    port = Port(tmp_path, lambda _: whole, rooms(), members_only)

    async def story() -> None:
        stranger, member = await port.call(), await port.call_as_member(asking=True)
        for _ in range(2):  # it may ask again
            assert await asked(stranger, GetStatus()) == encode(less if members_only else whole)
        assert await asked(member, GetStatus()) == encode(whole)

    live(port, story)


def test_answers_that_strangers_do_not_read_take_bounded_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_service, "_STRANGERS_UNSENT", 4 * 2**20)
    monkeypatch.setattr(client_service, "_SHARE", 0.9)  # so that they get much soon
    large = b"x" * 2**20

    class Large:
        """An answer of a MiB."""

    monkeypatch.setattr(client_service, "encode", lambda _: large)
    port = Port(tmp_path, lambda _: Large(), rooms(strangers=30, anonymous=30))

    async def story() -> None:
        deaf = []
        for _ in range(25):
            reader, writer = await port.call()
            writer.transport.pause_reading()  # type: ignore[attr-defined]
            writer.write(b"".join(frame(encode(GetBlock(height))) for height in range(20)))
            deaf.append((reader, writer))
            await asyncio.sleep(0.02)
        end, most = time.monotonic() + 20, 0
        while len(port.service._strangers) > 15:
            most = max(most, sum(connection.unsent for connection in port.service._strangers))
            assert time.monotonic() < end, f"nobody was hung up on, with {most} bytes unread"
            await asyncio.sleep(0.02)
        assert most <= 5 * 2**20

    live(port, story)


def test_who_does_not_read_what_it_asked_for_is_hung_up_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_service, "_UNREAD_SECONDS", 0.3)
    large = b"x" * 2**22
    monkeypatch.setattr(client_service, "encode", lambda _: large)
    places = rooms()
    port = Port(tmp_path, lambda _: object(), places)

    async def story() -> None:
        called = await port.call(), await port.call_as_member(asking=True)
        for _, writer in called:
            writer.transport.pause_reading()  # type: ignore[attr-defined]
            writer.write(b"".join(frame(encode(GetBlock(height))) for height in range(9)))
        await until(lambda: places.members.displaced == 0 == len(places.members) + len(places.anonymous), "both went")

    live(port, story)


def test_strangers_whose_transactions_are_refused_are_read_less_often(tmp_path: Path) -> None:
    port = Port(tmp_path, lambda _: QueryAnswer(None), rooms())
    signer = MemberSigner(Ed25519PrivateKey.generate())

    async def story() -> None:
        taken = 0
        stranger = await port.call()
        for group in range(60):
            many = sign_transactions(bytes(32), signer, [(64 * group + nonce, b"x") for nonce in range(1, 65)])
            stranger[1].write(frame(encode(SubmitTransactions(tuple(map(encode_transaction, many))))))
        begun = time.monotonic()
        while time.monotonic() - begun < 2:
            for wish in port.service.take(512):
                assert isinstance(wish, Submission)
                key = (wish.transaction.client, wish.transaction.nonce)
                port.service.settle(*key, Refusal(*key, TxResult(5, b""), "no"))
                taken += 1
            await asyncio.sleep(0.001)
        # A group that is in hand is looked at whole, so a little more than the share.
        assert taken >= 256
        assert taken * client_service._REFUSED_SECONDS < 2 * (0.1 * (time.monotonic() - begun) + 0.05)

    live(port, story)
