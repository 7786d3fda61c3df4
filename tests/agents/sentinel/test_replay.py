"""Replay of indices: what is drawn, how often, with which weight."""

import jax
import numpy as np
import pytest

from medward.agents.sentinel.replay import fold

X = np.array([[1.0], [2.0], [1.0], [1.0], [1.0], [3.0]], np.float32)
Y = np.array([0, 0, 0, 0, 1, 0], np.int32)


def test_equal_rows_of_one_class_fold_and_others_do_not() -> None:
    assert fold(X, Y, np.arange(6)).row.tolist() == [0, 1, 4, 5]


@pytest.mark.slow
def test_only_given_rows_are_drawn_even_from_padded_entries() -> None:
    replay = fold(X, Y, np.array([1, 4, 5]), size=64)
    row, weight = replay.draw(jax.random.key(0), 5000)
    assert set(row.tolist()) == {1, 4, 5}
    assert (np.asarray(weight) > 0).all()


@pytest.mark.slow
def test_expected_loss_is_that_of_the_unfolded_rows() -> None:
    replay = fold(X, Y, np.arange(6))
    row, weight = replay.draw(jax.random.key(1), 200_000)
    share = np.bincount(np.asarray(row), weights=np.asarray(weight), minlength=6) / 200_000
    np.testing.assert_allclose(share, [3 / 6, 1 / 6, 0, 0, 1 / 6, 1 / 6], atol=0.005)
    assert float(weight.mean()) == np.float32(1.0) or abs(float(weight.mean()) - 1) < 0.01


def test_row_that_is_trusted_half_counts_half() -> None:
    trust = np.array([0.5, 1, 0.5, 1, 1, 1], np.float32)
    replay = fold(X, Y, np.arange(6), trust=trust)
    probability = np.diff(np.asarray(replay.reach), prepend=0.0)
    share = probability * np.asarray(replay.weight)
    np.testing.assert_allclose(share, [2 / 5, 1 / 5, 1 / 5, 1 / 5], atol=1e-6)
    alike = fold(X, Y, np.arange(6), trust=np.ones(6, np.float32))
    np.testing.assert_array_equal(alike.reach, fold(X, Y, np.arange(6)).reach)
