"""The ring Z_q[X]/(X^N + 1) with q a product of primes below 2^50, one limb per prime.

An element is float64[L, N]: row i holds its residues modulo prime i as integers between -q_i/2 and q_i/2. It is in
coefficient form or, after `forward`, in evaluation form: residues modulo N/4 irreducible polynomials X^4 - zeta, where
products are taken slot by slot. The caller knows which.
"""

from collections.abc import Sequence
from functools import lru_cache
from math import prod

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medward.fhe.ring import ntt_float, ntt_integer, pointwise
from medward.fhe.ring.kernels import HAS_FMA
from medward.fhe.ring.primes import SLOT_DEGREE, balanced, primitive_root, ring_primes

Element = NDArray[np.float64]


class Ring:
    """Arithmetic in one ring.

    Args:
        degree: N, a power of two from 64 on.
        limbs: L, how many primes.
        use_fma: whether transforms run on doubles (fast only with a hardware FMA) or on 64-bit integers; both give
            the same residues.
    """

    def __init__(self, degree: int, limbs: int, use_fma: bool = HAS_FMA) -> None:
        self.degree = degree
        self.limbs = limbs
        self.primes = ring_primes(degree, limbs)
        self.modulus = prod(self.primes)
        self.q: NDArray[np.float64] = np.array(self.primes, np.float64)
        self.inverse_q: NDArray[np.float64] = 1.0 / self.q
        self._use_fma = use_fma
        slots = degree // SLOT_DEGREE
        roots = [primitive_root(q, slots) for q in self.primes]
        self._words = np.stack([_factors(r, q, slots) for r, q in zip(roots, self.primes, strict=True)])
        self._inverse_words = np.stack(
            [_factors(pow(r, -1, q), q, slots) for r, q in zip(roots, self.primes, strict=True)]
        )
        size = min(ntt_float.BLOCK, degree)
        self._rows = (16, size // 16)
        self._forward = self._float_tables(self._words, size)
        zeta = np.stack([ntt_float.slot_roots(blocks) for blocks in self._forward[2]])
        self._slots = (zeta, zeta / self.q[:, None, None])
        if use_fma:
            self._inverse = self._float_tables(self._inverse_words, size)
            self._scale = self.constants(pow(slots, -1, self.modulus))
        else:
            self._shoup = _shoup(self._words, self.primes)
            self._inverse_shoup = _shoup(self._inverse_words, self.primes)

    def _float_tables(self, words: NDArray[np.uint64], size: int) -> tuple[Element, Element, Element, Element]:
        """Return (head, head/q, blocks, blocks/q) of the factors `words`, uint64[L, N]."""
        factors = np.stack(
            [
                np.where(w > q // 2, w.astype(np.int64) - q, w.astype(np.int64))
                for w, q in zip(words, self.primes, strict=True)
            ]
        ).astype(np.float64)
        blocks = np.stack([ntt_float.block_factors(f, size) for f in factors])
        head = factors[:, : max(2, self.degree // size)].copy()
        return head, head / self.q[:, None], blocks, blocks / self.q[:, None, None]

    def __repr__(self) -> str:
        return f"Ring(degree={self.degree}, limbs={self.limbs})"

    def zero(self) -> Element:
        """Return the zero element."""
        return np.zeros((self.limbs, self.degree))

    def constants(self, value: int) -> NDArray[np.float64]:
        """Return the balanced residues of an integer, float64[L]."""
        return np.array([balanced(value, q) for q in self.primes], np.float64)

    def forward(self, a: Element) -> Element:
        """Bring `a` into evaluation form in place, and return it."""
        if self._use_fma:
            ntt_float.forward_limbs(a, np.empty(self._rows), *self._forward, self.q, self.inverse_q)
            return a
        buffer = np.empty(self.degree, np.uint64)
        for i, q in enumerate(self.primes):
            ntt_integer.to_unsigned(a[i], np.uint64(q), buffer)
            ntt_integer.forward_integer(buffer, self._words[i], self._shoup[i], np.uint64(q), SLOT_DEGREE)
            ntt_integer.to_balanced(self._in_rows(buffer), np.uint64(q), a[i])
        return a

    def inverse(self, a: Element) -> Element:
        """Bring `a` into coefficient form in place, and return it."""
        if self._use_fma:
            scale = self._scale
            ntt_float.inverse_limbs(
                a, np.empty(self._rows), *self._inverse, scale, scale / self.q, self.q, self.inverse_q
            )
            return a
        buffer = np.empty(self.degree, np.uint64)
        for i, q in enumerate(self.primes):
            factor = pow(self.degree // SLOT_DEGREE, -1, q)
            shoup = (factor << 64) // q
            ntt_integer.to_unsigned(self._in_columns(a[i]), np.uint64(q), buffer)
            ntt_integer.inverse_integer(
                buffer,
                self._inverse_words[i],
                self._inverse_shoup[i],
                np.uint64(factor),
                np.uint64(shoup),
                np.uint64(q),
                SLOT_DEGREE,
            )
            ntt_integer.to_balanced(buffer, np.uint64(q), a[i])
        return a

    def _in_rows(self, a: NDArray[np.uint64]) -> NDArray[np.uint64]:
        """Bring every 16 neighbours of each block into 16 rows, the order in which evaluation forms are kept."""
        return a.reshape(-1, self._rows[1], 16).swapaxes(1, 2).ravel()

    def _in_columns(self, a: Element) -> Element:
        """Undo `_in_rows`."""
        return a.reshape(-1, 16, self._rows[1]).swapaxes(1, 2).ravel()

    def add(self, a: Element, b: Element, out: Element | None = None) -> Element:
        """Return a + b, written to `out` where given (which may be `a`)."""
        out = np.empty_like(a) if out is None else out
        pointwise.add(a, b, self.q, self.inverse_q, out)
        return out

    def subtract(self, a: Element, b: Element, out: Element | None = None) -> Element:
        """Return a - b, written to `out` where given."""
        out = np.empty_like(a) if out is None else out
        pointwise.subtract(a, b, self.q, self.inverse_q, out)
        return out

    def multiply_add(self, a: Element, b: Element, c: Element) -> Element:
        """Return a b + c for elements in evaluation form."""
        grouped = (self.limbs, -1, SLOT_DEGREE, self._rows[1])
        out = np.empty((self.limbs, self.degree))
        pointwise.multiply_add(
            a.reshape(grouped), b.reshape(grouped), c.reshape(grouped), *self._slots, self.q, self.inverse_q,
            out.reshape(grouped),
        )  # fmt: skip
        return out

    def scale_add(self, a: Element, factor: int, c: Element, out: Element | None = None) -> Element:
        """Return factor * a + c for an integer `factor`."""
        out = np.empty_like(a) if out is None else out
        pointwise.scale_add(a, self.constants(factor), c, self.q, self.inverse_q, out)
        return out

    def sum(self, elements: Sequence[Element]) -> Element:
        """Return the sum of one or more elements."""
        total = elements[0].copy()
        end = 1 + (len(elements) - 1) // 3 * 3
        for k in range(1, end, 3):
            a, b, c = elements[k : k + 3]
            pointwise.accumulate(total, a, b, c, self.q, self.inverse_q)
        for element in elements[end:]:
            total = self.add(total, element)
        return total

    def embed(self, digits: ArrayLike, weights: Sequence[int] = (1,)) -> Element:
        """Return the element whose coefficients are the integers sum over k of digits[k] * weights[k].

        Args:
            digits: integers [D, N] (or [N] for one digit), absolute values below 2^52.
            weights: D integers of any size.

        Returns:
            The element in coefficient form.
        """
        digits = np.atleast_2d(np.asarray(digits, np.int64))
        out = np.empty((self.limbs, self.degree))
        powers = np.stack([self.constants(weight) for weight in weights])
        pointwise.embed(digits, powers, self.q, self.inverse_q, out)
        return out

    def integers(self, a: Element) -> list[int]:
        """Return the coefficients of `a` (coefficient form) as balanced integers mod q; slow, for checks and tests."""
        residues = [row.astype(np.int64).tolist() for row in a]
        weights = [self.modulus // q * pow(self.modulus // q, -1, q) for q in self.primes]
        return [
            balanced(sum(r[j] * w for r, w in zip(residues, weights, strict=True)), self.modulus)
            for j in range(self.degree)
        ]


@lru_cache(maxsize=8)
def ring(degree: int, limbs: int) -> Ring:
    """Return the ring of this degree and number of limbs, built once per process."""
    keep_freed_memory()
    return Ring(degree, limbs)


def keep_freed_memory() -> None:
    """Let the process keep the memory of elements that it frees, for the next ones.

    glibc returns freed blocks to the system from a certain size on, and the next ones then cost a page fault every
    4 KiB: half the time of an encryption. Freeing one large block, which is never touched, raises that size for the
    process (mallopt(3), M_MMAP_THRESHOLD). Other allocators are not affected.
    """
    np.empty(31 << 20, np.uint8)


def _factors(root: int, prime: int, count: int) -> NDArray[np.uint64]:
    """Return the first `count` powers of `root` in bit-reversed order, uint64[count]."""
    out = np.empty(count, np.uint64)
    shoup = (root << 64) // prime
    ntt_integer.powers(np.uint64(root), np.uint64(shoup), np.uint64(prime), out)
    index = np.arange(count)
    bits = count.bit_length() - 1
    reversed_index = np.zeros(count, np.int64)
    for bit in range(bits):
        reversed_index |= ((index >> bit) & 1) << (bits - 1 - bit)
    return out[reversed_index]


def _shoup(words: NDArray[np.uint64], primes: Sequence[int]) -> NDArray[np.uint64]:
    """Return floor(w 2^64 / q) for every factor."""
    return np.array([[(int(w) << 64) // q for w in row] for row, q in zip(words, primes, strict=True)], np.uint64)
