import os
from pathlib import Path

import pytest
from hypothesis import settings

from medward.node.trial import ports

# A busy machine is no defect: no property has a deadline.
settings.register_profile("medward", deadline=None)
settings.load_profile("medward")

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session", autouse=True)
def ports_of_its_own() -> None:
    """Give each of several workers a part of the ports: a node that is stopped for a while finds its own free again."""
    worker, workers = os.environ.get("PYTEST_XDIST_WORKER"), int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    if worker is not None:
        ports._PORTS = ports._PORTS[int(worker.removeprefix("gw")) :: workers]


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder of real data sets; tests that ask for it are skipped where it is absent."""
    folder = Path(os.environ.get("MEDWARD_DATA") or ROOT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"no real data sets at {folder}: name their folder in MEDWARD_DATA")
    return folder
