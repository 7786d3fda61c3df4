"""Seconds until a whole secure sum is done in a fresh process: with nothing compiled yet, then with everything kept.

Run: python benchmarks/fhe_cold_start.py [--json]
"""

import os
import subprocess
import sys
import tempfile
import time

from medward.report.benchmark import BenchmarkRow, print_benchmark

ROUND = """
import numpy as np
from medward.fhe import dealing
from medward.fhe.epoch import EpochKeys, contribute
from medward.fhe.member import SumMember
from medward.fhe.parameters import sum_parameters

class Journal:
    def __init__(self): self.answers = {}
    def once(self, slot, question, budget, make): return self.answers.setdefault(slot, None) or self.keep(slot, make())
    def keep(self, slot, answer): self.answers[slot] = answer; return answer
    def stored(self, slot): return self.answers.get(slot)

p = sum_parameters("AGG-M", 8, 16, 3)
made = {i: contribute(p, b"cold", 1, i) for i in (1, 2, 3)}
keys = EpochKeys.accept(p, b"cold", 1, {i: (c.commitment(p, b"cold", 1, i), c) for i, (_, c) in made.items()})
members = {i: SumMember(keys, i, Journal(), s) for i, (s, _) in made.items()}
context = dealing.DealingContext(b"cold", 1, 1, (1, 2, 3), 3)
dealt = dealing.deal(p, context, made[1][0])
dealing.check_dealt_share(p, context, 2, dealt.shares[2], digest=dealt.digests[2], beacon=b"x",
                          response=dealing.respond(p, dealt, b"x"))
values = np.ones((p.lanes, p.degree), np.int64)
sealed = {i: m.seal(1, 0, values) for i, m in members.items()}
commitments = {i: s.commitment(keys, 1, 0, i) for i, s in sealed.items()}
aggregate = members[1].add(sealed)
checked = {i: m.check(1, 0, commitments, sealed, aggregate) for i, m in members.items()}
answers = {i: m.share(checked[i]) for i, m in members.items()}
assert (members[1].open(checked[1], answers) == 3).all()
"""


def _seconds(cache: str) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", ROUND], env=os.environ | {"NUMBA_CACHE_DIR": cache}, check=True)
    return time.perf_counter() - start


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as cache:
        first = _seconds(cache)
        later = min(_seconds(cache) for _ in range(3))
    rows = [
        BenchmarkRow(
            "key ceremony and one secure sum of 3 members, nothing compiled yet", first, None, None, None, "s"
        ),
        BenchmarkRow("the same in a later process", later, None, None, None, "s"),
    ]
    print_benchmark("Cold start", rows, as_json="--json" in sys.argv[1:])
