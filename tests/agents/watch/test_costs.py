"""Costs of a watch: evidence is paid by its bytes, for as many windows as it keeps coming."""

from dataclasses import replace

from medward.agents.watch.costs import WatchCosts, evidence_bytes
from medward.flows.schema import Feature, Group
from tests.agents.conftest import SCHEMA


def test_evidence_is_four_bytes_for_each_expensive_feature() -> None:
    assert evidence_bytes(SCHEMA) == 4
    more = replace(SCHEMA, features=(*SCHEMA.features, Feature("pressure", Group.EXPENSIVE)))
    assert evidence_bytes(more) == 8
    assert evidence_bytes(SCHEMA.without(["pulse"], "is left out")) == 0


def test_escalating_costs_the_bytes_of_all_windows_in_which_evidence_comes() -> None:
    costs = WatchCosts(kept=3, byte_price=0.5)
    assert costs.escalation(SCHEMA) == 0.5 * 3 * 4
    assert costs.escalation(SCHEMA.without(["pulse"], "is left out")) == 0
