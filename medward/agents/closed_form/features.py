"""Quaternion random features in integers, so that sums of their products are exact (spec/closed-form.md, section 1).

    phi_i = floor(F max(0, x W_i + b_i) / D_i + 1/2)         D_i: x W_i + b_i is never larger

x are the scaled inputs of a row in units of 2^-16, W the real matrix of quaternions with drawn integer parts, b drawn
integers.
Everything up to the division is an integer below 2^53 in a double: any order of operations gives the same.
"""

import hashlib
from dataclasses import dataclass
from math import isqrt

import numpy as np
from numpy.typing import NDArray

from medward.fhe.sampling import framed
from medward.flows.history import FeatureSpace
from medward.flows.scaling import Scaler
from medward.flows.schema import Group

#: An input of 1: so fine that deployed models, whose inputs are not rounded, see the same.
UNIT = 1 << 16
#: How far the hyperplanes lie from the middle of the inputs: b has sqrt(d) / 4 times the spread of a weight.
_OFFSET = UNIT // 4
LEAST_FEATURES, MOST_FEATURES = 16, 2048

IntegerRows = NDArray[np.float64]


@dataclass(frozen=True)
class RandomFeatures:
    """The features of one state: without the evidence, or with it.

    Args:
        matrix: W, float64[inputs, m] of integers; rows of inputs that are not seen are zero.
        bias: b, float64[m] of integers.
        divisor: D, float64[m] of integers.
        largest: F.
    """

    matrix: NDArray[np.float64]
    bias: NDArray[np.float64]
    divisor: NDArray[np.float64]
    largest: int

    def of(self, inputs: IntegerRows) -> IntegerRows:
        """Return float64[rows, m] of integers from 0 to F, for rows of `inputs_of`."""
        above = np.maximum(inputs @ self.matrix + self.bias, 0.0)
        return np.asarray(np.floor(above * self.largest / self.divisor + 0.5))


def inputs_of(scaler: Scaler, x: NDArray[np.float32]) -> IntegerRows:
    """Return rows as the features take them: numbers, indicators and flags in units of 2^-16, float64[rows, inputs].

    Args:
        scaler: of the quantile kind.
        x: rows of the raw feature matrix.
    """
    many = len(scaler.numbers)
    encoded = scaler.encode(x)
    seen = np.concatenate([encoded[:, :many] * encoded[:, many : 2 * many], encoded[:, 2 * many :]], axis=1)
    return np.rint(np.clip(seen.astype(np.float64), 0.0, 1.0) * UNIT)


def random_features(
    space: FeatureSpace, scaler: Scaler, count: int, seed: int, largest: int
) -> tuple[RandomFeatures, ...]:
    """Draw the features of each state: without the evidence and, where any is for sale, with it.

    Args:
        space: the columns, some of which may be evidence that is bought.
        scaler: fitted on the surveys.
        count: m, a multiple of 4.
        seed: public; the same for all members.
        largest: F.
    """
    cheap = np.array([column.group is Group.CHEAP for column in space.columns])
    seen = np.concatenate([cheap[scaler.numbers], cheap[scaler.indicators], cheap[scaler.flags]]).astype(np.float64)
    inputs = len(seen)
    quarters = -(-inputs // 4)
    words = _words(4 * quarters * (count // 4) + count, seed, count, inputs)
    drawn = np.bitwise_count(words).astype(np.float64) - 32
    a, b, c, d = drawn[count:].reshape(4, quarters, count // 4)
    matrix = np.block([[a, b, c, d], [-b, a, d, -c], [-c, -d, a, b], [-d, c, -b, a]])[:inputs]
    states = [seen] if cheap.all() else [seen, np.ones(inputs)]
    return tuple(_state(matrix * shown[:, None], drawn[:count], int(shown.sum()), largest) for shown in states)


def states_of(space: FeatureSpace) -> int:
    """Return how many states there are: 2 where evidence can be bought, else 1."""
    return 1 if all(column.group is Group.CHEAP for column in space.columns) else 2


def _state(matrix: NDArray[np.float64], offset: NDArray[np.float64], inputs: int, largest: int) -> RandomFeatures:
    bias = offset * isqrt(_OFFSET**2 * inputs) - (UNIT // 2) * matrix.sum(axis=0)
    most = UNIT * np.maximum(matrix, 0.0).sum(axis=0) + bias
    return RandomFeatures(matrix, bias, np.maximum(most, 1.0), largest)


def _words(number: int, *about: int) -> NDArray[np.uint64]:
    stream = hashlib.shake_128(framed("medward random features 1", *about)).digest(8 * number)
    return np.frombuffer(stream, "<u8").astype(np.uint64)
