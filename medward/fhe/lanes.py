"""Exact integers in the coefficients of a plaintext.

A coefficient carries `lanes` signed values x_0, x_1, ... as m = sum of x_i 2^(w i), w wide enough for the sum of all
contributors. A ciphertext carries Delta m; the sum decodes exactly as long as the noise stays below Delta / 2:

    V = (Delta m + noise) + bias  with  bias = Delta/2 + Delta sum of 2^(w-1) 2^(w i)

makes every field of V non-negative, so each lane is w bits of V. Bits of V above the lanes, and noise above its
bound, are refused.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from medward.fhe._compile import compiled, high_product
from medward.fhe._modular import reduced, times_constant
from medward.fhe._primes import balanced
from medward.fhe.errors import LaneOverflow
from medward.fhe.keys import parameters_ring
from medward.fhe.parameters import SumParameters
from medward.fhe.ring import Element

Integers = NDArray[np.int64]
Doubles = NDArray[np.float64]
Words = NDArray[np.uint64]

_CHUNK_BITS = 51


def encode(parameters: SumParameters, values: Integers, noise: Integers) -> Element:
    """Return Delta m + noise, coefficient form.

    Args:
        parameters: the parameter set.
        values: integers [lanes, N] between smallest_value and largest_value.
        noise: int64[N].

    Raises:
        LaneOverflow: a value does not fit, or the shape is not [lanes, N].
    """
    if values.shape != (parameters.lanes, parameters.degree):
        raise LaneOverflow(
            f"a block has shape {(parameters.lanes, parameters.degree)}, not {values.shape}; use BlockLayout.split"
        )
    per_chunk = _CHUNK_BITS // parameters.lane_bits
    chunks = math.ceil(parameters.lanes / per_chunk)
    digits = np.zeros((chunks + 1, parameters.degree), np.int64)
    low, high = parameters.smallest_value, parameters.largest_value
    if _write_lanes(np.ascontiguousarray(values, np.int64), low, high, parameters.lane_bits, per_chunk, digits):
        raise LaneOverflow(f"a value is outside {low}..{high}; clip before encoding")
    digits[chunks] = noise
    weights = [1 << (parameters.delta_bits + parameters.lane_bits * per_chunk * k) for k in range(chunks)]
    return parameters_ring(parameters).embed(digits, [*weights, 1])


def decode(parameters: SumParameters, plaintext: Element) -> Integers:
    """Return the exact lane sums, int64[lanes, N], of Delta m + noise in coefficient form (left unchanged).

    Raises:
        LaneOverflow: noise above the bound of this set, or a message that needs more than all lanes.
    """
    table = _decoding_table(parameters)
    owner = parameters_ring(parameters)
    digits = plaintext.copy()
    _mixed_radix(digits, table.bias, table.inverses, owner.q, owner.inverse_q)
    words = np.empty((table.words, parameters.degree), np.uint64)
    _to_words(digits, table.primes, words)
    out = np.empty((parameters.lanes, parameters.degree), np.int64)
    faults = _read_lanes(
        words, parameters.delta_bits, parameters.lane_bits, table.residual_shift, table.residual_limit, out
    )
    if faults:
        raise LaneOverflow(
            f"{faults} coefficients of the sum are out of bounds: a contribution or a share was not well-formed; "
            "nothing was decoded"
        )
    return out


@dataclass(frozen=True)
class _DecodingTable:
    bias: Doubles
    inverses: Doubles
    primes: Words
    words: int
    residual_shift: int
    residual_limit: int


@lru_cache(maxsize=32)
def _decoding_table(parameters: SumParameters) -> _DecodingTable:
    owner = parameters_ring(parameters)
    half_lanes = sum(1 << (parameters.lane_bits * (i + 1) - 1) for i in range(parameters.lanes))
    bias = (1 << (parameters.delta_bits - 1)) + (half_lanes << parameters.delta_bits)
    inverses = np.zeros((owner.limbs, owner.limbs))
    for i, q in enumerate(owner.primes):
        for k, p in enumerate(owner.primes[:i]):
            inverses[k, i] = balanced(pow(p, -1, q), q)
    shift = max(0, parameters.delta_bits - 32)
    return _DecodingTable(
        owner.constants(bias),
        inverses,
        np.array(owner.primes, np.uint64),
        -(-owner.modulus.bit_length() // 64) + 1,
        shift,
        (parameters.residual_bound >> shift) + 1,
    )


@compiled
def _write_lanes(values: Integers, low: int, high: int, lane_bits: int, per_chunk: int, out: Integers) -> int:
    """Add the lanes' values, int64[lanes, N], to the chunks int64[C, N]; return how many are not in low..high."""
    outside = 0
    for lane in range(values.shape[0]):
        chunk = lane // per_chunk
        shift = lane_bits * (lane % per_chunk)
        for j in range(values.shape[1]):
            x = values[lane, j]
            outside += (x < low) | (x > high)
            out[chunk, j] += x << shift
    return outside


@compiled
def _mixed_radix(x: Doubles, bias: Doubles, inverses: Doubles, q: Doubles, iq: Doubles) -> None:
    """Replace the residues x + bias, float64[L, N], by mixed-radix digits: value = d_0 + d_1 q_0 + d_2 q_0 q_1 + ..."""
    n = x.shape[1]
    for i in range(x.shape[0]):
        for j in range(n):
            x[i, j] = reduced(x[i, j] + bias[i], q[i], iq[i])
        for k in range(i):
            w = inverses[k, i]
            w_over_q = w * iq[i]
            for j in range(n):
                difference = reduced(x[i, j] - x[k, j], q[i], iq[i])
                x[i, j] = times_constant(difference, w, w_over_q, q[i])
        for j in range(n):
            y = reduced(x[i, j], q[i], iq[i])
            x[i, j] = y + q[i] if y < 0.0 else y


