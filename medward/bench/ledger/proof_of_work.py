"""A proof-of-work chain in its most favourable form: one miner, no network, no forks, only the puzzle.

A transaction counts as final after six blocks, Bitcoin's custom. Throughput is what full blocks carry; latency is the
time to the sixth block. A real network is slower than this in both.
"""

import hashlib
import time

from medward.bench.ledger.load import percentile

CONFIRMATIONS = 6


def run(difficulty_bits: int, batch: int, seconds: float) -> tuple[float, float, float]:
    """Mine for `seconds`.

    Args:
        difficulty_bits: leading zero bits that a block's SHA-256 must have.
        batch: transactions in a block.

    Returns:
        Transactions a second, and the median and 99th percentile of the milliseconds to finality.
    """
    target = 1 << (256 - difficulty_bits)
    head = bytes(32)
    blocks: list[float] = []
    started = time.perf_counter()
    while time.perf_counter() - started < seconds or len(blocks) <= CONFIRMATIONS:
        prefix = hashlib.sha256(head + len(blocks).to_bytes(8, "big")).digest()
        nonce = 0
        while True:
            digest = hashlib.sha256(prefix + nonce.to_bytes(8, "big")).digest()
            if int.from_bytes(digest, "big") < target:
                break
            nonce += 1
        head = digest
        blocks.append(time.perf_counter())
    waits = [(late - early) * 1000 for early, late in zip(blocks, blocks[CONFIRMATIONS:], strict=False)]
    return batch * len(blocks) / (blocks[-1] - started), percentile(waits, 0.5), percentile(waits, 0.99)
