"""Sentinel's rule in PyTorch: it learns, follows its streams to their ends, and averages its target.

test_measures.py runs it on a ward's rows, and stable-baselines3 beside it.
"""

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.slow  # importing PyTorch alone takes seconds

ROWS, NUMBERS, INDICATORS, BINS = 64, 2, 1, 4
Make = Callable[..., Any]


@pytest.fixture
def make() -> Make:
    """A maker of learners on two classes, which the first number parts; the second number has to be bought."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed (the extra `bench-torch`)")
    module = importlib.import_module("medward.bench.agents.torch_sentinel")

    def learner(following: Any = None, embedding: int = 3, **settings: Any) -> Any:
        torch.manual_seed(1)
        labels = (np.arange(ROWS) % 2).astype(np.int32)
        encoded = np.ones((ROWS, 2 * NUMBERS + INDICATORS), np.float32)
        encoded[:, 0] = labels
        edges = np.linspace(0, 1, BINS, endpoint=False, dtype=np.float32)
        shape = {
            "low": np.tile(edges, (NUMBERS, 1)),
            "inverse": np.full((NUMBERS, BINS), BINS, np.float32),
            "number_cheap": np.array([True, False]),
            "indicator_cheap": np.array([True]),
            "embedding": embedding,
            "hidden": (8,),
        }
        usual = {"batch": 32, "discount": 0.5, "value_weight": 1.0, "average": 0.9, "weight_decay": 0.0}
        usual |= {"learning_rate": 0.02, "escalation": 0.1, "muon": False}
        ends = np.full(ROWS, -1, np.int32) if following is None else following
        cost = np.array([[0, 1], [1, 0]], np.float32)
        return module.TorchSentinel(encoded, labels, ends, cost, shape, usual | settings)

    return learner


def first_loss(learner: Any) -> float:
    """Return the loss of an update on the same draws for every learner."""
    importlib.import_module("torch").manual_seed(2)
    return float(learner.update())


@pytest.mark.parametrize(("embedding", "muon"), [(3, False), (3, True), (0, False)])
def test_losses_fall(make: Make, embedding: int, muon: bool) -> None:
    learner = make(embedding=embedding, muon=muon)
    losses = [learner.update() for _ in range(60)]
    assert np.mean(losses[-10:]) < np.mean(losses[:10])


def test_a_row_at_its_streams_end_expects_nothing_more(make: Make) -> None:
    """With a discount of 0 what follows does not count, so a stream that goes on is as one that ends."""
    onwards = (np.arange(ROWS, dtype=np.int32) + 1) % ROWS
    ended, ignored, counted = make(), make(onwards, discount=0.0), make(onwards, discount=0.9)
    first, second, third = (first_loss(learner) for learner in (ended, ignored, counted))
    assert first == second != third


def test_the_target_is_the_running_average_of_the_learner(make: Make) -> None:
    learner = make(average=0.75)
    before = [p.detach().clone() for p in learner.target.parameters()]
    learner.update()
    for old, kept, new in zip(before, learner.target.parameters(), learner.online.parameters(), strict=True):
        assert np.allclose(kept.detach(), 0.75 * old + 0.25 * new.detach(), atol=1e-6)


def test_muon_trains_the_matrices_of_hidden_layers_alone(make: Make) -> None:
    learner = make(muon=True)
    others, matrices = ([p for group in one.param_groups for p in group["params"]] for one in learner.optimisers)
    assert [tuple(p.shape) for p in matrices] == [(8, NUMBERS * 3 + INDICATORS + 2)]
    assert len(others) + 1 == len(list(learner.online.parameters()))
    assert len(make().optimisers) == 1
