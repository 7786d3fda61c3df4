"""The figures of `medward bench store`: medians, each taken in turn with what it is compared to.

Who goes first changes from turn to turn, so that neither always finds the caches warm or the disk busy.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from statistics import median

from medward.bench.ledger.certificate import Certificate
from medward.bench.programs import output_of
from medward.bench.rows import BenchmarkRow, Progress
from medward.store.cid import Cid
from medward.store.errors import KuboUnavailable, StoreError
from medward.store.gateway.exchange import PeerExchange
from medward.store.gateway.peer import Peer
from medward.store.gateway.tls import TlsIdentity
from medward.store.importer import import_file
from medward.store.kubo.configuration import new_swarm_key
from medward.store.kubo.daemon import KuboDaemon, find_kubo
from medward.store.kubo.rpc import KuboRpc
from medward.store.local import LocalStore, open_directory

MEMORY_LIMIT_MIB = 64.0

TimedPair = tuple[list[float], list[float]]
Kubos = tuple[KuboDaemon, KuboDaemon]


def all_rows(size: int, repeats: int, progress: Progress) -> list[BenchmarkRow]:
    """Return every row for `size` bytes: the medians of `repeats` alternating runs."""
    with tempfile.TemporaryDirectory(prefix="medward-bench-", dir=Path.cwd()) as folder, ExitStack() as stack:
        where = Path(folder)
        progress("naming")
        rows = [_naming(size, repeats)]
        progress("a durable add")
        rows.append(_adding(size, repeats, where))
        progress("a verified fetch over mutual TLS")
        shown = Certificate.create(where)
        identity = TlsIdentity(shown.path, shown.key, shown.path)
        source = stack.enter_context(open_directory(where / "source"))
        peer = stack.enter_context(_gateway_process(where / "source", identity))
        taking = stack.enter_context(open_directory(where / "taking", exchange=PeerExchange([peer], identity)))
        rows.extend(_fetching(size, repeats, source, taking, _start_kubos(where, stack)))
        progress("memory")
        rows.extend(_memory(where, source, peer, identity))
    return rows


def _naming(size: int, repeats: int) -> BenchmarkRow:
    content = os.urandom(size)
    measured = _in_turns(
        repeats,
        lambda: _seconds(lambda: import_file(content, lambda _cid, _block: None)),
        lambda: _seconds(lambda: hashlib.sha256(content).digest()),
    )
    return _speed_row("naming bytes in memory (CID, unixfs-v1-2025)", size, measured, "SHA-256 alone")


def _adding(size: int, repeats: int, where: Path) -> BenchmarkRow:
    file = where / "content"

    def add() -> float:
        with open_directory(where / "adding") as store:
            seconds = _seconds(partial(store.add_file, pin="bench"), file)
        shutil.rmtree(where / "adding")
        return seconds

    file.write_bytes(os.urandom(size))
    measured = _in_turns(repeats, add, lambda: _seconds(_copy_and_flush, file, where / "copy"))
    return _time_row("durable add of a file", measured, "plain copy and fsync")


def _fetching(
    size: int, repeats: int, source: LocalStore, taking: LocalStore, kubos: Kubos | None
) -> list[BenchmarkRow]:
    ours, bitswap, kubo_add, our_add = [], [], [], []

    def over_gateway(content: bytes) -> None:
        began = time.perf_counter()
        cid = source.add(content, pin="bench")
        our_add.append(time.perf_counter() - began)
        ours.append(_seconds(taking.fetch, cid))

    def over_bitswap(content: bytes) -> None:
        if kubos is not None:
            add, fetch = _bitswap(content, kubos)
            kubo_add.append(add)
            bitswap.append(fetch)

    for turn in range(repeats):
        content = os.urandom(size)
        for way in (over_gateway, over_bitswap)[:: -1 if turn % 2 else 1]:
            way(content)
    what = "verified fetch (mutual TLS, loopback)"
    if kubos is None:
        return [BenchmarkRow(what, median(ours), None, None, None, "s")]
    name = f"Kubo {kubos[0].version()}"
    return [
        _time_row(what, (ours, bitswap), f"{name}, Bitswap"),
        _time_row("durable add of bytes in memory", (our_add, kubo_add), f"{name}, add over RPC"),
    ]


def _bitswap(content: bytes, kubos: Kubos) -> tuple[float, float]:
    """Return the seconds of an add at one Kubo and of a fetch by the other, both flushed to disk."""
    cid = import_file(content, lambda _cid, _block: None).cid
    giving, taking = (daemon.rpc() for daemon in kubos)
    began = time.perf_counter()
    (answer,) = giving.lines(
        "add", [content], cid_version=1, raw_leaves=True, chunker="size-1048576", max_file_links=1024, progress=False
    )
    added = time.perf_counter() - began
    if answer["Hash"] != str(cid):
        raise KuboUnavailable(f"Kubo named {answer['Hash']} what is {cid}")
    began = time.perf_counter()
    taking.call("pin/add", arg=str(cid))
    fetched = time.perf_counter() - began
    for rpc in (giving, taking):
        _forget(rpc, cid)
        rpc.close()
    return added, fetched


def _forget(rpc: KuboRpc, cid: Cid) -> None:
    rpc.call("pin/rm", arg=str(cid))
    rpc.call("repo/gc")


def _memory(where: Path, source: LocalStore, peer: Peer, identity: TlsIdentity) -> list[BenchmarkRow]:
    file = where / "content"
    cid = source.add_file(file, pin="bench")
    paths = (identity.certificate, identity.key, identity.trusted)
    adding = _peak_mebibytes("add", where / "memory-add", file)
    fetching = _peak_mebibytes("fetch", where / "memory-fetch", cid, peer.url, *paths)
    return [
        BenchmarkRow(f"additional memory, {what}", peak, MEMORY_LIMIT_MIB, "the limit", MEMORY_LIMIT_MIB / peak, "MiB")
        for what, peak in (("durable add", adding), ("verified fetch", fetching))
    ]


def _peak_mebibytes(*arguments: object) -> float:
    return max(float(output_of("the store's memory", "medward.bench.store.memory_program", *arguments)), 0.1)


@contextmanager
def _gateway_process(directory: Path, identity: TlsIdentity) -> Iterator[Peer]:
    """Serve a store from another process, as another hospital would."""
    paths = map(str, (directory, identity.certificate, identity.key, identity.trusted))
    command = [sys.executable, "-m", "medward.bench.store.gateway_program", *paths]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            url = process.stdout.readline().strip()
            if not url:
                raise StoreError("the gateway that is measured ended before it served; what it said stands above")
            yield Peer("the other process", url)
        finally:
            process.stdin.close()  # it ends with its input


def _start_kubos(where: Path, stack: ExitStack) -> Kubos | None:
    """Start two connected daemons; None where Kubo is not installed."""
    try:
        find_kubo()
    except KuboUnavailable:
        return None
    key = new_swarm_key()
    giving = stack.enter_context(KuboDaemon(where / "kubo-1", key))
    taking = stack.enter_context(KuboDaemon(where / "kubo-2", key))
    taking.connect(giving.swarm_addresses())
    return giving, taking


def _copy_and_flush(source: Path, target: Path) -> None:
    with source.open("rb") as reading, target.open("wb") as writing:
        shutil.copyfileobj(reading, writing, 1024 * 1024)
        writing.flush()
        os.fsync(writing.fileno())
    target.unlink()


def _in_turns(repeats: int, ours: Callable[[], float], other: Callable[[], float]) -> TimedPair:
    """Measure both so many times, now this one first, now that one."""
    measured: TimedPair = ([], [])
    for turn in range(repeats):
        for side in (0, 1) if turn % 2 == 0 else (1, 0):
            measured[side].append((ours, other)[side]())
    return measured


def _seconds(work: Callable[..., object], *arguments: object) -> float:
    began = time.perf_counter()
    work(*arguments)
    return time.perf_counter() - began


def _time_row(what: str, measured: TimedPair, other_name: str) -> BenchmarkRow:
    ours, other = (median(seconds) for seconds in measured)
    return BenchmarkRow(what, ours, other, other_name, other / ours, "s")


def _speed_row(what: str, size: int, measured: TimedPair, other_name: str) -> BenchmarkRow:
    ours, other = (size / median(seconds) / 1e6 for seconds in measured)
    return BenchmarkRow(what, ours, other, other_name, ours / other, "MB/s")
