"""An update goes the way that spec/round.md lists."""

import pytest

from tests.agents.conftest import RECIPE
from tests.federation.conftest import Start
from tests.paths import UPDATE, calls, follow


@pytest.mark.slow
def test_update_goes_the_way_that_the_page_says(federation: Start) -> None:
    training = federation(RECIPE.change(surveys=1), sites=3, rounds=1, protect="aggregate")
    training._simulation.run_round()
    with calls(UPDATE) as seen:
        training._simulation.run_round()
    assert training.shared.round == 1
    follow(UPDATE, seen)
