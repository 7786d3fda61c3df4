"""A linear relation over the ring, evaluated one limb at a time so that all of it stays in the second-level cache."""

import numpy as np
from numpy.typing import NDArray

from medward.fhe._compile import compiled
from medward.fhe._modular import reduced, times, times_constant
from medward.fhe._ntt_float import forward

Doubles = NDArray[np.float64]
Integers = NDArray[np.int64]


@compiled
def _embed_limb(digits: Integers, count: int, powers: Doubles, limb: int, q: float, iq: float, out: Doubles) -> None:
    for j in range(out.shape[0]):
        out[j] = float(digits[0, j])
    for k in range(1, count):
        w = powers[k, limb]
        w_over_q = w * iq
        for j in range(out.shape[0]):
            out[j] = reduced(times_constant(float(digits[k, j]), w, w_over_q, q) + out[j], q, iq)


@compiled
def relation_limbs(
    z: Integers,
    counts: Integers,
    powers: Doubles,
    multipliers: tuple[Doubles, ...],
    targets: tuple[Doubles, ...],
    negated: Integers,
    subtract: bool,
    rows: Doubles,
    head: Doubles,
    head_q: Doubles,
    blocks: Doubles,
    blocks_q: Doubles,
    q: Doubles,
    iq: Doubles,
    scratch: Doubles,
    out: Integers,
) -> None:
    """out[r] = g_r z_0 + z_(r+1) (+ c t_r where `subtract`), balanced residues in evaluation form.

    Args:
        z: int64[W, 3, N], digits (below 2^48) of the short elements in coefficient form.
        counts: int64[W], how many digits of each are used.
        powers: float64[3, L], the digits' weights modulo each prime; the first weight is 1.
        multipliers, targets: R elements each, float64[L, N], evaluation form.
        negated: int64[1, N], the coefficients of -challenge.
        subtract: whether the terms with targets are there.
        rows, head, head_q, blocks, blocks_q: scratch and tables of `_ntt_float.forward`, with a leading axis of L.
        q, iq: float64[L].
        scratch: float64[W + 1, N].
        out: int64[R, L, N].
    """
    width = z.shape[0]
    for i in range(q.shape[0]):
        for k in range(width):
            _embed_limb(z[k], counts[k], powers, i, q[i], iq[i], scratch[k])
            forward(scratch[k], rows, head[i], head_q[i], blocks[i], blocks_q[i], q[i], iq[i])
        c = scratch[width]
        if subtract:
            _embed_limb(negated, 1, powers, i, q[i], iq[i], c)
            forward(c, rows, head[i], head_q[i], blocks[i], blocks_q[i], q[i], iq[i])
        x = scratch[0]
        for r in range(len(multipliers)):
            g = multipliers[r][i]
            t = targets[r][i]
            y = scratch[r + 1]
            for j in range(x.shape[0]):
                value = reduced(times(g[j], x[j], q[i], iq[i]) + y[j], q[i], iq[i])
                if subtract:
                    value = reduced(times(c[j], t[j], q[i], iq[i]) + value, q[i], iq[i])
                out[r, i, j] = np.int64(value)
