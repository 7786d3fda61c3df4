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
            f"a block has shape {(parameters.lanes, parameters.degree)}, not {values.shape}; use UpdateLayout.split"
        )
    if values.min() < parameters.smallest_value or values.max() > parameters.largest_value:
        raise LaneOverflow(
            f"a value is outside {parameters.smallest_value}..{parameters.largest_value}; clip before encoding"
        )
    per_chunk = _CHUNK_BITS // parameters.lane_bits
    chunks = math.ceil(parameters.lanes / per_chunk)
    digits = np.zeros((chunks + 1, parameters.degree), np.int64)
    for lane in range(parameters.lanes):
        chunk, place = divmod(lane, per_chunk)
        digits[chunk] += values[lane].astype(np.int64) << (parameters.lane_bits * place)
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
    words = np.empty((parameters.degree, table.words), np.uint64)
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
    """Write the integers given by mixed-radix digits as little-endian 64-bit words, uint64[N, W]."""
    for j in range(digits.shape[1]):
        for k in range(out.shape[1]):
            out[j, k] = np.uint64(0)
        for i in range(digits.shape[0] - 1, -1, -1):
            carry = np.uint64(np.int64(digits[i, j]))
            for k in range(out.shape[1]):
                low = out[j, k] * q[i]
                high = high_product(out[j, k], q[i])
                total = low + carry
                if total < low:
                    high += np.uint64(1)
                out[j, k] = total
                carry = high


@compiled
def _bits_at(words: Words, j: int, start: int) -> int:
    """The 64 bits of number j from bit `start` on."""
    k = start >> 6
    shift = np.uint64(start & 63)
    value = words[j, k] >> shift
    if shift > np.uint64(0) and k + 1 < words.shape[1]:
        value |= words[j, k + 1] << (np.uint64(64) - shift)
    return value  # type: ignore[no-any-return]


@compiled
def _read_lanes(words: Words, delta_bits: int, lane_bits: int, shift: int, limit: int, out: Integers) -> int:
    """Cut the lanes out of biased values; return how many values had noise or a message out of bounds."""
    faults = 0
    half = np.int64(1) << np.int64(lane_bits - 1)
    mask = np.uint64((np.uint64(1) << np.uint64(lane_bits)) - np.uint64(1))
    residual_mask = np.uint64((np.uint64(1) << np.uint64(delta_bits - shift)) - np.uint64(1))
    middle = np.int64(1) << np.int64(delta_bits - shift - 1)
    end = delta_bits + lane_bits * out.shape[0]
    for j in range(words.shape[0]):
        for i in range(out.shape[0]):
            out[i, j] = np.int64(_bits_at(words, j, delta_bits + lane_bits * i) & mask) - half
        residual = np.int64(_bits_at(words, j, shift) & residual_mask) - middle
        above = _bits_at(words, j, end)
        for k in range((end >> 6) + 1, words.shape[1]):
            above |= words[j, k]
        if above != np.uint64(0) or residual > limit or residual < -limit - 1:
            faults += 1
    return faults


@dataclass(frozen=True)
class UpdateLayout:
    """Where the values of an update and its member's weight lie in blocks of one ciphertext each.

    The weight (rows of training data) is a non-negative integer written in base 2^(b-1), least digit first, in the
    first slots; the sum of the members' digits gives the sum of the weights.

    Args:
        parameters: the parameter set.
        length: how many values an update has.
        weight_bits: width of a weight; 0 for an update without one.
    """

    parameters: SumParameters
    length: int
    weight_bits: int = 24

    @property
    def weight_slots(self) -> int:
        """Slots that the weight takes."""
        return -(-self.weight_bits // (self.parameters.update_bits - 1))

    @property
    def blocks(self) -> int:
        """How many ciphertexts one update takes."""
        return max(1, -(-(self.length + self.weight_slots) // self.parameters.values_per_ciphertext))

    def split(self, values: NDArray[np.integer], weight: int = 0) -> Integers:
        """Return int64[blocks, lanes, N] for integer `values` [length] and a weight.

        Raises:
            LaneOverflow: the weight does not fit, or `values` has another length.
        """
        if values.shape != (self.length,):
            raise LaneOverflow(f"an update has {self.length} values here, not {values.shape}")
        if not 0 <= weight < 1 << self.weight_bits and (weight or self.weight_bits):
            raise LaneOverflow(f"a weight of {weight} does not fit in {self.weight_bits} bits")
        parameters = self.parameters
        flat = np.zeros(self.blocks * parameters.values_per_ciphertext, np.int64)
        digit = parameters.update_bits - 1
        for slot in range(self.weight_slots):
            flat[slot] = (weight >> (digit * slot)) & ((1 << digit) - 1)
        flat[self.weight_slots : self.weight_slots + self.length] = values
        return flat.reshape(self.blocks, parameters.lanes, parameters.degree)

    def join(self, blocks: Integers) -> tuple[Integers, int]:
        """Return (sum of the updates, int64[length]; sum of the weights) from decoded blocks [blocks, lanes, N]."""
        flat = blocks.reshape(-1)
        digit = self.parameters.update_bits - 1
        weight = sum(int(flat[slot]) << (digit * slot) for slot in range(self.weight_slots))
        return flat[self.weight_slots : self.weight_slots + self.length].copy(), weight
