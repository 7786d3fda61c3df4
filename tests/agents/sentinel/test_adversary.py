"""The adversarial sampler: what it draws, what it learns to pick, and that Sentinel still learns under it."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from medward.agents.costs import Costs
from medward.agents.sentinel.adversary import Adversary, ByClass, begin, by_class, learn, pick
from medward.agents.sentinel.central import train_centrally
from medward.agents.sentinel.environment import STREAM_END, Environment, cost_matrix
from medward.agents.sentinel.judgement import judge
from medward.agents.sentinel.model import Provenance, SentinelModel
from medward.agents.sentinel.replay import fold
from medward.agents.sentinel.traffic import TrainingTraffic
from medward.flows.prepared import PreparedData
from tests.agents.conftest import RECIPE

CLASSES = 4
#: Class 3 exists, but this hospital has no window of it; the last row of class 1 stands there nine times.
LABEL = np.array([0, 2, 0, 1, 1, 0, 0, *[1] * 9], np.int32)
FEATURE = np.array([0, 1, 2, 3, 4, 5, 6, *[7] * 9], np.float32)[:, None]


@pytest.fixture(scope="module")
def traffic() -> TrainingTraffic:
    environment = Environment(
        label=jnp.asarray(LABEL),
        following=jnp.full(len(LABEL), STREAM_END),
        cost=jnp.asarray(cost_matrix(CLASSES, Costs())),
        escalation=jnp.float32(0.01),
    )
    encoded = jnp.asarray(np.concatenate([FEATURE / 7, np.ones_like(FEATURE)], axis=1))
    # Padded, as a hospital's replay is.
    return TrainingTraffic(encoded, environment, fold(FEATURE, LABEL, np.arange(len(LABEL)), size=20))


@pytest.fixture(scope="module")
def entries(traffic: TrainingTraffic) -> ByClass:
    return by_class(traffic.replay, traffic.environment)


@pytest.mark.slow
@pytest.mark.parametrize("label", [0, 1, 2])
def test_windows_are_drawn_of_the_picked_class_as_often_as_the_replay_would(entries: ByClass, label: int) -> None:
    row, weight = entries.draw(jnp.full(20_000, label), jax.random.key(label))
    drawn, times = np.unique(np.asarray(row), return_counts=True)
    assert set(LABEL[drawn]) == {label}
    # The nine copies are one entry, drawn three times as often and weighted three times as much.
    root = {row: 3.0 if FEATURE[row, 0] == 7 else 1.0 for row in drawn}
    expected = np.array([root[row] for row in drawn]) / sum(root.values())
    assert times / 20_000 == pytest.approx(expected, abs=0.015)
    by_row = dict(zip(np.asarray(row).tolist(), np.asarray(weight).tolist(), strict=True))
    if label == 1:
        assert by_row[7] == pytest.approx(3 * by_row[3])


@pytest.mark.slow
def test_classes_without_windows_are_never_picked(traffic: TrainingTraffic, entries: ByClass) -> None:
    adversary = begin(traffic, 4000, jax.random.key(0))
    # However much it is worth.
    eager = eqx.tree_at(lambda p: p.head.bias, adversary.picker, jnp.zeros(CLASSES).at[3].set(100.0))
    adversary = adversary._replace(picker=eager)
    picked, row, _ = pick(adversary, traffic, entries, jax.random.key(1))
    assert set(np.asarray(picked).tolist()) == {0, 1, 2}
    assert (LABEL[np.asarray(row)] == np.asarray(picked)).all()


@pytest.mark.slow
def test_it_comes_to_pick_the_class_that_sentinel_errs_on(traffic: TrainingTraffic, entries: ByClass) -> None:
    adversary = begin(traffic, 64, jax.random.key(2))

    @jax.jit
    def turn(adversary: Adversary, key: jax.Array) -> Adversary:
        picked, row, _ = pick(adversary, traffic, entries, key)
        return learn(adversary, traffic, entries, picked, row, jnp.where(picked == 2, 1.0, 0.1))

    for key in jax.random.split(jax.random.key(3), 800):
        adversary = turn(adversary, key)
    worth = np.asarray(adversary.picker(traffic.encoded))
    assert (worth[:, :3].argmax(axis=1) == 2).all()
    picked, _, _ = pick(adversary, traffic, entries, jax.random.key(4))
    # Four in five picks stay random, a third of them on this class; the rest all fall on it.
    assert 0.25 < float((picked == 2).mean()) < 0.75


def _trained(prepared: PreparedData, share: float) -> SentinelModel:
    recipe = RECIPE.change(adversary=share)
    return train_centrally(prepared, prepared.split.train, recipe, Provenance("central", None, 1, "none", True, 0))


@pytest.mark.slow
def test_sentinel_learns_under_it_and_is_drawn_to_the_rarer_classes(prepared: PreparedData) -> None:
    test, y = prepared.x[prepared.split.test], prepared.flows.y[prepared.split.test]
    usual, opposed, again = (_trained(prepared, share) for share in (0.0, 1.0, 1.0))
    assert opposed.name == again.name != usual.name
    without, under = (judge(model, test, y).metrics for model in (usual, opposed))
    assert under["multiclass"]["macro_f1"] > 0.8
    assert under["binary"]["attack_recall"] >= without["binary"]["attack_recall"]
