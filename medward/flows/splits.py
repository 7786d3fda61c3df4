"""Which rows train, which choose, which test.

*Honest*: what is close in time stays together. Rows are cut into contiguous blocks inside each capture file, and whole
blocks are dealt to the parts, 70/15/15; or each device's stream is cut in time; or the publishers' own split is kept;
or whole captures are dealt, where at least three hold attacks, and otherwise each capture is cut in time, without the
minute behind each cut, whose windows look back over it.
*Random*: train on a file, test on rows drawn at random from the same capture, whose history runs over those rows alone.
*Paper*: the literature's habit, a stratified random 80/20, in which neighbours of every test row are training rows. It
exists to show what such numbers are worth.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medward.flows.datasets import Cut, Dataset
from medward.flows.errors import BadSplit
from medward.flows.history import streams_of
from medward.flows.schema import Flows

VALIDATION_SHARE = 0.15
TEST_SHARE = 0.15
PAPER_TEST_SHARE = 0.2
# Captures of few rows are still cut into this many blocks, so that every class has blocks in every part.
_LEAST_BLOCKS = 20
_SHORTEST_BLOCK = 5
# With fewer captures that hold attacks, not every part could have one.
_LEAST_CAPTURES = 3
# Windows of the longest view look back so far, in the unit of the order key, seconds.
_LOOK_BACK = 60.0
_LEFT_OUT = 3


@dataclass(frozen=True)
class Split:
    """The parts of a data set, as ascending row numbers, and the streams that history may follow.

    Args:
        train: rows that models, scalers and class counts are fitted on.
        validation: rows that choices are made on.
        test: rows that are looked at once, for the reported figures.
        stream: for each row of the data set the stream of its device, in which history runs; None where rows belong to
            none. Streams never cross from one part into another under the honest split.
        block: for each row the contiguous block it belongs to; resampling for intervals draws whole blocks.
    """

    train: NDArray[np.intp]
    validation: NDArray[np.intp]
    test: NDArray[np.intp]
    stream: NDArray[np.int32] | None
    block: NDArray[np.int32]


def honest_split(flows: Flows, dataset: Dataset, seed: int, *, both_kinds: bool = True) -> Split:
    """Cut a data set as its `Dataset.cut` says; see this module's head.

    Args:
        flows: its rows.
        dataset: what they are.
        seed: what the parts are drawn from.
        both_kinds: whether every part must hold attacks and benign rows. One hospital's own rows need not; the parts
            that choose and test may then be empty.

    Raises:
        BadSplit: a part would be empty, or the official test file is missing.
    """
    rng = np.random.default_rng([seed, 0x5B117])
    if dataset.cut is Cut.OFFICIAL:
        return _official(flows, dataset, rng)
    if dataset.cut is Cut.CAPTURES:
        return _by_captures(flows, rng, both_kinds)
    capture = flows.source if dataset.cut is Cut.BLOCKS else flows.device
    chronological = dataset.cut is Cut.CHRONOLOGICAL
    block = np.empty(len(flows), np.int32)
    part = np.empty(len(flows), np.int8)
    blocks = 0
    for number in np.unique(capture):
        rows = np.flatnonzero(capture == number)
        if flows.order is not None and flows.schema.history:
            rows = rows[np.argsort(flows.order[rows], kind="stable")]
        if chronological:
            # Pieces of equal length, give or take a row: a short last one would be the test part's loss.
            own = np.arange(len(rows)) * min(_LEAST_BLOCKS, len(rows)) // len(rows)
        else:
            own = np.arange(len(rows)) // _block_rows(len(rows), dataset.block_rows)
        role = _roles(int(own[-1]) + 1, None if chronological else rng)
        block[rows], part[rows] = blocks + own, role[own]
        blocks += int(own[-1]) + 1
    stream = None
    if flows.schema.history:
        # A chronological part is one piece of the device's stream; dealt blocks each stand alone.
        stream = (capture * 3 + part).astype(np.int32) if chronological else block
    return _checked(flows, part, stream, block, both_kinds)


def random_rows_split(flows: Flows, dataset: Dataset, seed: int) -> Split:
    """Draw 15 % of the rows for testing and 15 % of the rest for validation, class by class.

    This is how a file is scored that holds some rows of a capture of which the others were trained on: history in each
    of the two runs over its own rows alone, a sparse sample of the stream. What trains is cut into blocks as usual.
    """
    rng = np.random.default_rng([seed, 0x3A4D0])
    part = _stratified(flows, rng, TEST_SHARE)
    capture = flows.device if flows.schema.history else flows.source
    block, blocks = np.empty(len(flows), np.int32), 0
    for number in np.unique(capture):
        rows = np.flatnonzero((capture == number) & (part == 0))
        if flows.order is not None and flows.schema.history:
            rows = rows[np.argsort(flows.order[rows], kind="stable")]
        block[rows] = blocks + np.arange(len(rows)) // _block_rows(len(rows), dataset.block_rows)
        blocks = int(block[rows].max(initial=blocks)) + 1
        for held in (1, 2):
            block[(capture == number) & (part == held)] = blocks + held - 1
        blocks += 2
    return _checked(flows, part, block.copy() if flows.schema.history else None, block)


def _stratified(flows: Flows, rng: np.random.Generator, test_share: float) -> NDArray[np.int8]:
    """Draw each row's part, class by class: that share tests, 15 % of the rest choose."""
    part = np.zeros(len(flows), np.int8)
    for label in np.unique(flows.y):
        rows = rng.permutation(np.flatnonzero(flows.y == label))
        tested = round(test_share * len(rows))
        chosen = round(VALIDATION_SHARE * (len(rows) - tested))
        part[rows[:tested]], part[rows[tested : tested + chosen]] = 2, 1
    return part


