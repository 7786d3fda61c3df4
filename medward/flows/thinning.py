"""Copies of training rows whose past was thinned, for files that hold only some rows of a stream.

A file to be scored may be a sample of a stream: every seventh row, say. Its rows' history then sums up fewer and
farther rows than history in training did. So training rows are shown again, with history from a stream that was
split at random into sub-streams: at density 1/7 every row falls into one of seven, and remembers that one only.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from medward.flows.history import FeatureSpace
from medward.flows.schema import Flows, concatenate
from medward.flows.splits import Split


def with_thinned_rows(
    flows: Flows, split: Split, space: FeatureSpace, x: NDArray[np.float32], densities: Sequence[float], seed: int
) -> tuple[Flows, Split, NDArray[np.float32]]:
    """Append a copy of the training rows for each density; copies are training rows of their originals' blocks.

    Args:
        flows: the rows.
        split: their parts, with streams.
        space: features with history.
        x: the rows' features.
        densities: for each copy which share of a stream's rows is remembered, above 0 and at most 1.
        seed: what the sub-streams are drawn from.

    Returns:
        The rows, their split and their features, the copies after them.
    """
    if not densities or split.stream is None:
        return flows, split, x
    rng = np.random.default_rng([seed, 0x7819])
    own = split.train
    parts, features, streams = [flows], [x], [split.stream]
    for density in densities:
        copy = flows.take(own)
        pieces = max(1, round(1 / density))
        first = int(streams[-1].max()) + 1
        stream = (first + split.stream[own] * pieces + rng.integers(pieces, size=len(own))).astype(np.int32)
        parts.append(copy)
        streams.append(stream)
        features.append(space.build(copy, stream))
    total = len(flows) + len(own) * len(densities)
    train = np.concatenate([own, np.arange(len(flows), total)])
    block = np.concatenate([split.block, *[split.block[own]] * len(densities)])
    widened = replace(split, train=train, stream=np.concatenate(streams), block=block)
    return concatenate(parts), widened, np.concatenate(features)
