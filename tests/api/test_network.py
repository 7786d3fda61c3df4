"""The folder of a trained network: it comes back, and one that is damaged or made up is refused in a sentence."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from medward.agents.networks.plain import PlainNetwork
from medward.agents.sentinel.central import fitted_scaler
from medward.agents.sentinel.model import BadModel, Provenance, weights_name
from medward.api.network import WEIGHTS, TrainedNetwork, load_network
from medward.flows.history import FeatureSpace
from tests.agents.conftest import RECIPE, SCHEMA, toy_flows

FLOWS = toy_flows(300, 5)
DESCRIPTION = "network.json"


class OwnNetwork(PlainNetwork):
    pass


def trained(network: PlainNetwork | None = None) -> TrainedNetwork:
    network = network or PlainNetwork(hidden=5)
    space = FeatureSpace(SCHEMA, history=False)
    scaler = fitted_scaler(space, FLOWS.x, RECIPE.change(scaler="standard", embedding=0))
    weights = network.start(scaler.width, 3, 7)
    provenance = Provenance("federated", 3, 4, "mk-vqfhe", synthetic=True, seed=7)
    return TrainedNetwork(network, weights, scaler, space, SCHEMA.classes, provenance)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    trained().save(tmp_path / "model")
    return tmp_path / "model"


def describe(folder: Path, **changes: Any) -> None:
    text = json.loads((folder / DESCRIPTION).read_text())
    (folder / DESCRIPTION).write_text(json.dumps(text | changes))


def rewrite(folder: Path, **arrays: np.ndarray) -> None:
    """Replace arrays, and let the description name the new file: what its author wanted it to be."""
    held = safetensors.numpy.load((folder / WEIGHTS).read_bytes()) | arrays
    content = safetensors.numpy.save(held)
    (folder / WEIGHTS).write_bytes(content)
    describe(folder, weights=weights_name(content))


def test_network_comes_back_and_decides_the_same(folder: Path) -> None:
    own, again = trained(), load_network(folder, None)
    assert again.name == own.name
    assert (again.classes, again.provenance, again.space) == (own.classes, own.provenance, own.space)
    np.testing.assert_array_equal(again.scores(FLOWS.x).decision, own.scores(FLOWS.x).decision)
    assert not again.scores(FLOWS.x).escalated.any()
    assert len(again.scores(FLOWS.x[:0]).decision) == 0


def test_saving_again_replaces_the_model(folder: Path) -> None:
    other = trained(PlainNetwork(hidden=9))
    assert other.save(folder) == load_network(folder, None).name
    assert sorted(path.name for path in folder.iterdir()) == [DESCRIPTION, WEIGHTS]


def test_network_of_ones_own_has_to_be_given(tmp_path: Path) -> None:
    trained(OwnNetwork(hidden=5)).save(tmp_path)
    for other in (None, PlainNetwork(hidden=5)):
        with pytest.raises(BadModel, match=r"weights of a OwnNetwork: give it"):
            load_network(tmp_path, other)
    np.testing.assert_array_equal(load_network(tmp_path, OwnNetwork(hidden=5)).weights, trained().weights)


@pytest.mark.parametrize("name", [DESCRIPTION, WEIGHTS])
def test_missing_file_and_folder_in_its_place_are_told(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(BadModel, match=f"holds no {name}"):
        load_network(folder, None)
    (folder / name).mkdir()
    with pytest.raises(BadModel, match=name):
        load_network(folder, None)


@pytest.mark.parametrize(
    "text", [b"", b"[]", b"{}", b"null", b"\xff", b"[" * 100_000, b'{"format": 1}', b'{"network": 1']
)
def test_text_that_is_no_description_is_refused(folder: Path, text: bytes) -> None:
    (folder / DESCRIPTION).write_bytes(text)
    with pytest.raises(BadModel):
        load_network(folder, None)


@pytest.mark.parametrize(
    "changes",
    [{"classes": ["a", 1, 2]}, {"classes": []}, {"classes": ["a", "b"]}, {"classes": "abc"}, {"history": "no"},
     {"schema": {}}, {"provenance": 3}, {"scaler": 3}, {"format": 2}, {"network": ["PlainNetwork"]}],
)  # fmt: skip
def test_description_that_does_not_fit_is_refused(folder: Path, changes: dict[str, Any]) -> None:
    describe(folder, **changes)
    with pytest.raises(BadModel, match=str(folder)):
        load_network(folder, None)


def test_name_of_a_network_is_shown_without_what_changes_a_terminal(folder: Path) -> None:
    describe(folder, network="\x1b[2JPlain")
    with pytest.raises(BadModel) as caught:
        load_network(folder, None)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "arrays",
    [{"weights": np.zeros(10, np.float32)}, {"weights": np.zeros(0, np.float32)},
     {"weights": np.zeros((4, 2), np.float32)},
     {"weights": np.zeros(68, np.float64)}, {"weights": np.zeros(67, np.float32)},
     {"scaler.numbers": np.array([99], np.int64)}, {"scaler.mean": np.zeros(1, np.float32)}, {"more": np.zeros(1)}],
)  # fmt: skip
def test_arrays_that_do_not_fit_are_refused_though_the_description_names_them(
    folder: Path, arrays: dict[str, np.ndarray]
) -> None:
    rewrite(folder, **arrays)
    with pytest.raises(BadModel):
        load_network(folder, None)


def test_weights_that_the_description_does_not_name_are_refused(folder: Path) -> None:
    content = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(BadModel, match=r"is not the file that network.json describes"):
        load_network(folder, None)
