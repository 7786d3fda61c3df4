"""What is given as --model and is none: one sentence says what it is, and what to give instead."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from medward.agents.networks.plain import PlainNetwork
from medward.agents.sentinel.model import BadModel
from medward.cli._models import open_model, refuse_no_model
from tests.api.test_network import OwnNetwork, trained
from tests.cli.conftest import Run

CID = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy"


def _with(*files: str, at: str = "given") -> Callable[[Path], Path]:
    """Make a folder with these files, and give it or one of them."""

    def make(folder: Path) -> Path:
        for file in files:
            place = folder / "given" / file
            place.parent.mkdir(parents=True, exist_ok=True)
            place.touch()
        return folder / at

    return make


def _tensors(header: object, name: str = "file") -> Callable[[Path], Path]:
    """Write a file that begins as one of tensors does: the length of its header, and the header."""

    def make(folder: Path) -> Path:
        text = json.dumps(header).encode()
        (folder / name).write_bytes(len(text).to_bytes(8, "little") + text)
        return folder / name

    return make


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (_with("node.toml", "model/model.json"), "is a node's home, which holds no model.json itself: give"),
        (_with("node.toml"), "is a node's home that has no model yet"),
        (_with("model/model.json"), "holds a model and is none itself, having no model.json: give"),
        (_with("a/node.toml", "b/node.toml", "b/model/model.json"), "such as .*given/b/model"),
        (_with("a/node.toml"), "is a folder that holds no model.json"),
        (_with("pins.sqlite"), "is a store of blobs"),
        (_with("answers.sqlite"), "is what a node keeps for itself of the sums"),
        (_with("weights.safetensors"), "holds a model's weights without their model.json"),
        (_with("notes.txt"), "is a folder that holds no model.json"),
        (
            _with("model.json", at="given/model.json"),
            "is the description of a model: give the folder that it stands in",
        ),
        (_with(CID, at=f"given/{CID}"), "is a block of a store"),
        (_with("x.block", at="given/x.block"), "is a block of a store"),
        (_with("card.json", at="given/card.json"), "is public data of a federation"),
        (_with("rows.CSV.GZ", at="given/rows.CSV.GZ"), "is a table, and no model"),
        (_with("picture.png", at="given/picture.png"), "is a file of 0 bytes, and no model"),
        (_with("x", at="given/absent"), "is not there: give a model's folder"),
        (_with("x", at=CID), "is the name of a blob, and no folder"),
        (_tensors({"__metadata__": {}, "scaler.low": 1}), "is a shared model, which members work from"),
        (_tensors({"network.0": 1}), "is a model's weights file: give the folder"),
        (_tensors(["network."]), "is a file of .* bytes, and no model"),
        (_tensors({"network.": "x" * (1 << 17)}), "is a file of .* bytes, and no model"),
    ],
)
def test_what_is_no_model_is_told_apart(tmp_path: Path, make: Callable[[Path], Path], told: str) -> None:
    given = make(tmp_path)
    for read in (refuse_no_model, open_model):
        with pytest.raises(BadModel, match=told) as caught:
            read(given)
        assert str(caught.value).startswith(f"{given} ")


@pytest.mark.parametrize("network", [PlainNetwork(hidden=5), OwnNetwork(hidden=5)])
def test_folder_of_another_network_is_told_with_what_reads_it(
    medward: Run, tmp_path: Path, network: PlainNetwork
) -> None:
    trained(network).save(tmp_path)
    refuse_no_model(tmp_path)
    done = medward("detect", "--model", tmp_path, "--flows", tmp_path / "network.json")
    assert done.code == 1
    assert f"{tmp_path} holds a plain network or one of your own (network.json)" in done.sentence
    for reader in ("`medward evaluate`", "medward.load_model"):
        assert reader in done.sentence


def test_folder_with_a_description_is_taken_for_a_model(tmp_path: Path) -> None:
    (tmp_path / "model.json").write_text("{}")
    refuse_no_model(tmp_path)
    with pytest.raises(BadModel):
        open_model(tmp_path)