def paper_split(flows: Flows, dataset: Dataset, seed: int) -> Split:
    """Draw a stratified random 80/20, and 15 % of the 80 for validation; history runs across all of it."""
    rng = np.random.default_rng([seed, 0x9A9E5])
    part = _stratified(flows, rng, PAPER_TEST_SHARE)
    stream = streams_of(flows) if flows.schema.history else None
    block = (np.arange(len(flows)) // dataset.block_rows).astype(np.int32)
    return _checked(flows, part, stream, block)


def unseen_rows(x: NDArray[np.float32], train: NDArray[np.intp], rows: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Tell for each of `rows` whether its feature vector stands on no training row."""
    # Adding zero makes -0.0 the 0.0 that it equals.
    bits = np.ascontiguousarray(x + np.float32(0)).view(np.uint8).reshape(len(x), -1)
    vectors = bits.view(np.dtype((np.void, bits.shape[1]))).ravel()
    return ~np.isin(vectors[rows], np.unique(vectors[train]))


def _block_rows(rows: int, wanted: int) -> int:
    return max(_SHORTEST_BLOCK, min(wanted, rows // _LEAST_BLOCKS))


def _roles(blocks: int, rng: np.random.Generator | None) -> NDArray[np.int8]:
    """Deal blocks to train (0), validation (1) and test (2): in random order, or in time order without `rng`."""
    held = max(1, round(VALIDATION_SHARE * blocks))
    tested = max(1, round(TEST_SHARE * blocks))
    role = np.zeros(blocks, np.int8)
    role[max(blocks - held - tested, 0) :], role[max(blocks - tested, 0) :] = 1, 2
    return role if rng is None else rng.permutation(role)


def _by_captures(flows: Flows, rng: np.random.Generator, both_kinds: bool) -> Split:
    """Deal whole captures to the parts, or cut each in time where too few hold attacks; see this module's head."""
    if flows.order is None:
        raise BadSplit(f"Rows of {flows.schema.title} are split by their time: give the column {flows.schema.order!r}.")
    captures = np.arange(len(flows.sources))
    attacked = np.isin(captures, flows.source[flows.y > 0])
    part = np.zeros(len(flows), np.int8)
    if attacked.sum() >= _LEAST_CAPTURES:
        role = np.zeros(len(captures), np.int8)
        for group in (captures[attacked], captures[~attacked]):
            if len(group) >= _LEAST_CAPTURES:
                role[group] = _roles(len(group), rng)
        part = role[flows.source]
    else:
        for capture in captures:
            rows = np.flatnonzero(flows.source == capture)
            part[rows] = _parts_in_time(flows.order[rows])
    minute = np.floor(flows.order / _LOOK_BACK)
    block = _numbered(flows.source, part, minute)
    stream = _numbered(flows.source, part, flows.device)
    return _checked(flows, part, stream, block, both_kinds)


def _parts_in_time(time: NDArray[np.float64]) -> NDArray[np.int8]:
    """Return each row's part: the first 70 % train, then 15 % each, and none where a window looks back over a cut."""
    part = np.zeros(len(time), np.int8)
    if not len(time):
        return part
    first, second = np.quantile(time, (1 - VALIDATION_SHARE - TEST_SHARE, 1 - TEST_SHARE))
    part[time > first], part[time > second] = 1, 2
    for cut in (first, second):
        part[(time > cut) & (time <= cut + _LOOK_BACK)] = _LEFT_OUT
    return part


def _numbered(*keys: NDArray[np.generic]) -> NDArray[np.int32]:
    """Number the combinations of several keys, row by row."""
    _, number = np.unique(np.stack([key.astype(np.float64) for key in keys], axis=1), axis=0, return_inverse=True)
    return number.ravel().astype(np.int32)


def _official(flows: Flows, dataset: Dataset, rng: np.random.Generator) -> Split:
    if flows.official is None or not (flows.official == 1).any() or (flows.official == 1).all():
        raise BadSplit(
            f"{dataset.schema.title} is split by its own train and test files, and only one of them is here: give the "
            "folder that holds both."
        )
    part = (flows.official * 2).astype(np.int8)
    train = rng.permutation(np.flatnonzero(part == 0))
    part[train[: round(VALIDATION_SHARE * len(train))]] = 1
    block = (np.arange(len(flows)) // dataset.block_rows).astype(np.int32)
    return _checked(flows, part, None, block)


def _checked(
    flows: Flows,
    part: NDArray[np.int8],
    stream: NDArray[np.int32] | None,
    block: NDArray[np.int32],
    both_kinds: bool = True,
) -> Split:
    train, validation, test = (np.flatnonzero(part == number) for number in range(3))
    if not both_kinds:
        if not len(train):
            raise BadSplit(f"{len(flows)} rows of {flows.schema.title} are too few to train on: give more.")
        return Split(train, validation, test, stream, block)
    for name, rows in (("training", train), ("validation", validation), ("test", test)):
        attacks = int((flows.y[rows] > 0).sum())
        if attacks == 0 or attacks == len(rows):
            raise BadSplit(
                f"The {name} part of {flows.schema.title} would hold {len(rows)} rows, {attacks} of them attacks: give "
                "more rows, of both kinds."
            )
    return Split(train, validation, test, stream, block)
