"""Real processes with leaders that die or dawdle, members that come and go, and networks that fall apart."""

import asyncio
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from medward.ledger.bank import ChangeMembers, Deposit
from medward.ledger.encoding import encode
from medward.ledger.pbft.client import PbftClient
from medward.ledger.signatures import MemberSigner
from medward.ledger.types import MemberUpdate
from tests.ledger.cluster import TIMERS, Cluster
from tests.ledger.workload import Workload, assert_agreement, new_client

pytestmark = pytest.mark.processes
# Long beside anything that a busy machine may add: bounds in time-outs are then bounds of the protocol.
TIMEOUT = 4.0


@pytest.fixture
def cluster(tmp_path):
    timers = msgspec.structs.replace(TIMERS, request_timeout=int(TIMEOUT * 1000))
    made = Cluster(tmp_path, 4, timers=timers)
    yield made
    made.stop()


async def ready(cluster, names):
    client = new_client(cluster)
    async with asyncio.timeout(60):
        for name in names:
            while await client.status(name) is None:
                await asyncio.sleep(0.05)
    await client.submit(encode(Deposit("ready", 1)))
    return client


def test_a_dead_leader_costs_one_view_change_and_at_most_two_timeouts(cluster):
    async def story():
        cluster.start_all()
        client = await ready(cluster, ["h0", "h1", "h2", "h3"])
        cluster.kill("h0")
        started = time.monotonic()
        receipts = await asyncio.gather(*(client.submit(encode(Deposit("a", 1))) for _ in range(20)))
        took = time.monotonic() - started
        views = {(await client.status(name)).view for name in ("h1", "h2", "h3")}
        assert len({receipt.result.data for receipt in receipts}) == 20
        assert views == {1}
        assert took <= 2 * TIMEOUT
        await client.close()

    asyncio.run(story())


def test_under_a_slow_leader_every_waiting_client_gets_its_share(cluster):
    clients, each = 6, 3
    cluster.leading_delay["h0"] = 0.5 * TIMEOUT

    async def story():
        cluster.start_all()
        await (await ready(cluster, ["h0", "h1", "h2", "h3"])).close()
        callers = [new_client(cluster) for _ in range(clients)]
        started = time.monotonic()

        async def call(caller):
            for _ in range(each):
                await caller.submit(encode(Deposit("a", 1)))

        await asyncio.gather(*(call(caller) for caller in callers))
        took = time.monotonic() - started
        await asyncio.gather(*(caller.close() for caller in callers))
        # spec/ledger.md, "Why it is live": c waiting clients get c transactions per time-out, and one view change.
        assert took <= (each + 2) * TIMEOUT
        # The leader was in fact slow.
        assert took >= 2 * cluster.leading_delay["h0"]

    asyncio.run(story())


def test_members_come_and_go_through_transactions_while_load_runs(tmp_path):
    governor = MemberSigner(Ed25519PrivateKey.generate())
    cluster = Cluster(tmp_path, 4, governor.public_keys[0].data)
    cluster.start_all()
    names = ["h0", "h1", "h2", "h3"]

    async def story():
        workload = Workload(cluster, 11)
        await workload.progress(10)
        nonce = 0
        watcher = PbftClient(cluster.genesis, governor)
        members = cluster.genesis.membership

        async def change(update):
            nonlocal members, nonce
            nonce += 1
            await watcher.submit(encode(ChangeMembers((update,))), give_up=120)
            epoch = members.epoch + 1
            asked = [name for name in names if name != update.name]
            async with asyncio.timeout(120):
                while (status := await watcher.status(asked[nonce % len(asked)])) is None or status.epoch < epoch:
                    await asyncio.sleep(0.1)
            members = status.membership
            watcher.follow(members)
            for client in workload.clients:
                client.follow(members)

        for name in ("h4", "h5", "h6"):
            joining = cluster.prepare(name, 0)
            # It follows first, and votes from the epoch on that orders it.
            cluster.start(name)
            await change(MemberUpdate(name, joining))
            names.append(name)
            assert members.names == tuple(names)
            await workload.progress(15)
        for name in ("h6", "h1", "h4"):
            await change(MemberUpdate(name, None))
            names.remove(name)
            cluster.kill(name)
            assert members.names == tuple(names)
            await workload.progress(15)
        assert members.epoch == 6
        # The new ones' votes count: without one of the old ones they are needed.
        cluster.kill("h0")
        await workload.progress(10)
        cluster.start("h0")
        await workload.finish()
        await watcher.close()
        await assert_agreement(cluster, workload.history, names, members)

    try:
        asyncio.run(story())
    finally:
        cluster.stop()


