"""Real replicas that are measured: what they spend is told, and one that ends early is not waited for."""

import asyncio
import sys

import pytest

from medward.bench.ledger import pbft
from medward.ledger.errors import LedgerError


@pytest.mark.slow
def test_four_replicas_are_measured_with_all_they_spend():
    figures, spent = asyncio.run(pbft.run(4, 200, 16, 1.0))
    assert figures.failed == 0
    assert figures.peak > 0
    assert 0 < spent.verifying < spent.cpu
    assert spent.checks > figures.peak
    assert spent.syncs > 0


def test_ports_are_all_different() -> None:
    ports = pbft.free_ports(20)
    assert len(set(ports)) == 20
    assert all(1024 <= port < 65_536 for port in ports)


def test_a_replica_that_ends_before_it_answers_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(LedgerError, match="replica h00 ended with exit code 1"):
        asyncio.run(asyncio.wait_for(pbft.run(4, 10, 2, 0.1), 30))
