"""Costs: the highest is what the worst decision costs; buying evidence is no decision."""

from hypothesis import given
from hypothesis import strategies as st

from medward.agents.costs import Costs

prices = st.floats(0.0, 100.0)


@given(prices, prices, prices, prices)
def test_no_decision_costs_more_than_the_highest(miss: float, alarm: float, wrong: float, escalation: float) -> None:
    costs = Costs(miss, alarm, wrong, escalation)
    assert costs.highest in (miss, alarm, wrong)
    assert all(costs.highest >= each for each in (miss, alarm, wrong))
