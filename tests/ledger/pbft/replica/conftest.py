"""What tests of single replicas share."""

import pytest

from tests.ledger.simulator.desk import Desk


@pytest.fixture
def desk():
    return Desk()
