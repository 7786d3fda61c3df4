"""The clients that all ledgers are measured with: what counts, what failed, and what is late."""

import asyncio
import math
import time

import pytest

from medward.bench.ledger.load import measure, percentile
from medward.ledger.errors import LedgerError


def test_percentiles():
    assert percentile([5.0, 1.0, 3.0], 0.5) == 3.0
    assert percentile([float(i) for i in range(100)], 0.99) == 99.0
    assert math.isnan(percentile([], 0.5))


def test_failures_are_counted_and_not_taken_for_answers():
    async def submit(worker):
        await asyncio.sleep(0.001)
        if worker == 1 and asyncio.get_running_loop().time() > started + 0.1:
            raise LedgerError("refused")

    async def run():
        nonlocal started
        started = asyncio.get_running_loop().time()
        return await measure(submit, 2, 0.3)

    started = 0.0
    figures = asyncio.run(run())
    assert figures.failed > 0
    assert figures.peak > 0


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 0.75, 0.99, 1.0])
@pytest.mark.parametrize("count", [1, 2, 4, 7])
def test_more_values_than_the_share_are_at_most_the_percentile(share: float, count: int) -> None:
    values = [float(7 * i % count) for i in range(count)]
    found = percentile(values, share)
    assert found in values
    assert sum(value <= found for value in values) > share * count or found == max(values)
    assert sum(value < found for value in values) <= share * count


def test_all_workers_are_busy_at_once_and_only_the_peak_is_measured_where_nothing_else_is_wanted() -> None:
    busy = most = 0
    seen: set[int] = set()

    async def submit(worker: int) -> None:
        nonlocal busy, most
        busy += 1
        seen.add(worker)
        most = max(most, busy)
        await asyncio.sleep(0.002)
        busy -= 1

    figures = asyncio.run(measure(submit, 5, 0.05, latencies=False))
    assert (most, seen) == (5, set(range(5)))
    assert figures.peak > 0
    assert figures.failed == 0
    assert math.isnan(figures.p50)
    assert math.isnan(figures.p99)


def test_what_ends_after_the_time_does_not_count_for_the_peak() -> None:
    async def submit(_: int) -> None:
        await asyncio.sleep(0.03)

    figures = asyncio.run(measure(submit, 3, 0.01, latencies=False))
    assert (figures.peak, figures.failed) == (0, 0)


def test_a_transaction_that_waits_does_not_hold_up_those_after_it() -> None:
    """With one worker, the peak has one transaction under way at a time; the steady rate has as many as are due."""
    busy = most = 0

    async def submit(_: int) -> None:
        nonlocal busy, most
        busy += 1
        most = max(most, busy)
        await asyncio.sleep(0.001 if time.perf_counter() < end else 0.1)
        busy -= 1

    end = time.perf_counter() + 0.1
    figures = asyncio.run(measure(submit, 1, 0.1))
    assert (busy, figures.failed) == (0, 0)
    assert most > 1
    assert figures.p99 >= figures.p50 > 0


def test_a_system_that_refuses_before_the_measurement_is_not_measured() -> None:
    async def submit(_: int) -> None:
        raise LedgerError("no quorum")

    with pytest.raises(LedgerError, match="no quorum"):
        asyncio.run(measure(submit, 2, 0.01))


def test_latencies_that_nobody_answered_are_no_number() -> None:
    """All fail but the first of each worker."""
    met: set[int] = set()

    async def submit(worker: int) -> None:
        await asyncio.sleep(0.001)
        if worker in met:
            raise LedgerError("refused")
        met.add(worker)

    figures = asyncio.run(measure(submit, 2, 0.02))
    assert figures.peak == 0
    assert figures.failed > 2
    assert math.isnan(figures.p99)
