"""Four replicas as real processes over mutual TLS: kill -9, pauses, lost disks, floods and garbage."""

import asyncio
import contextlib
import os
import shutil
import signal
import ssl
from random import Random

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from medward.ledger.bank import ChangeMembers, Deposit, Note
from medward.ledger.encoding import encode
from medward.ledger.errors import NotCanonical, TransactionRefused
from medward.ledger.pbft.audit import verify_evidence
from medward.ledger.pbft.client import PbftClient
from medward.ledger.pbft.identity import NodeIdentity
from medward.ledger.pbft.messages import Commit, Status, encode_message
from medward.ledger.pbft.reading import read_journal
from medward.ledger.pbft.runtime.transport import MAX_FRAME, frame
from medward.ledger.signatures import Domain, MemberSigner, MemberVerifier
from medward.ledger.types import MemberUpdate
from tests.ledger.cluster import CHAIN, DEATHS, TIMERS, Cluster
from tests.ledger.workload import Workload, assert_agreement, new_client

pytestmark = pytest.mark.processes
NAMES = ["h0", "h1", "h2", "h3"]


async def kill_and_restart(cluster, kills, seed):
    workload, random = Workload(cluster, seed), Random(seed)
    await workload.progress(10)
    for _ in range(kills):
        victim = random.choice(NAMES)
        cluster.kill(victim)
        await asyncio.sleep(random.random() * 0.5)
        cluster.start(victim)
        await workload.progress(random.randint(0, 8))
    await workload.progress(10)
    await workload.finish()
    await assert_agreement(cluster, workload.history, NAMES)
    return workload


def test_kill_9_under_load_loses_nothing_and_the_history_is_linearizable(cluster):
    asyncio.run(kill_and_restart(cluster, 3, seed=1))


def test_twenty_kill_9_under_load(cluster):
    asyncio.run(kill_and_restart(cluster, 20, seed=2))


def test_death_at_each_point_around_an_fsync_loses_nothing(cluster):
    async def story():
        workload, random = Workload(cluster, 9), Random(9)
        await workload.progress(10)
        for number, point in enumerate([*DEATHS, *DEATHS]):
            victim = NAMES[number % len(NAMES)]
            cluster.kill(victim)
            cluster.deaths[victim] = (point, random.randint(1, 40))
            cluster.start(victim)
            dying = cluster.processes[victim]
            async with asyncio.timeout(60):
                while dying.poll() is None:
                    await asyncio.sleep(0.02)
            assert dying.returncode == -signal.SIGKILL
            cluster.start(victim)
            await workload.progress(3)
        await workload.progress(10)
        await workload.finish()
        await assert_agreement(cluster, workload.history, NAMES)

    asyncio.run(story())


def test_all_killed_at_once_come_back_with_everything_acknowledged(cluster):
    async def story():
        workload = Workload(cluster, 3)
        await workload.progress(30)
        for name in NAMES:
            cluster.kill(name)
        cluster.start_all()
        await workload.progress(10)
        await workload.finish()
        await assert_agreement(cluster, workload.history, NAMES)

    asyncio.run(story())


def test_paused_replicas_stop_the_ledger_and_it_goes_on_when_they_do(cluster):
    async def story():
        workload = Workload(cluster, 4)
        await workload.progress(10)
        for name in ("h1", "h2"):
            os.kill(cluster.processes[name].pid, signal.SIGSTOP)
        # What the paused ones had sent may still complete a block or two; then nothing does.
        async with asyncio.timeout(30):
            before = -1
            while before != workload.answered():
                before = workload.answered()
                await asyncio.sleep(1.5)
        await asyncio.sleep(1.5)
        assert workload.answered() == before
        for name in ("h1", "h2"):
            os.kill(cluster.processes[name].pid, signal.SIGCONT)
        await workload.progress(10)
        await workload.finish()
        await assert_agreement(cluster, workload.history, NAMES)

    asyncio.run(story())


