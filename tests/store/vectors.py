"""Where the vectors made by other implementations are, and how their contents are made."""

import hashlib
import json
import os
from functools import cache
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(os.environ.get("MEDWARD_VECTORS", Path(__file__).parents[2] / ".." / "shared" / "vectors"))


@cache
def load(name: str) -> Any:
    path = FOLDER / name
    if not path.is_file():
        pytest.skip(f"no vectors: {path} is missing; set MEDWARD_VECTORS to the folder that holds {name}")
    return json.loads(path.read_text(encoding="utf-8"))


def content(size: int, seed: str = "medward-shared") -> bytes:
    return hashlib.shake_128(seed.encode()).digest(size)
