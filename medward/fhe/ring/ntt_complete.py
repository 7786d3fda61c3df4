"""The complete negacyclic transform on doubles: to the N values of an element, for primes that are 1 modulo 2N.

It is the transform of `ntt_float` with one more pass on the transposed rows of a block, and ends in the same order:
value c * 16 + k of a block is in row k, column c. Ranges: spec/computing.md, "Range of the complete transform".
"""

import numpy as np

from medward.fhe.arrays import Doubles
from medward.fhe.ring.kernels import compiled
from medward.fhe.ring.modular import reduced
from medward.fhe.ring.ntt_float import (
    TAIL,
    exponent,
    forward_layers,
    forward_rows,
    inverse_block,
    inverse_head,
    inverse_rows,
    read_rows,
)


@compiled
def forward_complete(
    a: Doubles,
    rows: Doubles,
    head: Doubles,
    head_q: Doubles,
    blocks: Doubles,
    blocks_q: Doubles,
    last: Doubles,
    last_q: Doubles,
    q: Doubles,
    iq: Doubles,
) -> None:
    """Transform every limb of `a` in place; |a| <= q/2 before and after.

    Args:
        a: float64[L, N].
        rows: float64[16, B/16], scratch.
        head, head_q, blocks, blocks_q, q, iq: as `ntt_float.forward_limbs` takes them.
        last, last_q: float64[L, N/B, 4, 3, B/16], what `last_factors` makes, and the same over q.
    """
    count = blocks.shape[1]
    size = a.shape[1] // count
    m = size // TAIL
    o = 2 * m
    for limb in range(a.shape[0]):
        p, ip = q[limb], iq[limb]
        forward_layers(a[limb], head[limb], head_q[limb], exponent(count), size, p, ip)
        for i in range(count):
            x, w, wq = a[limb][i * size : (i + 1) * size], blocks[limb, i], blocks_q[limb, i]
            forward_layers(x, w, wq, exponent(m), TAIL, p, ip)
            for c in range(m):
                for k in range(TAIL):
                    rows[k, c] = x[c * TAIL + k]
            for k in range(4):
                forward_rows(
                    rows[k], rows[k + 4], rows[k + 8], rows[k + 12],
                    w[m:o], wq[m:o], w[o : o + m], wq[o : o + m], w[o + m : o + 2 * m], wq[o + m : o + 2 * m], p, ip,
                )  # fmt: skip
            v, vq = last[limb, i], last_q[limb, i]
            for g in range(4):
                forward_rows(
                    rows[4 * g], rows[4 * g + 1], rows[4 * g + 2], rows[4 * g + 3],
                    v[g, 0], vq[g, 0], v[g, 1], vq[g, 1], v[g, 2], vq[g, 2], p, ip,
                )  # fmt: skip
            for k in range(TAIL):
                for c in range(m):
                    x[k * m + c] = reduced(rows[k, c], p, ip)


@compiled
def inverse_complete(
    a: Doubles,
    rows: Doubles,
    head: Doubles,
    head_q: Doubles,
    blocks: Doubles,
    blocks_q: Doubles,
    last: Doubles,
    last_q: Doubles,
    scale: Doubles,
    scale_q: Doubles,
    q: Doubles,
    iq: Doubles,
) -> None:
    """Undo `forward_complete` in place; |a| <= q/2 before and after.

    The tables hold the inverses of the forward factors; `scale` is 1/N mod q, balanced, `scale_q` the same over q, both
    float64[L].
    """
    count = blocks.shape[1]
    size = a.shape[1] // count
    for limb in range(a.shape[0]):
        p, ip = q[limb], iq[limb]
        for i in range(count):
            x = a[limb][i * size : (i + 1) * size]
            read_rows(rows, x)
            v, vq = last[limb, i], last_q[limb, i]
            for g in range(4):
                inverse_rows(
                    rows[4 * g], rows[4 * g + 1], rows[4 * g + 2], rows[4 * g + 3],
                    v[g, 0], vq[g, 0], v[g, 1], vq[g, 1], v[g, 2], vq[g, 2], p, ip,
                )  # fmt: skip
            inverse_block(x, rows, blocks[limb, i], blocks_q[limb, i], p, ip)
        inverse_head(a[limb], head[limb], head_q[limb], size, scale[limb], scale_q[limb], p, ip)


def last_factors(factors: Doubles, size: int) -> Doubles:
    """Return the factors of a prime's last two layers, ordered for the rows of each block.

    Args:
        factors: float64[N], of the whole transform, in bit-reversed order.
        size: B, coefficients of a block.

    Returns:
        float64[N/B, 4, 3, B/16]; of four rows in each column, the factors of the layer of two and of the two pairs.
    """
    degree = factors.shape[0]
    blocks, columns = degree // size, size // TAIL
    place = np.arange(degree // 4).reshape(blocks, columns, 4).swapaxes(1, 2)  # the residues X^4 - w, as rows hold them
    return np.stack(
        [factors[degree // 4 + place], factors[degree // 2 + 2 * place], factors[degree // 2 + 2 * place + 1]], axis=2
    )