def test_an_emptied_disk_rejoins_as_a_new_incarnation(tmp_path):
    governor = MemberSigner(Ed25519PrivateKey.generate())
    timers = msgspec.structs.replace(TIMERS, transfer_gap=16)
    cluster = Cluster(tmp_path, 4, governor.public_keys[0].data, timers=timers)
    cluster.start_all()

    async def story():
        workload = Workload(cluster, 5)
        watcher = PbftClient(cluster.genesis, governor)
        while (before := await watcher.status("h0")) is None or before.height < 3 * CHAIN.checkpoint_interval:
            await workload.progress(5)
        await watcher.close()
        cluster.kill("h2")
        shutil.rmtree(cluster.folder("h2"))
        member = cluster.prepare("h2", 1)
        cluster.start("h2", 1)
        client = PbftClient(cluster.genesis, governor)
        await client.submit(encode(ChangeMembers((MemberUpdate("h2", member),))))
        await client.close()
        await workload.progress(40)
        # Its vote counts again: with another gone, the ledger needs it.
        async with asyncio.timeout(60):
            watcher = PbftClient(cluster.genesis, governor, members=(*cluster.genesis.members[:2], member))
            while (status := await watcher.status("h2")) is None or status.epoch == 0:
                await asyncio.sleep(0.1)
        assert status.membership.member("h2").incarnation == 1
        # It took the certified state over, in verified chunks, and never had the first blocks.
        assert (await watcher.block("h0", 1)).block is not None
        assert (await watcher.block("h2", 1)).block is None
        await watcher.close()
        cluster.kill("h3")
        for client in workload.clients:
            client.follow(status.membership)
        await workload.progress(10)
        cluster.start("h3")
        await workload.finish()
        await assert_agreement(cluster, workload.history, ["h0", "h1", "h3"])

    try:
        asyncio.run(story())
    finally:
        cluster.stop()


def test_old_keys_without_their_journal_never_vote_again(cluster):
    async def story():
        workload = Workload(cluster, 6)
        await workload.progress(10)
        cluster.kill("h3")
        shutil.rmtree(cluster.folder("h3") / "journal")
        cluster.start("h3")
        await workload.progress(10)
        await workload.finish()

    asyncio.run(story())
    assert cluster.processes["h3"].wait(timeout=30) == 1
    assert "rejoin as a new incarnation" in cluster.logs()


async def raw_connection(cluster, to, identity):
    member = cluster.genesis.membership.member(to)
    host, port = member.address.split(":")
    return await asyncio.open_connection(host, int(port), ssl=identity.client_context(member))


def garbage(random):
    return random.choice(
        [
            frame(random.randbytes(random.randint(0, 200))),
            (MAX_FRAME + 1).to_bytes(4, "big"),
            b"\xff" * 64,
            frame(encode_message(Status(0, 0, False, 0, 0, 0, False, 0)) + b"\x00"),
            frame(b"\x81" * 50_000),
            frame(b"\x9a" + (4_000_000).to_bytes(4, "big") + b"\x80" * 4_000_000),
        ]
    )


def test_a_malformed_peer_loses_its_own_connection_and_costs_nothing_else(cluster):
    async def story():
        workload = Workload(cluster, 7)
        await workload.progress(10)
        cluster.kill("h3")
        liar, random = NodeIdentity(cluster.folder("h3") / "keys"), Random(7)
        for _ in range(30):
            reader, writer = await raw_connection(cluster, random.choice(NAMES[:3]), liar)
            writer.write(garbage(random))
            async with asyncio.timeout(20):
                assert await reader.read() == b""
            writer.close()
        await workload.progress(10)
        cluster.start("h3")
        await workload.finish()
        await assert_agreement(cluster, workload.history, NAMES)

    asyncio.run(story())


def test_a_flooding_peer_does_not_stop_the_others(cluster):
    async def story():
        workload = Workload(cluster, 8)
        await workload.progress(10)
        cluster.kill("h3")
        liar = NodeIdentity(cluster.folder("h3") / "keys")
        flood = frame(encode_message(Status(0, 0, False, 0, 0, 0, False, 0))) * 1000

        async def pour(to):
            _, writer = await raw_connection(cluster, to, liar)
            for _ in range(15):
                writer.write(flood)
                with contextlib.suppress(TimeoutError, ConnectionError):
                    await asyncio.wait_for(writer.drain(), 1)
            writer.transport.abort()

        pouring = [asyncio.create_task(pour(name)) for name in NAMES[:3]]
        await workload.progress(15)
        await asyncio.gather(*pouring)
        cluster.start("h3")
        await workload.finish()
        await assert_agreement(cluster, workload.history, NAMES)

    asyncio.run(story())


