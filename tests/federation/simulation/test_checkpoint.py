"""A checkpoint is read as it was written; whatever else lies in its place is refused in one sentence."""

import json
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from medward.federation.errors import FederationError
from medward.federation.model.hospital import Carried
from medward.federation.simulation.checkpoint import Checkpoint, load, save
from medward.federation.simulation.machines import RoundReport

OPTIONS = json.dumps({"sites": 3, "rounds": 2})
CHECKPOINT = Checkpoint(
    options=OPTIONS,
    reports=[RoundReport(0, "survey", ("hospital-1", "hospital-2"), "final")],
    carried=[Carried(4, np.arange(3.0), np.arange(3.0) / 7), None, Carried(5, np.zeros(3), np.ones(3))],
    model=b"the shared model",
)


def _written(folder: Path, *parts: bytes) -> Path:
    (folder / "state").write_bytes(b"".join(len(part).to_bytes(8, "little") + part for part in parts))
    return folder


def test_checkpoint_is_read_as_it_was_written(tmp_path: Path) -> None:
    save(CHECKPOINT, tmp_path / "new" / "folder")
    read = load(tmp_path / "new" / "folder", OPTIONS)
    assert (read.options, list(read.reports), read.model) == (OPTIONS, list(CHECKPOINT.reports), CHECKPOINT.model)
    for one, other in zip(CHECKPOINT.carried, read.carried, strict=True):
        if one is None or other is None:
            assert one is other
            continue
        assert one.step == other.step
        np.testing.assert_array_equal(one.before, other.before)
        np.testing.assert_array_equal(one.after, other.after)


def test_later_checkpoint_takes_the_place_of_the_one_before(tmp_path: Path) -> None:
    save(CHECKPOINT, tmp_path)
    save(Checkpoint(OPTIONS, [], [None, None, None], b"later"), tmp_path)
    assert load(tmp_path, OPTIONS).model == b"later"
    assert [path.name for path in tmp_path.iterdir()] == ["state"]


def test_folder_without_a_checkpoint_is_told(tmp_path: Path) -> None:
    with pytest.raises(FederationError, match="holds no checkpoint to resume"):
        load(tmp_path, OPTIONS)


def test_run_with_other_options_does_not_go_on(tmp_path: Path) -> None:
    save(CHECKPOINT, tmp_path)
    with pytest.raises(FederationError, match="of a run with other options"):
        load(tmp_path, json.dumps({"sites": 4, "rounds": 2}))


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_cut_or_changed_file_is_refused_or_read_and_never_fails_otherwise(tmp_path: Path, data: st.DataObject) -> None:
    save(CHECKPOINT, tmp_path)
    content = bytearray((tmp_path / "state").read_bytes())
    if data.draw(st.booleans()):
        content = content[: data.draw(st.integers(0, len(content) - 1))]
    else:
        content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    (tmp_path / "state").write_bytes(content)
    with suppress(FederationError):
        load(tmp_path, OPTIONS)


def _head(**changed: object) -> bytes:
    fields = {"round": 0, "task": "survey", "cohort": ["a"], "outcome": "final"}
    return json.dumps({"options": OPTIONS, "reports": [fields], **changed}).encode()


EMPTY = safetensors.numpy.save({})
HALF = safetensors.numpy.save({"step.0": np.array(1), "before.0": np.zeros(2)})
WIDE = safetensors.numpy.save({"step.0": np.arange(2), "before.0": np.zeros(2), "after.0": np.zeros(2)})


@pytest.mark.parametrize(
    "parts",
    [
        (b"{}", EMPTY, b""),
        (b"[]", EMPTY, b""),
        (b"7", EMPTY, b""),
        (b"\xff", EMPTY, b""),
        (json.dumps({"reports": []}).encode(), EMPTY, b""),
        (_head(options="{}"), EMPTY, b""),
        (_head(options=OPTIONS.replace("3", "null")), EMPTY, b""),
        (_head(reports=7), EMPTY, b""),
        (_head(reports=[{"round": 0}]), EMPTY, b""),
        (_head(reports=[[]]), EMPTY, b""),
        (_head(), b"", b""),
        (_head(), b"\xff" * 20, b""),
        (_head(), HALF, b""),
        (_head(), WIDE, b""),
        (_head(), EMPTY),
        (_head(), EMPTY, b"", b"more"),
    ],
)
def test_file_that_is_no_checkpoint_is_damaged_and_that_is_said(tmp_path: Path, parts: tuple[bytes, ...]) -> None:
    with pytest.raises(FederationError, match=r"state is damaged: start with --force in place of --resume\.$"):
        load(_written(tmp_path, *parts), OPTIONS)


def test_smallest_file_that_is_one_is_read(tmp_path: Path) -> None:
    read = load(_written(tmp_path, _head(), EMPTY, b"model"), OPTIONS)
    assert (read.carried, read.model) == ([None, None, None], b"model")
