"""What tests of single replicas share."""

import pytest

from tests.sim.desk import Desk


@pytest.fixture
def desk():
    return Desk()
