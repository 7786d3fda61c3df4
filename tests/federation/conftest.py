"""A federation small enough to run in seconds, on the toy data set."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from medward.agents.sentinel.recipe import Recipe
from medward.federation.application import FederationApplication
from medward.federation.simulation.training import FederatedTraining, Options
from medward.flows.datasets import Cut, Dataset
from medward.flows.prepared import PreparedData, prepare
from tests.agents.conftest import RECIPE, SCHEMA, toy_flows
from tests.federation.ledger import AGREEMENT, Ledger

Start = Callable[..., FederatedTraining]


@pytest.fixture(scope="session")
def prepared() -> PreparedData:
    """The toy data set, split honestly."""
    dataset = Dataset(schema=SCHEMA, home="nowhere", cut=Cut.BLOCKS, block_rows=20)
    return prepare(dataset, toy_flows(2000, 0), "honest", 0)


@pytest.fixture
def federation(prepared: PreparedData) -> Start:
    """Return a function that makes a federation; its keyword arguments are `Options` fields. Sums are in the open."""

    def start(recipe: Recipe = RECIPE, **fields: object) -> FederatedTraining:
        options = replace(Options(sites=4, rounds=4, protect="none", seed=1), **fields)
        return FederatedTraining(prepared, recipe, options)

    return start


@pytest.fixture
def ledger() -> Ledger:
    """A federation of four that has just begun."""
    return Ledger(FederationApplication(AGREEMENT))


def surveyed(training: FederatedTraining) -> FederatedTraining:
    """Run a federation up to its first training round, and return it."""
    while training.shared.task == "survey":
        training._simulation.run_round()
    return training
