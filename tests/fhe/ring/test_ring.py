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
@pytest.mark.parametrize("millions", [20, pytest.param(100, marks=pytest.mark.release)])
def test_no_mismatch_on_millions_of_coefficients(millions: int) -> None:
    """A fifth of benchmarks/fhe/oracle.py, transforms both ways and products of slots; before a release all of it."""
    coefficients, products = millions * 1_000_000, millions * 300_000
    words = ("--coefficients", str(coefficients), "--products", str(products), "--json")
    done = subprocess.run([sys.executable, str(_ORACLE), *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    summary = json.loads(done.stdout)["summary"]
    assert summary["mismatches"] == 0
    assert summary["coefficients transformed each way"] >= coefficients
    assert summary["coefficients multiplied"] >= products


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
