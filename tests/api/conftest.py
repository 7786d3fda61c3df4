"""A small table of a user's own with its schema, on disk."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import pytest

import medward
from medward.agents.sentinel.recipe import LearningSettings, NetworkSettings, Recipe, ScalingSettings

SCHEMA = """
name = "own"
label = "what"
benign = ["Benign"]
block = 10
[columns]
cheap = ["size", "noise"]
categories = ["proto"]
"""

#: Trains in a second.
QUICK = Recipe(
    ScalingSettings(bins=8, cells=64),
    NetworkSettings(embedding=2, hidden=(16,)),
    LearningSettings(batch=64, epochs=8, learning_rate=1e-2),
)


class Files(NamedTuple):
    """Where a table and its schema are."""

    table: Path
    schema: Path


def own_rows(rows: int, seed: int) -> pl.DataFrame:
    """Return rows of which a flood shows in the size, and a sweep in the protocol."""
    rng = np.random.default_rng(seed)
    kind = np.repeat(rng.choice(3, rows // 10, p=[0.6, 0.2, 0.2]), 10)
    return pl.DataFrame(
        {
            "size": rng.normal(100, 10, rows) + 60 * (kind == 1),
            "noise": rng.normal(size=rows),
            "proto": np.where(kind == 2, "icmp", rng.choice(["tcp", "udp"], rows)),
            "what": np.array(["Benign", "flood", "sweep"])[kind],
        }
    )


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """A table of three classes and the schema file that describes it."""
    folder = tmp_path_factory.mktemp("own")
    own_rows(3000, 1).write_csv(folder / "own.csv")
    (folder / "own.toml").write_text(SCHEMA)
    return Files(folder / "own.csv", folder / "own.toml")


@pytest.fixture(scope="module")
def split(files: Files) -> Any:
    """Its rows, split honestly."""
    return medward.split(medward.load(files.table, files.schema))
