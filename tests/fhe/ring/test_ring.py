"""The transform and the products against integers: exact on every input, the extreme ones first."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from medward.fhe.ring.ring import Ring

_ORACLE = Path(__file__).parents[3] / "benchmarks" / "fhe" / "oracle.py"


@pytest.mark.slow
def test_no_mismatch_on_a_hundred_million_coefficients() -> None:
    """All of benchmarks/fhe/oracle.py: transforms both ways and slot products, random and extreme residues."""
    done = subprocess.run([sys.executable, str(_ORACLE), "--json"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    summary = json.loads(done.stdout)["summary"]
    assert summary["mismatches"] == 0
    assert summary["coefficients transformed each way"] >= 100_000_000
    assert summary["coefficients multiplied"] >= 30_000_000


def test_product_in_evaluation_form_is_the_negacyclic_product() -> None:
    for degree in (64, 256, 2048):  # one block of four and sixteen columns, two blocks
        ring = Ring(degree, 3)
        generator = np.random.default_rng(4)
        a, b = (generator.integers(-1000, 1000, degree) for _ in range(2))
        full = np.convolve(a, b)
        expected = full[:degree].copy()
        expected[: degree - 1] -= full[degree:]
        product = ring.multiply_add(ring.forward(ring.embed(a)), ring.forward(ring.embed(b)), ring.zero())
        assert ring.integers(ring.inverse(product)) == expected.tolist()
