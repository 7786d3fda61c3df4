"""What all federations here train is compiled once, before any deadline runs."""

import os
from collections.abc import Iterator

import jax
import pytest

from tests.e2e.ward import undisturbed

_CACHE = {
    "jax_compilation_cache_dir": "",
    "jax_persistent_cache_min_compile_time_secs": 0,
    "jax_persistent_cache_min_entry_size_bytes": -1,
}


@pytest.fixture(scope="session", autouse=True)
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep what JAX compiles where the nodes find it, and fill that folder."""
    wanted = {**_CACHE, "jax_compilation_cache_dir": str(tmp_path_factory.mktemp("compiled"))}
    before = {name: getattr(jax.config, name) for name in wanted}
    for name, value in wanted.items():
        jax.config.update(name, value)
        os.environ[name.upper()] = str(value)
    undisturbed(1)
    yield
    for name, value in before.items():
        jax.config.update(name, value)
        del os.environ[name.upper()]