@compiled
def _to_words(digits: Doubles, q: Words, out: Words) -> None:
    """Write the integers given by mixed-radix digits as 64-bit words, the lowest first, uint64[W, N].

    While the highest L - i digits are in, a number fits L - i words.
    """
    limbs = digits.shape[0]
    words = np.zeros(out.shape[0] + limbs, np.uint64)
    for j in range(digits.shape[1]):
        for k in range(words.shape[0]):
            words[k] = np.uint64(0)
        for i in range(limbs - 1, -1, -1):
            carry = np.uint64(np.int64(digits[i, j]))
            for k in range(limbs - i):
                low = words[k] * q[i]
                high = high_product(words[k], q[i])
                total = low + carry
                if total < low:
                    high += np.uint64(1)
                words[k] = total
                carry = high
        for k in range(out.shape[0]):
            out[k, j] = words[k]


@compiled
def _bits_at(words: Words, start: int, out: Words) -> None:
    """The 64 bits of every number from bit `start` on, uint64[W, N] to uint64[N]."""
    k = start >> 6
    shift = np.uint64(start & 63)
    low = words[k]
    if shift > np.uint64(0) and k + 1 < words.shape[0]:
        high = words[k + 1]
        for j in range(out.shape[0]):
            out[j] = (low[j] >> shift) | (high[j] << (np.uint64(64) - shift))
    else:
        for j in range(out.shape[0]):
            out[j] = low[j] >> shift


@compiled
def _read_lanes(words: Words, delta_bits: int, lane_bits: int, shift: int, limit: int, out: Integers) -> int:
    """Cut the lanes out of biased values; return how many values had noise or a message out of bounds."""
    half = np.int64(1) << np.int64(lane_bits - 1)
    mask = np.uint64((np.uint64(1) << np.uint64(lane_bits)) - np.uint64(1))
    residual_mask = np.uint64((np.uint64(1) << np.uint64(delta_bits - shift)) - np.uint64(1))
    middle = np.int64(1) << np.int64(delta_bits - shift - 1)
    end = delta_bits + lane_bits * out.shape[0]
    field = np.empty(words.shape[1], np.uint64)
    for i in range(out.shape[0]):
        _bits_at(words, delta_bits + lane_bits * i, field)
        for j in range(field.shape[0]):
            out[i, j] = np.int64(field[j] & mask) - half
    above = np.empty(words.shape[1], np.uint64)
    _bits_at(words, end, above)
    for k in range((end >> 6) + 1, words.shape[0]):
        for j in range(above.shape[0]):
            above[j] |= words[k, j]
    _bits_at(words, shift, field)
    faults = 0
    for j in range(field.shape[0]):
        residual = np.int64(field[j] & residual_mask) - middle
        faults += (above[j] != np.uint64(0)) | (residual > limit) | (residual < -limit - 1)
    return faults


#: Width of a count: each member's counts are from 0 to 2^COUNT_BITS - 1.
COUNT_BITS = 30


@dataclass(frozen=True)
class BlockLayout:
    """Where the counts and values of a contribution lie in blocks of one ciphertext each.

    A count is a non-negative integer of COUNT_BITS bits, such as a number of rows; it is written in base 2^(b-1), least
    digit first, in slots of its own, and the sums of the members' digits give the sum of the counts. A value is a
    signed integer of b bits in one slot.

    Args:
        parameters: the parameter set.
        counts, values: how many there are.
    """

    parameters: SumParameters
    counts: int
    values: int

    @property
    def digits(self) -> int:
        """Slots that a count takes."""
        return -(-COUNT_BITS // (self.parameters.update_bits - 1))

    @property
    def blocks(self) -> int:
        """How many ciphertexts one contribution takes."""
        return max(1, -(-(self.counts * self.digits + self.values) // self.parameters.values_per_ciphertext))

    def split(self, counts: NDArray[np.integer], values: NDArray[np.integer]) -> Integers:
        """Return int64[blocks, lanes, N] for integers `counts` [counts] and `values` [values].

        Raises:
            LaneOverflow: a count does not fit, or an array has another length.
        """
        if counts.shape != (self.counts,) or values.shape != (self.values,):
            raise LaneOverflow(
                f"a contribution has {self.counts} counts and {self.values} values here, not {counts.size} and "
                f"{values.size}"
            )
        if counts.size and not 0 <= counts.min() <= counts.max() < 1 << COUNT_BITS:
            raise LaneOverflow(f"a count is outside 0..{(1 << COUNT_BITS) - 1}")
        width = self.parameters.update_bits - 1
        flat = np.zeros(self.blocks * self.parameters.values_per_ciphertext, np.int64)
        for digit in range(self.digits):
            flat[self._digit(digit)] = (counts.astype(np.int64) >> (width * digit)) & ((1 << width) - 1)
        flat[self._values] = values
        return flat.reshape(self.blocks, self.parameters.lanes, self.parameters.degree)

    def join(self, blocks: Integers) -> tuple[Integers, Integers]:
        """Return (sums of the counts, sums of the values), both int64, from decoded blocks [blocks, lanes, N]."""
        flat = blocks.reshape(-1)
        width = self.parameters.update_bits - 1
        counts = np.zeros(self.counts, np.int64)
        for digit in range(self.digits):
            counts += flat[self._digit(digit)] << (width * digit)
        return counts, flat[self._values].copy()

    def _digit(self, digit: int) -> slice:
        return slice(digit * self.counts, (digit + 1) * self.counts)

    @property
    def _values(self) -> slice:
        return slice(self.digits * self.counts, self.digits * self.counts + self.values)
