"""An earlier run in a demo's folder: what is removed, and what never is."""

import json
import shutil
from pathlib import Path

import pytest

from medward.errors import BadUsage, MedwardError
from medward.node.trial.earlier_run import MARK, make_room, write_mark
from medward.node.trial.founding import found_on_one_machine
from medward.node.trial.launcher import free_seats


@pytest.fixture
def earlier(tmp_path: Path) -> Path:
    """A folder in which a demo made a home, and the user put a file."""
    folder = tmp_path / "out"
    found_on_one_machine(folder, "trial", free_seats(["a"]), "bank", prefix="node-")
    write_mark(folder, [folder / "node-a"])
    (folder / "notes.txt").write_text("mine")
    return folder


def test_forced_demo_removes_the_homes_of_the_earlier_one_and_nothing_else(earlier: Path) -> None:
    make_room(earlier, force=True)
    assert [path.name for path in earlier.iterdir()] == ["notes.txt"]


def test_forced_demo_removes_nothing_where_a_home_is_of_another_federation(earlier: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    found_on_one_machine(other, "ward", free_seats(["a"]), "bank", prefix="node-")
    for place in ("node-b", "node-a"):
        # Beside the demo's own home, and then under its name.
        if (earlier / place).exists():
            shutil.rmtree(earlier / place)
        (other / "node-a").rename(earlier / place)
        before = sorted(earlier.rglob("*"))
        with pytest.raises(MedwardError, match=f"{place} is a node's home that no demo made here"):
            make_room(earlier, force=True)
        assert sorted(earlier.rglob("*")) == before
        (earlier / place).rename(other / "node-a")


def test_folder_that_is_itself_a_home_is_never_a_demo_s(earlier: Path) -> None:
    with pytest.raises(MedwardError, match="that no demo made here"):
        make_room(earlier / "node-a", force=True)


def test_forced_demo_removes_what_a_simulation_kept(tmp_path: Path) -> None:
    for name in ("checkpoint/state", "journals/simulation-1/hospital-1.sqlite", "store/pins.sqlite", "model/mine"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    make_room(tmp_path, force=True)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_empty_folder_and_one_that_is_not_there_need_no_word(tmp_path: Path) -> None:
    make_room(tmp_path / "new", force=False)
    make_room(tmp_path, force=False)
    assert not list(tmp_path.iterdir())


def test_folder_with_anything_in_it_is_left_without_force(earlier: Path) -> None:
    before = sorted(earlier.rglob("*"))
    with pytest.raises(BadUsage, match="is not empty"):
        make_room(earlier, force=False)
    assert sorted(earlier.rglob("*")) == before


def test_file_in_the_folder_s_place_is_refused(earlier: Path) -> None:
    with pytest.raises(BadUsage, match="is a file; name a folder"):
        make_room(earlier / "notes.txt", force=True)


@pytest.mark.parametrize("name", ["patients", "../beside", "/beside", "patients/deep", ".", "..", ""])
def test_altered_mark_has_nothing_removed_that_is_no_home(earlier: Path, name: str) -> None:
    for place in (earlier / "patients" / "deep", earlier.parent / "beside"):
        place.mkdir(parents=True)
        (place / "records").write_text("of patients")
    mark = json.loads((earlier / MARK).read_text())
    (earlier / MARK).write_text(json.dumps({**mark, "homes": [*mark["homes"], name]}))
    make_room(earlier, force=True)
    assert not (earlier / "node-a").exists()
    assert (earlier / "patients" / "deep" / "records").exists()
    assert (earlier.parent / "beside" / "records").exists()


@pytest.mark.parametrize("mark", ["", "[]", "{}", '{"homes": 3}', '{"homes": ["node-a"], "fingerprint": "another"}'])
def test_home_stays_where_the_mark_does_not_name_it_rightly(earlier: Path, mark: str) -> None:
    (earlier / MARK).write_text(mark)
    with pytest.raises(MedwardError, match="no demo made here"):
        make_room(earlier, force=True)
    assert (earlier / "node-a" / "node.toml").exists()


def test_link_in_a_home_s_place_loses_nothing_behind_it(earlier: Path, tmp_path: Path) -> None:
    (earlier / "node-a").rename(tmp_path / "moved")
    (earlier / "node-a").symlink_to(tmp_path / "moved")
    make_room(earlier, force=True)
    assert (tmp_path / "moved" / "node.toml").exists()
