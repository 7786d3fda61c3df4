"""The gateway's scorer decides as the JAX network does, sees only what is visible, and needs no JAX."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from threading import Event, Thread

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from medward.agents.sentinel.central import fitted_scaler
from medward.agents.sentinel.export import exported
from medward.agents.sentinel.learner import decide, new_network
from medward.agents.sentinel.model import Provenance, SentinelModel
from medward.agents.sentinel.network import layout_of
from medward.agents.sentinel.recipe import Recipe
from medward.flows.history import FeatureSpace
from medward.flows.prepared import PreparedData
from medward.flows.schema import Group
from tests.agents.conftest import RECIPE

NOWHERE = Provenance("central", None, 1, "none", True, 0)


def _pair(prepared: PreparedData, recipe: Recipe):  # type: ignore[no-untyped-def]
    scaler = fitted_scaler(prepared.space, prepared.x[prepared.split.train], recipe)
    layout = layout_of(prepared.space, scaler)
    network = new_network(layout, 3, recipe, 5)
    # Biases start at zero, where a forgotten one would go unnoticed.
    leaves, tree = jax.tree.flatten(network)
    keys = jax.random.split(jax.random.key(9), len(leaves))
    leaves = [leaf + 0.1 * jax.random.normal(key, leaf.shape) for leaf, key in zip(leaves, keys, strict=True)]
    network = jax.tree.unflatten(tree, leaves)
    model = SentinelModel(prepared.space, ("benign", "flood", "tamper"), scaler, exported(network), recipe, NOWHERE)
    return network, layout, model


@pytest.mark.slow
def test_same_values_and_decisions_as_the_network(prepared: PreparedData, recipe: Recipe) -> None:
    network, layout, model = _pair(prepared, recipe)
    encoded = jnp.asarray(model.scaler.encode(prepared.x))
    scorer = model.scorer()
    for bought in (False, True):
        streams = network(layout, encoded, jnp.full(len(encoded), float(bought)))
        expected = np.asarray(streams.value[:, None] + jax.nn.sigmoid(streams.advantage) - 1)
        q, suspicion = scorer.q_values(prepared.x, bought)
        logits = np.asarray(streams.advantage)
        # A logit that float32's sigmoid has rounded to 1 still tells one window from another.
        np.testing.assert_allclose(suspicion, logits[:, 1:-1].max(axis=1) - logits[:, 0], atol=2e-5)
        options = slice(None, -1) if bought else slice(None)
        np.testing.assert_allclose(q[:, options], expected[:, options], atol=2e-6)
        greedy = np.asarray(decide(streams, jnp.full(len(encoded), float(bought))))
        margin = np.sort(expected[:, options], axis=1)
        clear = margin[:, -1] - margin[:, -2] > 1e-5
        assert clear.mean() > 0.99
        assert (q.argmax(axis=1) == greedy)[clear].all()


@pytest.mark.slow
def test_unbought_evidence_changes_nothing(prepared: PreparedData, recipe: Recipe) -> None:
    _, _, model = _pair(prepared, recipe)
    hidden = [i for i, column in enumerate(prepared.space.columns) if column.group.value == "expensive"]
    other = prepared.x.copy()
    other[:, hidden] = np.random.default_rng(0).permutation(other[:, hidden])
    other[::3, hidden] = np.nan
    scorer = model.scorer()
    np.testing.assert_array_equal(scorer.q_values(prepared.x, False)[0], scorer.q_values(other, False)[0])
    assert not np.array_equal(scorer.q_values(prepared.x, True)[0], scorer.q_values(other, True)[0])


def test_one_row_at_a_time_gives_what_the_batch_gives(prepared: PreparedData, recipe: Recipe) -> None:
    _, _, model = _pair(prepared, recipe)
    scorer = model.scorer()
    batch = scorer.score(prepared.x)
    for i in range(0, 200, 7):
        single = scorer.score(prepared.x[i : i + 1])
        np.testing.assert_allclose(single.q[0], batch.q[i], atol=2e-6)
        assert single.escalated[0] == batch.escalated[i]


def test_escalated_rows_are_decided_with_the_evidence(prepared: PreparedData, recipe: Recipe) -> None:
    _, _, model = _pair(prepared, recipe)
    scores = model.scorer().score(prepared.x)
    informed, _ = model.scorer().q_values(prepared.x, True)
    np.testing.assert_allclose(scores.q[scores.escalated][:, :-1], informed[scores.escalated][:, :-1], atol=2e-6)
    assert np.isneginf(scores.q[scores.escalated][:, -1]).all()
    assert (scores.decision < 3).all()


def test_nothing_is_bought_where_nothing_is_for_sale(prepared: PreparedData, recipe: Recipe) -> None:
    _, _, model = _pair(prepared, recipe)
    assert model.scorer().score(prepared.x).escalated.any()
    schema = prepared.space.schema
    free = replace(schema, features=tuple(replace(feature, group=Group.CHEAP) for feature in schema.features))
    space = FeatureSpace(free, prepared.space.history)
    scores = replace(model, space=space).scorer().score(prepared.x)
    assert not scores.escalated.any()
    assert np.isneginf(scores.q[:, -1]).all()
    assert (scores.decision < 3).all()


@pytest.mark.parametrize("extreme", [np.nan, 3e38, -3e38, 0.0])
def test_no_input_makes_a_value_that_is_not_finite(prepared: PreparedData, recipe: Recipe, extreme: float) -> None:
    _, _, model = _pair(prepared, recipe)
    q, suspicion = model.scorer().q_values(np.full((3, prepared.x.shape[1]), extreme, np.float32), False)
    assert np.isfinite(q).all()
    assert np.isfinite(suspicion).all()


def test_other_threads_run_while_a_large_batch_is_decided(prepared: PreparedData) -> None:
    _, _, model = _pair(prepared, RECIPE)
    scorer, x = model.scorer(), np.tile(prepared.x, (-(-80_000 // len(prepared.x)), 1))
    scorer.score(x[:1])
    turns, over = 0, Event()

    def count() -> None:
        nonlocal turns
        while not over.wait(0.001):
            turns += 1

    other = Thread(target=count)
    other.start()
    before = turns
    scorer.q_values(x, False)
    meanwhile = turns - before
    over.set()
    other.join()
    # Who waits for the whole batch gets no turn in it: a command would be silent, and a node would answer nobody.
    assert meanwhile > 5


@pytest.mark.slow
def test_loading_and_scoring_need_no_jax(prepared: PreparedData, recipe: Recipe, tmp_path: Path) -> None:
    _, _, model = _pair(prepared, recipe)
    model.save(tmp_path / "model")
    np.save(tmp_path / "x.npy", prepared.x[:10])
    code = (
        "import sys, pathlib, numpy as np\n"
        "from medward.agents.sentinel.model import load_model\n"
        f"folder = pathlib.Path({str(tmp_path)!r})\n"
        "scores = load_model(folder / 'model').scorer().score(np.load(folder / 'x.npy'))\n"
        "print(scores.decision.tolist(), sorted({'jax', 'equinox', 'sklearn', 'torch'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"{model.scorer().score(prepared.x[:10]).decision.tolist()} []"
