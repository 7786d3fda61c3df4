"""A model's folder is read by what it holds: a Sentinel, or a network of flat weights."""

from pathlib import Path

import pytest

from medward.agents.sentinel.model import BadModel
from medward.api.loading import load_model
from medward.api.model import TrainedSentinel
from medward.api.network import TrainedNetwork
from tests.alerts.hand_made import hand_made_model
from tests.api.test_network import OwnNetwork, trained


def test_each_kind_of_folder_gives_its_model(tmp_path: Path) -> None:
    hand_made_model().save(tmp_path / "sentinel")
    sentinel = load_model(str(tmp_path / "sentinel"))
    assert isinstance(sentinel, TrainedSentinel)
    assert sentinel.name == hand_made_model().name
    trained(OwnNetwork(hidden=5)).save(tmp_path / "own")
    own = load_model(tmp_path / "own", OwnNetwork(hidden=5))
    assert isinstance(own, TrainedNetwork)
    assert isinstance(own.network, OwnNetwork)


def test_folder_without_a_model_is_told(tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(BadModel, match=r"holds no model.json"):
            load_model(place)


def test_description_that_is_nested_without_end_is_refused(tmp_path: Path) -> None:
    hand_made_model().save(tmp_path)
    (tmp_path / "model.json").write_bytes(b"[" * 100_000)
    with pytest.raises(BadModel, match="damaged"):
        load_model(tmp_path)
