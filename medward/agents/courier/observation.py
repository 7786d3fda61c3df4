"""Observations and decisions of Courier, in integers, so that every member decides alike on any machine."""

import math
from dataclasses import dataclass

#: One, in the fixed point of observations.
ONE = 1 << 16
#: Steps of one doubling in a fixed-point logarithm.
OCTAVE = 256
#: The logarithm of nothing: less than that of any update.
NOTHING = -64 * OCTAVE


@dataclass(frozen=True)
class Observation:
    """The public record of a training so far, as Courier sees it.

    Args:
        progress: the share of the plan's periods that are done, 0 to ONE.
        covered: how many periods the last sum covered; 0 before the first.
        energy: log2 of the last mean update, root mean square a weight and period, in OCTAVEs, relative to the range
            that a first period's update is clipped to; NOTHING before the first sum.
        cost: the cost a window, summed over the members' validation rows, of the model that the last sum started from,
            in units of 1 / ONE; ONE before the first sum.
        drop: by how much that cost fell from the sum before, per period; 0 before the second sum.
        left: the share of the byte budget that is left, 0 to ONE; ONE where there is none.
    """

    progress: int = 0
    covered: int = 0
    energy: int = NOTHING
    cost: int = ONE
    drop: int = 0
    left: int = ONE

    def features(self) -> tuple[int, ...]:
        """Return the observation as integers of about -4 ONE to 4 ONE, as the learned policy takes it."""
        energy = max(self.energy, -16 * OCTAVE) * (ONE // OCTAVE) // 4
        drop = min(max(16 * self.drop, -4 * ONE), 4 * ONE)
        return (2 * self.progress, self.covered * (ONE // 4), energy, 4 * self.cost, drop, self.left)


#: How many numbers `Observation.features` gives.
FEATURES = 6


@dataclass(frozen=True)
class Decision:
    """What Courier decides.

    Args:
        periods: train so many periods, then sum; 0: sum no more, the training is over.
        bits: the width of a value.
        ciphertexts: send as many of the stalest blocks as fit so many ciphertexts; 0 sends all blocks.
    """

    periods: int
    bits: int = 16
    ciphertexts: int = 0


def fixed_log2(x: float) -> int:
    """Return floor(OCTAVE log2 x) for x > 0, NOTHING for 0, the mantissa's part linear between powers of two.

    Only exact operations are used: equal x give equal integers on every machine.
    """
    if x <= 0:
        return NOTHING
    mantissa, exponent = math.frexp(x)
    return max(NOTHING, (exponent - 1) * OCTAVE + int((2 * mantissa - 1) * OCTAVE))
