"""Encrypted scoring gives the scores of the plain network, under two keys, flooded, the same bytes each time."""

from dataclasses import replace
from itertools import combinations_with_replacement

import numpy as np
import pytest

from medward.agents.sentinel.polynomial import PolynomialNetwork
from medward.federation.scoring.circuit import (
    evaluate,
    flow_ciphertexts,
    model_ciphertexts,
    neurons_of_model,
    plain_neurons,
    scores_of,
    terms_of,
)
from medward.federation.scoring.terms import BadTerms, ScoringTerms
from medward.fhe.computing.flooding import flooding_width
from medward.fhe.computing.opening import combine, open_part
from tests.federation.scoring.world import CLASSES, parties, some_inputs, some_network

ROWS = 100


def test_scores_are_those_of_the_plain_network_within_the_stated_error() -> None:
    all_of = parties()
    inputs = some_inputs(ROWS)
    flows = all_of.flows(inputs)
    neurons = list(all_of.neurons())
    results = evaluate(all_of.terms, flows, neurons, all_of.keys)
    assert len(results) == (CLASSES + 1) // 2
    assert all(result.level == 0 and len(result.owners) == 2 for result in results)
    opened = [
        combine(
            result,
            [
                open_part(result, secret, all_of.budget(secret), all_of.terms.coarseness)
                for secret in (all_of.vendor, all_of.hospital)
            ],
        )
        for result in results
    ]
    expected = all_of.scores(inputs)
    scores = scores_of(opened, all_of.terms, ROWS)
    error = np.sqrt(np.mean((scores - expected) ** 2))
    assert all_of.terms.coarseness / 2 < error <= max(result.slot_error for result in opened)
    assert (scores.argmax(axis=1) == all_of.network.scores(inputs).argmax(axis=1)).mean() >= 0.99

    again = evaluate(all_of.terms, flows, iter(neurons), all_of.keys)
    for one, other in zip(results, again, strict=True):
        assert one.parts.tobytes() == other.parts.tobytes()


def test_model_in_plain_needs_the_hospitals_key_alone() -> None:
    all_of = parties()
    inputs = some_inputs(ROWS, 1)
    flows = all_of.flows(inputs)
    results = evaluate(all_of.terms, flows, plain_neurons(all_of.scored, all_of.terms), all_of.keys)
    assert {result.owners for result in results} == {(all_of.hospital.owner,)}
    opened = [combine(one, [open_part(one, all_of.hospital, all_of.budget(all_of.hospital))]) for one in results]
    np.testing.assert_allclose(scores_of(opened, all_of.terms, ROWS), all_of.scores(inputs), atol=1e-6)


def test_every_bound_is_public() -> None:
    """Two networks and two batches: what a ciphertext says of its errors is the same."""
    all_of = parties()
    bounds = []
    for seed in (0, 1):
        other = replace(all_of, network=some_network(seed))
        flows = all_of.flows(some_inputs(ROWS, seed) * (1 - seed))
        neurons = other.neurons()
        bounds.append([one.bound for one in evaluate(all_of.terms, flows, neurons, all_of.keys)])
    assert bounds[0] == bounds[1]


def test_bound_of_a_result_is_reckoned_without_a_ciphertext() -> None:
    all_of = parties()
    flows = all_of.flows(some_inputs(3))
    results = evaluate(all_of.terms, flows, all_of.neurons(), all_of.keys)
    assert {one.bound for one in results} == {all_of.terms.result_bound()}


def test_usual_network_has_room_for_flooding_in_the_full_ring() -> None:
    terms = ScoringTerms(16, (32, 16), 10)
    bound = terms.result_bound()
    width = flooding_width(bound, terms.degree, outputs=1024, bits=64)
    assert 2 * width * np.sqrt(terms.degree) / terms.parameters.scales[0] < 2**-26
    assert terms.parameters.bits < 868


def test_what_is_no_batch_or_model_is_refused() -> None:
    all_of = parties()
    with pytest.raises(BadTerms, match="1 to 128 rows of 4 inputs"):
        all_of.flows(some_inputs(129))
    with pytest.raises(BadTerms, match="not an array"):
        all_of.flows(some_inputs(3)[:, :2])
    with pytest.raises(BadTerms, match="not scored"):
        terms_of(PolynomialNetwork(some_network().layers[:1]))


def test_model_that_is_another_is_refused() -> None:
    all_of = parties()
    flows = all_of.flows(some_inputs(3))
    model = list(model_ciphertexts(all_of.vendor, all_of.scored, all_of.terms))
    for wrong, match in (
        (model[:-1], "ends too early"),
        ([*model, model[0]], "goes on"),
        (model[1:], "did not encrypt for this place"),
        ([replace(model[0], seed=None), *model[1:]], "did not encrypt"),
        ([*flow_ciphertexts(all_of.hospital, some_inputs(3), all_of.terms)], "did not encrypt"),
    ):
        neurons = neurons_of_model(all_of.terms, wrong, all_of.vendor.owner)
        with pytest.raises(BadTerms, match=match):
            evaluate(all_of.terms, flows, neurons, all_of.keys)
    with pytest.raises(BadTerms, match="ends before"):
        evaluate(all_of.terms, flows, list(all_of.neurons())[:-1], all_of.keys)


def test_who_chooses_flows_rebuilds_the_model_from_few_coarse_scores() -> None:
    """Known and not prevented: scores are a polynomial of degree 4 in the inputs, so linear algebra finds it."""
    all_of = parties()

    def monomials(inputs: np.ndarray) -> np.ndarray:
        """All products of up to four inputs; a score is the real part of a sum of them."""
        padded = np.concatenate([np.ones((len(inputs), 1)), inputs], axis=1)
        chosen = combinations_with_replacement(range(padded.shape[1]), 4)
        columns = np.stack([padded[:, list(places)].prod(axis=1) for places in chosen], axis=1)
        return np.concatenate([columns.real, columns.imag], axis=1)

    queries, others = some_inputs(all_of.terms.rows * 3, 7), some_inputs(1000, 8)
    fine = 1 / all_of.terms.coarseness
    shown = np.rint(all_of.scores(queries) * fine) / fine  # as a hospital gets them
    found, *_ = np.linalg.lstsq(monomials(queries), shown, rcond=None)
    guessed = (monomials(others) @ found).argmax(axis=1)
    assert (guessed == all_of.scores(others).argmax(axis=1)).mean() > 0.95
    batches = 1024 // all_of.terms.pairs
    assert batches >= 3, "the budget of a key does not prevent it"