# Networks.


def command(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True)


class Networks:
    """One network namespace for each member, joined by a bridge that can be split in two."""

    def __init__(self, members: int) -> None:
        self.tag = f"mw{os.getpid() % 100_000}"
        self.net = f"10.{200 + os.getpid() % 50}.{os.getpid() // 50 % 250}"
        self.bridges = [f"{self.tag}a", f"{self.tag}b"]
        self.names = [f"h{i}" for i in range(members)]
        for bridge in self.bridges:
            command("ip", "link", "add", bridge, "type", "bridge")
            command("ip", "link", "set", bridge, "up")
        command("ip", "addr", "add", f"{self.net}.1/24", "dev", self.bridges[0])
        for number, name in enumerate(self.names):
            space, port, inside = self.space(name), f"{self.tag}{name}", f"{self.tag}i{number}"
            command("ip", "netns", "add", space)
            command("ip", "link", "add", port, "type", "veth", "peer", "name", inside)
            command("ip", "link", "set", inside, "netns", space)
            command("ip", "-n", space, "addr", "add", f"{self.net}.{10 + number}/24", "dev", inside)
            command("ip", "-n", space, "link", "set", inside, "up")
            command("ip", "-n", space, "link", "set", "lo", "up")
            command("ip", "link", "set", port, "up")
        self.join(self.names)

    def space(self, name: str) -> str:
        return f"{self.tag}{name}"

    def address(self, name: str) -> str:
        return f"{self.net}.{10 + self.names.index(name)}:7400"

    def join(self, names: list[str]) -> None:
        """Put these on the side where the clients are, and all others on the other."""
        for name in self.names:
            command("ip", "link", "set", f"{self.tag}{name}", "master", self.bridges[name not in names])

    def remove(self) -> None:
        for name in self.names:
            subprocess.run(["ip", "netns", "del", self.space(name)], capture_output=True, check=False)
            subprocess.run(["ip", "link", "del", f"{self.tag}{name}"], capture_output=True, check=False)
        for bridge in self.bridges:
            subprocess.run(["ip", "link", "del", bridge], capture_output=True, check=False)


@pytest.fixture
def networks() -> Iterator[Networks]:
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("network namespaces need root and iproute2")
    made = Networks.__new__(Networks)
    try:
        made.__init__(4)  # type: ignore[misc]
    except subprocess.CalledProcessError as error:
        made.remove()
        pytest.skip(f"this machine makes no network namespaces: {error.stderr.decode().strip()}")
    yield made
    made.remove()


def test_a_parted_network_forks_nothing_and_heals(tmp_path: Path, networks: Networks):
    cluster = Cluster(tmp_path, 4, addresses={name: networks.address(name) for name in networks.names})
    cluster.prefixes = {name: ["ip", "netns", "exec", networks.space(name)] for name in networks.names}
    cluster.start_all()

    async def story():
        workload = Workload(cluster, 12)
        await workload.progress(20)
        # A minority beyond the wall, the first leader in it: the others go on.
        networks.join(["h1", "h2", "h3"])
        await workload.progress(20)
        networks.join(networks.names)
        await workload.progress(10)
        # Halves: nobody has a quorum, nothing is answered.
        networks.join(["h0", "h1"])
        async with asyncio.timeout(60):
            before = -1
            while before != workload.answered():
                before = workload.answered()
                await asyncio.sleep(2)
        await asyncio.sleep(3 * TIMERS.request_timeout / 1000)
        assert workload.answered() == before
        networks.join(networks.names)
        await workload.progress(20)
        await workload.finish()
        await assert_agreement(cluster, workload.history, networks.names)

    try:
        asyncio.run(story())
    finally:
        cluster.stop()
