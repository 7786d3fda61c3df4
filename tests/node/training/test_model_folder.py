"""The model in a home: whole at every moment, whoever reads it and whenever the node dies."""

import multiprocessing
import os
import random
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest

from medward.agents.sentinel.model import Provenance, SentinelModel, load_model
from medward.federation.model.survey import first_model
from medward.flows.datasets import DATASETS
from medward.node.errors import NodeError
from medward.node.training.data import ParticipantSettings, plan_for
from medward.node.training.model_folder import ModelFolder


@pytest.fixture(scope="module")
def model() -> SentinelModel:
    """A model that training began with."""
    plan = plan_for(DATASETS["ward"], ParticipantSettings(data="ward", rounds=3))
    return first_model(plan).skip().guard(Provenance("federated", 0, 4, "aggregate", True, 0, shared_model="m0"))


def of_round(model: SentinelModel, number: int) -> SentinelModel:
    """Return a model with other weights and another origin."""
    weights = replace(model.weights, value_bias=model.weights.value_bias + number)
    return replace(
        model, weights=weights, provenance=replace(model.provenance, round=number, shared_model=f"m{number}")
    )


def replace_for_ever(link: Path, model: SentinelModel) -> None:
    folder, number = ModelFolder(link), 1
    while True:
        folder.replace(of_round(model, number))
        number += 1


def test_model_is_replaced_and_only_the_one_before_stays(tmp_path: Path, model: SentinelModel) -> None:
    folder = ModelFolder(tmp_path / "model")
    assert folder.shared_model() is None
    for number in range(4):
        folder.replace(of_round(model, number))
        assert folder.shared_model() == f"m{number}"
        assert load_model(tmp_path / "model").provenance.round == number
    assert len(list((tmp_path / "model-versions").iterdir())) == 2
    assert (tmp_path / "model-versions").stat().st_mode & 0o077 == 0


def test_folder_of_somebody_else_is_left_alone(tmp_path: Path, model: SentinelModel) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "notes").write_text("mine")
    with pytest.raises(NodeError, match="move it away"):
        ModelFolder(tmp_path / "model").replace(model)
    assert (tmp_path / "model" / "notes").read_text() == "mine"


@pytest.mark.slow
def test_reader_and_sudden_death_never_meet_half_a_model(tmp_path: Path, model: SentinelModel) -> None:
    link, draw = tmp_path / "model", random.Random(5)
    ModelFolder(link).replace(of_round(model, 0))
    # Started anew, not forked: JAX has threads.
    context = multiprocessing.get_context("spawn")
    for _ in range(3):
        writer = context.Process(target=replace_for_ever, args=(link, model))
        writer.start()
        before = load_model(link).provenance.round
        while load_model(link).provenance.round == before:
            time.sleep(0.01)
        for _ in range(50):
            read = load_model(link)
            assert float(read.weights.value_bias[0] - model.weights.value_bias[0]) == pytest.approx(
                read.provenance.round
            )
        time.sleep(draw.uniform(0, 0.05))
        assert writer.pid is not None
        os.kill(writer.pid, signal.SIGKILL)
        writer.join()
        read = load_model(link)
        assert read.provenance.shared_model == f"m{read.provenance.round}"
    ModelFolder(link).replace(of_round(model, 0))
    assert len(list((tmp_path / "model-versions").iterdir())) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "model-versions"]
