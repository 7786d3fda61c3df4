import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from medward.flows.separation import class_told_apart, separation

ROWS = st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=1, max_size=40)


@given(ROWS)
def test_separation_is_the_chance_that_an_attack_scores_above_a_benign_row(rows: list[tuple[int, bool]]) -> None:
    group, positive = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
    half, prior = np.arange(len(rows)) % 2, positive.mean()
    score = np.empty(len(rows))
    for row, own in enumerate(group):
        others = (group == own) & (half != half[row])
        score[row] = (positive[others].sum() + prior) / (others.sum() + 1)
    pairs = [np.sign(a - b) for a in score[positive] for b in score[~positive]]
    expected = np.mean([(sign + 1) / 2 for sign in pairs]) if pairs else 0.5
    assert np.isclose(separation(group, positive), expected)


def test_class_is_told_apart_by_groups_that_hold_it_alone() -> None:
    classes = np.repeat([0, 1, 2, -1], 40)
    assert class_told_apart(np.repeat([0, 1, 1, 0], 40), classes) is None
    assert class_told_apart(np.repeat([3, 0, 1, 3], 40), classes) == 1
    assert class_told_apart(np.repeat([0, 0, 1, 0], 40), classes) == 2
    # Of a class of few rows nothing is said.
    assert class_told_apart(np.array([0] * 100 + [1] * 10), np.array([0] * 100 + [1] * 10)) is None
