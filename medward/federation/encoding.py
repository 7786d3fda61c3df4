"""Model updates as integers that can be summed exactly: clipped, scaled, multiplied by the member's weight.

The sum of the members' vectors, divided by the sum of their weights, is the average weighted by rows (McMahan et al.,
AISTATS 2017) to within the rounding of one part in 2**RESOLUTION of the clipping range.
"""

import numpy as np
from numpy.typing import NDArray

from medward.federation.interfaces import IntVector

RESOLUTION = 23


def encode_update(update: NDArray[np.float32], weight: int, clip: float) -> IntVector:
    """Return a member's integers: its update clipped to [-clip, clip], times its weight, and the weight itself.

    Args:
        update: what training changed.
        weight: the member's training rows, at most 2**31.
        clip: the range that every member agreed on for this round.
    """
    scaled = np.rint(np.clip(update.astype(np.float64) / clip, -1.0, 1.0) * 2.0**RESOLUTION).astype(np.int64)
    return np.append(scaled * weight, weight)


def decode_mean(total: IntVector, clip: float) -> NDArray[np.float32]:
    """Return the members' weighted mean update from the sum of their integers."""
    mean = total[:-1] / (int(total[-1]) * 2.0**RESOLUTION) * clip
    return np.asarray(mean, np.float32)
