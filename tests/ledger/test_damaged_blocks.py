"""Real replicas whose disk damages an old block: they go on, and mend it from the others (threat T8)."""

import asyncio
import contextlib
import sqlite3
import ssl

import msgspec
import pytest

from medward.ledger.pbft.identity import NodeIdentity
from medward.ledger.pbft.messages import FetchBlocks, encode_message
from medward.ledger.pbft.reading import read_journal
from medward.ledger.pbft.runtime.transport import frame
from tests.ledger.cluster import CHAIN, TIMERS, Cluster
from tests.ledger.workload import Workload, assert_agreement, new_client

pytestmark = pytest.mark.processes
NAMES = ["h0", "h1", "h2", "h3"]
#: Below the first checkpoints, so that no restart reads it.
OLD = 3


def flip_certificate(database):
    (content,) = database.execute("SELECT certificate FROM blocks WHERE height = ?", (OLD,)).fetchone()
    database.execute("UPDATE blocks SET certificate = ? WHERE height = ?", (bytes([content[0] ^ 1]) + content[1:], OLD))


def flip_batch(database):
    where = "WHERE root = (SELECT root FROM blocks WHERE height = ?)"
    (content,) = database.execute(f"SELECT transactions FROM batches {where}", (OLD,)).fetchone()
    altered = content[:-1] + bytes([content[-1] ^ 1])
    database.execute(f"UPDATE batches SET transactions = ? {where}", (altered, OLD))


def lose_batch(database):
    database.execute("DELETE FROM batches WHERE root = (SELECT root FROM blocks WHERE height = ?)", (OLD,))


async def until(client, height):
    """Wait until the damaged node is up and has executed this height."""
    async with asyncio.timeout(60):
        while (status := await client.status("h1")) is None or status.height < height:
            await asyncio.sleep(0.05)


async def block_of(client, name):
    """The old block as a node gives it out, once it does."""
    async with asyncio.timeout(60):
        while (reply := await client.block(name, OLD)) is None or reply.block is None:
            await asyncio.sleep(0.1)
    return reply.block


async def ask_as_member(cluster, name, whom, message):
    """Ask as a member does, over the members' own channel."""
    identity = NodeIdentity(cluster.folder(name) / "keys")
    member = next(m for m in cluster.genesis.members if m.name == whom)
    host, port = member.address.rsplit(":", 1)
    _, writer = await asyncio.open_connection(host, int(port), ssl=identity.client_context(member))
    writer.write(frame(encode_message(message)))
    await writer.drain()
    await asyncio.sleep(0.5)
    writer.close()
    with contextlib.suppress(OSError, ssl.SSLError):
        await writer.wait_closed()


def damage(cluster, name, how):
    database = sqlite3.connect(cluster.folder(name) / "journal" / "journal.sqlite")
    with database:
        how(database)
    database.close()


def is_whole(cluster, name):
    content = read_journal(cluster.folder(name) / "journal")
    return not content.damage and not content.altered


@pytest.fixture
def cluster(tmp_path):
    """Four replicas that fetch blocks however far behind they are: who takes over a later state holds no old block."""
    made = Cluster(tmp_path, 4, timers=msgspec.structs.replace(TIMERS, transfer_gap=1_000_000))
    made.start_all()
    yield made
    made.stop()


@pytest.mark.parametrize("how", [flip_batch, flip_certificate, lose_batch])
def test_damaged_old_block_is_mended_from_the_others_and_stops_nobody(cluster, how):
    async def story():
        workload = Workload(cluster, 11)
        client = new_client(cluster)
        await until(client, 3 * CHAIN.checkpoint_interval)
        cluster.kill("h1")
        damage(cluster, "h1", how)
        assert not is_whole(cluster, "h1")
        cluster.start("h1")
        await until(client, 3 * CHAIN.checkpoint_interval)
        # What stopped it before: a member asks for the block, as one that lags does.
        await ask_as_member(cluster, "h2", "h1", FetchBlocks(OLD, OLD))
        mended, good = await block_of(client, "h1"), await block_of(client, "h2")
        assert mended.transactions == good.transactions
        assert mended.certificate.header == good.certificate.header
        await workload.progress(10)
        await workload.finish()
        await client.close()
        await assert_agreement(cluster, workload.history, NAMES)

    asyncio.run(story())
    cluster.stop()
    assert is_whole(cluster, "h1")
