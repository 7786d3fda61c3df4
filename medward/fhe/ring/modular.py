"""Exact products modulo a prime below 2^50 on doubles that hold integers.

All three functions return a double that holds an integer congruent to the product or argument, close to the balanced
range -q/2..q/2. Ranges and the proof of exactness: spec/scheme.md, "Arithmetic on doubles".
"""

import numpy as np

from medward.fhe.ring.kernels import HAS_FMA, compiled, fma, nearest

if HAS_FMA:

    @compiled
    def times_constant(x: float, w: float, w_over_q: float, q: float) -> float:
        """x * w mod q, |x| <= 8q, |w| <= q/2, w_over_q = w/q rounded; at most (1/2 + |x|/8q) q in absolute value."""
        high = x * w
        low = fma(x, w, -high)
        return fma(-nearest(x * w_over_q), q, high) + low

    @compiled
    def times(x: float, y: float, q: float, inverse_q: float) -> float:
        """x * y mod q, |x y| <= 4 q^2, inverse_q = 1/q rounded."""
        high = x * y
        low = fma(x, y, -high)
        return fma(-nearest(high * inverse_q), q, high) + low

else:

    @compiled
    def times_constant(x: float, w: float, w_over_q: float, q: float) -> float:
        """x * w mod q; the difference of two wrapped 64-bit products is exact because it is short."""
        quotient = nearest(x * w_over_q)
        return float(np.int64(x) * np.int64(w) - np.int64(quotient) * np.int64(q))

    @compiled
    def times(x: float, y: float, q: float, inverse_q: float) -> float:
        """x * y mod q; the difference of two wrapped 64-bit products is exact because it is short."""
        quotient = nearest(x * y * inverse_q)
        return float(np.int64(x) * np.int64(y) - np.int64(quotient) * np.int64(q))


@compiled
def reduced(x: float, q: float, inverse_q: float) -> float:
    """x mod q for |x| <= 8q; the balanced representative whenever |x| < 2q. Exact without FMA: the quotient is tiny."""
    return x - nearest(x * inverse_q) * q
