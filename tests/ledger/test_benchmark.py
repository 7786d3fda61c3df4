import asyncio
import math

import pytest

from medward.ledger.benchmark import etcd, pbft, proof_of_work
from medward.ledger.benchmark.load import measure, percentile
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


def test_a_harder_puzzle_takes_longer():
    easy, *_ = proof_of_work.run(4, 1, 0.2)
    hard, *_ = proof_of_work.run(12, 1, 0.2)
    assert easy > hard > 0


@pytest.mark.slow
def test_four_replicas_are_measured_with_all_they_spend():
    figures, spent = asyncio.run(pbft.run(4, 200, 16, 1.0))
    assert figures.failed == 0
    assert figures.peak > 0
    assert 0 < spent.verifying < spent.cpu
    assert spent.checks > figures.peak
    assert spent.syncs > 0


@pytest.mark.slow
@pytest.mark.skipif(etcd.version() is None, reason="etcd is not installed (Debian: etcd-server)")
def test_etcd_is_measured_with_the_same_clients():
    figures = asyncio.run(etcd.run(3, 200, 16, 1.0))
    assert figures.failed == 0
    assert figures.peak > 0