def test_a_double_vote_is_kept_as_evidence_and_shown_to_whoever_asks(cluster):
    async def story():
        client = new_client(cluster)
        await client.submit(encode(Deposit("a", 1)))
        cluster.kill("h3")
        liar, genesis = NodeIdentity(cluster.folder("h3") / "keys"), cluster.genesis
        height = (await client.status("h0")).height + 30
        _, writer = await raw_connection(cluster, "h0", liar)
        for content in (b"x" * 32, b"y" * 32):
            domain = Domain(genesis.chain, "commit", 0, 0, height)
            vote = Commit(0, 0, height, content, "h3", liar.signer.sign(domain, content))
            writer.write(frame(encode_message(vote)))
        async with asyncio.timeout(20):
            while not (shown := (await client.status("h0")).evidence):
                await asyncio.sleep(0.05)
        writer.close()
        (evidence,) = shown
        assert evidence.member == "h3"
        verify_evidence(evidence, [genesis.membership], genesis.chain, MemberVerifier())
        # It is on disk as well, once h0 has synced a later vote; of the three members left, an answer takes all.
        await client.submit(encode(Deposit("a", 1)))
        cluster.kill("h0")
        (stored,) = read_journal(cluster.folder("h0") / "journal").evidence
        assert stored == evidence
        await client.close()

    asyncio.run(story())


def test_strangers_and_older_tls_are_hung_up_on(cluster, tmp_path):
    async def story():
        client = new_client(cluster)
        await client.submit(encode(Deposit("a", 1)))
        stranger = NodeIdentity.create(tmp_path / "stranger")
        reader, writer = await raw_connection(cluster, "h0", stranger)
        with contextlib.suppress(ssl.SSLError, ConnectionError):
            writer.write(frame(encode_message(Status(0, 0, False, 0, 0, 0, False, 0))))
            async with asyncio.timeout(20):
                assert await reader.read() == b""
        member = cluster.genesis.membership.member("h0")
        older = NodeIdentity(cluster.folder("h1") / "keys").client_context(member)
        older.minimum_version = ssl.TLSVersion.TLSv1_2
        older.maximum_version = ssl.TLSVersion.TLSv1_2
        host, port = member.address.split(":")
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await asyncio.open_connection(host, int(port), ssl=older)
        await client.submit(encode(Deposit("a", 1)))
        await client.close()

    asyncio.run(story())


def test_a_client_gets_proved_answers_and_plain_refusals(cluster):
    async def story():
        client = new_client(cluster)
        for _ in range(20):
            await client.submit(encode(Deposit("a", 1)))
        answer = await client.query("a")
        assert answer.value is not None
        assert 1 <= int.from_bytes(answer.value, "big") <= 20
        assert (await client.query("nothing")).value is None
        with pytest.raises(TransactionRefused, match="the rules refuse it"):
            await client.submit(b"not an order")
        with pytest.raises(TransactionRefused, match="the rules refuse it"):
            await client.submit(encode(ChangeMembers(())))
        await client.submit(encode(Note("large", b"x" * 60_000)))
        await client.close()

    asyncio.run(story())


def test_what_is_signed_together_is_refused_and_applied_one_by_one(cluster):
    async def story():
        client = new_client(cluster)
        await client.submit(encode(Deposit("a", 1)))
        payloads = [b"not an order" if number % 5 == 0 else encode(Deposit("a", 1)) for number in range(150)]
        payloads[7] = encode(Note("too large", bytes(70_000)))
        outcomes = await asyncio.gather(*(client.submit(payload) for payload in payloads), return_exceptions=True)
        for number, outcome in enumerate(outcomes):
            if number == 7:
                assert isinstance(outcome, NotCanonical)
            elif number % 5 == 0:
                assert isinstance(outcome, TransactionRefused)
            else:
                assert outcome.result.code == 0
        balances = {int.from_bytes(o.result.data, "big") for o in outcomes if not isinstance(o, Exception)}
        assert balances == set(range(2, 2 + len(balances)))
        await client.close()

    asyncio.run(story())
