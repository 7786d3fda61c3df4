"""What all federations here train is compiled once, before any deadline runs, and kept where tests/conftest.py says."""

import pytest

from tests.e2e.ward import undisturbed


@pytest.fixture(scope="session", autouse=True)
def compiled() -> None:
    """Fill the folder of what JAX compiles, in which the nodes look."""
    undisturbed(1)
