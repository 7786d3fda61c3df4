"""A data set made ready for learning: split, with its features, under the honest or the paper protocol."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from medward.flows.datasets import Dataset
from medward.flows.history import FeatureSpace
from medward.flows.schema import Flows
from medward.flows.splits import Split, honest_split, paper_split, random_rows_split
from medward.flows.thinning import with_thinned_rows

Protocol = Literal["honest", "random", "paper"]


@dataclass(frozen=True)
class PreparedData:
    """A data set made ready for learning.

    Args:
        dataset: what it is.
        flows: its rows, and after them the thinned copies of training rows, where the data set wants them.
        split: which rows train, choose and test.
        space: its features.
        x: their matrix, for all rows.
        protocol: how it was split.
        seed: what the split was drawn from.
    """

    dataset: Dataset
    flows: Flows
    split: Split
    space: FeatureSpace
    x: NDArray[np.float32]
    protocol: Protocol
    seed: int

    @property
    def stream(self) -> NDArray[np.int32]:
        """The streams that Sentinel's windows follow each other in: history's, or the blocks where there is none."""
        return self.split.block if self.split.stream is None else self.split.stream


def prepare(
    dataset: Dataset,
    flows: Flows,
    protocol: Protocol,
    seed: int,
    densities: Sequence[float] | None = None,
    *,
    both_kinds: bool = True,
) -> PreparedData:
    """Split a data set and build its features.

    Args:
        dataset: what the rows are; `flows` must have been read under its schema.
        flows: its rows.
        protocol: "honest", "random" or "paper"; see `medward.flows.splits`.
        seed: what the split is drawn from.
        densities: instead of the data set's own, how dense the streams of thinned copies are.
        both_kinds: whether every part must hold attacks and benign rows; one hospital's own rows need not, under the
            honest protocol.

    Raises:
        BadSplit: a part would lack attacks or benign rows.
    """
    cut = {"honest": honest_split, "random": random_rows_split, "paper": paper_split}[protocol]
    split = cut(flows, dataset, seed) if both_kinds else honest_split(flows, dataset, seed, both_kinds=False)
    return prepare_split(dataset, flows, split, protocol, seed, densities)


def prepare_split(
    dataset: Dataset,
    flows: Flows,
    split: Split,
    protocol: Protocol,
    seed: int,
    densities: Sequence[float] | None = None,
) -> PreparedData:
    """Build the features of a data set that was split in some other way; the arguments are those of `prepare`.

    Args:
        dataset: what the rows are.
        flows: its rows.
        split: its parts; with streams, where the data set has history.
        protocol: whose rules hold for everything but the split.
        seed: what the thinned copies are drawn from.
        densities: see `prepare`.
    """
    space = FeatureSpace(flows.schema, flows.schema.history)
    x = space.build(flows, split.stream)
    if protocol != "paper" and space.history:
        wanted = dataset.densities if densities is None else densities
        flows, split, x = with_thinned_rows(flows, split, space, x, wanted, seed)
    return PreparedData(dataset, flows, split, space, x, protocol, seed)
