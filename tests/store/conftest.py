"""Stores of every kind for the tests."""

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from medward.store.errors import KuboUnavailable
from medward.store.interface import BlobStore
from medward.store.kubo.configuration import new_swarm_key
from medward.store.kubo.daemon import KuboDaemon, find_kubo
from medward.store.kubo.store import KuboStore
from medward.store.local import in_memory, open_directory

MakeStore = Callable[[], BlobStore]


def kubo_program() -> Path:
    """The Kubo program that `.ci/kubo` built, or any other that is installed; skips the test where there is none."""
    engines = Path(os.environ.get("MEDWARD_ENGINES", "~/.cache/medward/engines")).expanduser()
    try:
        return find_kubo(engines / "ipfs" if (engines / "ipfs").exists() else None)
    except KuboUnavailable as error:
        pytest.skip(f"no real Kubo to run against: {error}; .ci/kubo builds it where Go is installed")


@pytest.fixture(params=["memory", "embedded", pytest.param("kubo", marks=pytest.mark.engines)])
def make_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MakeStore]:
    """A maker of empty stores of one kind; those that it made are closed after the test."""
    made: list[BlobStore] = []
    daemons: list[KuboDaemon] = []

    def make() -> BlobStore:
        if request.param == "memory":
            made.append(in_memory())
        elif request.param == "embedded":
            made.append(open_directory(tmp_path / f"store-{len(made)}"))
        else:
            daemon = KuboDaemon(tmp_path / f"kubo-{len(made)}", new_swarm_key(), program=kubo_program())
            daemons.append(daemon.start())
            made.append(KuboStore(daemon.rpc(), tmp_path / f"kubo-{len(made)}" / "labels.sqlite", patience=1.0))
        return made[-1]

    yield make
    for store in made:
        store.close()
    for daemon in daemons:
        daemon.stop()


@pytest.fixture
def store(make_store: MakeStore) -> BlobStore:
    return make_store()


@pytest.fixture
def other_store(make_store: MakeStore) -> BlobStore:
    return make_store()


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MiB."""
    mount = tmp_path / "small"
    mount.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(mount)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"cannot mount a small file system: {done.stderr.strip()}")
    try:
        yield mount
    finally:
        subprocess.run(["umount", str(mount)], check=True)
