"""The tables of spec/scheme.md: every parameter set, the constants of its proofs, and the sizes of what is sent.

Run: python benchmarks/fhe/parameters.py   (prints Markdown; some seconds)

Nothing here is measured on a clock. What is computed from the parameters of `medward.fhe.parameters` alone is exact;
the largest eigenvalue of a challenge is also looked at for a few challenges, whose seeds are fixed.
"""

import hashlib
from decimal import Decimal, localcontext
from math import comb, exp, log, log2, pi, sqrt

import numpy as np

from medward.fhe.checking import audit_response_bytes, response_bytes
from medward.fhe.context import SumContext
from medward.fhe.contribution import contribution_bytes
from medward.fhe.packing import BlockLayout
from medward.fhe.parameters import (
    AUDITS,
    DEGREE,
    MOST_BLOCKS,
    MOST_HOLDERS,
    SIGMA,
    TESTS,
    UPDATE_BITS,
    SumParameters,
    sum_parameters,
)
from medward.fhe.reconstruction import answer_bytes
from medward.fhe.sampling import gaussian_cumulative

#: Members of the federations in the tables.
MEMBERS = (4, 7, 10, 16, 64, 128, 1024)
#: log2 of how many beacons a liar can try in one round.
TRIES = 64
#: Weights of the contributions whose sizes are told, the size that docs/scaling.md reckons with.
WEIGHTS = 250_000
SLOTS = DEGREE // 4


