import asyncio
import base64
import math
import ssl
from typing import get_args

import httpx
import pytest

from medward.bench.ledger import etcd, pbft, proof_of_work
from medward.bench.ledger.certificate import Certificate
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


with_etcd = pytest.mark.skipif(etcd.version() is None, reason="etcd is not installed (Debian: etcd-server)")


@pytest.mark.slow
@with_etcd
@pytest.mark.parametrize("interface", get_args(etcd.Interface))
def test_etcd_is_measured_with_the_same_clients(interface):
    figures = asyncio.run(etcd.run(3, 200, 16, 1.0, interface))
    assert figures.failed == 0
    assert figures.peak > 0
    assert figures.p99 >= figures.p50 > 0


async def bare(node):
    return await etcd.BareClient.connect(node)


async def by_grpcio(node):
    return etcd.GrpcioClient(node)


@with_etcd
@pytest.mark.parametrize("protected", [True, False])
@pytest.mark.parametrize("connect", [bare, by_grpcio])
def test_what_is_put_over_grpc_is_in_etcd_and_what_etcd_refuses_is_an_error(connect, protected):
    async def story(node):
        client = await connected(connect, node)
        puts = [(b"key-%d" % i, bytes([i]) * 10_000) for i in range(40)]
        await asyncio.gather(*(client.put(key, value) for key, value in puts))
        with pytest.raises(LedgerError, match=r"refused|key is not provided"):
            await client.put(b"", b"a value without a key")
        if connect is bare:
            with pytest.raises(LedgerError, match="longer"):
                await client.put(b"key", bytes(70_000))
        await client.put(b"last", b"after errors")
        await client.close()
        for key, value in [*puts, (b"last", b"after errors")]:
            assert await asyncio.to_thread(stored, node, key) == value

    with etcd.nodes(1, protected=protected) as reached:
        asyncio.run(story(reached[0]))


@with_etcd
@pytest.mark.parametrize("connect", [bare, by_grpcio])
def test_a_client_does_not_speak_to_an_etcd_with_another_certificate(connect, tmp_path):
    async def story(node):
        await (await connected(connect, node)).close()
        stranger = etcd.Reached(node.grpc, node.http, Certificate.create(tmp_path))
        with pytest.raises((ssl.SSLError, LedgerError)):
            await (await connect(stranger)).put(b"key", b"value")

    with etcd.nodes(1) as reached:
        asyncio.run(story(reached[0]))


async def connected(connect, node):
    for _ in range(300):
        try:
            client = await connect(node)
            await client.put(b"ready", b"1")
        except (OSError, LedgerError):
            await asyncio.sleep(0.1)
        else:
            return client
    raise AssertionError("etcd did not start")


def stored(node, key):
    body = {"key": base64.b64encode(key).decode()}
    scheme, trusted = ("http", True) if node.context is None else ("https", node.context)
    found = httpx.post(f"{scheme}://127.0.0.1:{node.http}/v3/kv/range", json=body, verify=trusted).json()
    return base64.b64decode(found["kvs"][0]["value"])
