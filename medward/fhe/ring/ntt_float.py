"""The negacyclic number-theoretic transform on doubles, radix 4, in blocks that fit the first-level cache.

It ends at residues modulo the irreducible X^4 - zeta, two layers before single values. Cooley-Tukey butterflies
forward (natural to bit-reversed order), Gentleman-Sande back, as in Longa and Naehrig (CANS'16). The last two layers of
a block run on a transposed copy so that they vectorise, and its order is kept: of the 16 rows of a block, float64[16,
B/16], rows 4g to 4g+3 hold the coefficients of 1, X, X^2, X^3 of its slots (column, g). The bound on every
intermediate value, in units of q, is derived in spec/scheme.md ("Range of the transform"): below 2.13 between forward
passes and at most 2 between inverse passes, where exactness needs 8.
"""

import numpy as np

from medward.fhe.arrays import Doubles
from medward.fhe.ring.kernels import compiled
from medward.fhe.ring.modular import reduced, times_constant

BLOCK = 1024
TAIL = 16


@compiled
def exponent(n: int) -> int:
    """Return log2 of a power of two."""
    layers = 0
    while (1 << layers) < n:
        layers += 1
    return layers


@compiled
def _forward2(x: Doubles, y: Doubles, w: float, wq: float, q: float) -> None:
    for j in range(x.shape[0]):
        a = x[j]
        b = times_constant(y[j], w, wq, q)
        x[j] = a + b
        y[j] = a - b


@compiled
def _forward4(
    x0: Doubles,
    x1: Doubles,
    x2: Doubles,
    x3: Doubles,
    w1: float,
    w1q: float,
    w2: float,
    w2q: float,
    w3: float,
    w3q: float,
    q: float,
    iq: float,
) -> None:
    for j in range(x0.shape[0]):
        a = reduced(x0[j], q, iq)
        b = x1[j]
        u = times_constant(x2[j], w1, w1q, q)
        v = times_constant(x3[j], w1, w1q, q)
        c = b + v
        d = b - v
        b = a + u
        a = a - u
        u = times_constant(c, w2, w2q, q)
        v = times_constant(d, w3, w3q, q)
        x0[j] = b + u
        x1[j] = b - u
        x2[j] = a + v
        x3[j] = a - v


@compiled
def forward_rows(
    x0: Doubles,
    x1: Doubles,
    x2: Doubles,
    x3: Doubles,
    w1: Doubles,
    w1q: Doubles,
    w2: Doubles,
    w2q: Doubles,
    w3: Doubles,
    w3q: Doubles,
    q: float,
    iq: float,
) -> None:
    """Do two layers on four rows, each column with its own factors, of which the second layer's are w2 and w3."""
    for j in range(x0.shape[0]):
        a = reduced(x0[j], q, iq)
        b = reduced(x1[j], q, iq)
        u = times_constant(x2[j], w1[j], w1q[j], q)
        v = times_constant(x3[j], w1[j], w1q[j], q)
        c = b + v
        d = b - v
        b = a + u
        a = a - u
        u = times_constant(c, w2[j], w2q[j], q)
        v = times_constant(d, w3[j], w3q[j], q)
        x0[j] = b + u
        x1[j] = b - u
        x2[j] = a + v
        x3[j] = a - v


@compiled
def forward_layers(a: Doubles, w: Doubles, wq: Doubles, layers: int, stop: int, q: float, iq: float) -> None:
    """The first `layers` layers of a transform of float64[n], until parts of length `stop` are left."""
    t = a.shape[0]
    m = 1
    if layers & 1:
        t >>= 1
        _forward2(a[:t], a[t:], w[1], wq[1], q)
        m = 2
    while t > stop:
        t >>= 2
        for i in range(m):
            o = 4 * i * t
            k = m + i
            _forward4(
                a[o : o + t], a[o + t : o + 2 * t], a[o + 2 * t : o + 3 * t], a[o + 3 * t : o + 4 * t],
                w[k], wq[k], w[2 * k], wq[2 * k], w[2 * k + 1], wq[2 * k + 1], q, iq,
            )  # fmt: skip
        m <<= 2


