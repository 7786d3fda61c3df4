"""The ring, bounds, digits and rounded division that all operations of a parameter set share.

An element over Q_l P is float64[limbs + K, N] in evaluation form: the rows of the level's primes, then those of the
special ones. Formulas: spec/computing.md, section 7.
"""

from functools import cached_property, lru_cache
from math import prod

import numpy as np

from medward.fhe.arrays import Doubles, Integers
from medward.fhe.computing.base_conversion import BaseConversion
from medward.fhe.computing.noise import NoiseModel, noise_model
from medward.fhe.computing.parameters import ComputingParameters
from medward.fhe.computing.residues import ResidueRing
from medward.fhe.ring.kernels import compiled
from medward.fhe.ring.modular import reduced, times, times_constant
from medward.fhe.ring.primes import balanced
from medward.fhe.ring.ring import keep_freed_memory


class ComputingContext:
    """The ring and the tables of a parameter set; make one with `computing_context`.

    Args:
        parameters: the set.
    """

    def __init__(self, parameters: ComputingParameters) -> None:
        self.parameters = parameters
        self.ring = ResidueRing(parameters.degree, parameters.primes)
        self.special = slice(parameters.top, len(parameters.primes))
        self._conversions: dict[tuple[tuple[int, ...], bytes], BaseConversion] = {}

    def __repr__(self) -> str:
        return f"ComputingContext({self.parameters.degree}, {self.parameters.levels} levels)"

    @cached_property
    def noise(self) -> NoiseModel:
        """The bounds on errors."""
        return noise_model(self.parameters)

    @property
    def everywhere(self) -> slice:
        """The places of all primes."""
        return slice(0, len(self.parameters.primes))

    def at(self, level: int) -> slice:
        """Return the places of a level's primes."""
        return slice(0, self.parameters.limbs(level))

    def places(self, level: int) -> Integers:
        """Return the places of the primes of Q_l P, int64[limbs + K]."""
        limbs = self.parameters.limbs(level)
        return np.array([*range(limbs), *range(self.parameters.top, len(self.parameters.primes))])

    def digits(self, c: Doubles, level: int, size: int | None = None) -> Doubles:
        """Return h_d(c), float64[D, limbs + K, N] in evaluation form, of an element at a level in evaluation form.

        Args:
            c: the element, float64[limbs, N].
            level: of it.
            size: primes in a digit; see `ComputingParameters.digits`.
        """
        coefficients = self.ring.inverse(c.copy(), self.at(level))
        found = self.parameters.digits(level, size)
        out = np.empty((len(found), len(self.places(level)), self.parameters.degree))
        for h, digit in zip(out, found, strict=True):
            self.write_digit(c, coefficients, level, digit, h)
        return out

    def write_digit(self, c: Doubles, coefficients: Doubles, level: int, digit: range, out: Doubles) -> None:
        """Write h_d(c), float64[limbs + K, N] in evaluation form, to `out`.

        Args:
            c: an element at a level in evaluation form, float64[limbs, N].
            coefficients: the same in coefficient form.
            level: of it.
            digit: the places of the digit's primes.
            out: what is written.
        """
        limbs, places = self.parameters.limbs(level), self.places(level)
        begin, end = digit[0], digit[-1] + 1
        others = np.delete(np.arange(len(places)), digit)
        self._convert(coefficients[begin:end], tuple(digit), places[others], out, others)
        out[begin:end] = c[begin:end]
        for first, last, at in (
            (0, begin, slice(0, begin)), (end, limbs, slice(end, limbs)), (limbs, len(places), self.special),
        ):  # fmt: skip
            if first < last:
                self.ring.forward(out[first:last], at)

    def down(self, x: Doubles, level: int, drop: int, out: Doubles) -> Doubles:
        """Write an element over Q_l P, divided by P and the primes of the top `drop` levels and rounded, to `out`.

        That is [x]_P,drop, float64[limbs of level - drop, N], which is returned.
        """
        keep, limbs = self.parameters.limbs(level - drop), self.parameters.limbs(level)
        rest = x[keep:].copy()
        if drop:
            self.ring.inverse(rest[: limbs - keep], slice(keep, limbs))
        self.ring.inverse(rest[limbs - keep :], self.special)
        return self._divided(x[:keep], rest, tuple(int(k) for k in self.places(level)[keep:]), out)

    def rescale(self, x: Doubles, level: int, out: Doubles) -> Doubles:
        """Write an element over Q_l, divided by the primes of its level and rounded, to `out`, and return it."""
        keep, limbs = self.parameters.limbs(level - 1), self.parameters.limbs(level)
        rest = self.ring.inverse(x[keep:].copy(), slice(keep, limbs))
        return self._divided(x[:keep], rest, tuple(range(keep, limbs)), out)

    def _divided(self, x: Doubles, rest: Doubles, places: tuple[int, ...], out: Doubles) -> Doubles:
        """Write (x - the integer with residues `rest` modulo the primes at `places`) / their product to `out`."""
        keep = slice(0, len(x))
        self._convert(rest, places, np.arange(len(x)), out, np.arange(len(x)))
        self.ring.forward(out, keep)
        divisor = prod(self.parameters.primes[k] for k in places)
        inverse = np.array([balanced(pow(divisor, -1, q), q) for q in self.parameters.primes[keep]], np.float64)
        _subtract_scale(x, out, inverse, self.ring.q[keep], self.ring.inverse_q[keep], out)
        return out

    def _convert(self, x: Doubles, sources: tuple[int, ...], targets: Integers, out: Doubles, rows: Integers) -> None:
        key = sources, targets.tobytes()
        if key not in self._conversions:
            primes = self.parameters.primes
            self._conversions[key] = BaseConversion([primes[k] for k in sources], [primes[k] for k in targets])
        self._conversions[key](x, out, rows)

    def element(self, level: int, count: int = 1) -> Doubles:
        """Return room for elements at a level, float64[count, limbs, N]."""
        return np.empty((count, self.parameters.limbs(level), self.parameters.degree))

    def times_special(self, c: Doubles, level: int) -> Doubles:
        """Return P c over Q_l P for an element at a level; it is 0 modulo the special primes."""
        limbs = self.parameters.limbs(level)
        out = np.zeros((limbs + self.parameters.digit, self.parameters.degree))
        self.ring.scale_add(c, self.parameters.special(), out[:limbs], self.at(level))
        return out

    def add_products(
        self, h: Doubles, keys: tuple[Doubles, Doubles], level: int, totals: tuple[Doubles, Doubles]
    ) -> None:
        """Add <h, key> over Q_l P for each of two keys, float64[D, top + K, N], to a total."""
        _add_products(h, *keys, self.places(level), self.ring.q, self.ring.inverse_q, *totals)

    def add_product(self, h: Doubles, other: Doubles, level: int, total: Doubles) -> None:
        """Add h times another element over Q_l P to a total; the other may be a key's, float64[top + K, N]."""
        places = self.places(level)
        rows = places if len(other) == len(self.parameters.primes) else np.arange(len(places))
        _add_product(h, other, rows, self.ring.q[places], self.ring.inverse_q[places], total)

    def zero(self, level: int, count: int = 1) -> Doubles:
        """Return zeros over Q_l P, float64[count, limbs + K, N]."""
        return np.zeros((count, len(self.places(level)), self.parameters.degree))

    def cross(self, a: Doubles, b: Doubles, terms: Integers, level: int, linear: Doubles, quadratic: Doubles) -> None:
        """Write the terms of the sum of n products of ciphertexts, those at 1 and the s_i times P.

        Args:
            a, b: float64[n, parts, limbs, N].
            terms: int64[parts of a, parts of b], which term a product of two parts belongs to; the linear ones first,
                and -1 for what is not needed.
            level: of both.
            linear: float64[terms, limbs + K, N], of which the first limbs are written.
            quadratic: float64[terms, limbs, N].
        """
        at = self.at(level)
        special = self.ring.constants(self.parameters.special(), at)
        _cross(a, b, terms, special, self.ring.q[at], self.ring.inverse_q[at], linear, quadratic)


