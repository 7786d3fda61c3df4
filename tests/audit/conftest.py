"""Federations and homes to audit."""

import pytest

from medward.node.home.folder import Home
from tests.audit.homes import found_homes
from tests.federation.conftest import federation, prepared

__all__ = ["federation", "prepared"]


@pytest.fixture(scope="session")
def audited_homes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Home]:
    """Four members' homes after three surveys and a training round."""
    return found_homes(tmp_path_factory.mktemp("audited") / "homes")
