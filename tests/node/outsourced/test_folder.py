"""The folder of a member that trains on encrypted rows: private, and without what is off the record."""

from pathlib import Path

from medward.node.outsourced.folder import OutsourcedFolder


def test_files_of_what_is_off_the_record_go_and_models_stay(tmp_path: Path) -> None:
    folder = OutsourcedFolder(tmp_path)
    for path in (
        *(folder.preparations / number for number in ("00000001", "00000002")),
        *(folder.shares / f"{number}-0123" for number in ("00000003", "00000004")),
        folder.models / "00000003.refused",
    ):
        path.write_bytes(b"")
    folder.forget({"00000002"}, {"00000004"})
    assert [path.name for path in folder.preparations.iterdir()] == ["00000002"]
    assert [path.name for path in folder.shares.iterdir()] == ["00000004-0123"]
    assert [path.name for path in folder.models.iterdir()] == ["00000003.refused"]


def test_folders_are_made_once_and_their_owner_s_alone(tmp_path: Path) -> None:
    folder = OutsourcedFolder(tmp_path)
    (folder.rows / "columns.npz").write_bytes(b"rows in plain")
    folder.rows.chmod(0o755)
    again = OutsourcedFolder(tmp_path)
    assert (again.rows / "columns.npz").exists()
    made = [path for path in (tmp_path / "outsourced", *(tmp_path / "outsourced").rglob("*")) if path.is_dir()]
    assert len(made) == 8
    assert all(path.stat().st_mode & 0o077 == 0 for path in made)