@compiled
def forward_limbs(
    a: Doubles,
    rows: Doubles,
    head: Doubles,
    head_q: Doubles,
    blocks: Doubles,
    blocks_q: Doubles,
    q: Doubles,
    iq: Doubles,
) -> None:
    """Transform every limb of `a` in place; |a| <= q/2 before and after.

    Args:
        a: float64[L, N].
        rows: float64[16, B/16], scratch.
        head, head_q: float64[L, N/B], twiddle factors of the layers above the blocks, and the same divided by q.
        blocks, blocks_q: float64[L, N/B, B/4], each block's own factors, tails transposed.
        q, iq: float64[L], the primes and their rounded inverses.
    """
    count = blocks.shape[1]
    size = a.shape[1] // count
    m = size // TAIL
    for limb in range(a.shape[0]):
        p, ip = q[limb], iq[limb]
        forward_layers(a[limb], head[limb], head_q[limb], exponent(count), size, p, ip)
        for i in range(count):
            x, w, wq = a[limb][i * size : (i + 1) * size], blocks[limb, i], blocks_q[limb, i]
            forward_layers(x, w, wq, exponent(m), size // m, p, ip)
            for c in range(m):
                for k in range(TAIL):
                    rows[k, c] = x[c * TAIL + k]
            o = 2 * m
            for k in range(4):
                forward_rows(
                    rows[k], rows[k + 4], rows[k + 8], rows[k + 12],
                    w[m:o], wq[m:o], w[o : o + m], wq[o : o + m], w[o + m : o + 2 * m], wq[o + m : o + 2 * m], p, ip,
                )  # fmt: skip
            for k in range(TAIL):
                for c in range(m):
                    x[k * m + c] = reduced(rows[k, c], p, ip)


@compiled
def _inverse2(x: Doubles, y: Doubles, w: float, wq: float, q: float, iq: float) -> None:
    for j in range(x.shape[0]):
        a = x[j]
        b = y[j]
        x[j] = reduced(a + b, q, iq)
        y[j] = times_constant(a - b, w, wq, q)


@compiled
def _inverse4(
    x0: Doubles,
    x1: Doubles,
    x2: Doubles,
    x3: Doubles,
    w1: float,
    w1q: float,
    w2: float,
    w2q: float,
    w3: float,
    w3q: float,
    q: float,
    iq: float,
) -> None:
    for j in range(x0.shape[0]):
        s = x0[j] + x1[j]
        u = times_constant(x0[j] - x1[j], w2, w2q, q)
        t = x2[j] + x3[j]
        v = times_constant(x2[j] - x3[j], w3, w3q, q)
        x0[j] = reduced(s + t, q, iq)
        x1[j] = u + v
        x2[j] = times_constant(s - t, w1, w1q, q)
        x3[j] = times_constant(u - v, w1, w1q, q)


@compiled
def inverse_rows(
    x0: Doubles,
    x1: Doubles,
    x2: Doubles,
    x3: Doubles,
    w1: Doubles,
    w1q: Doubles,
    w2: Doubles,
    w2q: Doubles,
    w3: Doubles,
    w3q: Doubles,
    q: float,
    iq: float,
) -> None:
    """Undo `forward_rows`, but for a factor of four."""
    for j in range(x0.shape[0]):
        s = x0[j] + x1[j]
        u = times_constant(x0[j] - x1[j], w2[j], w2q[j], q)
        t = x2[j] + x3[j]
        v = times_constant(x2[j] - x3[j], w3[j], w3q[j], q)
        x0[j] = reduced(s + t, q, iq)
        x1[j] = u + v
        x2[j] = times_constant(s - t, w1[j], w1q[j], q)
        x3[j] = times_constant(u - v, w1[j], w1q[j], q)


@compiled
def inverse_layers(a: Doubles, w: Doubles, wq: Doubles, t: int, q: float, iq: float) -> None:
    """The last layers of an inverse transform of float64[n], from parts of length `t` on."""
    m = a.shape[0] // t
    while m >= 4:
        m >>= 2
        for i in range(m):
            o = 4 * i * t
            k = m + i
            _inverse4(
                a[o : o + t], a[o + t : o + 2 * t], a[o + 2 * t : o + 3 * t], a[o + 3 * t : o + 4 * t],
                w[k], wq[k], w[2 * k], wq[2 * k], w[2 * k + 1], wq[2 * k + 1], q, iq,
            )  # fmt: skip
        t <<= 2
    if m == 2:
        _inverse2(a[:t], a[t:], w[1], wq[1], q, iq)


@compiled
def read_rows(rows: Doubles, x: Doubles) -> None:
    """Read a block as the forward transform writes it, row after row: float64[B] into float64[16, B/16]."""
    m = rows.shape[1]
    for k in range(TAIL):
        for c in range(m):
            rows[k, c] = x[k * m + c]


@compiled
def inverse_block(x: Doubles, rows: Doubles, w: Doubles, wq: Doubles, q: float, iq: float) -> None:
    """Undo a block's layers, from groups of four in the rows to float64[B], with the inverses of their factors.

    The forward transforms have these lines twice: there a function of its own costs them a tenth of their speed.
    """
    m = rows.shape[1]
    o = 2 * m
    for k in range(4):
        inverse_rows(
            rows[k], rows[k + 4], rows[k + 8], rows[k + 12],
            w[m:o], wq[m:o], w[o : o + m], wq[o : o + m], w[o + m : o + 2 * m], wq[o + m : o + 2 * m], q, iq,
        )  # fmt: skip
    for c in range(m):
        for k in range(TAIL):
            x[c * TAIL + k] = rows[k, c]
    inverse_layers(x, w, wq, TAIL, q, iq)


@compiled
def inverse_head(
    y: Doubles, w: Doubles, wq: Doubles, size: int, scale: float, scale_q: float, q: float, iq: float
) -> None:
    """Undo the layers above the blocks of `size`, and scale; |y| <= q/2 afterwards."""
    inverse_layers(y, w, wq, size, q, iq)
    for j in range(y.shape[0]):
        y[j] = reduced(times_constant(y[j], scale, scale_q, q), q, iq)


@compiled
def inverse_limbs(
    a: Doubles,
    rows: Doubles,
    head: Doubles,
    head_q: Doubles,
    blocks: Doubles,
    blocks_q: Doubles,
    scale: Doubles,
    scale_q: Doubles,
    q: Doubles,
    iq: Doubles,
) -> None:
    """Undo `forward_limbs` in place; |a| <= q/2 before and after.

    The tables hold the inverses of the forward factors; `scale` is 4/N mod q, balanced, `scale_q` the same over q, both
    float64[L].
    """
    count = blocks.shape[1]
    size = a.shape[1] // count
    for limb in range(a.shape[0]):
        p, ip = q[limb], iq[limb]
        for i in range(count):
            x = a[limb][i * size : (i + 1) * size]
            read_rows(rows, x)
            inverse_block(x, rows, blocks[limb, i], blocks_q[limb, i], p, ip)
        inverse_head(a[limb], head[limb], head_q[limb], size, scale[limb], scale_q[limb], p, ip)


def transpose_tail(table: Doubles) -> Doubles:
    """Reorder a block's factors, float64[B/4], as the transposed last two layers read them."""
    table = table.copy()
    columns = table.shape[0] * 4 // TAIL
    sub = 1
    while columns * sub < table.shape[0]:
        layer = slice(columns * sub, 2 * columns * sub)
        table[layer] = table[layer].reshape(columns, sub).T.ravel()
        sub *= 2
    return table


def block_factors(factors: Doubles, size: int) -> Doubles:
    """Cut the factors of a whole transform, float64[N/4] in bit-reversed order, into those of each block.

    Returns:
        float64[N / size, size / 4]; row i is what block i needs, tails transposed.
    """
    count = factors.shape[0] * 4 // size
    blocks = np.zeros((count, size // 4))
    for i in range(count):
        m = 1
        while m < size // 4:
            start = m * (count + i)
            blocks[i, m : 2 * m] = factors[start : start + m]
            m *= 2
        blocks[i] = transpose_tail(blocks[i])
    return blocks


def slot_roots(blocks: Doubles) -> Doubles:
    """Return zeta of every slot from one prime's block factors, float64[C, B/4]: float64[4 C, B/16].

    The last layer splits X^8 - w^2 into X^4 - w and X^4 + w, two such pairs in every 16 coefficients.
    """
    columns = blocks.shape[1] * 4 // TAIL
    one, other = blocks[:, 2 * columns : 3 * columns], blocks[:, 3 * columns : 4 * columns]
    return np.stack([one, -one, other, -other], axis=1).reshape(-1, columns)
