"""Compiled code is kept where that is possible, and read-only installations work where it is not."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import medward

#: One kernel stands for all: each is compiled and kept by the same decorator (medward/machine_code.py).
_USE = """
import numpy as np
from medward.fhe.ring import pointwise
ones, prime, out = np.ones((1, 4)), np.array([97.0]), np.empty((1, 4))
pointwise.add(ones, ones, prime, 1 / prime, out)
assert out.tolist() == [[2.0] * 4]
print(type(pointwise.add._cache).__name__)
"""


def _run(code: str, path: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {k: v for k, v in os.environ.items() if k not in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME", "HOME")}
    return subprocess.run(
        [sys.executable, "-B", "-c", code],
        env=clean | {"PYTHONPATH": str(path)} | environment,
        capture_output=True, text=True, check=False, cwd=path,
    )  # fmt: skip


def _copy_without_cache(to: Path) -> Path:
    source = Path(medward.__file__).parent
    shutil.copytree(source, to / "medward", ignore=shutil.ignore_patterns("__pycache__"))
    for folder in (to / "medward").rglob("*"):
        if folder.is_dir():
            (folder / "__pycache__").write_text(
                "a file where the cache folder would be, so that nobody can write there"
            )
    return to


@pytest.mark.slow
def test_installation_that_nobody_can_write_to_uses_the_users_cache(tmp_path: Path) -> None:
    path, home = _copy_without_cache(tmp_path), tmp_path / "home"
    home.mkdir()
    done = _run(_USE, path, HOME=str(home))
    assert done.returncode == 0, done.stderr
    assert list(home.rglob("*.nbi"))


@pytest.mark.slow
def test_account_without_any_writable_place_compiles_every_time(tmp_path: Path) -> None:
    done = _run(_USE, _copy_without_cache(tmp_path), HOME="/proc/nowhere")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "NullCache"


@pytest.mark.slow
def test_cache_folder_can_be_chosen(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    done = _run(_USE, _copy_without_cache(tmp_path), HOME="/proc/nowhere", NUMBA_CACHE_DIR=str(cache))
    assert done.returncode == 0, done.stderr
    assert list(cache.rglob("*.nbi"))


def test_importing_medward_or_its_command_line_compiles_nothing() -> None:
    code = "import sys, medward, medward.cli; assert 'numba' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
