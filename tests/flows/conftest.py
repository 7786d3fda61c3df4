from collections.abc import Callable
from pathlib import Path

import pytest

from medward.flows.datasets import DATASETS
from medward.flows.reading import read_flows
from medward.flows.schema import Flows

FOLDERS = {
    "wustl-ehms-2020": "wustl-ehms-2020",
    "x-iomt": "x-iomt-subset",
    "ciciomt2024": "ciciomt2024-wifi-mqtt-subset",
    "nsl-kdd": "nsl-kdd",
}


@pytest.fixture(scope="session")
def real_path(data_folder: Path) -> Callable[[str], Path]:
    """Where a real data set lies, by its short name."""

    def find(name: str) -> Path:
        path = data_folder / FOLDERS[name]
        if not path.is_dir():
            pytest.skip(f"{path} is not there")
        return path

    return find


@pytest.fixture(scope="module")
def real_flows(real_path: Callable[[str], Path]) -> Callable[[str], Flows]:
    """The rows of a real data set, by its short name; read once in a module, and let go with it: they take 130 MiB."""
    held: dict[str, Flows] = {}

    def read(name: str) -> Flows:
        if name not in held:
            held[name] = read_flows(DATASETS[name], real_path(name))
        return held[name]

    return read
