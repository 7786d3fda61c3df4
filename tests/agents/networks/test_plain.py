"""The plain network: it learns what can be learned, by the seed alone, and leaves the weights that it is given."""

import numpy as np
import pytest

from medward.agents.networks.plain import PlainNetwork


def rows(count: int = 300, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 3, count).astype(np.int32)
    centres = np.array([[0, 0, 0, 0], [3, 0, 0, 0], [0, 3, 0, 0]], np.float32)
    return (centres[y] + rng.normal(0, 0.5, (count, 4))).astype(np.float32), y


def test_it_learns_classes_that_are_apart() -> None:
    network, (x, y) = PlainNetwork(hidden=16, passes=20), rows()
    weights = network.train(network.start(4, 3, 1), x, y, 3, 2)
    other_x, other_y = rows(seed=5)
    assert (network.scores(weights, other_x, 3).argmax(axis=1) == other_y).mean() > 0.95


def test_training_follows_from_the_seed_and_leaves_what_it_was_given() -> None:
    network, (x, y) = PlainNetwork(hidden=5), rows(70)
    start = network.start(4, 3, 1)
    kept = start.copy()
    one, same, other = (network.train(start, x, y, 3, seed) for seed in (2, 2, 3))
    np.testing.assert_array_equal(start, kept)
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)
    assert one.shape == start.shape == (4 * 5 + 5 + 5 * 3 + 3,)
    assert one.dtype == start.dtype == np.float32


@pytest.mark.parametrize("count", [0, 1, 64, 65])
def test_any_number_of_rows_is_trained_on(count: int) -> None:
    network, (x, y) = PlainNetwork(hidden=5), rows(max(count, 1))
    start = network.start(4, 3, 1)
    trained = network.train(start, x[:count], y[:count], 3, 2)
    assert np.isfinite(trained).all()
    assert np.array_equal(trained, start) == (count == 0)
    assert network.scores(trained, x[:count], 3).shape == (count, 3)


def test_gradient_is_that_of_the_cross_entropy() -> None:
    network, (x, y) = PlainNetwork(hidden=3, learning_rate=1.0, momentum=0.0, batch=30), rows(30)
    weights = network.start(4, 3, 1).astype(np.float64)

    def loss(at: np.ndarray) -> float:
        scores = network.scores(at.astype(np.float32), x, 3).astype(np.float64)
        scores -= scores.max(axis=1, keepdims=True)
        return float(np.mean(np.log(np.exp(scores).sum(axis=1)) - scores[np.arange(30), y]))

    step = network.train(weights.astype(np.float32), x, y, 3, 0) - weights
    for place in (0, 5, 13, 16, 20, 26):
        shift = np.zeros(len(weights))
        shift[place] = 1e-3
        slope = (loss(weights + shift) - loss(weights - shift)) / 2e-3
        assert -step[place] == pytest.approx(slope, abs=5e-3)
