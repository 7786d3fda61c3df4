"""What JAX compiles is kept, for the next process of the same user, and where that cannot be nothing fails."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import jax, jax.numpy as jnp
from medward.agents.compilation import keep_compiled
keep_compiled()
print(float(jax.jit(lambda x: (x @ x).sum() + 41)(jnp.eye(3)) - 43))
"""


def run(*, warnings: str = "error", **changes: str) -> str:
    kept = {key: value for key, value in os.environ.items() if key != "JAX_COMPILATION_CACHE_DIR"}
    command = [sys.executable, "-W", warnings, "-c", PROGRAM]
    done = subprocess.run(command, env=kept | changes, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def entries(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_second_process_finds_what_the_first_compiled(tmp_path: Path) -> None:
    assert run(XDG_CACHE_HOME=str(tmp_path)) == "1.0"
    made = entries(tmp_path / "medward" / "jax")
    assert made
    assert run(XDG_CACHE_HOME=str(tmp_path)) == "1.0"
    assert entries(tmp_path / "medward" / "jax") == made


@pytest.mark.slow
def test_cut_off_entry_is_compiled_anew(tmp_path: Path) -> None:
    run(XDG_CACHE_HOME=str(tmp_path))
    for path in (tmp_path / "medward" / "jax").rglob("*"):
        if path.is_file():
            path.write_bytes(path.read_bytes()[:-20])
    assert run(warnings="default", XDG_CACHE_HOME=str(tmp_path)) == "1.0"


@pytest.mark.slow
def test_folder_that_the_user_names_is_taken_and_an_impossible_one_is_done_without(tmp_path: Path) -> None:
    assert run(JAX_COMPILATION_CACHE_DIR=str(tmp_path / "own"), XDG_CACHE_HOME=str(tmp_path / "cache")) == "1.0"
    assert not (tmp_path / "cache").exists()
    assert run(XDG_CACHE_HOME="/proc/nowhere") == "1.0"
