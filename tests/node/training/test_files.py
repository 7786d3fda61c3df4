"""What a training member must not lose: damage is noticed, and a file that is cut short is no secret."""

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medward.federation.model.hospital import Carried
from medward.node.errors import ExposedSecret, NodeError
from medward.node.training.files import TrainingFiles

CARRIED = Carried(7, np.linspace(-1, 1, 50), np.arange(50.0))


def content_of_carried(folder: Path) -> bytes:
    TrainingFiles(folder).carry(CARRIED)
    return (folder / "carried").read_bytes()


def test_secret_is_drawn_once_and_differs_between_members(tmp_path: Path) -> None:
    first, second = (TrainingFiles(tmp_path / name).secret() for name in "ab")
    assert len(first) == len(second) == 32
    assert first != second
    assert TrainingFiles(tmp_path / "a").secret() == first


@pytest.mark.parametrize("size", [0, 31, 33])
def test_secret_of_another_length_is_refused_since_it_could_be_guessed(tmp_path: Path, size: int) -> None:
    files = TrainingFiles(tmp_path)
    files.secret()
    (tmp_path / "secret").write_bytes(bytes(size))
    with pytest.raises(NodeError, match=f"secret has {size} bytes .* rotate"):
        files.secret()


def test_secret_that_others_could_read_is_refused(tmp_path: Path) -> None:
    files = TrainingFiles(tmp_path)
    files.secret()
    (tmp_path / "secret").chmod(0o644)
    with pytest.raises(ExposedSecret):
        files.secret()


def test_what_was_carried_comes_back_bit_for_bit(tmp_path: Path) -> None:
    files = TrainingFiles(tmp_path)
    assert files.carried() is None
    files.carry(CARRIED)
    found = files.carried()
    assert found is not None
    assert found.step == CARRIED.step
    assert found.before.tobytes() == CARRIED.before.tobytes()
    assert found.after.tobytes() == CARRIED.after.tobytes()


@settings(max_examples=40)
@given(st.data())
def test_damaged_file_of_what_was_carried_stops_no_node(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("participant")
    whole = content_of_carried(folder)
    damage = data.draw(st.sampled_from(["cut", "flip", "other"]))
    if damage == "cut":
        damaged = whole[: data.draw(st.integers(0, len(whole) - 1))]
    elif damage == "flip":
        at, bit = data.draw(st.integers(0, len(whole) - 1)), data.draw(st.integers(0, 7))
        damaged = whole[:at] + bytes([whole[at] ^ 1 << bit]) + whole[at + 1 :]
    else:
        damaged = data.draw(st.binary(max_size=100))
    (folder / "carried").write_bytes(damaged)
    found = TrainingFiles(folder).carried()
    if found is not None:  # the flipped bit stood where no content is
        assert damage == "flip"
        assert (found.step, list(found.before), list(found.after)) == (7, list(CARRIED.before), list(CARRIED.after))


def test_array_in_the_place_of_what_was_carried_is_damage(tmp_path: Path) -> None:
    files = TrainingFiles(tmp_path)
    files.carry(CARRIED)
    with (tmp_path / "carried").open("wb") as file:
        np.save(file, CARRIED.before)
    assert files.carried() is None


def test_the_last_eight_models_are_kept(tmp_path: Path) -> None:
    files = TrainingFiles(tmp_path)
    for number in range(12):
        files.keep_model(f"model-{number}", bytes([number]))
        os.utime(tmp_path / "models" / f"model-{number}", ns=(number, number))
    assert [files.model(f"model-{number}") for number in range(12)] == [None] * 4 + [bytes([n]) for n in range(4, 12)]


def test_new_model_is_kept_although_the_clock_was_set_back(tmp_path: Path) -> None:
    files = TrainingFiles(tmp_path)
    far = 4_000_000_000 * 10**9
    for number in range(8):
        files.keep_model(f"model-{number}", b"old")
        os.utime(tmp_path / "models" / f"model-{number}", ns=(far + number, far + number))
    files.keep_model("new", b"new")
    assert files.model("new") == b"new"
    assert files.model("model-0") is None
    assert files.model("model-1") == b"old"
