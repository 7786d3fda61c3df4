"""Stores of every kind for the tests."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from medward.store.interface import BlobStore
from medward.store.local import in_memory, open_directory

MakeStore = Callable[[], BlobStore]


@pytest.fixture(params=["memory", "embedded"])
def make_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MakeStore]:
    """A maker of empty stores of one kind; those that it made are closed after the test."""
    made: list[BlobStore] = []

    def make() -> BlobStore:
        if request.param == "memory":
            made.append(in_memory())
        else:
            made.append(open_directory(tmp_path / f"store-{len(made)}"))
        return made[-1]

    yield make
    for store in made:
        store.close()


@pytest.fixture
def store(make_store: MakeStore) -> BlobStore:
    return make_store()


@pytest.fixture
def other_store(make_store: MakeStore) -> BlobStore:
    return make_store()
