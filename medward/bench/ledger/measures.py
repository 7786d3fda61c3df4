"""All measurements of one run, as rows: what, ours, the other's, and a ratio above 1 where ours is better."""

import sys
from collections.abc import Iterator, Sequence

from medward.bench.ledger import cometbft, etcd, pbft, proof_of_work
from medward.bench.ledger.load import Figures
from medward.bench.rows import BenchmarkRow
from medward.ledger.cometbft.process import find_program
from medward.ledger.pbft.runtime import event_loop

DIFFICULTY_BITS = 20
MINED = 128
MEMBERS = (4, 7, 10, 16)
PAYLOADS = (100, 1000, 10_000)
PAYLOAD = 200
TURNS = 3
UNITS = {"peak": "transactions/s", "p50": "ms at half of peak", "p99": "ms at half of peak"}
LOOPS = (32, 128, 512, 1024)
Turns = dict[tuple[str, int], list[tuple[Figures, pbft.Shares | None]]]


def measure_all(seconds: float, workers: int) -> Iterator[BenchmarkRow]:
    """Measure everything, for `seconds` at the peak and as long at half of it; progress goes to standard error."""
    turns = _by_turns(seconds, workers)
    base, spent = _middle(turns["PBFT", workers])
    assert spent is not None
    yield from _shares(4, spent)
    for interface in etcd.interfaces():
        name = f"etcd {etcd.version()} over {interface} (Raft, 3 nodes, survives crashes but no liars)"
        for loops in sorted({*LOOPS, workers}):
            ours, raft = (_middle(turns[system, loops])[0] for system in ("PBFT", interface))
            yield from _compare(f"n = 4, {PAYLOAD} B, {loops} loops", ours, raft, name, ("peak",))
        yield from _compare(f"n = 4, {PAYLOAD} B", base, _middle(turns[interface, workers])[0], name)
    yield from _alternatives(base, seconds, workers)
    for members in MEMBERS[1:]:
        _say(f"PBFT, n = {members}, {PAYLOAD} B")
        figures, spent = event_loop.run(pbft.run(members, PAYLOAD, workers, seconds))
        yield from _compare(f"n = {members}, {PAYLOAD} B", figures, None, None)
        yield from _shares(members, spent)
    for payload in PAYLOADS:
        _say(f"PBFT, n = 4, {payload} B")
        figures, _ = event_loop.run(pbft.run(4, payload, workers, seconds))
        yield from _compare(f"n = 4, {payload} B", figures, None, None)


def _shares(members: int, spent: pbft.Shares) -> Iterator[BenchmarkRow]:
    """Tell what signatures and disks cost: shares, and the numbers behind them for all replicas together."""
    running = spent.elapsed / members
    yield BenchmarkRow(
        f"n = {members}: CPU time in signature checks", 100 * spent.verifying / spent.cpu, None, None, None, "%"
    )
    yield BenchmarkRow(
        f"n = {members}: time waiting for fsync", 100 * spent.syncing / spent.elapsed, None, None, None, "%"
    )
    yield BenchmarkRow(f"n = {members}: signature checks", spent.checks / running, None, None, None, "checks/s")
    yield BenchmarkRow(f"n = {members}: fsyncs of all replicas", spent.syncs / running, None, None, None, "fsyncs/s")


def _by_turns(seconds: float, workers: int) -> Turns:
    """Measure PBFT and etcd by turns, so that what else the machine does meets both, from few closed loops to many; at
    half of the peak with `workers` loops alone.
    """
    turns: Turns = {}
    for turn in range(TURNS):
        for loops in sorted({*LOOPS, workers}):
            latencies = loops == workers
            _say(f"PBFT, n = 4, {PAYLOAD} B, {loops} loops, {turn + 1} of {TURNS}")
            ours = event_loop.run(pbft.run(4, PAYLOAD, loops, seconds, latencies=latencies))
            turns.setdefault(("PBFT", loops), []).append(ours)
            for interface in etcd.interfaces():
                _say(f"etcd over {interface}, 3 nodes, {loops} loops, {turn + 1} of {TURNS}")
                raft = event_loop.run(etcd.run(3, PAYLOAD, loops, seconds, interface, latencies=latencies))
                turns.setdefault((interface, loops), []).append((raft, None))
    return turns


def _middle(turns: list[tuple[Figures, pbft.Shares | None]]) -> tuple[Figures, pbft.Shares | None]:
    """Return the turn with the median peak."""
    return sorted(turns, key=lambda turn: turn[0].peak)[len(turns) // 2]


def _alternatives(base: Figures, seconds: float, workers: int) -> Iterator[BenchmarkRow]:
    what = f"n = 4, {PAYLOAD} B"
    program = find_program()
    if program is not None:
        _say(f"{program.name}, 4 validators")
        other = event_loop.run(cometbft.run(program, 4, PAYLOAD, workers, seconds))
        yield from _compare(what, base, other, f"{program.name}, 4 validators")
    _say(f"proof of work, {DIFFICULTY_BITS} bits")
    rate, p50, p99 = proof_of_work.run(DIFFICULTY_BITS, MINED, seconds)
    mined = Figures(rate, p50, p99, 0)
    name = f"proof of work, {DIFFICULTY_BITS} bits, one Python miner, {MINED} transactions a block, 6 confirmations"
    yield from _compare(what, base, mined, name)


def _compare(
    what: str, ours: Figures, other: Figures | None, name: str | None, parts: Sequence[str] = tuple(UNITS)
) -> Iterator[BenchmarkRow]:
    for part in parts:
        mine = getattr(ours, part)
        theirs = None if other is None else getattr(other, part)
        ratio = None if not theirs or not mine else mine / theirs if part == "peak" else theirs / mine
        yield BenchmarkRow(f"{what}: {part}", mine, theirs, name, ratio, UNITS[part])


def _say(what: str) -> None:
    print(f"measuring {what}", file=sys.stderr, flush=True)
