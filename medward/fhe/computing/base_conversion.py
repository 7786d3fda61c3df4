"""Base conversion: the same integer modulo other primes, from its residues modulo a few.

    y_i = x_i (B/b_i)^-1 mod b_i        v = rint(sum of y_i / b_i)        x = sum of y_i (B/b_i) - v B

B is the product of the b_i. v is the only number in an evaluation that rounding decides; it is computed in a fixed
order, once for all target primes. So x is one integer of at most (1/2 + k 2^-50) B, congruent to all x_i
(spec/computing.md, section 4).
"""

from collections.abc import Sequence
from math import prod

import numpy as np

from medward.fhe.arrays import Doubles, Integers
from medward.fhe.ring.kernels import compiled, nearest
from medward.fhe.ring.modular import reduced, times_constant
from medward.fhe.ring.primes import balanced

#: Most primes that are converted from; the range of the kernel is proved for as many.
MOST_SOURCES = 8
_CHUNK = 1024


class BaseConversion:
    """Takes elements in coefficient form from some primes to others.

    Args:
        sources: b_1, ..., b_k, at most MOST_SOURCES.
        targets: other primes.
    """

    def __init__(self, sources: Sequence[int], targets: Sequence[int]) -> None:
        if not 1 <= len(sources) <= MOST_SOURCES:
            raise ValueError(f"base conversion takes 1 to {MOST_SOURCES} primes, not {len(sources)}")
        product = prod(sources)
        self._sources: Doubles = np.array(sources, np.float64)
        self._targets: Doubles = np.array(targets, np.float64)
        self._inverses = np.array([balanced(pow(product // b, -1, b), b) for b in sources], np.float64)
        self._cofactors = np.array([[balanced(product // b, t) for t in targets] for b in sources], np.float64)
        self._product = np.array([balanced(product, t) for t in targets], np.float64)

    def __call__(self, x: Doubles, out: Doubles, rows: Integers) -> None:
        """Write the residues of `x`, float64[sources, N], balanced, modulo the k-th target to `out[rows[k]]`."""
        if len(self._sources) == 1:
            _reduce(x[0], self._targets, 1.0 / self._targets, out, rows)
            return
        _convert(
            x, self._sources, 1.0 / self._sources, self._inverses, self._cofactors, self._product, self._targets,
            1.0 / self._targets, out, rows,
        )  # fmt: skip


@compiled
def _reduce(x: Doubles, q: Doubles, iq: Doubles, out: Doubles, rows: Integers) -> None:
    for i in range(q.shape[0]):
        target = out[rows[i]]
        for j in range(x.shape[0]):
            target[j] = reduced(x[j], q[i], iq[i])


@compiled
def _convert(
    x: Doubles,
    sources: Doubles,
    inverse_sources: Doubles,
    inverses: Doubles,
    cofactors: Doubles,
    product: Doubles,
    targets: Doubles,
    inverse_targets: Doubles,
    out: Doubles,
    rows: Integers,
) -> None:
    chunk = min(_CHUNK, x.shape[1])
    y = np.empty((sources.shape[0], chunk))
    v = np.empty(chunk)
    for start in range(0, x.shape[1], chunk):
        end = start + chunk
        for j in range(chunk):
            v[j] = 0.0
        for i in range(sources.shape[0]):
            q, iq, w = sources[i], inverse_sources[i], inverses[i]
            w_over_q = w / q
            row, scaled = x[i, start:end], y[i]
            for j in range(chunk):
                scaled[j] = reduced(times_constant(row[j], w, w_over_q, q), q, iq)
                v[j] += scaled[j] * iq
        for j in range(chunk):
            v[j] = nearest(v[j])
        for t in range(targets.shape[0]):
            q, iq, w = targets[t], inverse_targets[t], product[t]
            target = out[rows[t], start:end]
            for j in range(chunk):
                target[j] = -v[j] * w
            for i in range(sources.shape[0]):
                w = cofactors[i, t]
                w_over_q = w / q
                scaled = y[i]
                for j in range(chunk):
                    target[j] = reduced(target[j] + times_constant(scaled[j], w, w_over_q, q), q, iq)