@lru_cache(maxsize=8)
def computing_context(parameters: ComputingParameters) -> ComputingContext:
    """Return the context of a parameter set, built once per process."""
    keep_freed_memory()
    return ComputingContext(parameters)


@compiled
def _subtract_scale(x: Doubles, y: Doubles, w: Doubles, q: Doubles, iq: Doubles, out: Doubles) -> None:
    """out = (x - y) w with one balanced constant a row; `out` may be `y`."""
    for i in range(x.shape[0]):
        w_over_q = w[i] / q[i]
        for j in range(x.shape[1]):
            out[i, j] = reduced(times_constant(x[i, j] - y[i, j], w[i], w_over_q, q[i]), q[i], iq[i])


@compiled
def _cross(
    a: Doubles, b: Doubles, terms: Integers, w: Doubles, q: Doubles, iq: Doubles, linear: Doubles, quadratic: Doubles
) -> None:
    chunk = min(1024, a.shape[3])
    count = linear.shape[0]
    for m in range(a.shape[2]):
        p, ip = q[m], iq[m]
        w_over_q = w[m] / p
        for start in range(0, a.shape[3], chunk):
            end = start + chunk
            for t in range(count):
                linear[t, m, start:end] = 0.0
            for t in range(quadratic.shape[0]):
                quadratic[t, m, start:end] = 0.0
            for n in range(a.shape[0]):
                for i in range(a.shape[1]):
                    x = a[n, i, m, start:end]
                    for j in range(b.shape[1]):
                        y = b[n, j, m, start:end]
                        t = terms[i, j]
                        if t < 0:
                            continue
                        out = linear[t, m, start:end] if t < count else quadratic[t - count, m, start:end]
                        for k in range(chunk):
                            out[k] = reduced(out[k] + times(x[k], y[k], p, ip), p, ip)
            for t in range(count):
                out = linear[t, m, start:end]
                for k in range(chunk):
                    out[k] = reduced(times_constant(out[k], w[m], w_over_q, p), p, ip)


