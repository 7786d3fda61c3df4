"""The circuit of encrypted scoring, and what each party computes around it (spec/computing.md, section 11).

A layer's outputs are inner products, relinearised once each, then squared; neurons come one after the other, so that an
encrypted model is never in memory as a whole. All is deterministic: who computes it again has the same bytes.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medward.agents.sentinel.polynomial import INPUT_SIZE, Complex, PolynomialNetwork, normalised, packed, unpacked
from medward.federation.scoring.terms import BadTerms, ScoringTerms
from medward.fhe.computing.ciphertexts import (
    Ciphertext,
    CiphertextVector,
    Plaintext,
    encode,
    encrypt,
    promised,
    side_by_side,
)
from medward.fhe.computing.evaluation import (
    Keys,
    add,
    add_plain,
    conjugate,
    inner_product,
    inner_product_plain,
    multiply,
)
from medward.fhe.computing.keys import EvaluationKey, SecretKey
from medward.fhe.computing.opening import OpenedResult


@dataclass(frozen=True, eq=False)
class EncryptedNeuron:
    """One unit of a layer under its owner's key.

    Args:
        weights: of each of its inputs.
        bias: one level lower.
    """

    weights: CiphertextVector
    bias: Ciphertext


@dataclass(frozen=True, eq=False)
class PlainNeuron:
    """One unit of a layer that the server may read."""

    weights: Sequence[Plaintext]
    bias: Plaintext


Neuron = EncryptedNeuron | PlainNeuron


def terms_of(network: PolynomialNetwork, degree: int = 32768, *, for_tests: bool = False) -> ScoringTerms:
    """Return the terms for a network.

    Raises:
        BadTerms: it has no hidden layer, or too many units.
    """
    sizes = tuple(layer.matrix.shape[1] for layer in network.layers)
    terms = ScoringTerms(len(network.layers[0].matrix), sizes[:-1], sizes[-1], degree, for_tests=for_tests)
    terms.check()
    return terms


def scored_network(network: PolynomialNetwork, terms: ScoringTerms) -> PolynomialNetwork:
    """Return the network as it is computed: two classes in each output, every layer within its limit."""
    return normalised(packed(network), INPUT_SIZE, terms.limits)


def plain_scores(scored: PolynomialNetwork, inputs: Complex, classes: int) -> NDArray[np.float64]:
    """Return the scores, float64[rows, classes], that a network as `scored_network` returns it gives in plain."""
    outputs = scored.outputs(inputs)
    return unpacked(outputs[:, ::2] + np.conj(outputs[:, 1::2]), classes)


def model_ciphertexts(secret: SecretKey, network: PolynomialNetwork, terms: ScoringTerms) -> Iterator[Ciphertext]:
    """Yield a network as `scored_network` returns it under the vendor's key: each neuron's weights, then its bias."""
    for number, weights, bias in _units(network):
        limit, level = terms.limits[number], terms.level(number)
        for weight in weights:
            yield encrypt(secret, weight, limit / terms.size(number), level)
        yield encrypt(secret, bias, limit, level - 1)


def plain_neurons(network: PolynomialNetwork, terms: ScoringTerms) -> Iterator[PlainNeuron]:
    """Yield the neurons of a network that the server has in plain."""
    for number, weights, bias in _units(network):
        most, level = terms.limits[number] / terms.size(number), terms.level(number)
        encoded = [encode(terms.parameters, weight, most, level) for weight in weights]
        yield PlainNeuron(encoded, encode(terms.parameters, bias, terms.limits[number], level - 1))


def _units(network: PolynomialNetwork) -> Iterator[tuple[int, Complex, np.complex128]]:
    for number, layer in enumerate(network.layers):
        for column, bias in zip(layer.matrix.T, layer.bias, strict=True):
            yield number, column, bias


def flow_ciphertexts(secret: SecretKey, inputs: Complex, terms: ScoringTerms) -> Iterator[Ciphertext]:
    """Yield a batch of flows under the hospital's key.

    Args:
        secret: the hospital's.
        inputs: complex128[rows, inputs], clipped; at most `terms.rows` of them.
        terms: the terms of scoring.

    Raises:
        BadTerms: too many rows, or another number of inputs.
    """
    if inputs.ndim != 2 or inputs.shape[1] != terms.inputs or not 1 <= len(inputs) <= terms.rows:
        raise BadTerms(f"a batch has 1 to {terms.rows} rows of {terms.inputs} inputs, not an array of {inputs.shape}")
    for column in inputs.T:
        yield encrypt(secret, column, INPUT_SIZE)


def flows_of_batch(terms: ScoringTerms, ciphertexts: Iterable[Ciphertext], holder: str) -> CiphertextVector:
    """Return a batch's flows, as their hospital encrypted them.

    Raises:
        BadTerms: they are none.
    """
    found: list[Ciphertext] = []
    for one in ciphertexts:
        if len(found) == terms.inputs:
            raise BadTerms(f"the batch has more than {terms.inputs} ciphertexts")
        found.append(_fresh(one, holder, terms.level(0), INPUT_SIZE, "the batch"))
    if len(found) != terms.inputs:
        raise BadTerms(f"the batch has {len(found)} ciphertexts, and the model takes {terms.inputs}")
    return side_by_side(found)


def neurons_of_model(terms: ScoringTerms, ciphertexts: Iterable[Ciphertext], holder: str) -> Iterator[EncryptedNeuron]:
    """Yield a model's neurons from its ciphertexts: the weights of each, then its bias, layer by layer.

    Raises:
        BadTerms: the ciphertexts are no such model.
    """
    coming = iter(ciphertexts)
    for layer, units in enumerate(terms.units):
        level, limit = terms.level(layer), terms.limits[layer]
        for _ in range(units):
            weights = [
                _fresh(next(coming, None), holder, level, limit / terms.size(layer), "the model")
                for _ in range(terms.fan_in(layer))
            ]
            bias = _fresh(next(coming, None), holder, level - 1, limit, "the model")
            yield EncryptedNeuron(side_by_side(weights), bias)
    if next(coming, None) is not None:
        raise BadTerms("the model goes on after its last neuron")


def _fresh(one: Ciphertext | None, holder: str, level: int, size: float, what: str) -> Ciphertext:
    if one is None:
        raise BadTerms(f"{what} ends too early")
    if one.seed is None or one.owners != (holder,) or one.level != level or one.bound.size != size:
        raise BadTerms(f"{what} has a ciphertext that {holder} did not encrypt for this place")
    return one


def evaluate(terms: ScoringTerms, flows: CiphertextVector, neurons: Iterable[Neuron], keys: Keys) -> list[Ciphertext]:
    """Compute the scores of encrypted flows, a ciphertext for two classes; who does it has no secret key.

    Args:
        terms: the terms of scoring.
        flows: a batch.
        neurons: of the model, layer by layer; each is read once.
        keys: of all owners, with conjugation.

    Raises:
        BadTerms: the model has more or fewer neurons than the terms say.
    """
    coming, values = iter(neurons), flows
    for number, units in enumerate(terms.units):
        limit, size = terms.limits[number], terms.size(number)
        outputs = []
        for _ in range(units):
            neuron = next(coming, None)
            if neuron is None:
                raise BadTerms("the model ends before the last neuron of its terms")
            output = promised(_weighed(values, neuron, limit / size, keys), limit)
            outputs.append(output if number == len(terms.hidden) else multiply(output, output, keys))
        if number < len(terms.hidden):
            values = side_by_side(outputs)
    if next(coming, None) is not None:
        raise BadTerms("the model goes on after the last neuron of its terms")
    return [add(p, conjugate(m, keys)) for p, m in zip(outputs[::2], outputs[1::2], strict=True)]


def scored_batch(
    terms: ScoringTerms,
    flows: Iterable[Ciphertext],
    model: Iterable[Ciphertext],
    hospital: EvaluationKey,
    vendor: EvaluationKey,
) -> list[Ciphertext]:
    """Compute a batch's result from what its hospital and the vendor encrypted.

    Args:
        terms: of the offer.
        flows: of the hospital.
        model: of the vendor; each ciphertext is read once.
        hospital, vendor: their evaluation keys.

    Raises:
        BadTerms: the flows or the model are none.
    """
    values = flows_of_batch(terms, flows, hospital.owner)
    neurons = neurons_of_model(terms, model, vendor.owner)
    return evaluate(terms, values, neurons, {key.owner: key for key in (hospital, vendor)})


def _weighed(values: CiphertextVector, neuron: Neuron, total: float, keys: Keys) -> Ciphertext:
    if isinstance(neuron, EncryptedNeuron):
        return add(inner_product(values, neuron.weights, keys, total), neuron.bias)
    return add_plain(inner_product_plain(values, neuron.weights, total), neuron.bias)


def scores_of(results: Sequence[OpenedResult], terms: ScoringTerms, rows: int) -> NDArray[np.float64]:
    """Return the scores, float64[rows, classes], of what the owners opened together."""
    return unpacked(np.stack([result.values[:rows] for result in results], axis=1), terms.classes)
