"""Episodes: a device's windows in order, with attacks that begin somewhere in them.

Where a data set has streams (WUSTL-EHMS, the ward), an episode is a piece of one. Where every capture holds one class
(CICIoMT2024, X-IoMT), episodes are composed: a benign block runs through, and runs of attack rows from blocks of the
same part interrupt it at random onsets. Nothing crosses from one part of the split into another.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medward.agents.watch.costs import WatchCosts
from medward.flows.errors import BadSplit
from medward.flows.prepared import PreparedData

SHORTEST_RUN, LONGEST_RUN = 5, 40
# A quiet stretch before, between and after attacks; with runs of 5 to 40 windows about a quarter of all is attack.
MEAN_QUIET = 60.0


@dataclass(frozen=True)
class Episodes:
    """Episodes of equal length.

    Args:
        row: for each episode and window the row of the data set.
        label: its class, 0 benign.
        onset: for an attack window, how many windows ago its run began; 0 for benign windows.
        begins: whether an attack run begins there.
        background: whether another device's alert arrives then.
        block: for each episode what it was made of; intervals resample these, not episodes.
    """

    row: NDArray[np.int32]
    label: NDArray[np.int32]
    onset: NDArray[np.int32]
    begins: NDArray[np.bool_]
    background: NDArray[np.bool_]
    block: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.row)

    @property
    def windows(self) -> int:
        """How many windows an episode has."""
        return int(self.row.shape[1])


def episodes_of(
    prepared: PreparedData, part: NDArray[np.intp], windows: int, costs: WatchCosts, seed: int, times: int = 1
) -> Episodes:
    """Return episodes made of one part of a split.

    Args:
        prepared: the data set.
        part: the part's rows.
        windows: how long an episode is.
        costs: for the chance of other devices' alerts.
        seed: what compositions and other devices' alerts are drawn from.
        times: how often to compose each benign block anew; streams are cut once.

    Raises:
        BadSplit: the part is too small for one episode.
    """
    rng = np.random.default_rng([seed, 0xE915])
    if prepared.split.stream is None:
        row, block = _composed(prepared, part, windows, rng, times)
    else:
        row, block = _cut(prepared, part, windows)
    if len(row) == 0:
        raise BadSplit(f"No stream of {windows} windows lies in this part of the data: give more rows.")
    label = prepared.flows.y[row]
    # A composed run may follow another of the same class only after a quiet stretch, so a change of class marks it.
    before = np.concatenate([np.zeros((len(row), 1), np.int32), label[:, :-1]], axis=1)
    begins = (label > 0) & (label != before)
    place = np.arange(windows)[None, :]
    onset = np.where(label > 0, place - np.maximum.accumulate(np.where(begins, place, 0), axis=1), 0)
    background = rng.random(row.shape) < costs.background
    return Episodes(row.astype(np.int32), label, onset.astype(np.int32), begins, background, block)


def _cut(prepared: PreparedData, part: NDArray[np.intp], windows: int) -> tuple[NDArray[np.intp], NDArray[np.int32]]:
    """Cut each stream into pieces of `windows` rows; a shorter rest is left out."""
    assert prepared.split.stream is not None
    stream, order = prepared.split.stream[part], prepared.flows.order
    in_order = part[np.lexsort((part if order is None else order[part], stream))]
    pieces, names = [], []
    for name in np.unique(stream):
        own = in_order[prepared.split.stream[in_order] == name]
        whole = len(own) // windows
        pieces.append(own[: whole * windows].reshape(whole, windows))
        names += [name] * whole
    return np.concatenate(pieces), np.array(names, np.int32)


def _composed(
    prepared: PreparedData, part: NDArray[np.intp], windows: int, rng: np.random.Generator, times: int
) -> tuple[NDArray[np.intp], NDArray[np.int32]]:
    """Let attack runs interrupt benign blocks; each attack block belongs to one group of benign blocks only."""
    block, y = prepared.split.block, prepared.flows.y
    names = np.unique(block[part])
    own = {int(name): part[block[part] == name] for name in names}
    # A block holds rows of one capture; where classes mix in it, it is an attack block and its attack rows are used.
    benign = [name for name, rows in own.items() if not y[rows].any()]
    attacks = [name for name, rows in own.items() if y[rows].any()]
    if not benign or not attacks:
        raise BadSplit("Episodes need benign and attack blocks in every part: give more rows.")
    # Dealt class by class, so that every group of benign blocks gets about the same mixture.
    attacks.sort(key=lambda name: (int(y[own[name]].max()), name))
    groups = min(len(benign), len(attacks))
    mine = [attacks[g::groups] for g in range(groups)]
    quiet = [benign[g::groups] for g in range(groups)]
    rows, of_block = [], []
    for g in range(groups):
        runs = [own[name][y[own[name]] > 0] for name in mine[g]]
        for name in quiet[g]:
            for _ in range(times):
                rows.append(_interrupted(own[name], runs, windows, rng))
                of_block.append(g)
    return np.stack(rows), np.array(of_block, np.int32)


def _interrupted(
    benign: NDArray[np.intp], runs: list[NDArray[np.intp]], windows: int, rng: np.random.Generator
) -> NDArray[np.intp]:
    """Return `windows` rows: benign ones in order (from the start again where they run out) and runs in between."""
    parts: list[NDArray[np.intp]] = []
    length, at = 0, int(rng.integers(len(benign)))
    while length < windows:
        quiet = 1 + int(rng.exponential(MEAN_QUIET))
        parts.append(benign[(at + np.arange(quiet)) % len(benign)])
        at += quiet
        source = runs[int(rng.integers(len(runs)))]
        size = min(int(rng.integers(SHORTEST_RUN, LONGEST_RUN + 1)), len(source))
        start = int(rng.integers(len(source) - size + 1))
        parts.append(source[start : start + size])
        length += quiet + size
    return np.concatenate(parts)[:windows]