@compiled
def _add_products(
    h: Doubles,
    key: Doubles,
    other_key: Doubles,
    places: Integers,
    q: Doubles,
    iq: Doubles,
    total: Doubles,
    other_total: Doubles,
) -> None:
    """total[m] += sum over d of h[d, m] key[d, places[m]], the other likewise, in parts that fit the cache."""
    chunk = min(1024, h.shape[2])
    for m in range(h.shape[1]):
        k = places[m]
        p, ip = q[k], iq[k]
        for start in range(0, h.shape[2], chunk):
            sums = total[m, start : start + chunk]
            other_sums = other_total[m, start : start + chunk]
            for d in range(h.shape[0]):
                x = h[d, m, start : start + chunk]
                y = key[d, k, start : start + chunk]
                z = other_key[d, k, start : start + chunk]
                for j in range(chunk):
                    sums[j] = reduced(sums[j] + times(x[j], y[j], p, ip), p, ip)
                    other_sums[j] = reduced(other_sums[j] + times(x[j], z[j], p, ip), p, ip)


@compiled
def _add_product(h: Doubles, other: Doubles, rows: Integers, q: Doubles, iq: Doubles, total: Doubles) -> None:
    """total[m] += h[m] other[rows[m]]."""
    for m in range(h.shape[0]):
        x, y, z, p, ip = h[m], other[rows[m]], total[m], q[m], iq[m]
        for j in range(x.shape[0]):
            z[j] = reduced(z[j] + times(x[j], y[j], p, ip), p, ip)
