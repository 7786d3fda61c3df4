"""Correcting trees: sums over parts are the sums over all rows, and what is grown lowers the loss."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medward.agents import boosting
from medward.agents.boosting import UNIT, Cuts, Growth, begun, best_split, cells, counted, fit_cuts, grow
from medward.agents.central import surveyed, train_centrally
from medward.agents.model import Provenance
from medward.agents.recipe import Trees
from medward.agents.trees import LEAF, planted, read_forest, scaled
from medward.flows.prepared import Prepared
from tests.agents.conftest import RECIPE

TREES = Trees(rounds=3, depth=3, cuts=15, rate=0.5, trust=1.0, least=1.0)
NOWHERE = Provenance("central", None, 1, "none", True, 0)


def _rows(seed: int, many: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows of three columns, one sometimes missing; class 1 where the first two together say so."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(many, 3)).astype(np.float32)
    y = ((x[:, 0] > 0.2) ^ (x[:, 1] > -0.3)).astype(np.int32)
    x[rng.random(many) < 0.2, 2] = np.nan
    return x, np.eye(2, dtype=np.float32)[y]


def _cuts(x: np.ndarray, most: int = TREES.cuts) -> Cuts:
    return fit_cuts(*surveyed(x, RECIPE), most)


def _grown(shares: list[tuple[np.ndarray, np.ndarray]], cuts: Cuts, trees: Trees = TREES) -> Growth:
    growth = begun(2)
    while growth.round < trees.rounds:
        sums = []
        for x, target in shares:
            logits = np.zeros((len(x), 2), np.float32)
            growth.grown.add_to(logits, x)
            sums.append(counted(growth, cuts, x, target, logits))
        growth = grow(growth, cuts, trees, np.sum(sums, axis=0))
    return growth


def _loss(growth: Growth, x: np.ndarray, target: np.ndarray) -> float:
    logits = np.zeros((len(x), 2), np.float32)
    growth.grown.add_to(logits, x)
    return float(np.mean(np.logaddexp(0, logits) - target * logits))


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 10_000), hospitals=st.integers(1, 5), many=st.integers(0, 300))
def test_trees_do_not_depend_on_who_holds_which_row(seed: int, hospitals: int, many: int) -> None:
    x, target = _rows(seed, many)
    cuts = _cuts(_rows(7, 300)[0])
    owner = np.random.default_rng(seed).integers(0, hospitals, many)
    shares = [(x[owner == k], target[owner == k]) for k in range(hospitals)]
    for own, other in zip(
        _grown(shares, cuts).grown.arrays().values(), _grown([(x, target)], cuts).grown.arrays().values(), strict=True
    ):
        np.testing.assert_array_equal(own, other)


def test_each_time_lowers_the_loss_and_finds_what_two_columns_say_together() -> None:
    x, target = _rows(1, 2000)
    cuts = _cuts(x)
    losses = [_loss(_grown([(x, target)], cuts, replace(TREES, rounds=n)), x, target) for n in range(8)]
    assert losses[0] == pytest.approx(np.log(2))
    assert all(after < before for before, after in pairwise(losses))
    assert losses[-1] < 0.15


def test_full_step_of_one_leaf_is_the_newton_step() -> None:
    x, target = _rows(2, 400)
    trees = replace(TREES, rounds=1, rate=1.0, least=1e9)
    grown = _grown([(x, target)], _cuts(x), trees).grown
    assert (grown.column == LEAF).all()
    slope = (0.5 - target).sum(axis=0)
    np.testing.assert_allclose(grown.value, -slope / (len(x) / 4 + trees.ridge), rtol=1e-6)


def test_split_is_the_best_of_all_that_leave_enough_on_both_sides() -> None:
    x, target = _rows(3, 500)
    cuts, trees = _cuts(x), replace(TREES, least=20.0)
    sums = counted(begun(2), cuts, x, target, np.zeros((len(x), 2), np.float32))[: cells(begun(2), cuts) // 2]
    split = best_split(sums, cuts, trees)
    assert split is not None

    def gain(left: np.ndarray) -> float:
        slope = np.rint((0.5 - target[:, 0]) / UNIT) * UNIT
        parts = [slope[left].sum() ** 2 / (left.sum() / 4 + 1), slope[~left].sum() ** 2 / ((~left).sum() / 4 + 1)]
        return float(sum(parts)) if min(left.sum(), (~left).sum()) / 4 >= trees.least else 0.0

    best = 0.0
    for column, thresholds in enumerate(cuts.by_column):
        missing = np.isnan(x[:, column])
        for threshold in thresholds:
            below = x[:, column] < threshold
            best = max(best, gain(below), gain(below | missing))
    asked = x[:, split.column]
    chosen = np.where(np.isnan(asked), split.missing_left, asked < split.threshold)
    assert gain(chosen) == pytest.approx(best)
    assert split.below[1] * UNIT == pytest.approx(chosen.sum() / 4)


def test_open_nodes_hold_at_least_eight_times_least_rows() -> None:
    x, target = _rows(4, 3000)
    cuts, trees = _cuts(x), replace(TREES, least=5.0, depth=6)
    growth = begun(2)
    asked = 0
    while growth.round < trees.rounds:
        logits = np.zeros((len(x), 2), np.float32)
        growth.grown.add_to(logits, x)
        ends = growth.growing.leaves(x)
        fewest = min(int((ends == node).sum(axis=0).max()) for node in growth.open)
        assert fewest >= 40
        asked += len(growth.open)
        growth = grow(growth, cuts, trees, counted(growth, cuts, x, target, logits))
    assert asked > 20


def test_wide_sums_are_made_in_several_of_which_none_is_larger_than_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    x, target = _rows(10, 2000)
    cuts = _cuts(x)
    whole = _grown([(x, target)], cuts)
    monkeypatch.setattr(boosting, "MOST_CELLS", 2 * int(cuts.cells.sum()))
    growth, sums = begun(2), 0
    while growth.round < TREES.rounds:
        assert cells(growth, cuts) <= boosting.MOST_CELLS
        logits = np.zeros((len(x), 2), np.float32)
        growth.grown.add_to(logits, x)
        growth = grow(growth, cuts, TREES, counted(growth, cuts, x, target, logits))
        sums += 1
    assert sums > TREES.rounds * TREES.depth
    # Nodes have the same order; so have the trees, whichever sum split a node.
    for name, array in whole.grown.arrays().items():
        np.testing.assert_array_equal(growth.grown.arrays()[name], array)


def test_cuts_lie_between_values_and_are_as_many_as_wished() -> None:
    x, _ = _rows(5, 1000)
    cuts = _cuts(x, 9)
    assert (cuts.many > 4).all()
    assert (cuts.many <= 9).all()
    for column, thresholds in enumerate(cuts.by_column):
        assert (np.diff(thresholds) > 0).all()
        present = x[~np.isnan(x[:, column]), column]
        assert ((present.min() < thresholds) & (thresholds <= present.max())).all()
    places = cuts.places(x)
    # As the trees take them: what lies below a threshold has a lower cell.
    np.testing.assert_array_equal(places[:, 0] < 3, x[:, 0] < cuts.by_column[0][2])


def test_column_of_one_value_has_no_cuts() -> None:
    x = np.ones((50, 2), np.float32)
    x[:, 1] = np.arange(50)
    assert _cuts(x).many[0] == 0


def test_liars_sums_move_no_leaf_further_than_the_largest_step() -> None:
    x, target = _rows(6, 300)
    cuts = _cuts(x)
    sums = counted(begun(2), cuts, x, target, np.zeros((len(x), 2), np.float32))
    sums[::7] += 1 << 30
    sums[::5] -= 1 << 30
    growth = begun(2)
    for _ in range(TREES.depth):
        growth = grow(growth, cuts, TREES, np.resize(sums, (cells(growth, cuts), 2)))
        if growth.round:
            break
    assert np.isfinite(growth.grown.value).all()
    assert np.abs(growth.grown.value).max() <= TREES.rate * TREES.farthest


@pytest.mark.parametrize(
    ("name", "value"), [("left", 0), ("root", 99), ("column", 9), ("action", 5), ("value", None), ("left", None)]
)
def test_damaged_trees_are_refused(name: str, value: int | None) -> None:
    x, target = _rows(8, 500)
    arrays = _grown([(x, target)], _cuts(x)).grown.arrays()
    assert len(read_forest(arrays, 3, 2)) == 6
    arrays[name] = arrays[name][:-1] if value is None else np.full_like(arrays[name], value)
    with pytest.raises(ValueError, match="damaged"):
        read_forest(arrays, 3, 2)


def test_forests_together_say_what_each_says() -> None:
    x, target = _rows(9, 400)
    cuts = _cuts(x)
    one, two = (_grown([(x, target)], cuts, replace(TREES, rounds=n)).grown for n in (1, 3))
    together, apart = np.zeros((len(x), 2), np.float32), np.zeros((len(x), 2), np.float32)
    planted([one, scaled(two, 2.0)]).add_to(together, x)
    one.add_to(apart, x)
    two.add_to(apart, x)
    two.add_to(apart, x)
    np.testing.assert_allclose(together, apart, rtol=1e-4, atol=1e-5)


def test_trees_speak_only_where_the_evidence_is_bought(prepared: Prepared) -> None:
    plain = train_centrally(prepared, prepared.split.train, RECIPE, NOWHERE)
    recipe = replace(RECIPE, trees=Trees(rounds=1, least=1.0, depth=2))
    model = train_centrally(prepared, prepared.split.train, recipe, NOWHERE)
    one, two = plain.scorer(), model.scorer()
    np.testing.assert_array_equal(one.logits(prepared.x, False), two.logits(prepared.x, False))
    by_hand = one.logits(prepared.x, True)
    model.trees.add_to(by_hand, prepared.x)
    np.testing.assert_allclose(two.logits(prepared.x, True), by_hand, rtol=1e-5, atol=1e-5)
    assert np.abs(two.logits(prepared.x, True) - one.logits(prepared.x, True))[:, :3].max() > 0.01
    # ESCALATE is no decision: no tree speaks of it.
    np.testing.assert_array_equal(two.logits(prepared.x, True)[:, 3], one.logits(prepared.x, True)[:, 3])


def test_caution_is_taken_off_after_the_trees_are_grown(prepared: Prepared) -> None:
    recipe = replace(RECIPE, trees=Trees())
    plain = train_centrally(prepared, prepared.split.train, recipe, NOWHERE)
    careful = train_centrally(prepared, prepared.split.train, replace(recipe, caution=2.0), NOWHERE)
    for name, array in plain.trees.arrays().items():
        np.testing.assert_array_equal(array, careful.trees.arrays()[name])
    lowered = plain.scorer().logits(prepared.x, True) - careful.scorer().logits(prepared.x, True)
    np.testing.assert_allclose(lowered[:, 0], 2.0, atol=1e-4)
