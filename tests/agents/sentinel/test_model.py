"""MODEL_DIR: what was saved is what is loaded, and anything else is refused in one sentence."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from medward.agents.costs import Costs
from medward.agents.metrics import expected_cost
from medward.agents.sentinel.central import train_centrally
from medward.agents.sentinel.judgement import judge
from medward.agents.sentinel.model import BadModel, Provenance, SentinelModel, load_model
from medward.flows.prepared import PreparedData
from tests.agents.conftest import RECIPE


@pytest.fixture(scope="module")
def model(prepared: PreparedData) -> SentinelModel:
    return train_centrally(prepared, prepared.split.train, RECIPE, Provenance("central", None, 1, "none", True, 7))


def test_round_trip_keeps_everything(model: SentinelModel, prepared: PreparedData, tmp_path: Path) -> None:
    name = model.save(tmp_path)
    loaded = load_model(tmp_path)
    assert loaded.name == name == model.name
    assert loaded.space.columns == model.space.columns
    assert asdict(loaded.space.schema) == asdict(model.space.schema)
    assert (loaded.recipe, loaded.provenance, loaded.classes) == (model.recipe, model.provenance, model.classes)
    np.testing.assert_array_equal(loaded.scorer().score(prepared.x).q, model.scorer().score(prepared.x).q)


def test_model_with_trees_is_refused_in_one_sentence_that_says_why(model: SentinelModel, tmp_path: Path) -> None:
    model.save(tmp_path)
    description = json.loads((tmp_path / "model.json").read_text())
    (tmp_path / "model.json").write_text(json.dumps(description | {"format": 2}))
    with pytest.raises(BadModel, match=r"trees \(format 2\), which are no longer read, because") as refused:
        load_model(tmp_path)
    assert "\n" not in str(refused.value)


def test_model_of_a_version_that_knew_trees_and_has_none_is_read(model: SentinelModel, tmp_path: Path) -> None:
    name = model.save(tmp_path)
    description = json.loads((tmp_path / "model.json").read_text())
    description["recipe"]["trees"] = None
    (tmp_path / "model.json").write_text(json.dumps(description))
    loaded = load_model(tmp_path)
    assert (loaded.name, loaded.recipe) == (name, model.recipe)


def test_nothing_on_disk_is_a_pickle(model: SentinelModel, tmp_path: Path) -> None:
    model.save(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.json", "weights.safetensors"]
    json.loads((tmp_path / "model.json").read_text())
    assert (tmp_path / "weights.safetensors").read_bytes()[8:9] == b"{"


@pytest.mark.parametrize("missing", ["model.json", "weights.safetensors"])
def test_missing_file_is_named(model: SentinelModel, tmp_path: Path, missing: str) -> None:
    model.save(tmp_path)
    (tmp_path / missing).unlink()
    with pytest.raises(BadModel, match=missing):
        load_model(tmp_path)


def test_changed_weights_are_refused(model: SentinelModel, tmp_path: Path) -> None:
    model.save(tmp_path)
    weights = bytearray((tmp_path / "weights.safetensors").read_bytes())
    weights[-1] ^= 1
    (tmp_path / "weights.safetensors").write_bytes(weights)
    with pytest.raises(BadModel, match="not the file"):
        load_model(tmp_path)


@pytest.mark.parametrize(
    ("key", "value"),
    [("format", 99), ("schema", {}), ("hidden", 9), ("recipe", {"scaler": 3}), ("classes", None)],
)
def test_description_that_is_off_is_refused(model: SentinelModel, tmp_path: Path, key: str, value: object) -> None:
    model.save(tmp_path)
    description = json.loads((tmp_path / "model.json").read_text())
    description[key] = value
    (tmp_path / "model.json").write_text(json.dumps(description))
    with pytest.raises(BadModel) as refused:
        load_model(tmp_path)
    assert "\n" not in str(refused.value)


def test_damaged_description_is_refused(model: SentinelModel, tmp_path: Path) -> None:
    model.save(tmp_path)
    (tmp_path / "model.json").write_text("{")
    with pytest.raises(BadModel, match="damaged"):
        load_model(tmp_path)


def test_classes_that_the_model_never_saw_get_a_number_of_their_own(model: SentinelModel) -> None:
    fewer = SentinelModel(
        model.space, ("benign", "tamper"), model.scaler, model.weights, model.recipe, model.provenance
    )
    assert fewer.labels(np.array([0, 1, 2], np.int32)).tolist() == [0, 2, 1]


@pytest.mark.slow
def test_training_costs_make_the_targets_and_costs_judge(prepared: PreparedData) -> None:
    dear, provenance = Costs(wrong_class=1.0, escalation=0.2), Provenance("central", None, 1, "none", True, 7)
    shorter = RECIPE.change(epochs=2)
    taught, priced, plain = (
        train_centrally(prepared, prepared.split.train, recipe, provenance)
        for recipe in (shorter.change(training_costs=dear), shorter.change(costs=dear), shorter)
    )
    assert taught.name == priced.name != plain.name
    x, y = prepared.x[prepared.split.test], prepared.flows.y[prepared.split.test]
    scores = taught.scorer().score(x)
    expected = expected_cost(taught.labels(y), scores.decision, scores.escalated, shorter.costs)
    assert judge(taught, x, y).expected_cost == expected != judge(priced, x, y).expected_cost
