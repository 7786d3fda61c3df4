"""Elements of Z[X]/(X^N + 1) modulo chosen primes of different sizes, with the complete transform.

An element is float64[k, N], one row of balanced residues for each of k primes; which primes they are, the caller says
by their places. In evaluation form a row holds the values at the N roots of X^N + 1, and products are taken value by
value. Exactness where primes of different sizes meet: spec/computing.md, section 4.
"""

from collections.abc import Sequence

import numpy as np

from medward.fhe.arrays import Doubles, Integers, Words
from medward.fhe.ring import ntt_complete, ntt_float, ntt_integer, pointwise
from medward.fhe.ring.kernels import HAS_FMA, compiled
from medward.fhe.ring.modular import reduced, times, times_constant
from medward.fhe.ring.primes import balanced, primitive_root

#: Digits in which larger integers are embedded: Lemma C holds up to 2^50.
DIGIT_BITS = 48

TransformTables = tuple[Doubles, Doubles, Doubles, Doubles, Doubles, Doubles]


class ResidueRing:
    """Transforms, products and embeddings modulo each of a list of primes.

    Args:
        degree: N, a power of two from 64 on.
        primes: below 2^50, each 1 modulo 2N.
        use_fma: whether transforms run on doubles or on 64-bit integers; both give the same residues.
    """

    def __init__(self, degree: int, primes: Sequence[int], use_fma: bool = HAS_FMA) -> None:
        self.degree = degree
        self.primes = tuple(primes)
        self.q: Doubles = np.array(self.primes, np.float64)
        self.inverse_q: Doubles = 1.0 / self.q
        self._use_fma = use_fma
        self._size = min(ntt_float.BLOCK, degree)
        # At each place of an evaluation form, the place of that value in the integer transform's order.
        self._order: Integers = np.arange(degree).reshape(-1, self._size // 16, 16).swapaxes(1, 2).ravel()
        roots = [primitive_root(q, degree) for q in self.primes]
        words = [_powers(root, q, degree) for root, q in zip(roots, self.primes, strict=True)]
        inverses = [_powers(pow(root, -1, q), q, degree) for root, q in zip(roots, self.primes, strict=True)]
        order = _bit_reversed(degree)
        if use_fma:
            self._forward = self._tables(np.stack(words)[:, order])
            self._inverse = self._tables(np.stack(inverses)[:, order])
            self._scale = np.array([balanced(pow(degree, -1, q), q) for q in self.primes], np.float64)
        else:
            self._words = [(w[order], _shoup(w[order], q)) for w, q in zip(words, self.primes, strict=True)]
            self._inverse_words = [(w[order], _shoup(w[order], q)) for w, q in zip(inverses, self.primes, strict=True)]
        self._exponents = 2 * order[self._order] + 1

    def __repr__(self) -> str:
        return f"ResidueRing(degree={self.degree}, primes={len(self.primes)})"

    def _tables(self, words: Words) -> TransformTables:
        half = np.array(self.primes, np.uint64)[:, None] // np.uint64(2)
        signed = words.astype(np.int64)
        factors = np.where(words > half, signed - np.array(self.primes)[:, None], signed).astype(np.float64)
        size = self._size
        head = factors[:, : max(2, self.degree // size)].copy()
        blocks = np.stack([ntt_float.block_factors(f[: self.degree // 4], size) for f in factors])
        last = np.stack([ntt_complete.last_factors(f, size) for f in factors])
        q = self.q
        return head, head / q[:, None], blocks, blocks / q[:, None, None], last, last / q[:, None, None, None, None]

    def forward(self, a: Doubles, at: slice) -> Doubles:
        """Bring `a`, float64[k, N] modulo the primes at `at`, into evaluation form in place, and return it."""
        if self._use_fma:
            rows = np.empty((16, self._size // 16))
            ntt_complete.forward_complete(a, rows, *_part(self._forward, at), self.q[at], self.inverse_q[at])
            return a
        buffer = np.empty(self.degree, np.uint64)
        for row, prime, (words, shoup) in zip(a, self.primes[at], self._words[at], strict=True):
            ntt_integer.to_unsigned(row, np.uint64(prime), buffer)
            ntt_integer.forward_integer(buffer, words, shoup, np.uint64(prime), 1)
            ntt_integer.to_balanced(buffer[self._order], np.uint64(prime), row)
        return a

    def inverse(self, a: Doubles, at: slice) -> Doubles:
        """Bring `a`, float64[k, N] modulo the primes at `at`, into coefficient form in place, and return it."""
        if self._use_fma:
            rows, scale, q = np.empty((16, self._size // 16)), self._scale[at], self.q[at]
            ntt_complete.inverse_complete(a, rows, *_part(self._inverse, at), scale, scale / q, q, self.inverse_q[at])
            return a
        buffer = np.empty(self.degree, np.uint64)
        for row, prime, (words, shoup) in zip(a, self.primes[at], self._inverse_words[at], strict=True):
            columns = row.reshape(-1, 16, self._size // 16).swapaxes(1, 2).ravel()
            ntt_integer.to_unsigned(columns, np.uint64(prime), buffer)
            factor = pow(self.degree, -1, prime)
            quotient = np.uint64((factor << 64) // prime)
            ntt_integer.inverse_integer(buffer, words, shoup, np.uint64(factor), quotient, np.uint64(prime), 1)
            ntt_integer.to_balanced(buffer, np.uint64(prime), row)
        return a

    def automorphism(self, power: int) -> Integers:
        """Return the places, int64[N], from which X -> X^power takes the values of an evaluation form; power is odd."""
        where = np.empty(2 * self.degree, np.int64)
        where[self._exponents] = np.arange(self.degree)
        return where[self._exponents * power % (2 * self.degree)]

    def constants(self, value: int, at: slice) -> Doubles:
        """Return the balanced residues of an integer of any size modulo the primes at `at`."""
        return np.array([balanced(value, q) for q in self.primes[at]], np.float64)

    def embed(self, digits: Integers, base: int, at: slice) -> Doubles:
        """Return the element with coefficients sum over k of digits[k] base^k, in evaluation form.

        Args:
            digits: int64[D, N], absolute values at most 2^50.
            base: an integer of any size.
            at: the places of the primes.
        """
        if np.abs(digits).max(initial=0) > 1 << 50:
            raise ValueError("a digit is above 2^50, where reduction is not exact; cut it into smaller ones")
        out = np.empty((len(self.primes[at]), self.degree))
        weights = np.stack([self.constants(base**k, at) for k in range(digits.shape[0])])
        _embed(digits, weights, self.q[at], self.inverse_q[at], out)
        return self.forward(out, at)

    def add(self, a: Doubles, b: Doubles, at: slice, out: Doubles | None = None) -> Doubles:
        """Return a + b, written to `out` where given (which may be `a`)."""
        out = np.empty_like(a) if out is None else out
        pointwise.add(a, b, self.q[at], self.inverse_q[at], out)
        return out

    def subtract(self, a: Doubles, b: Doubles, at: slice) -> Doubles:
        """Return a - b."""
        out = np.empty_like(a)
        pointwise.subtract(a, b, self.q[at], self.inverse_q[at], out)
        return out

    def multiply(self, a: Doubles, b: Doubles, at: slice) -> Doubles:
        """Return a b for elements in evaluation form."""
        out = np.empty_like(a)
        _multiply(a, b, self.q[at], self.inverse_q[at], out)
        return out

    def multiply_add(self, a: Doubles, b: Doubles, total: Doubles, at: slice) -> Doubles:
        """Add a b to `total` in place, and return it."""
        _multiply_add(a, b, self.q[at], self.inverse_q[at], total)
        return total

    def scale_add(self, a: Doubles, factor: int, total: Doubles, at: slice) -> Doubles:
        """Add factor * a to `total` in place, and return it; `factor` is an integer of any size."""
        pointwise.scale_add(a, self.constants(factor, at), total, self.q[at], self.inverse_q[at], total)
        return total

    def integers(self, a: Doubles, at: slice) -> list[int]:
        """Return the balanced integers of an element in coefficient form, modulo the product of the primes at `at`."""
        primes = self.primes[at]
        values = [int(x) % primes[0] for x in a[0]]
        product = primes[0]
        for row, q in zip(a[1:], primes[1:], strict=True):
            inverse = pow(product, -1, q)
            values = [v + product * ((int(x) - v) * inverse % q) for v, x in zip(values, row, strict=True)]
            product *= q
        return [v - product if v > product // 2 else v for v in values]


def permute(a: Doubles, places: Integers) -> Doubles:
    """Return `a`, float64[k, N], with the values from other places: out[i, j] = a[i, places[j]]."""
    out = np.empty_like(a)
    _permute(a, places, out)
    return out


def digits_of(values: Doubles) -> Integers:
    """Return integers in doubles, |values| < 2^144, as digits in base 2^DIGIT_BITS: int64[3, N], lowest first."""
    digits = []
    for _ in range(2):
        high = np.rint(values * 2.0**-DIGIT_BITS)
        digits.append(values - high * 2.0**DIGIT_BITS)
        values = high
    return np.stack([*digits, values]).astype(np.int64)


def _part(tables: TransformTables, at: slice) -> TransformTables:
    head, head_q, blocks, blocks_q, last, last_q = tables
    return head[at], head_q[at], blocks[at], blocks_q[at], last[at], last_q[at]


def _powers(root: int, prime: int, count: int) -> Words:
    out = np.empty(count, np.uint64)
    ntt_integer.powers(np.uint64(root), np.uint64((root << 64) // prime), np.uint64(prime), out)
    return out


def _bit_reversed(count: int) -> Integers:
    """Return 0, ..., count - 1 with their bits in the opposite order, int64[count]."""
    index, out = np.arange(count), np.zeros(count, np.int64)
    for bit in range(count.bit_length() - 1):
        out = out << 1 | (index >> bit & 1)
    return out


def _shoup(words: Words, prime: int) -> Words:
    return np.array([(int(w) << 64) // prime for w in words], np.uint64)


@compiled
def _embed(digits: Integers, weights: Doubles, q: Doubles, iq: Doubles, out: Doubles) -> None:
    for i in range(q.shape[0]):
        for j in range(digits.shape[1]):
            out[i, j] = 0.0
        for k in range(digits.shape[0]):
            w = weights[k, i]
            w_over_q = w / q[i]
            for j in range(digits.shape[1]):
                out[i, j] = reduced(times_constant(float(digits[k, j]), w, w_over_q, q[i]) + out[i, j], q[i], iq[i])


@compiled
def _multiply(a: Doubles, b: Doubles, q: Doubles, iq: Doubles, out: Doubles) -> None:
    for i in range(a.shape[0]):
        for j in range(a.shape[1]):
            out[i, j] = reduced(times(a[i, j], b[i, j], q[i], iq[i]), q[i], iq[i])


@compiled
def _multiply_add(a: Doubles, b: Doubles, q: Doubles, iq: Doubles, total: Doubles) -> None:
    for i in range(a.shape[0]):
        for j in range(a.shape[1]):
            total[i, j] = reduced(times(a[i, j], b[i, j], q[i], iq[i]) + total[i, j], q[i], iq[i])


@compiled
def _permute(a: Doubles, places: Integers, out: Doubles) -> None:
    for i in range(a.shape[0]):
        for j in range(places.shape[0]):
            out[i, j] = a[i, places[j]]
