"""The arithmetic on doubles against integers, coefficient by coefficient: every residue must be the same.

Transforms, both ways, are compared with the transform on 64-bit integers (medward/fhe/ring/ntt_integer.py); products of
transforms with the schoolbook product modulo each X^4 - zeta, in 64-bit integers, twelve bits at a time. Inputs are
residues drawn uniformly, and the extreme ones: all (q-1)/2, all -(q-1)/2, either by chance, inputs whose transform
is that, and a single non-zero residue. Nothing depends on a rounding mode or a library but numpy's integers.

Run: python benchmarks/fhe/oracle.py [--coefficients 100000000] [--products 30000000] [--seed 1] [--json]
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator

import numpy as np

from medward.fhe.ring.primes import SLOT_DEGREE
from medward.fhe.ring.ring import Element, Ring

#: Sums work in the first, modulo the first of the four primes.
DEGREES = (2048, 8192, 16384, 32768)
LIMBS = 4


def inputs(ring: Ring, generator: np.random.Generator) -> Iterator[Element]:
    """Yield elements without end, the extreme ones and random ones by turns."""
    half = np.array([(q - 1) // 2 for q in ring.primes], np.float64)[:, None]
    shape = (ring.limbs, ring.degree)
    spike = np.zeros(shape)
    spike[:, -1] = half[:, 0]
    yield from (np.tile(half, (1, ring.degree)), np.tile(-half, (1, ring.degree)), spike)
    while True:
        signs = generator.integers(0, 2, shape) * 2.0 - 1.0
        yield signs * half
        yield ring.inverse(signs * half)
        yield np.stack([generator.integers(-(q // 2), q // 2 + 1, ring.degree) for q in ring.primes]).astype(np.float64)


def transforms(degree: int, coefficients: int, generator: np.random.Generator) -> dict[str, int]:
    """Compare both transforms on at least this many coefficients each."""
    floats, integers = Ring(degree, LIMBS, use_fma=True), Ring(degree, LIMBS, use_fma=False)
    compared = wrong = 0
    for a in inputs(floats, generator):
        x = floats.forward(a.copy())
        wrong += int(np.count_nonzero(x != integers.forward(a.copy())))
        wrong += int(np.count_nonzero(floats.inverse(x) != a))
        wrong += int(np.count_nonzero(floats.inverse(a.copy()) != integers.inverse(a.copy())))
        compared += a.size
        if compared >= coefficients:
            return {"degree": degree, "coefficients each way": compared, "mismatches": wrong}
    raise AssertionError("inputs never end")


def products(degree: int, coefficients: int, generator: np.random.Generator) -> dict[str, int]:
    """Compare a b + c in evaluation form on at least this many coefficients."""
    ring = Ring(degree, LIMBS)
    compared = wrong = 0
    stream = inputs(ring, generator)
    while compared < coefficients:
        a, b, c = next(stream), next(stream), next(stream)
        got = ring.multiply_add(a, b, c)
        for limb, q in enumerate(ring.primes):
            wrong += int(np.count_nonzero(_residues(got[limb], q) != _schoolbook(ring, limb, a, b, c)))
            wrong += int(np.count_nonzero(np.abs(got[limb]) > (q - 1) // 2))
        compared += got.size
    return {"degree": degree, "coefficients": compared, "mismatches": wrong}


def _residues(a: np.ndarray, q: int) -> np.ndarray:
    """Balanced doubles as uint64 in [0, q)."""
    return np.mod(a.astype(np.int64), q).astype(np.uint64)


def _times(x: np.ndarray, y: np.ndarray, q: int) -> np.ndarray:
    """x y mod q for residues below 2^50: every step stays below 2^62 + 2^62."""
    total = np.zeros_like(x)
    for shift in (48, 36, 24, 12, 0):
        total = ((total << np.uint64(12)) + x * ((y >> np.uint64(shift)) & np.uint64(4095))) % np.uint64(q)
    return total


def _schoolbook(ring: Ring, limb: int, *elements: Element) -> np.ndarray:
    """a b + c modulo every X^4 - zeta of one limb."""
    q = ring.primes[limb]
    zeta = _residues(ring._slots[0][limb], q)  # [group, column]
    a, b, c = (_residues(e[limb], q).reshape(zeta.shape[0], SLOT_DEGREE, zeta.shape[1]) for e in elements)
    out = c.copy()
    for i in range(SLOT_DEGREE):
        for j in range(SLOT_DEGREE):
            term = _times(a[:, i], b[:, j], q)
            if i + j >= SLOT_DEGREE:
                term = _times(term, zeta, q)
            out[:, (i + j) % SLOT_DEGREE] = (out[:, (i + j) % SLOT_DEGREE] + term) % np.uint64(q)
    return out.reshape(-1)


def main() -> int:
    """Compare, print, and return the number of mismatches."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--coefficients", type=int, default=100_000_000, help="of transforms, each way, all degrees")
    parser.add_argument("--products", type=int, default=30_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    words = parser.parse_args()
    generator = np.random.default_rng(words.seed)
    start = time.process_time()
    part, piece = (-(-total // len(DEGREES)) for total in (words.coefficients, words.products))
    transformed = [transforms(degree, part, generator) for degree in DEGREES]
    multiplied = [products(degree, piece, generator) for degree in DEGREES]
    summary = {
        "seed": words.seed,
        "coefficients transformed each way": sum(row["coefficients each way"] for row in transformed),
        "coefficients multiplied": sum(row["coefficients"] for row in multiplied),
        "mismatches": sum(row["mismatches"] for row in (*transformed, *multiplied)),
        "seconds": round(time.process_time() - start, 1),
    }
    whole = {"summary": summary, "transforms": transformed, "products": multiplied}
    print(json.dumps(whole, indent=1) if words.json else summary)
    return summary["mismatches"]


if __name__ == "__main__":
    sys.exit(main() != 0)
