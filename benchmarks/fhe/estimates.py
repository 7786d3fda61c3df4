"""What the best known lattice attacks cost: the estimator's figures of spec/scheme.md and spec/computing.md.

Run: python benchmarks/fhe/estimates.py CHECKOUT   (prints Markdown; a minute)

CHECKOUT is a checkout of https://github.com/malb/lattice-estimator, commit 27a581b or a later one. It needs SageMath,
or the package passagemath-standard-no-symbolics, in a virtual environment of its own: medward itself is not imported.

Each figure is log2 of the operations of the cheapest of three attacks (primal uSVP, dual, dual hybrid), under the cost
model MATZOV, and under ADPS16 (core-SVP, one call of the oracle at 2^(0.292 beta) classical, 2^(0.265 beta) quantum).
"""

import argparse
import importlib
import logging
import math
import sys
from pathlib import Path
from typing import Any

#: (N, log2 q, width of the secret and of the errors; 0 for a ternary secret with errors of width 3.24, what it is).
SETS = [
    (2048, 50, 3.2, "sums: what is left after the hints"),
    (2048, 50, 7.0, "sums: without hints"),
    (4096, 100, 3.2, "rejected: two primes"),
    (8192, 200, 0.0, "the joint key of earlier versions"),
    (8192, 190, 0.0, "computing: scale 2^40, 1 level"),
    (16384, 425, 0.0, "computing: scale 2^45, 5 levels"),
    (32768, 720, 0.0, "computing: scale 2^84, 5 levels"),
    (32768, 780, 0.0, "computing: scoring, scale 2^96, 5 levels"),
    (32768, 840, 0.0, "computing: scale 2^45, 12 levels"),
]


def estimates(checkout: Path) -> list[tuple[str, float, float, float]]:
    """Return (what, MATZOV, core-SVP classical, core-SVP quantum) for each set."""
    sys.path.insert(0, str(checkout))
    logging.disable(logging.CRITICAL)
    estimator: Any = importlib.import_module("estimator")
    models: Any = importlib.import_module("estimator.reduction").RC
    infinite: Any = importlib.import_module("sage.all").oo
    rows = []
    for degree, bits, width, what in SETS:
        gaussian = estimator.ND.DiscreteGaussian
        secret, error = (gaussian(width), gaussian(width)) if width else (estimator.ND.Uniform(-1, 1), gaussian(3.24))
        instance = estimator.LWE.Parameters(n=degree, q=2**bits, Xs=secret, Xe=error, m=infinite)

        def cheapest(model: Any, instance: Any = instance) -> float:
            found = [
                estimator.LWE.primal_usvp(instance, red_cost_model=model, red_shape_model="gsa"),
                estimator.LWE.dual(instance, red_cost_model=model),
            ]
            if model is models.MATZOV:
                found.append(estimator.LWE.dual_hybrid(instance, red_cost_model=model))
            return min(math.log2(cost["rop"]) for cost in found)

        quantum = models.ADPS16.__class__(mode="quantum")
        rows.append((f"{what}: N = {degree}, {bits} bits, width {width or 'ternary, 3.24'}",
                     cheapest(models.MATZOV), cheapest(models.ADPS16), cheapest(quantum)))  # fmt: skip
        print(rows[-1], file=sys.stderr, flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("checkout", type=Path, help="a checkout of malb/lattice-estimator")
    rows = estimates(parser.parse_args().checkout)
    print("| what | MATZOV | core-SVP, classical | core-SVP, quantum |")
    print("|---|---|---|---|")
    for what, matzov, classical, quantum in rows:
        print(f"| {what} | {matzov:.1f} | {classical:.1f} | {quantum:.1f} |")


if __name__ == "__main__":
    main()
