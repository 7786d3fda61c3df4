"""What tests of real replicas share."""

import pytest

from tests.ledger.cluster import Cluster


@pytest.fixture
def cluster(tmp_path):
    """Four replicas as processes, all started."""
    made = Cluster(tmp_path, 4)
    made.start_all()
    yield made
    made.stop()
