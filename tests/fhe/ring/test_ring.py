"""The transform and the products against integers: exact on every input, the extreme ones first."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medward.fhe.ring import kernels, modular
from medward.fhe.ring.primes import is_prime, primitive_root, ring_primes
from medward.fhe.ring.ring import Ring

_ORACLE = Path(__file__).parents[3] / "benchmarks" / "fhe_oracle.py"

DEGREES = [1024, 2048, 4096, 8192, 16384, 32768]


def _inputs(ring: Ring, count: int, seed: int = 1) -> list[np.ndarray]:
    """Random residues, all of them +-q/2, inverse transforms of those (extreme outputs), one spike."""
    generator = np.random.default_rng(seed)
    half = np.array([(q - 1) // 2 for q in ring.primes], np.float64)[:, None]
    shape = (ring.limbs, ring.degree)
    out = [np.tile(half, (1, ring.degree)), np.tile(-half, (1, ring.degree))]
    spike = np.zeros(shape)
    spike[:, -1] = half[:, 0]
    out.append(spike)
    while len(out) < count:
        signs = generator.integers(0, 2, shape) * 2.0 - 1.0
        out.append(signs * half)
        out.append(ring.inverse(signs * half))
        out.append(
            np.stack([generator.integers(-(q // 2), q // 2 + 1, ring.degree) for q in ring.primes]).astype(float)
        )
    return out


@pytest.mark.parametrize("degree", DEGREES)
def test_transform_on_doubles_equals_the_integer_transform(degree: int) -> None:
    floats, integers = Ring(degree, 2, use_fma=True), Ring(degree, 2, use_fma=False)
    for a in _inputs(floats, 9):
        x, y = floats.forward(a.copy()), integers.forward(a.copy())
        assert np.array_equal(x, y)
        assert np.array_equal(floats.inverse(x.copy()), a)
        assert np.array_equal(integers.inverse(y), a)
        assert np.array_equal(floats.inverse(a.copy()), integers.inverse(a.copy()))


@pytest.mark.slow
def test_no_mismatch_on_a_hundred_million_coefficients() -> None:
    """All of benchmarks/fhe_oracle.py: transforms both ways and slot products, random and extreme residues."""
    done = subprocess.run([sys.executable, str(_ORACLE), "--json"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    summary = json.loads(done.stdout)["summary"]
    assert summary["mismatches"] == 0
    assert summary["coefficients transformed each way"] >= 100_000_000
    assert summary["coefficients multiplied"] >= 30_000_000


def test_forward_transform_gives_the_residues_modulo_each_slot() -> None:
    """The definition itself, in Python integers, at a few slots: x^4 = an odd power of the root."""
    ring = Ring(1024, 1)
    q = ring.primes[0]
    root = primitive_root(q, 256)
    a = np.random.default_rng(3).integers(-(q // 2), q // 2, 1024)
    transformed = ring.forward(a.astype(float).reshape(1, -1))[0]
    for i in (0, 1, 127, 255):
        zeta = pow(root, 2 * int(format(i, "08b")[::-1], 2) + 1, q)
        for power in range(4):
            expected = sum(int(c) * pow(zeta, j, q) for j, c in enumerate(a[power::4])) % q
            column, row = divmod(4 * i + power, 16)
            assert int(transformed[64 * row + column]) % q == expected


@pytest.mark.parametrize("degree", [64, *DEGREES])
def test_slots_are_fields_of_degree_four(degree: int) -> None:
    """Every zeta has zeta^(N/4) = -1 and is no square, so X^4 - zeta is irreducible; all zetas differ."""
    ring = Ring(degree, 1)
    q = ring.primes[0]
    assert q % 4 == 1
    zetas = [int(z) % q for z in ring._slots[0][0].ravel()]
    assert len(set(zetas)) == degree // 4
    for zeta in zetas[:50]:
        assert pow(zeta, degree // 4, q) == q - 1
        assert pow(zeta, (q - 1) // 2, q) == q - 1


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


def test_product_of_the_largest_residues_is_exact_in_every_slot() -> None:
    """Slot products in Python integers, on residues that are all +-(q-1)/2 or random."""
    ring = Ring(64, 2)
    for x, y, add in [(x, y, add) for x in _inputs(ring, 9) for y in _inputs(ring, 9) for add in _inputs(ring, 4)[::3]]:
        out = ring.multiply_add(x, y, add)
        for i, q in enumerate(ring.primes):
            rows = [np.array([int(v) for v in a[i]], object).reshape(4, 4, 4) for a in (x, y, add)]
            zeta = np.array([int(z) for z in ring._slots[0][i].ravel()], object).reshape(4, 4)
            a, b, total = (r.swapaxes(0, 1) for r in rows)  # [power, group, column]
            expected = [total[k] + sum(a[j] * b[k - j] * (1 if j <= k else zeta) for j in range(4)) for k in range(4)]
            got = np.array([int(v) for v in out[i]], object).reshape(4, 4, 4).swapaxes(0, 1)
            assert not np.any((got - np.stack(expected)) % q)
            assert np.abs(out[i]).max() <= (q - 1) // 2


_Q = ring_primes(8192, 1)[0]


@settings(max_examples=300, deadline=None)
@given(st.integers(-8 * _Q, 8 * _Q), st.integers(-(_Q // 2), _Q // 2))
def test_product_with_a_constant_is_exact_up_to_eight_q(x: int, w: int) -> None:
    result = modular.times_constant(float(x), float(w), w / _Q, float(_Q))
    assert (int(result) - x * w) % _Q == 0
    assert abs(int(result)) <= (0.5 + abs(x) / (8 * _Q)) * _Q + 1


@settings(max_examples=300, deadline=None)
@given(st.integers(-(2 * _Q), 2 * _Q), st.integers(-(2 * _Q), 2 * _Q))
def test_product_of_two_residues_is_exact(x: int, y: int) -> None:
    result = modular.times(float(x), float(y), float(_Q), 1.0 / _Q)
    assert (int(result) - x * y) % _Q == 0
    assert abs(int(result)) < 2 * _Q


@settings(max_examples=300, deadline=None)
@given(st.integers(-(2 * _Q) + 1, 2 * _Q - 1))
def test_reduction_is_canonical_below_two_q(x: int) -> None:
    result = int(modular.reduced(float(x), float(_Q), 1.0 / _Q))
    assert (result - x) % _Q == 0
    assert abs(result) <= (_Q - 1) // 2


@pytest.mark.parametrize("at", [1, 2, 3, 4, 5, 6, 7])
def test_products_are_exact_beside_every_rounding_tie(at: int) -> None:
    """Quotients next to k + 1/2, where the rounding of the quotient may go either way."""
    for k in range(-40, 41):
        for w in (_Q // 2, _Q // 2 - at, -(_Q // 3), at):
            x = (2 * k + 1) * _Q // (2 * w) + at - 4
            if abs(x) <= 8 * _Q:
                assert (int(modular.times_constant(float(x), float(w), w / _Q, float(_Q))) - x * w) % _Q == 0


def test_primes_fit_the_kernels_and_the_ring() -> None:
    for degree in DEGREES[1:]:
        primes = ring_primes(degree, 8)
        assert len(set(primes)) == 8
        for q in primes:
            assert is_prime(q)
            assert q < 1 << 50
            assert q % degree == 1 + degree // 2


def test_primality_test_refuses_strong_pseudoprimes() -> None:
    assert not any(is_prime(n) for n in (3215031751, 3474749660383, 341550071728321, 1 << 50 | 1))


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
