"""A model without its weights, as bytes from a member that is not trusted: what it holds, and what a bomb costs."""

import json
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from medward.agents.sentinel.model import BadModel, SentinelModel, weights_name
from medward.agents.sentinel.scorer import Weights
from medward.federation.computing.preparation import PreparationFiles, model_without_weights, write_preparation
from medward.ledger.encoding import decode, encode
from tests.federation.outsourced.world import toy_plan


@pytest.fixture(scope="module")
def model() -> SentinelModel:
    """A model with weights that are not zero."""
    plan = toy_plan()
    return replace(plan, weights=with_weights(plan.weights, 0.5))


def with_weights(weights: Weights, value: float) -> Weights:
    return replace(
        weights,
        matrices=tuple(np.full_like(matrix, value) for matrix in weights.matrices),
        advantage=np.full_like(weights.advantage, value),
        value_bias=np.full_like(weights.value_bias, value),
    )


def test_preparation_that_is_read_is_written_as_the_same_bytes(model: SentinelModel) -> None:
    data = write_preparation(model)
    again = model_without_weights(data, "the plan")
    assert write_preparation(again) == data
    assert (again.space, again.classes, again.recipe) == (model.space, model.classes, model.recipe)


def test_models_with_other_weights_have_one_preparation(model: SentinelModel) -> None:
    other = replace(model, weights=with_weights(model.weights, -0.25))
    assert other.files() != model.files()
    assert write_preparation(other) == write_preparation(model)


def crowd(count: int) -> bytes:
    """A list of so many empty lists, each of one byte."""
    return b"\x9a" + count.to_bytes(4, "big") + b"\x80" * count


def described(**changes: object) -> Callable[[PreparationFiles], PreparationFiles]:
    def change(files: PreparationFiles) -> PreparationFiles:
        description = json.loads(files.description) | changes
        return PreparationFiles(json.dumps(description).encode(), files.arrays)

    return change


def with_arrays(change: Callable[[bytes], bytes]) -> Callable[[PreparationFiles], PreparationFiles]:
    """Change the arrays, and name them rightly."""

    def changed(files: PreparationFiles) -> PreparationFiles:
        arrays = change(files.arrays)
        return described(weights=weights_name(arrays))(PreparationFiles(files.description, arrays))

    return changed


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (described(format=2), "trees"),
        (described(format=None), "another version"),
        (described(weights="sha256:0"), "is not the file"),
        (described(hidden=10**30), "does not describe a model"),
        (described(schema=[]), "does not describe a model"),
        (described(classes=["benign", "benign"]), "named twice"),
        (with_arrays(lambda arrays: arrays[:-1]), "does not describe a model"),
        (with_arrays(lambda arrays: b""), "does not describe a model"),
        (with_arrays(lambda arrays: arrays.replace(b'"F32"', b'"F64"', 1)), "does not describe a model"),
        (lambda files: PreparationFiles(b"[" * 100_000, files.arrays), "is damaged"),
        (lambda files: PreparationFiles(b"\xff", files.arrays), "is damaged"),
        (lambda files: PreparationFiles(b"3", files.arrays), "another version"),
    ],
)
def test_files_that_are_no_model_are_refused_in_one_sentence(
    model: SentinelModel, change: Callable[[PreparationFiles], PreparationFiles], told: str
) -> None:
    files = decode(write_preparation(model), PreparationFiles)
    with pytest.raises(BadModel, match=told) as refused:
        model_without_weights(encode(change(files)), "the plan")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "data", [b"", b"\x80", b"nonsense", encode([b"{}"]), encode(["{}", b""]), encode([b"", b"", b""])]
)
def test_bytes_that_are_no_files_are_refused(data: bytes) -> None:
    with pytest.raises(BadModel, match="not a canonical encoding"):
        model_without_weights(data, "the plan")


def test_many_items_in_few_bytes_are_refused_before_they_are_made() -> None:
    """A preparation of empty lists made objects of 75 times its bytes: 1.2 GB of the most that is read."""
    for bomb in (crowd(100_000), b"\x82" + crowd(70_000) + crowd(70_000)):
        with pytest.raises(BadModel, match="more items than anything of that length says"):
            model_without_weights(bomb, "the plan")


def test_long_texts_are_refused_before_they_are_read(model: SentinelModel) -> None:
    files = decode(write_preparation(model), PreparationFiles)
    bomb = b'{"a":[' + b"[]," * (1 << 20) + b"[]]}"
    with pytest.raises(BadModel, match="of length <= 2097152"):
        model_without_weights(encode(PreparationFiles(bomb, files.arrays)), "the plan")
    header = b"{" + b" " * 70_000 + files.arrays[9:]
    for change in (lambda arrays: b"\xff" * 8, lambda arrays: len(header).to_bytes(8, "little") + header):
        named = with_arrays(change)(files)
        with pytest.raises(BadModel, match=r"the plan has a list of arrays of .* bytes, and at most 65,536 are read"):
            model_without_weights(encode(named), "the plan")
