"""A small network and the keys of a vendor and a hospital in a small ring, which is insecure and fast."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from medward.agents.sentinel.central import fitted_scaler
from medward.agents.sentinel.export import exported
from medward.agents.sentinel.learner import new_network
from medward.agents.sentinel.model import Provenance, SentinelModel
from medward.agents.sentinel.network import layout_of
from medward.agents.sentinel.polynomial import INPUT_SIZE, Complex, PolynomialLayer, PolynomialNetwork
from medward.agents.sentinel.recipe import polynomial_recipe
from medward.federation.scoring.circuit import (
    EncryptedNeuron,
    flow_ciphertexts,
    flows_of_batch,
    model_ciphertexts,
    neurons_of_model,
    plain_scores,
    scored_network,
    terms_of,
)
from medward.federation.scoring.terms import ScoringTerms
from medward.fhe.computing.ciphertexts import CiphertextVector
from medward.fhe.computing.evaluation import Keys
from medward.fhe.computing.keys import SecretKey
from medward.flows.datasets import Cut, Dataset
from medward.flows.prepared import PreparedData, prepare
from tests.agents.conftest import RECIPE, SCHEMA, toy_flows

LABEL = b"scoring"
CLASSES = 3


@dataclass
class Budget:
    """A budget in memory."""

    key: str
    outputs: int = 1024
    bits: int = 64
    spent: int = 0

    def spend(self) -> None:
        self.spent += 1


@dataclass(frozen=True)
class Parties:
    """A vendor with a network and a hospital with flows."""

    network: PolynomialNetwork
    terms: ScoringTerms
    vendor: SecretKey
    hospital: SecretKey
    keys: Keys

    @property
    def scored(self) -> PolynomialNetwork:
        return scored_network(self.network, self.terms)

    def scores(self, inputs: Complex) -> np.ndarray:
        """What the hospital should get, in plain arithmetic."""
        return plain_scores(self.scored, inputs, self.terms.classes)

    def flows(self, inputs: Complex) -> CiphertextVector:
        return flows_of_batch(self.terms, flow_ciphertexts(self.hospital, inputs, self.terms), self.hospital.owner)

    def neurons(self) -> Iterator[EncryptedNeuron]:
        return neurons_of_model(self.terms, model_ciphertexts(self.vendor, self.scored, self.terms), self.vendor.owner)

    def budget(self, secret: SecretKey) -> Budget:
        return Budget(secret.fingerprint)


def some_network(seed: int = 0) -> PolynomialNetwork:
    generator = np.random.default_rng(seed)

    def layer(inputs: int, outputs: int) -> PolynomialLayer:
        weights = generator.normal(size=(inputs + 1, outputs, 2)) @ (1, 1j)
        return PolynomialLayer(weights[1:], weights[0])

    return PolynomialNetwork((layer(4, 4), layer(4, 2), layer(2, CLASSES)))


def some_inputs(rows: int, seed: int = 0) -> Complex:
    generator = np.random.default_rng(seed)
    return (generator.uniform(-0.5, 0.5, (rows, 4, 2)) @ (1, 1j)).astype(np.complex128)


@lru_cache(maxsize=1)
def parties() -> Parties:
    network = some_network()
    terms = terms_of(network, 256, for_tests=True)
    vendor, hospital = (SecretKey(name, terms.parameters, LABEL) for name in ("vendor", "hospital"))
    keys = {one.owner: one.evaluation_key(conjugation=True) for one in (vendor, hospital)}
    assert np.abs(some_inputs(100)).max() <= INPUT_SIZE
    return Parties(network, terms, vendor, hospital, keys)


def toy_rows(count: int) -> PreparedData:
    """Rows of the toy problem, prepared."""
    dataset = Dataset(schema=SCHEMA, home="nowhere", cut=Cut.BLOCKS, block_rows=20)
    return prepare(dataset, toy_flows(count, 0), "honest", 0)


def untrained_model(prepared: PreparedData) -> SentinelModel:
    """A network of squares with its first weights: its decisions are as good as any to compare with."""
    recipe = polynomial_recipe(RECIPE).change(hidden=(16, 8))
    space, train = prepared.space, prepared.split.train
    scaler = fitted_scaler(space, prepared.x[train], recipe).keep(np.arange(30))
    weights = exported(new_network(layout_of(space, scaler), 3, recipe, 0))
    return SentinelModel(
        space, SCHEMA.classes, scaler, weights, recipe, Provenance("central", None, 1, "none", True, 0)
    )
