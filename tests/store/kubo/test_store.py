"""A real Kubo: private swarms, its gateway read by us, its repository damaged, its process killed."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from medward.store.car import CarReader, pieces_of_file
from medward.store.cid import Cid
from medward.store.dag import walk
from medward.store.errors import BlockNotFound, CorruptBlock, KuboUnavailable, LimitExceeded, StoreError
from medward.store.gateway.exchange import PeerExchange
from medward.store.gateway.peer import Peer, PeerTimeouts
from medward.store.gateway.server import GatewayServer
from medward.store.importer import Profile
from medward.store.interface import Pin, Usage
from medward.store.kubo.configuration import check_swarm_key, new_swarm_key, private_configuration
from medward.store.kubo.daemon import KuboDaemon, find_kubo
from medward.store.kubo.repository import RepositoryBlocks
from medward.store.kubo.rpc import KuboRpc
from medward.store.kubo.store import KuboStore
from medward.store.limits import DEFAULT_LIMITS, DagLimits
from medward.store.local import in_memory
from tests.store import vectors
from tests.store.conftest import kubo_program
from tests.store.hostile import Exchange, hostile_peer

CONTENT = vectors.content(4 * 1024 * 1024 + 99, "kubo")

Start = Callable[..., tuple[KuboDaemon, KuboStore]]


def wait_until(condition: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


# --- without a daemon


def test_without_kubo_one_sentence_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("MEDWARD_KUBO", raising=False)
    monkeypatch.setenv("MEDWARD_ENGINES", str(tmp_path))
    with pytest.raises(KuboUnavailable, match=r"install Kubo 0\.40 or newer") as caught:
        KuboDaemon(tmp_path, new_swarm_key())
    assert "\n" not in str(caught.value)
    monkeypatch.setenv("MEDWARD_KUBO", str(tmp_path / "ipfs"))
    with pytest.raises(KuboUnavailable, match="is no program"):
        find_kubo()


def test_a_daemon_that_is_not_there_is_said_clearly() -> None:
    with pytest.raises(KuboUnavailable, match="check that it runs"):
        KuboRpc("http://127.0.0.1:9").call("id")


@pytest.mark.parametrize(
    "text", ["", "secret", new_swarm_key()[:-3], new_swarm_key().upper()], ids=["empty", "bare", "short", "upper"]
)
def test_a_malformed_swarm_key_is_refused(text: str) -> None:
    with pytest.raises(StoreError, match="swarm key is malformed"):
        check_swarm_key(text)


def test_a_private_configuration_flushes_blocks_wherever_they_are_mounted() -> None:
    spec = {"type": "mount", "mounts": [{"type": "measure", "child": {"type": "flatfs", "sync": False}}]}
    made = private_configuration({"Datastore": {"Spec": spec}}, "/ip4/127.0.0.1/tcp/0", "token")
    assert made["Datastore"]["Spec"]["mounts"][0]["child"]["sync"] is True
    assert spec["mounts"][0]["child"]["sync"] is False  # type: ignore[index]


def test_a_kubo_that_names_content_otherwise_makes_the_write_fail() -> None:
    other = Cid.of(b"something else")

    def answer(request: Exchange) -> None:
        if request.headers.get("Transfer-Encoding") == "chunked":
            while request.rfile.readline().strip() != b"0":
                pass
            request.rfile.readline()
        request.begin()
        request.send(json.dumps({"Name": "blob", "Hash": str(other), "Key": str(other), "Pins": []}).encode() + b"\n")

    with hostile_peer(answer) as liar, KuboStore(KuboRpc(liar.peer.url), None) as store:
        with pytest.raises(StoreError, match=f"Kubo named a blob {other}"):
            store.add(b"content", pin="round/1")
        with pytest.raises(StoreError, match=f"Kubo named a record {other}"):
            store.put_record({"a": 1}, pin="round/1")
        assert store.pins() == []


SHARDING = "/repo/flatfs/shard/v1/next-to-last/2\n"


def test_a_repository_in_another_form_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="is no repository of Kubo with blocks as files"):
        RepositoryBlocks(tmp_path)
    (tmp_path / "blocks").mkdir()
    (tmp_path / "blocks" / "SHARDING").write_text(SHARDING.replace("next-to-last/2", "prefix/2"))
    with pytest.raises(StoreError, match="prefix/2"):
        RepositoryBlocks(tmp_path)


def test_a_damaged_block_of_a_repository_is_found_and_stays_where_it_is(tmp_path: Path) -> None:
    (tmp_path / "blocks").mkdir()
    (tmp_path / "blocks" / "SHARDING").write_text(SHARDING)
    blocks = RepositoryBlocks(tmp_path)
    whole, damaged, absent = (Cid.of(content) for content in (b"whole", b"damaged", b"absent"))
    for cid, content in ((whole, b"whole"), (damaged, b"damages")):
        file = blocks._path(cid)
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(content)
    assert blocks.get(whole) == b"whole"
    for _ in range(2):
        with pytest.raises(CorruptBlock, match=str(damaged)):
            blocks.get(damaged)
    with pytest.raises(BlockNotFound, match=str(absent)):
        blocks.get(absent)
    assert set(blocks.names()) == {whole, damaged}
    assert blocks.usage() == Usage(2, 12, None)
    with pytest.raises(StoreError, match="read only"):
        blocks.delete(whole)
    with pytest.raises(StoreError, match="read only"):
        blocks.writer()


# --- with real daemons


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    with ExitStack() as running:

        def begin(name: str, swarm_key: str | None = None) -> tuple[KuboDaemon, KuboStore]:
            daemon = KuboDaemon(tmp_path / name, swarm_key or key, program=kubo_program())
            running.enter_context(daemon)
            store = KuboStore(daemon.rpc(), tmp_path / name / "labels.sqlite", patience=10.0)
            return daemon, running.enter_context(store)

        key = new_swarm_key()
        yield begin


@pytest.mark.engines
def test_two_members_of_a_private_swarm_exchange_blobs_and_a_stranger_cannot(start: Start, tmp_path: Path) -> None:
    (alice, at_alice), (bob, at_bob) = start("alice"), start("bob")
    stranger, at_stranger = start("stranger", new_swarm_key())
    cid = at_alice.add(CONTENT, pin="round/1")
    bob.connect(alice.swarm_addresses())
    at_bob.fetch(cid)
    assert at_bob.read(cid, DEFAULT_LIMITS) == CONTENT
    record = at_alice.put_record({"model": cid}, pin="ledger")
    assert at_bob.get_record(record) == {"model": cid}

    with pytest.raises(KuboUnavailable, match="refused swarm/connect"):
        stranger.connect(alice.swarm_addresses())
    impatient = KuboStore(stranger.rpc(), None, patience=1.0)
    with impatient, pytest.raises(BlockNotFound):
        impatient.fetch(cid)
    assert not at_stranger.has(cid)


@pytest.mark.engines
def test_a_repository_is_read_without_its_daemon(start: Start) -> None:
    daemon, store = start("alice")
    cid = store.add(CONTENT, pin="round/1")
    record = store.put_record({"model": cid}, pin="ledger")
    daemon.stop()
    blocks = RepositoryBlocks(daemon.directory)
    below = [found for found, _ in walk(cid, blocks.get)]
    assert len(below) > 4
    assert {found.digest for found in [*below, record]} <= {found.digest for found in blocks.names()}
    assert CONTENT.startswith(blocks.get(below[1]))


@pytest.mark.engines
def test_a_fetch_through_the_swarm_keeps_to_the_limits(start: Start) -> None:
    (alice, at_alice), (bob, at_bob) = start("alice"), start("bob")
    cid = at_alice.add(CONTENT, pin="round/1")
    bob.connect(alice.swarm_addresses())
    for limits in (DagLimits(max_bytes=1_500_000), DagLimits(max_blocks=3), DagLimits(max_depth=0)):
        with pytest.raises(LimitExceeded):
            at_bob.fetch(cid, limits)


@pytest.mark.engines
def test_nothing_of_a_daemon_is_open_to_others(start: Start) -> None:
    daemon, store = start("alice")
    with httpx.Client(trust_env=False) as client:
        assert client.post(store._rpc.url + "/api/v0/id").status_code == 403
    listening = subprocess.run(["ss", "-Hltnp"], capture_output=True, text=True, check=False).stdout
    if listening:
        own = [line.split()[3] for line in listening.splitlines() if f"pid={daemon.pid}," in line]
        assert own
        assert all(address.startswith("127.0.0.1:") for address in own)
    written = json.loads((daemon.directory / "config").read_text())
    assert written["Bootstrap"] == []
    assert written["Routing"]["Type"] == "none"
    assert (daemon.directory / "config").stat().st_mode & 0o077 == 0
    assert (daemon.directory / "swarm.key").stat().st_mode & 0o077 == 0
    daemon.stop()
    (daemon.directory / "swarm.key").unlink()
    environment = {**os.environ, "IPFS_PATH": str(daemon.directory), "LIBP2P_FORCE_PNET": "1"}
    refused = subprocess.run(
        [str(kubo_program()), "daemon"], env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert refused.returncode != 0
    assert "private network" in refused.stderr + refused.stdout


@pytest.mark.engines
def test_a_killed_daemon_is_started_again_with_everything_acknowledged(start: Start, tmp_path: Path) -> None:
    daemon, store = start("alice")
    cid = store.add(CONTENT, pin="round/1")
    first = daemon.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: daemon.pid != first and daemon.is_healthy())
    assert daemon.restarts == 1
    with KuboStore(daemon.rpc(), None) as again:
        assert again.read(cid, DEFAULT_LIMITS) == CONTENT


LEFT_BEHIND = """
import os, signal, sys
from pathlib import Path
from medward.store.kubo.daemon import KuboDaemon
from medward.store.kubo.store import KuboStore
daemon = KuboDaemon(Path(sys.argv[1]), sys.argv[2], program=Path(sys.argv[3])).start()
store = KuboStore(daemon.rpc(), Path(sys.argv[1]) / "labels.sqlite")
print(daemon.pid, store.add(b"acknowledged", pin="round/1"), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.engines
def test_a_daemon_that_outlived_its_killed_node_gives_way_to_a_new_one(tmp_path: Path) -> None:
    key = new_swarm_key()
    command = [sys.executable, "-c", LEFT_BEHIND, str(tmp_path / "kubo"), key, str(kubo_program())]
    pid, cid = subprocess.run(command, capture_output=True, text=True, check=False).stdout.split()
    with KuboDaemon(tmp_path / "kubo", key, program=kubo_program()) as daemon:
        assert daemon.pid != int(pid)
        assert daemon.is_healthy()
        with KuboStore(daemon.rpc(), tmp_path / "kubo" / "labels.sqlite") as store:
            assert store.read(Cid.parse(cid), DEFAULT_LIMITS) == b"acknowledged"
            assert store.pins() == [Pin(Cid.parse(cid), "round/1")]


@pytest.mark.engines
def test_our_car_is_imported_by_kubo_under_the_same_root(start: Start) -> None:
    daemon, at_kubo = start("alice")
    with in_memory() as ours:
        cid = ours.add(CONTENT, pin="round/1")
        car = b"".join(ours.export_car(cid))
    imported = list(daemon.rpc().lines("dag/import", [car], stats=True))
    assert {"Root": {"Cid": {"/": str(cid)}, "PinErrorMsg": ""}} in imported
    assert at_kubo.has(cid)
    assert at_kubo.read(cid, DEFAULT_LIMITS) == CONTENT


@pytest.mark.engines
def test_kubo_and_we_read_each_others_cars_and_blocks(start: Start) -> None:
    daemon, at_kubo = start("alice")
    cid = at_kubo.add(CONTENT, pin="round/1")
    with in_memory() as ours:
        exported = daemon.rpc().fetch("dag/export", None, arg=str(cid), progress=False)
        assert ours.import_car(io.BytesIO(exported), pin="round/1") == (cid,)
        assert ours.read(cid, DEFAULT_LIMITS) == CONTENT
        assert [name for name, _ in walk(cid, ours.get_block)] == [
            name for name, _ in CarReader(pieces_of_file(io.BytesIO(exported)))
        ]


@pytest.mark.engines
def test_raw_blocks_and_cars_are_fetched_from_kubos_gateway(start: Start) -> None:
    daemon, at_kubo = start("alice")
    few_large = at_kubo.add(CONTENT, pin="round/1")
    with in_memory() as ours:
        many_small = ours.add(CONTENT[:500_000], pin="round/1", profile=Profile("small", 1, 4096, 1024, True))
        at_kubo.import_car(io.BytesIO(b"".join(ours.export_car(many_small))), pin="round/1")
    exchange = PeerExchange([Peer("kubo", daemon.gateway_url)], patience=PeerTimeouts(block=20))
    with in_memory(exchange=exchange) as fetching:
        assert fetching.read(few_large, DEFAULT_LIMITS) == CONTENT
        assert fetching.read(many_small, DEFAULT_LIMITS) == CONTENT[:500_000]
        with pytest.raises(BlockNotFound, match="kubo does not have"):
            fetching.fetch_block(Cid.of(b"absent"))
    with httpx.Client(base_url=daemon.gateway_url, trust_env=False) as gateway:
        accept = {"Accept": "application/vnd.ipld.car; version=1; order=dfs; dups=n"}
        middle = gateway.get(
            f"/ipfs/{few_large}?format=car&dag-scope=entity&entity-bytes=1048576:1048577", headers=accept
        )
        names = [name for name, _ in CarReader([middle.content])]
        assert names == [few_large, Cid.of(CONTENT[1024 * 1024 : 2 * 1024 * 1024])]


@pytest.mark.engines
def test_a_block_damaged_in_kubos_repository_is_found_and_fetched_again(start: Start) -> None:
    (alice, at_alice), (bob, at_bob) = start("alice"), start("bob")
    cid = at_alice.add(CONTENT, pin="round/1")
    bob.connect(alice.swarm_addresses())
    at_bob.fetch(cid)
    at_bob.pin(cid, "round/1")
    damaged = Cid.of(CONTENT[: 1024 * 1024])
    (file,) = (bob.directory / "blocks").rglob(f"{damaged.key.upper()}.data")
    file.chmod(0o600)
    file.write_bytes(b"damaged")
    found = at_bob.verify()
    assert [name.key for name in found.corrupt] == [damaged.key]
    assert [name.key for name in found.missing] == [damaged.key]
    at_bob.fetch(cid)
    assert at_bob.verify().intact
    assert at_bob.read(cid, DEFAULT_LIMITS) == CONTENT


@pytest.mark.engines
def test_pins_of_others_who_share_the_daemon_stay(start: Start) -> None:
    daemon, store = start("alice")
    ours = store.add(CONTENT, pin="round/1")
    rpc = daemon.rpc()
    (theirs,) = [line["Hash"] for line in rpc.lines("add", [b"theirs"], cid_version=1, pin=True)]
    (orphan,) = [line["Hash"] for line in rpc.lines("add", [b"orphan"], cid_version=1, pin=True, pin_name="medward")]
    store.release("round/1")
    store.collect_garbage()
    assert store.has(Cid.parse(theirs))
    assert not store.has(Cid.parse(orphan))  # pinned by us before a crash, and never labelled
    assert not store.has(ours)


@pytest.mark.engines
def test_kubo_fetches_from_our_gateway(start: Start, tmp_path: Path) -> None:
    """Kubo's HTTP retrieval, told by a routing server (Delegated Routing V1) that our gateway has the blocks."""
    content = vectors.content(3_000_000, "ours")
    with in_memory() as ours, GatewayServer(ours) as gateway:
        cid = ours.add(content, pin="round/1")
        provider = {
            "Schema": "peer",
            "ID": "12D3KooWP8AgbmAZTvFY6ydAigX41hSuyVmqx2H21uT8fMUb7e2M",
            "Addrs": [f"/ip4/127.0.0.1/tcp/{gateway.port}/http"],
            "Protocols": ["transport-ipfs-gateway-http"],
        }

        def route(request: Exchange) -> None:
            answer = json.dumps({"Providers": [provider]}).encode()
            request.begin(length=len(answer), content_type="application/json")
            request.send(answer)

        with hostile_peer(route, "router") as router:
            daemon, _ = start("taking")
            daemon.stop()
            configuration = json.loads((daemon.directory / "config").read_text())
            configuration["HTTPRetrieval"] = {"Enabled": True}
            configuration["Routing"] = {"Type": "delegated", "DelegatedRouters": [router.peer.url]}
            (daemon.directory / "config").write_text(json.dumps(configuration))
            environment = {**os.environ, "IPFS_PATH": str(daemon.directory), "IPFS_TELEMETRY": "off"}
            for name in ("api", "gateway"):
                (daemon.directory / name).unlink(missing_ok=True)
            with subprocess.Popen([str(kubo_program()), "daemon"], env=environment, stdout=subprocess.PIPE) as process:
                try:
                    wait_until((daemon.directory / "gateway").exists)
                    with KuboStore(daemon.rpc(), None, patience=20.0) as at_kubo:
                        at_kubo.fetch(cid)
                        assert at_kubo.read(cid, DEFAULT_LIMITS) == content
                finally:
                    process.terminate()
            assert router.asked > 0
