"""Homes and federations that do not run."""

from pathlib import Path

import pytest

from medward.node.home.folder import Home
from medward.node.trial.founding import Seat, found_on_one_machine
from tests.audit.homes import found_homes


def seats(*names: str) -> list[Seat]:
    return [Seat.of(f"{name}=127.0.0.1:{21000 + 10 * number}") for number, name in enumerate(names)]


@pytest.fixture
def homes(tmp_path: Path) -> dict[str, Home]:
    """Two members' homes."""
    return found_on_one_machine(tmp_path / "ward", "ward", seats("north", "south"), "bank")


@pytest.fixture(scope="session")
def audited_homes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Home]:
    """Four members' homes after three surveys and a training round."""
    return found_homes(tmp_path_factory.mktemp("audited") / "homes")
