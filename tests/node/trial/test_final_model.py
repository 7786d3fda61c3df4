"""The model that a trial leaves behind says of which round it is, and what it was made from."""

from types import SimpleNamespace
from typing import Any

import pytest

from medward.agents.sentinel.model import Provenance
from medward.federation.errors import FederationError
from medward.federation.model.survey import first_model
from medward.node.trial.final_model import final_model
from tests.node.training.test_rules import PLAN


def test_model_is_of_the_last_round_that_is_over_and_names_where_it_comes_from() -> None:
    # What a shared model after its seventh training round is asked for.
    shared: Any = SimpleNamespace(round=7, plan=PLAN, guard=lambda provenance: provenance)
    assert final_model(shared, 4, "aggregate", "bafy") == Provenance(
        how="federated", round=6, sites=4, protect="aggregate", synthetic=True, seed=PLAN.seed, shared_model="bafy"
    )
    assert final_model(shared, 4, "none", None) == Provenance(
        how="federated", round=6, sites=4, protect="none", synthetic=True, seed=PLAN.seed
    )


def test_there_is_none_before_the_surveys_are_over() -> None:
    with pytest.raises(FederationError, match="there is no model yet"):
        final_model(first_model(PLAN), 4, "none", None)
