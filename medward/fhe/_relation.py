"""A linear relation over the ring, evaluated one limb at a time so that all of it stays in the second-level cache."""

import numpy as np
from numpy.typing import NDArray

from medward.fhe._compile import compiled
from medward.fhe._modular import reduced, times_constant
from medward.fhe._ntt_float import forward
from medward.fhe._pointwise import multiply_add_limb

Doubles = NDArray[np.float64]
Integers = NDArray[np.int64]


@compiled
def _embed_limb(digits: Integers, powers: Doubles, limb: int, q: float, iq: float, out: Doubles) -> None:
    for j in range(out.shape[0]):
        out[j] = float(digits[0, j])
    for k in range(1, digits.shape[0]):
        w = powers[k, limb]
        w_over_q = w * iq
        for j in range(out.shape[0]):
            out[j] = reduced(times_constant(float(digits[k, j]), w, w_over_q, q) + out[j], q, iq)


@compiled
def relation_limbs(
    z: tuple[Integers, ...],
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
    zeta: Doubles,
    zeta_q: Doubles,
    q: Doubles,
    iq: Doubles,
    scratch: Doubles,
    out: Integers,
) -> None:
    """out[r] = g_r z_0 + z_(r+1) (+ c t_r where `subtract`), balanced residues in evaluation form.

    Args:
        z: W times int64[D, N], digits (below 2^48) of the short elements in coefficient form, D at most 3.
        powers: float64[3, L], the digits' weights modulo each prime; the first weight is 1.
        multipliers, targets: R elements each, float64[L, N], evaluation form.
        negated: int64[1, N], the coefficients of -challenge.
        subtract: whether the terms with targets are there.
        rows, head, head_q, blocks, blocks_q: scratch and tables of `_ntt_float.forward`, with a leading axis of L.
        zeta, zeta_q: each slot's zeta and the same over q, float64[L, C, 4, m].
        q, iq: float64[L].
        scratch: float64[W + 3, N].
        out: int64[R, L, N].
    """
    width = len(z)
    for i in range(q.shape[0]):
        for k in range(width):
            _embed_limb(z[k], powers, i, q[i], iq[i], scratch[k])
            forward(scratch[k], rows, head[i], head_q[i], blocks[i], blocks_q[i], q[i], iq[i])
        c = scratch[width]
        if subtract:
            _embed_limb(negated, powers, i, q[i], iq[i], c)
            forward(c, rows, head[i], head_q[i], blocks[i], blocks_q[i], q[i], iq[i])
        for r in range(len(multipliers)):
            value = scratch[width + 1]
            multiply_add_limb(
                multipliers[r][i], scratch[0], scratch[r + 1], zeta[i], zeta_q[i], q[i], iq[i], value
            )  # fmt: skip
            if subtract:
                multiply_add_limb(
                    c, targets[r][i], value, zeta[i], zeta_q[i], q[i], iq[i], scratch[width + 2]
                )  # fmt: skip
                value = scratch[width + 2]
            for j in range(value.shape[0]):
                out[r, i, j] = np.int64(value[j])
