"""Kernels on this CPU and on one without a fused multiply-add compute the same."""

import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medward.fhe.ring import kernels
from medward.fhe.ring.kernels import compiled
from medward.fhe.ring.ring import Ring

_WITHOUT_FMA = """
import numpy as np
from medward.fhe.ring.kernels import HAS_FMA
from medward.fhe.ring.modular import times, times_constant
from medward.fhe.ring.ring import Ring
assert not HAS_FMA
ring = Ring(1024, 2)
generator = np.random.default_rng(1)
for q in ring.primes:
    for x, y in generator.integers(-(q // 2), q // 2, (500, 2)).tolist() + [[q // 2, q // 2], [-(q // 2), q // 2]]:
        assert (int(times(float(x), float(y), float(q), 1.0 / q)) - x * y) % q == 0
        assert (int(times_constant(8.0 * x, float(y), y / q, float(q))) - 8 * x * y) % q == 0
a = np.stack([generator.integers(-(q // 2), q // 2, 1024) for q in ring.primes]).astype(float)
b = ring.forward(a.copy())
assert np.array_equal(ring.inverse(b.copy()), a)
print(repr(b.sum()))
"""


def test_fused_multiply_add_is_checked_and_in_use_where_the_cpu_has_it() -> None:
    flags = Path("/proc/cpuinfo")
    if not flags.exists() or " fma " not in flags.read_text():
        pytest.skip("this machine does not say that its CPU has a fused multiply-add")
    assert kernels._fma_is_exact()
    assert kernels.HAS_FMA


def test_cpu_without_fma_computes_the_same(tmp_path: Path) -> None:
    environment = os.environ | {
        "NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": "", "NUMBA_CACHE_DIR": str(tmp_path),
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", _WITHOUT_FMA], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    ring = Ring(1024, 2, use_fma=True)
    generator = np.random.default_rng(1)
    for q in ring.primes:
        generator.integers(-(q // 2), q // 2, (500, 2))
    a = np.stack([generator.integers(-(q // 2), q // 2, 1024) for q in ring.primes]).astype(float)
    assert done.stdout.strip() == repr(ring.forward(a).sum())


@compiled
def _fused(x: float, y: float, z: float) -> float:
    return kernels.fma(x, y, z)


@compiled
def _nearest(x: float) -> float:
    return kernels.nearest(x)


@compiled
def _high(x: int, y: int) -> int:
    return kernels.high_product(x, y)


def test_fused_multiply_add_rounds_once() -> None:
    exact = Fraction(1 + 2**-30) * Fraction(1 - 2**-30)
    assert Fraction(_fused(1 + 2.0**-30, 1 - 2.0**-30, -1.0)) == exact - 1


def test_nearest_integer_takes_ties_to_even() -> None:
    assert [_nearest(x) for x in (0.5, 1.5, 2.5, -0.5, -1.5, 2.0**52 - 0.5, 7.49999)] == [0, 2, 2, 0, -2, 2.0**52, 7]


@settings(max_examples=100)
@given(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))
def test_high_product_is_the_upper_half(x: int, y: int) -> None:
    assert int(_high(np.uint64(x), np.uint64(y))) == x * y >> 64
    assert int(_high(np.uint64(2**64 - 1), np.uint64(2**64 - 1))) == 2**64 - 2
