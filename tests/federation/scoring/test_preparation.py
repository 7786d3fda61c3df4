"""What a vendor tells of its model without a weight, and what a hospital looks at before it uses it."""

from dataclasses import replace

import numpy as np
import pytest

from medward.agents.sentinel.model import SentinelModel
from medward.agents.sentinel.polynomial import polynomial_network
from medward.federation.computing.preparation import write_preparation
from medward.federation.scoring.answers import check_result, read_parts, write_parts
from medward.federation.scoring.circuit import evaluate, terms_of
from medward.federation.scoring.preparation import read_preparation
from medward.federation.scoring.terms import BadTerms
from medward.fhe.computing.ciphertexts import Ciphertext
from medward.fhe.computing.noise import ErrorBound
from medward.fhe.computing.opening import open_part
from medward.fhe.errors import MalformedEncoding
from medward.flows.prepared import PreparedData
from tests.federation.scoring.world import parties, some_inputs, toy_rows, untrained_model


@pytest.fixture(scope="module")
def prepared() -> PreparedData:
    return toy_rows(400)


@pytest.fixture(scope="module")
def model(prepared: PreparedData) -> SentinelModel:
    return untrained_model(prepared)


def test_preparation_has_no_weight_and_prepares_as_the_model_does(prepared: PreparedData, model: SentinelModel) -> None:
    terms = terms_of(polynomial_network(model))
    data = write_preparation(model)
    read = read_preparation(data, terms)
    np.testing.assert_array_equal(read.scorer().inputs(prepared.x), model.scorer().inputs(prepared.x))
    arrays = [*read.weights.matrices, *read.weights.biases, read.weights.advantage, read.weights.advantage_bias]
    assert not any(array.any() for array in arrays)
    for matrix in model.weights.matrices:
        assert matrix.tobytes() not in data
        assert matrix[0].tobytes() not in data


def test_preparation_whose_arrays_do_not_fit_is_refused(model: SentinelModel) -> None:
    terms = terms_of(polynomial_network(model))
    scaler = model.scaler
    for wrong in (
        replace(scaler, numbers=scaler.numbers + 1000),
        replace(scaler, numbers=-1 - scaler.numbers),
        replace(scaler, knot_count=scaler.knot_count + 1000),
        replace(scaler, knots=scaler.knots[:, :0]),
        replace(scaler, flags=np.array([10**9])),
        replace(scaler, mean=scaler.mean[:-1]),
        scaler.keep(np.arange(20)),
    ):
        with pytest.raises(BadTerms, match="does not say how flows are prepared"):
            read_preparation(write_preparation(replace(model, scaler=wrong)), terms)
    with pytest.raises(BadTerms):
        read_preparation(b"nonsense", terms)


def _results() -> list[Ciphertext]:
    all_of = parties()
    return evaluate(all_of.terms, all_of.flows(some_inputs(3)), all_of.neurons(), all_of.keys)


def test_key_holder_looks_at_owners_level_and_bound_of_a_result() -> None:
    all_of = parties()
    results, holders = _results(), (all_of.vendor.owner, all_of.hospital.owner)
    check_result(all_of.terms, results, holders)
    weights = next(iter(all_of.neurons())).bias
    smaller = ErrorBound(results[0].bound.size, results[0].bound.noise / 2, results[0].bound.coding)
    for wrong in (
        results[:1],
        [weights, results[1]],
        [replace(results[0], owners=("a/0123456789abcdef", "b/0123456789abcdef")), results[1]],
        [replace(results[0], bound=smaller), results[1]],
        [replace(results[0], bound=ErrorBound(4.0, results[0].bound.noise * 2, 1.0)), results[1]],
    ):
        with pytest.raises(BadTerms, match="a result"):
            check_result(all_of.terms, wrong, holders)


def test_parts_come_back_from_their_bytes_and_others_are_refused() -> None:
    all_of = parties()
    parts = [open_part(one, all_of.vendor, all_of.budget(all_of.vendor)) for one in _results()]
    data = write_parts(parts)
    assert write_parts(read_parts(all_of.terms, data)) == data
    for wrong in (data[:-1], data[: len(data) // 2], b"", data + data):
        with pytest.raises(MalformedEncoding):
            read_parts(all_of.terms, wrong)