def derived(members: int, bits: int = 8) -> SumParameters:
    """Return the set of a federation of so many members, all of them contributors; holders are the first 64."""
    holders = min(members, MOST_HOLDERS)
    return sum_parameters(bits, members, holders, (members - 1) // 3, holders - (holders - 1) // 3)


def least_cohort(members: int) -> int:
    p = derived(members)
    return max(3, p.faulty + 2, p.threshold)


def widest_gain() -> float:
    """Bound lambda_max(R R^T), but for probability 2^-TRIES over 2^TRIES beacons (spec/scheme.md, "The proof").

    P(lambda_max >= x) <= (1 - c)^-N / 1F1(1/2; T/2; c x) for every c between 0 and 1.
    """
    low, high = float(DEGREE), 4.0 * DEGREE
    for _ in range(40):
        middle = (low + high) / 2
        least = min(-DEGREE * log(1 - c / 100) - _log_1f1(c / 100 * middle) for c in range(20, 70))
        low, high = (middle, high) if least > -2 * TRIES * log(2) else (low, middle)
    return high


def _log_1f1(a: float) -> float:
    """Return ln 1F1(1/2; T/2; a), the mean of exp(a y^2) over a coordinate y of the unit sphere in T dimensions."""
    n = np.arange(int(6 * a) + 100)
    terms = np.cumsum(np.log((0.5 + n) / (TESTS / 2 + n) * a / (n + 1)))
    largest = float(terms.max())
    return largest + log(exp(-largest) + float(np.exp(terms - largest).sum()))


def seen_gains(count: int = 8) -> list[float]:
    """Return lambda_max(R R^T) of a few challenges."""
    out = []
    for k in range(count):
        bits = np.unpackbits(np.frombuffer(hashlib.shake_128(b"gain %d" % k).digest(TESTS * 2 * DEGREE // 4), np.uint8))
        rows = (bits[0::2].astype(np.float64) - bits[1::2]).reshape(TESTS, 2 * DEGREE)
        out.append(float(np.linalg.eigvalsh(rows @ rows.T).max()))
    return out


def width_left(gain: float, mask_variance: int) -> float:
    """Return sigma_0, the width of what the hints leave: 1/sigma_0^2 = 2 (2/sigma^2 + 2 gain/sigma_y^2)."""
    return 1 / sqrt(2 * (2 / SIGMA**2 + 2 * gain / mask_variance))


def width_needed(blocks: int, epsilon_bits: float = 128.0) -> float:
    """Return sqrt(2) eta_epsilon(Z^m) for a secret, its check block and so many blocks: m = N (blocks + 2)."""
    return sqrt(log(2 * DEGREE * (blocks + 2)) + log(1 + 2.0**epsilon_bits)) / pi


def epsilon_bits(width: float, blocks: int) -> float:
    """Return -log2 of the epsilon for which a width is sqrt(2) eta_epsilon(Z^m)."""
    return ((width * pi) ** 2 - log(2 * DEGREE * (blocks + 2))) / log(2)


def second_sums(bound: int, prime: int) -> tuple[float, float]:
    """Return log2 of the expected number of second short sums over a_0: by differences that are units, and by all.

    A difference d that vanishes in j slots lies, as a_0 d does, in an ideal of norm p^(4 j), none of whose members but
    0 is shorter than p^(4 j / N) / sqrt(N).
    """
    values = log2(4 * bound + 1)
    each = []
    for j in range(SLOTS):
        shortest = 4 * j / DEGREE * log2(prime) - log2(DEGREE) / 2
        if shortest > log2(2 * bound):
            continue
        packed = log2(1 + 2.0 ** (log2(4 * bound) - shortest))
        each.append(log2(comb(SLOTS, j)) + 2 * DEGREE * min(values, packed) - (DEGREE - 4 * j) * log2(prime))
    largest = max(each)
    return each[0], largest + log2(sum(2.0 ** max(e - largest, -1000.0) for e in each))


def sampler_distance(variance: int) -> tuple[float, float]:
    """Return log2 of (R_2 - 1) and of the statistical distance between a sampler's table and its discrete Gaussian."""
    with localcontext() as context:
        context.prec = 90
        table = [Decimal(c) / Decimal(1 << 127) for c in gaussian_cumulative(variance)]
        step = (Decimal(-1) / (2 * variance)).exp()
        weights, weight, ratio = [Decimal(1)], Decimal(1), step
        while weight > Decimal(2) ** -200:
            weight *= ratio
            ratio *= step * step
            weights.append(2 * weight)
        total, renyi, distance, before = sum(weights), Decimal(0), Decimal(0), Decimal(0)
        for k, weight in enumerate(weights):
            ideal = weight / total
            here = table[k] if k < len(table) else Decimal(1)
            renyi += (here - before - ideal) ** 2 / ideal
            distance += abs(here - before - ideal) / 2
            before = here
        return log2(renyi), log2(distance)


def lanes_table() -> None:
    print("| K = n | noise bound | Delta at 4 / 8 / 12 / 16 bits | lanes | bytes a weight |")
    print("|---|---|---|---|---|")
    for members in MEMBERS:
        row = [derived(members, bits) for bits in UPDATE_BITS]
        size = DEGREE * 50 / 8
        deltas = " / ".join(f"2^{log2(p.delta):.1f}" for p in row)
        sizes = " / ".join(f"{size / p.values_per_block:.2f}" for p in row)
        print(f"| {members} | {row[0].noise_bound} | {deltas} | {' / '.join(str(p.lanes) for p in row)} | {sizes} |")
    print()


def thresholds_table() -> None:
    print(
        "| n | holders h | f | t | shown at most | least cohort | sets of t answers | log2 of cohorts "
        "| bound of a sum | log2 of second sums, units / all |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    for members in MEMBERS:
        p, least = derived(members), least_cohort(members)
        cohorts = log2(sum(comb(members, k) for k in range(members - least + 1)))
        sets = comb(p.holders, p.threshold)
        units, every = second_sums(p.sum_bound, p.prime)
        print(
            f"| {members} | {p.holders} | {p.faulty} | {p.threshold} | {p.most_shown} | {least} "
            f"| {sets if sets < 10**6 else f'2^{log2(sets):.0f}'} | {cohorts:.1f} | {p.sum_bound} "
            f"| {units:.0f} / {f'{every:.0f}' if every < 0 else 'not bounded'} |"
        )
    print()


def sizes_table() -> None:
    print("| n | bits | blocks | contribution | of it for the shares | response | answer | response to an audit |")
    print("|---|---|---|---|---|---|---|---|")
    members: dict[str, list[int]] = {}
    for count in MEMBERS:
        for bits in (8, 16):
            members.setdefault(_sizes(count, bits), []).append(count)
    for sizes, counts in members.items():
        print(f"| {', '.join(str(count) for count in counts)} | {sizes} |")
    print()


def _sizes(members: int, bits: int) -> str:
    p = derived(members, bits)
    blocks = BlockLayout(p, 0, WEIGHTS).blocks
    context = SumContext(p, b"", tuple(range(1, p.holders + 1)), blocks)
    whole, shown = contribution_bytes(context), (response_bytes(context), answer_bytes(), audit_response_bytes(context))
    dealt = whole - (1 + blocks) * DEGREE * 50 // 8
    return " | ".join(str(size) for size in (bits, blocks, whole, dealt, *shown))


def bad_committee(members: int, liars: int) -> float:
    """Return log2 of the probability that a committee drawn from the members has more liars than it survives."""
    most = (MOST_HOLDERS - 1) // 3
    ways = sum(comb(liars, k) * comb(members - liars, MOST_HOLDERS - k) for k in range(most + 1, MOST_HOLDERS + 1))
    return log2(ways) - log2(comb(members, MOST_HOLDERS))


def constants_table() -> None:
    p = derived(16)
    gain, seen = widest_gain(), seen_gains()
    typical, least = width_left(max(seen), p.mask_variance), width_left(gain, p.mask_variance)
    row = TESTS * 2 * exp(-(p.test_bound**2) / (2 * (2 * DEGREE * SIGMA**2 + p.mask_variance)))
    narrow, wide = sampler_distance(SIGMA**2), sampler_distance(p.mask_variance)
    proved = max(n for n in range(4, 1025) if second_sums(derived(n).sum_bound, p.prime)[1] < -128)
    print("| what | value |")
    print("|---|---|")
    print(f"| p; log2 p | {p.prime}; {log2(p.prime):.6f} |")
    print(f"| width of the masks y, sqrt({p.mask_variance}) | {sqrt(p.mask_variance):.1f} |")
    print(f"| lambda_max(R R^T): {len(seen)} challenges, smallest and largest | {min(seen):.0f}, {max(seen):.0f} |")
    print(f"| lambda_max(R R^T): none of 2^{TRIES} beacons exceeds it, but for 2^-{TRIES} | {gain:.0f} |")
    print(f"| sigma_0 left by the hints, at the largest lambda_max seen; at the bound | {typical:.3f}; {least:.3f} |")
    print(f"| sqrt(2) eta at epsilon = 2^-128: 61 blocks; {MOST_BLOCKS} blocks "
          f"| {width_needed(61):.3f}; {width_needed(MOST_BLOCKS):.3f} |")  # fmt: skip
    print(f"| -log2 epsilon at the bound's sigma_0: 61 blocks; {MOST_BLOCKS} blocks "
          f"| {epsilon_bits(least, 61):.1f}; {epsilon_bits(least, MOST_BLOCKS):.1f} |")  # fmt: skip
    print(f"| B, bound of a test; 2B, of an accepted secret and error | {p.test_bound}; {2 * p.test_bound} |")
    print(f"| log2 of an honest dealing found too large, at most | {log2(row):.1f} |")
    print(f"| log2 of a dealing beyond 2B accepted: one beacon; 2^{TRIES} beacons | -{TESTS}; {TRIES - TESTS} |")
    audit = AUDITS * log2(p.prime)
    print(f"| log2 of a wrong answer passing the audit: one beacon; 2^{TRIES} beacons "
          f"| -{audit:.0f}; {TRIES - audit:.0f} |")  # fmt: skip
    print(f"| sampler of width {SIGMA}: log2 (R_2 - 1); log2 of statistical distance "
          f"| {narrow[0]:.0f}; {narrow[1]:.0f} |")  # fmt: skip
    print(f"| sampler of the masks y: the same | {wide[0]:.0f}; {wide[1]:.0f} |")
    drawn = "; ".join(f"{bad_committee(1000, liars):.1f}" for liars in (100, 200, 333))
    print(f"| log2 of more than 21 liars among 64 drawn from 1,000, of whom 100; 200; 333 lie | {drawn} |")
    print(f"| largest n for which no second sum is expected by any difference (below 2^-128) | {proved} |")
    print()


if __name__ == "__main__":
    lanes_table()
    thresholds_table()
    sizes_table()
    constants_table()
