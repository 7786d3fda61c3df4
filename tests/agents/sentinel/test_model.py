"""MODEL_DIR: what was saved is what is loaded, and anything else is refused in one sentence."""

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from medward.agents.costs import Costs
from medward.agents.metrics import expected_cost
from medward.agents.sentinel.central import train_centrally
from medward.agents.sentinel.judgement import judge
from medward.agents.sentinel.model import BadModel, Provenance, SentinelModel, load_model
from medward.agents.sentinel.scorer import Weights
from medward.flows.prepared import PreparedData
from medward.flows.scaling import Scaler
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
    [
        ("format", 99),
        ("schema", {}),
        ("hidden", 9),
        ("recipe", {"scaler": 3}),
        ("recipe", {"costs": {"miss": float("nan")}}),
        ("recipe", {"costs": {"false_alarm": float("inf")}}),
        ("recipe", {"taught": {"escalation": -1.0}}),
        ("classes", None),
        ("classes", [[], {}, []]),
        ("classes", ["benign", "flood", "flood"]),
        ("classes", ["benign", "flood", "a class that the schema lacks"]),
    ],
)
def test_description_that_is_off_is_refused(model: SentinelModel, tmp_path: Path, key: str, value: object) -> None:
    model.save(tmp_path)
    description = json.loads((tmp_path / "model.json").read_text())
    description[key] = value
    (tmp_path / "model.json").write_text(json.dumps(description))
    with pytest.raises(BadModel) as refused:
        load_model(tmp_path)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("content", ["{", "[" * 100_000, '{"a":' * 100_000])
def test_damaged_description_is_refused(model: SentinelModel, tmp_path: Path, content: str) -> None:
    model.save(tmp_path)
    (tmp_path / "model.json").write_text(content)
    with pytest.raises(BadModel, match="damaged"):
        load_model(tmp_path)


@pytest.mark.parametrize(
    "altered",
    [
        lambda own: replace(own, numbers=own.numbers + 1000),
        lambda own: replace(own, numbers=-1 - own.numbers),
        lambda own: replace(own, indicators=np.array([10**9])),
        lambda own: replace(own, flags=np.array([[0]])),
        lambda own: replace(own, knot_count=own.knot_count + 1000),
        lambda own: replace(own, knot_count=0 * own.knot_count),
        lambda own: replace(own, knots=own.knots[:, :0]),
        lambda own: replace(own, knots=own.knots.astype(np.float64)),
        lambda own: replace(own, bin_count=own.bin_count + 1000),
        lambda own: replace(own, bins=own.bins[:-1]),
        lambda own: replace(own, mean=own.mean[:-1]),
        lambda own: replace(own, mean=own.mean + np.float32(np.nan)),
        lambda own: replace(own, scale=own.scale * np.float32(np.inf)),
        lambda own: replace(own, knots=own.knots[:, ::-1]),
        lambda own: replace(own, knots=0 * own.knots),
        lambda own: replace(own, knots=own.knots + np.float32(np.nan)),
    ],
)
def test_scaler_whose_arrays_do_not_fit_is_refused_though_its_hash_is_right(
    model: SentinelModel, tmp_path: Path, altered: Callable[[Scaler], Scaler]
) -> None:
    """Compiled code reads these arrays without looking at their ends."""
    replace(model, scaler=altered(model.scaler)).save(tmp_path)
    with pytest.raises(BadModel, match="arrays of its scaler do not fit each other"):
        load_model(tmp_path)


@pytest.mark.parametrize(
    "altered",
    [
        lambda own: replace(own, slope=own.slope[:, :-1]),
        lambda own: replace(own, offset=own.offset[:-1]),
        lambda own: replace(own, matrices=(own.matrices[0][:8], *own.matrices[1:])),
        lambda own: replace(own, matrices=(own.matrices[0][:, :-1], *own.matrices[1:])),
        lambda own: replace(own, matrices=(), biases=()),
        lambda own: replace(own, biases=(own.biases[0][:-1], *own.biases[1:])),
        lambda own: replace(own, value=own.value[:-1]),
        lambda own: replace(own, advantage=own.advantage[:, :-1], advantage_bias=own.advantage_bias[:-1]),
        lambda own: replace(own, advantage_bias=own.advantage_bias[:-1]),
        lambda own: replace(own, slope=np.float32(0)),
        lambda own: replace(own, biases=(own.biases[0][:, None], *own.biases[1:])),
        lambda own: replace(own, value=own.value.astype(np.float64)),
        # A number that is none would let every row pass in silence.
        lambda own: replace(own, advantage=own.advantage + np.float32(np.nan)),
        lambda own: replace(own, biases=(own.biases[0] + np.float32(np.inf), *own.biases[1:])),
    ],
)
def test_network_whose_arrays_do_not_fit_is_refused_though_its_hash_is_right(
    model: SentinelModel, tmp_path: Path, altered: Callable[[Weights], Weights]
) -> None:
    replace(model, weights=altered(model.weights)).save(tmp_path)
    with pytest.raises(BadModel, match="arrays of its network do not fit each other"):
        load_model(tmp_path)


def test_bins_of_no_width_are_refused_where_numbers_are_embedded(model: SentinelModel, tmp_path: Path) -> None:
    """A row's place within its bin is divided by the bin's width."""
    replace(model, scaler=replace(model.scaler, bins=0 * model.scaler.bins)).save(tmp_path)
    with pytest.raises(BadModel, match="arrays of its network do not fit each other"):
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
