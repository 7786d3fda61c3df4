"""Base conversion gives one integer for all targets, congruent to what it was given, also at a tie of its quotient."""

from math import prod

import numpy as np
import pytest

from medward.fhe.computing.base_conversion import BaseConversion
from tests.fhe.computing.test_residues import primes

_LARGE, _SMALL = primes(64, 50, 8), primes(64, 38, 4)


def _integer(residues: list[int], sources: list[int]) -> int:
    product = prod(sources)
    x = sum(r * (product // q) * pow(product // q, -1, q) for r, q in zip(residues, sources, strict=True)) % product
    return x - product if x > product // 2 else x


def _converted(x: np.ndarray, sources: list[int], targets: list[int]) -> np.ndarray:
    """The residues modulo the targets, written to rows that are not in the targets' order."""
    out, rows = np.empty((len(targets), x.shape[1])), np.arange(len(targets))[::-1].copy()
    BaseConversion(sources, targets)(x, out, rows)
    return out[rows]


def _represented(column: np.ndarray, targets: list[int], x: int, product: int) -> int:
    """The one integer of x - product, x, x + product whose residues a column holds."""
    candidates = [x + turn * product for turn in (-1, 0, 1)]
    (found,) = [c for c in candidates if all((int(v) - c) % t == 0 for v, t in zip(column, targets, strict=True))]
    return found


@pytest.mark.parametrize(
    ("sources", "targets"),
    [
        (_LARGE[:1], _SMALL),
        (_SMALL[:1], _LARGE),
        (_LARGE[:2], _SMALL + _LARGE[2:4]),
        (_SMALL[:2] + _LARGE[:4], _LARGE[4:] + _SMALL[2:]),
        (_LARGE, _SMALL),
    ],
)
def test_conversion_is_exact(sources: list[int], targets: list[int]) -> None:
    generator = np.random.default_rng(len(sources))
    columns = [[(q - 1) // 2 for q in sources], [-((q - 1) // 2) for q in sources], [0] * len(sources)]
    columns += [[int(generator.integers(-(q // 2), q // 2 + 1)) for q in sources] for _ in range(125)]
    out = _converted(np.array(columns, np.float64).T.copy(), sources, targets)
    for residues, column in zip(columns, out.T, strict=True):
        x = _integer(residues, sources)
        found = _represented(column, targets, x, prod(sources))
        assert found == x or abs(2 * x) >= prod(sources) - 2**20
        assert all(abs(int(value)) <= (t - 1) // 2 for value, t in zip(column, targets, strict=True))


def test_quotient_at_a_tie_gives_the_same_integer_modulo_every_target() -> None:
    """The trap: beside +-B/2 rounding may choose x or x - B: either is right, if it is the same one everywhere."""
    sources, targets = _LARGE[:3], [*_SMALL, *_LARGE[3:]]
    product = prod(sources)
    near = [side * (product // 2) + offset for side in (-1, 1) for offset in range(-32, 32)]
    columns = np.array([[(x + q // 2) % q - q // 2 for q in sources] for x in near], np.float64).T.copy()
    out = _converted(columns, sources, targets)
    found = [_represented(column, targets, x, product) for x, column in zip(near, out.T, strict=True)]
    assert max(map(abs, found)) <= (0.5 + 2.0**-40) * product
    assert any(abs(x) > product // 2 for x in found), "no case in which rounding decided: the test shows nothing"


def test_no_sources_or_too_many_are_refused() -> None:
    for sources in ([], [*_LARGE, _SMALL[0]]):
        with pytest.raises(ValueError, match="1 to 8 primes"):
            BaseConversion(sources, _SMALL)
