"""A shared model's bytes are those of the first release, in every stage, and what nobody wrote is refused."""

import functools
import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from medward.federation.errors import FederationError
from medward.federation.model.plan import TrainingPlan, plan_digest
from medward.federation.model.shared_model import SharedModel
from medward.federation.model.shared_model_format import decode_model, encode_model
from medward.federation.model.survey import first_model
from medward.federation.model.train import training_stage
from medward.flows.history import FeatureSpace
from tests.agents.conftest import RECIPE, SCHEMA

# As of a data set that every version knows, whose schema its name stands for.
PLAN = TrainingPlan(FeatureSpace(replace(SCHEMA, dataset="ward"), True), RECIPE, rounds=6, seed=3)
#: SHA-256 of the bytes of each stage: of the first, of those after a survey, after a training round, after a skip.
STAGES = (
    "301d50f8208ba997",
    "5def19b8d4093215",
    "846cfd1b87e936e8",
    "a922c18c7bcccee7",
    "116f753e713f5faf",
    "b32a365c492f9e6a",
    "d3d1edbdff775cfa",
    "351c0e2802b490a4",
    "2b522ecc7aceb303",
    "50831f15a860efdb",
    "6d153ec0351fbb02",
)


@functools.cache
def stages() -> tuple[SharedModel, ...]:
    """Return the stages of PLAN, which take a while to make."""
    return tuple(_stages(PLAN))


def _stages(plan: TrainingPlan) -> Iterator[SharedModel]:
    """Yield the stages that sums of drawn numbers lead to; the first weights count up, so that no draw matters."""
    draw = np.random.default_rng(5)

    def total(shared: SharedModel) -> np.ndarray:
        return np.concatenate([draw.integers(0, 40, shared.counts), draw.integers(-2000, 2000, shared.values)])

    shared: SharedModel = first_model(plan)
    while shared.task == "survey":
        yield shared
        shared = shared.advance(total(shared))
    size = len(training_stage(shared).weights)
    shared = replace(shared, weights=np.arange(size, dtype=np.float32) / size)
    yield shared
    for refused in (0, 1, 0, 2, 0, 0):
        shared = shared.advance(total(shared), refused, (4, 3))
        yield shared
    yield shared.skip()


def test_bytes_of_every_stage_are_those_of_the_first_release() -> None:
    digests = tuple(hashlib.sha256(encode_model(shared)).hexdigest()[:16] for shared in stages())
    assert digests == STAGES


def test_plan_is_named_as_in_the_first_release() -> None:
    plan = replace(PLAN, rounds=5)
    assert plan_digest(plan) == "2479e51db258fcf31b461f6a1d557f2cce728cc40fcfde8f1b74d4529e1856f5"


def test_every_stage_is_read_as_it_was_written() -> None:
    for shared in stages():
        read = decode_model(PLAN, encode_model(shared))
        assert type(read) is type(shared)
        assert encode_model(read) == encode_model(shared)


def test_stage_that_does_not_fit_its_step_is_refused() -> None:
    survey, *_, trained = stages()
    with pytest.raises(FederationError, match="no weights at step 3, after the surveys"):
        decode_model(PLAN, encode_model(replace(survey, step=3)))
    with pytest.raises(FederationError, match="weights at step 2, before the surveys were over"):
        decode_model(PLAN, encode_model(replace(trained, step=2)))


def test_vectors_of_different_lengths_are_refused() -> None:
    *_, trained = stages()
    with pytest.raises(FederationError, match="differ in length"):
        decode_model(PLAN, encode_model(replace(trained, momentum=np.zeros(3, np.float32))))


def _rewritten(shared: SharedModel, head: dict[str, Any], arrays: Any) -> bytes:
    """Return a shared model's bytes with some values of its head and some arrays replaced."""
    content = encode_model(shared)
    size = int.from_bytes(content[:8], "little")
    old = json.loads(json.loads(content[8 : 8 + size])["__metadata__"]["head"])
    own = safetensors.numpy.load(content)
    own |= {name: make(own[name]) for name, make in arrays.items()}
    return safetensors.numpy.save(own, {"head": json.dumps(old | head, sort_keys=True)})


@pytest.mark.parametrize(
    "head",
    [
        {"step": 10**18},
        {"step": -1},
        {"averaged": 10**6},
        {"averaged": -1},
        {"skipped": 10**18},
        {"most_rows": 0},
        {"surveyed": 0},
        {"rows": 10**30},
        {"sent": []},
        {"sent": [-(10**18)]},  # whoever followed from it would count up from there
        {"sent": [10**18]},
        {"sent": [0] * 100},
        {"signals": {"spent": 0, "covered": 0, "energy": 10**18, "cost": 0, "drop": 0}},
        {"signals": {"spent": -1, "covered": 0, "energy": 0, "cost": 0, "drop": 0}},
        {"signals": {"spent": 0, "covered": 10**18, "energy": 0, "cost": 0, "drop": 0}},
    ],
)
def test_head_whose_numbers_no_federation_comes_to_is_refused(head: dict[str, Any]) -> None:
    *_, trained = stages()
    with pytest.raises(FederationError, match="The shared model is damaged"):
        decode_model(PLAN, _rewritten(trained, head, {}))


@pytest.mark.parametrize(
    ("stage", "arrays"),
    [
        (0, {"grid.cells": lambda own: own[:-1]}),
        (0, {"grid.cells": lambda own: -own}),
        (0, {"grid.cells": lambda own: own * 0 + 2**62}),
        (0, {"grid.cells": lambda own: own[:0], "grid.edges": lambda own: own[:0]}),
        (0, {"grid.edges": lambda own: own[::-1].copy()}),
        (0, {"grid.edges": lambda own: own[:-1]}),
        (-1, {"classes": lambda own: own[:0]}),
        (-1, {"classes": lambda own: own[:1]}),
        (-1, {"classes": lambda own: own * 0}),
        (-1, {"classes": lambda own: own + 2**40}),
        (-1, {"scaler.indicators": lambda own: own[:-1]}),
        (-1, {"scaler.flags": lambda own: np.repeat(own, 1000)}),
        (-1, {"scaler.knots": lambda own: own[:, ::-1].copy()}),
        (-1, {"weights": lambda own: own + np.float32(np.nan)}),
        (-1, {"momentum": lambda own: own + np.float32(np.inf)}),
        (-1, {name: lambda own: np.append(own, own[:1]) for name in ("weights", "momentum", "tail")}),
        (-1, {"grid.cells": lambda _: np.ones(1, np.int64), "grid.edges": lambda _: np.full(1, -(2**31) + 1)}),
    ],
)
def test_arrays_that_do_not_fit_each_other_are_refused(stage: int, arrays: dict[str, Any]) -> None:
    with pytest.raises(FederationError, match=r"The shared model is damaged|nothing can be learned"):
        decode_model(PLAN, _rewritten(stages()[stage], {}, arrays))


def test_there_is_no_model_before_the_surveys_are_over() -> None:
    with pytest.raises(FederationError, match="surveys are not over"):
        training_stage(first_model(PLAN))
