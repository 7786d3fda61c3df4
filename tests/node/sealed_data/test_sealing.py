"""Opening sealed data beside a home: what is not there, not sealed, or of another federation is told in a sentence."""

import io
from pathlib import Path

import pytest

from medward.errors import MedwardError
from medward.federation.sealed_data.format import Origin, seal_data
from medward.node.errors import NodeError
from medward.node.home.folder import Home
from medward.node.sealed_data.folder import DataFolder
from medward.node.sealed_data.sealing import federation_of, unseal
from medward.store.errors import BlockNotFound
from medward.store.local import in_memory, open_directory


def sealed(homes: dict[str, Home], path: Path, federation: str) -> Path:
    """Seal a few octets to the home of north."""
    origin = Origin(federation, "north", b"", 3)
    readers = {"north": DataFolder(homes["north"].data).key().public}
    path.write_bytes(b"".join(seal_data(io.BytesIO(b"not an archive"), origin, readers)))
    return path


def test_federation_that_does_not_train_has_no_place_for_data(homes: dict[str, Home], tmp_path: Path) -> None:
    with pytest.raises(NodeError, match="does not train"):
        federation_of(homes["north"])
    file = sealed(homes, tmp_path / "sealed", "ward")
    with pytest.raises(NodeError, match="does not train"):
        unseal(homes["north"], str(file), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("what", ["", "no-such-file", "bafy", "../..", "\0", "b" * 59])
def test_what_is_neither_a_file_nor_a_name_is_told(homes: dict[str, Home], tmp_path: Path, what: str) -> None:
    with pytest.raises(MedwardError):
        unseal(homes["north"], what, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_blob_that_is_not_here_needs_the_running_node(homes: dict[str, Home], tmp_path: Path) -> None:
    with open_directory(homes["north"].store):
        pass
    with in_memory() as other:
        name = str(other.add(b"elsewhere", pin="a"))
    with pytest.raises(BlockNotFound, match="start its node"):
        unseal(homes["north"], name, tmp_path / "out")


@pytest.mark.parametrize("size", [0, 1, 40, 200])
def test_file_that_is_not_sealed_or_cut_is_told_and_leaves_nothing(
    homes: dict[str, Home], tmp_path: Path, size: int
) -> None:
    file = sealed(homes, tmp_path / "sealed", "ward")
    file.write_bytes(file.read_bytes()[:size] if size != 1 else b"x")
    with pytest.raises(MedwardError):
        unseal(homes["north"], str(file), tmp_path / "out")
    assert not (tmp_path / "out").exists()
