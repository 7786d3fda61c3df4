"""The tables of spec/scheme.md: every parameter set, its noise and failure budget, and the flood's shape.

Run: python benchmarks/fhe_parameters.py   (prints Markdown)
"""

import math

import numpy as np

from medward.fhe._primes import SLOT_DEGREE
from medward.fhe.encoding import HEADER_BYTES, Kind, element_bytes
from medward.fhe.errors import UnsafeParameters
from medward.fhe.parameters import (
    CONTRIBUTORS,
    DECRYPTIONS,
    FLOOD_INFORMATION,
    FLOOD_PAIRS,
    LARGEST_MODULUS_BITS,
    NAMED_SETS,
    UPDATE_BITS,
    Mask,
    Members,
    SumParameters,
    sum_parameters,
)
from medward.fhe.proofs import proof_bytes


def flood_information() -> float:
    """Fisher information times variance of the sum of 2 * FLOOD_PAIRS uniform variables (1 for a Gaussian)."""
    terms = 2 * FLOOD_PAIRS
    x = np.linspace(0, terms / 2, 1_000_001)[1:]
    signs = [(-1) ** k * math.comb(terms, k) for k in range(terms + 1)]
    density = sum(s * np.maximum(x - k, 0) ** (terms - 1) for k, s in enumerate(signs)) / math.factorial(terms - 1)
    slope = sum(s * np.maximum(x - k, 0) ** (terms - 2) for k, s in enumerate(signs)) / math.factorial(terms - 2)
    kept = density > 1e-14
    integrand = np.where(kept, slope**2 / np.where(kept, density, 1), 0)
    return float(2 * integrand.sum() * (x[1] - x[0]) * terms / 12)


def derived(name: str, bits: int, contributors: int, members: Members) -> SumParameters | None:
    try:
        return sum_parameters(name, bits, contributors, min(contributors, 64), members)
    except UnsafeParameters:
        return None


def acceptance(p: SumParameters, masks: tuple[Mask, ...]) -> float:
    """Probability that one attempt of a proof is shown."""
    return math.exp(sum(p.degree * math.log1p(-m.bound / 2**m.bits) for m in masks))


def sets_table() -> None:
    print("| K | members | set | flood | Delta | lanes at 4 / 8 / 12 / 16 bits | bytes a weight |")
    print("|---|---|---|---|---|---|---|")
    kinds: tuple[Members, Members] = ("semi-honest", "malicious")
    for contributors in CONTRIBUTORS:
        for members in kinds:
            for name in NAMED_SETS:
                row = [derived(name, bits, contributors, members) for bits in UPDATE_BITS]
                p = row[0]
                if p is None:
                    print(f"| {contributors} | {members} | {name} | no room | | | |")
                    continue
                flood = f"2^{p.flood_bits + math.log2(FLOOD_PAIRS / 6) / 2:.2f}"
                lanes = " / ".join(str(q.lanes) if q else "-" for q in row)
                size = 2 * element_bytes(p)
                sizes = " / ".join(f"{size / q.values_per_ciphertext:.2f}" if q else "-" for q in row)
                print(f"| {contributors} | {members} | {name} | {flood} | 2^{p.delta_bits} | {lanes} | {sizes} |")
    print()


def budget_table() -> None:
    print(
        "| set, members, K = n = 64 | log2 q (bound) | sigma_ct | l2 norm hidden | flood "
        "| Delta / 2 over the bound | failure |"
    )
    print("|---|---|---|---|---|---|---|")
    for name, members in [(n, m) for m in ("semi-honest", "malicious") for n in NAMED_SETS]:
        p = derived(name, 8, 64, members)  # type: ignore[arg-type]
        if p is None:
            continue
        sigma = math.sqrt(p.contributors * 10.5 * (1 + 4 / 3 * p.degree * p.holders))
        flood_sigma = math.sqrt(FLOOD_PAIRS / 6) * 2.0**p.flood_bits
        information = FLOOD_INFORMATION[0] / FLOOD_INFORMATION[1]
        norm = flood_sigma / math.sqrt(12 * DECRYPTIONS * information) / 2 ** (p.statistical_bits / 2)
        room = 2.0 ** (p.delta_bits - 1) / p.residual_bound
        z2 = ((p.residual_bound / flood_sigma) ** 2) / p.holders if not p.malicious else None
        failure = f"2^{math.log2(2 * p.degree) - z2 / 2 / math.log(2):.1f}" if z2 else "2^-64 (by the same z)"
        print(
            f"| {name}, {members} | {p.limbs * 50} ({LARGEST_MODULUS_BITS[p.degree]}) | 2^{math.log2(sigma):.2f} "
            f"| at most 2^{math.log2(norm):.2f} | 2^{math.log2(flood_sigma):.2f} | {room:.2f} | {failure} |"
        )
    print()


def proofs_table() -> None:
    print(
        "| set, K = n = 64 | challenges | mask bits (v, e1) | accepted | c1 proof "
        "| mask bits (s, e, flood) | accepted | share proof | a member sends |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for name in ("AGG-M", "AGG-L"):
        p = sum_parameters(name, 8, 64, 64)
        each = p.challenge_weight // SLOT_DEGREE
        count = SLOT_DEGREE * (math.log2(math.comb(p.degree // SLOT_DEGREE, each)) + each)
        c1, share = p.ciphertext_masks, p.share_masks
        c1_bytes, share_bytes = proof_bytes(p, Kind.CIPHERTEXT_PROOF), proof_bytes(p, Kind.SHARE_PROOF)
        sent = 2 * HEADER_BYTES + 3 * element_bytes(p) + c1_bytes + share_bytes
        print(
            f"| {name} | 2^{count:.1f} | {', '.join(str(m.bits) for m in c1)} | {acceptance(p, c1):.2f} | {c1_bytes} B "
            f"| {', '.join(str(m.bits) for m in share)} | {acceptance(p, share):.2f} | {share_bytes} B "
            f"| {sent} B a block, {sent / p.values_per_ciphertext:.1f} B a weight |"
        )
    print()


if __name__ == "__main__":
    print(
        f"Information of the flood: {flood_information():.4f}, "
        f"bounded by {FLOOD_INFORMATION[0] / FLOOD_INFORMATION[1]}\n"
    )
    sets_table()
    budget_table()
    proofs_table()
