"""Threats T5 and T9: callers at the ledger's port that nobody knows, with their connections, questions and memory."""

import asyncio
import contextlib
import ssl
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from medward.admission.rooms import Room
from medward.ledger.encoding import encode
from medward.ledger.membership import ChainParameters, Genesis
from medward.ledger.pbft.client_protocol import (
    GetBlock,
    GetStatus,
    NodeStatus,
    QueryAnswer,
    Refusal,
    StateQuery,
    SubmitTransactions,
)
from medward.ledger.pbft.identity import NodeIdentity
from medward.ledger.pbft.runtime import client_service
from medward.ledger.pbft.runtime.allotment import Allotment
from medward.ledger.pbft.runtime.client_service import ClientService, Submission
from medward.ledger.pbft.runtime.event_loop import run
from medward.ledger.pbft.runtime.listener import Caller, Listener, ListenerRooms
from medward.ledger.pbft.runtime.transport import frame, read_frame
from medward.ledger.signatures import MemberSigner
from medward.ledger.transactions import encode_transaction, sign_transactions
from medward.ledger.types import Member, TxResult
from medward.node.trial.ports import free_ports
from tests.admission.world import until

Called = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Port:
    """A listening replica's port with a service behind it."""

    def __init__(self, folder: Path, answer: Callable[[object], object], rooms: ListenerRooms | None = None) -> None:
        self.address = f"127.0.0.1:{free_ports(1)[0]}"
        self.keys = {name: NodeIdentity.create(folder / name) for name in ("mine", "north")}
        self.mine, self.north = (self.keys[name].member(name, 0, self.address) for name in self.keys)
        self.service = ClientService(lambda: None, answer)  # type: ignore[arg-type]
        self.replicas: list[Caller] = []
        names = {self.north.certificate: "north"}
        self.listener = Listener(self.keys["mine"].server_context(), self._serve, names.get, rooms=rooms)
        self.listener.trust(self.north)

    async def _serve(self, caller: Caller) -> None:
        if caller.as_client:
            await self.service.serve(caller)
        else:
            self.replicas.append(caller)
            await caller.reader.read()

    async def call(self, context: ssl.SSLContext | None = None, source: str = "127.0.0.1") -> Called:
        host, _, port = self.address.rpartition(":")
        anyone = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        anyone.check_hostname, anyone.verify_mode = False, ssl.CERT_NONE
        return await asyncio.open_connection(host, int(port), ssl=context or anyone, local_addr=(source, 0))

    async def come(self, times: int, source: str) -> int:
        """Call again and again without a certificate; return how many shook hands."""
        shaken = 0
        for _ in range(times):
            with contextlib.suppress(OSError):
                await self.call(source=source)
                shaken += 1
            await asyncio.sleep(0.03)
        return shaken

    async def call_as_member(self, asking: bool) -> Called:
        keys = self.keys["north"]
        return await self.call(keys.asking_context(self.mine) if asking else keys.client_context(self.mine))


def live(port: Port, story: Callable[[], Awaitable[None]]) -> None:
    async def whole() -> None:
        await port.listener.start(port.address)
        try:
            async with asyncio.timeout(60):
                await story()
        finally:
            await port.listener.close()

    run(whole())


async def asked(called: Called, message: object) -> bytes:
    reader, writer = called
    writer.write(frame(encode(message)))
    return await read_frame(reader)


def status(port: Port, height: int = 7) -> NodeStatus:
    genesis = Genesis("test", 0, ChainParameters(), tuple(Member(f"h{i}", 0, (), b"", "x:1") for i in range(4)))
    return NodeStatus(height, 0, 0, bytes(32), genesis.membership, (), (), None)


def costly(seconds: float) -> Callable[[object], object]:
    def answer(_message: object) -> object:
        end = time.thread_time() + seconds
        while time.thread_time() < end:
            pass
        return QueryAnswer(None)

    return answer


def rooms(strangers: int = 4, anonymous: int = 4, members: int = 2, life: float = 60.0) -> ListenerRooms:
    return ListenerRooms(
        Room(strangers, strangers, grace=0.2, life=2.0),
        Room(strangers, strangers, grace=0.2, life=2.0),
        Room(anonymous, anonymous, grace=0.2, life=life),
        Room(64, members, known=True),
    )


def test_anonymous_clients_have_few_places_and_a_member_has_its_own(tmp_path: Path) -> None:
    places = rooms()
    port = Port(tmp_path, lambda _: QueryAnswer(None), places)

    async def story() -> None:
        port.listener.expect([port.north])
        assert await port.come(30, source="127.0.0.2") > 4
        assert len(places.anonymous) <= 4
        asking, voting = await port.call_as_member(asking=True), await port.call_as_member(asking=False)
        assert await asked(asking, StateQuery("a")) == encode(QueryAnswer(None))
        voting[1].write(b"x")
        await asyncio.sleep(0.3)
        assert [caller.name for caller in port.replicas] == ["north"]
        await port.come(30, source="127.0.0.2")
        assert await asked(asking, StateQuery("a")) == encode(QueryAnswer(None))
        # As a client it has places apart from the one that it votes on.
        more = [await port.call_as_member(asking=True) for _ in range(5)]
        await asyncio.sleep(0.3)
        assert sum(reader.at_eof() for reader, _ in more) == 3
        assert not port.replicas[0].reader.at_eof()
        assert len(places.members) == 3

    live(port, story)


def test_anonymous_client_that_says_nothing_is_hung_up_on(tmp_path: Path) -> None:
    port = Port(tmp_path, lambda _: QueryAnswer(None), rooms(life=1.0))

    async def story() -> None:
        idle, half, useful = [await port.call() for _ in range(3)]
        half[1].write((100).to_bytes(4, "big"))
        for _ in range(8):
            half[1].write(b"z")  # a frame that drips
            await asked(useful, StateQuery("a"))
            await asyncio.sleep(0.25)
        assert idle[0].at_eof() or await idle[0].read() == b""
        assert half[0].at_eof() or await half[0].read() == b""
        await asked(useful, StateQuery("a"))

    live(port, story)


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
        return status(port, times)

    port = Port(tmp_path, answer, rooms())

    async def story() -> None:
        stranger, member = await port.call(), await port.call_as_member(asking=True)
        begun = time.monotonic()
        for _ in range(300):
            await asked(stranger, GetStatus())
        assert times <= 2 + (time.monotonic() - begun) / 0.25
        await asyncio.sleep(0.3)
        before = times
        assert await asked(stranger, GetStatus()) == encode(status(port, before + 1))
        # A member hears how it is, and not how it was.
        assert await asked(member, GetStatus()) == encode(status(port, before + 2))
        assert await asked(member, GetStatus()) == encode(status(port, before + 3))

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


def test_allotment_lets_a_share_of_time_pass_and_what_was_saved_for_a_moment() -> None:
    now = 0.0
    allotment = Allotment(0.1, 0.5, lambda: now)
    assert allotment._lacking() <= 0
    allotment.spend(0.5)
    assert allotment._lacking() == 0
    allotment.spend(0.2)
    assert allotment._lacking() == pytest.approx(2.0)
    now = 3.0
    assert allotment._lacking() == pytest.approx(-1.0)
    now = 1e6
    assert allotment._lacking() == pytest.approx(-5.0)  # no more is saved than may be spent at once
