"""The same clients for every system: closed loops for the peak, a steady rate for the latency at half of it."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

import msgspec

from medward.ledger.errors import LedgerError

SubmitOne = Callable[[int], Awaitable[None]]
"""Sends one transaction of worker number `int` and returns once it is durable and applied."""


class Figures(msgspec.Struct, frozen=True):
    """What one system reached.

    Args:
        peak: transactions a second with all workers busy.
        p50, p99: milliseconds at half of that rate; NaN where only the peak was measured.
        failed: transactions that were refused or not answered.
    """

    peak: float
    p50: float
    p99: float
    failed: int


async def measure(submit: SubmitOne, workers: int, seconds: float, *, latencies: bool = True) -> Figures:
    """Measure the peak for `seconds`, then, unless only that is wanted, the latencies at half of it for as long."""
    await asyncio.gather(*(submit(worker) for worker in range(workers)))
    peak, failed_at_peak = await _closed_loop(submit, workers, seconds)
    if not latencies:
        return Figures(peak, float("nan"), float("nan"), failed_at_peak)
    took, failed = await _steady_rate(submit, workers, peak / 2, seconds)
    return Figures(peak, percentile(took, 0.5), percentile(took, 0.99), failed_at_peak + failed)


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that more than `share` of the values do not exceed, else the largest; NaN of none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")


async def _closed_loop(submit: SubmitOne, workers: int, seconds: float) -> tuple[float, int]:
    done = failed = 0
    started = time.perf_counter()
    end = started + seconds

    async def work(worker: int) -> None:
        nonlocal done, failed
        while time.perf_counter() < end:
            try:
                await submit(worker)
            except LedgerError:
                failed += 1
                continue
            # Those that are still under way at the end do not count.
            done += time.perf_counter() < end

    await asyncio.gather(*(work(worker) for worker in range(workers)))
    return done / seconds, failed


async def _steady_rate(submit: SubmitOne, workers: int, rate: float, seconds: float) -> tuple[list[float], int]:
    """Start one transaction every 1/rate seconds, whether or not the ones before are done."""
    latencies: list[float] = []
    failed = 0
    under_way: set[asyncio.Task[None]] = set()
    started = time.perf_counter()

    async def one(worker: int, due: float) -> None:
        nonlocal failed
        try:
            await submit(worker)
        except LedgerError:
            failed += 1
            return
        latencies.append((time.perf_counter() - due) * 1000)

    for number in range(max(1, int(rate * seconds))):
        due = started + number / max(rate, 1e-9)
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        task = asyncio.create_task(one(number % workers, due))
        under_way.add(task)
        task.add_done_callback(under_way.discard)
    await asyncio.gather(*under_way)
    return latencies, failed
