"""The folder of a member that scores: what waits is listed once it is whole."""

from pathlib import Path

from medward.node.scoring.key_folder import KeyFolder


def test_what_waits_is_listed_once_it_is_ready_and_is_removed_when_done(tmp_path: Path) -> None:
    folder = KeyFolder(tmp_path)
    assert folder.waiting_offers() == folder.waiting_flows() == []
    for name in ("b", "a", "half"):
        (folder.offers / name).mkdir()
        if name != "half":
            (folder.offers / name / "ready").write_bytes(b"")
    for name in ("2.npz", "1.npz", "1.npz.part"):
        (folder.flows / name).write_bytes(b"")
    assert [path.name for path in folder.waiting_offers()] == ["a", "b"]
    assert [path.name for path in folder.waiting_flows()] == ["1.npz", "2.npz"]
    folder.done(folder.waiting_offers()[0])
    folder.done(folder.waiting_flows()[0])
    assert [path.name for path in folder.waiting_offers()] == ["b"]
    assert [path.name for path in folder.waiting_flows()] == ["2.npz"]


def test_files_of_what_is_off_the_record_go_and_scores_stay(tmp_path: Path) -> None:
    folder = KeyFolder(tmp_path)
    for path in (
        *(folder.preparations / number for number in ("00000001", "00000002")),
        *(folder.parts / f"{number}-0123" for number in ("00000003", "00000004")),
        folder.scores / "00000003.npy",
    ):
        path.write_bytes(b"")
    folder.forget({"00000002"}, {"00000004"})
    assert [path.name for path in folder.preparations.iterdir()] == ["00000002"]
    assert [path.name for path in folder.parts.iterdir()] == ["00000004-0123"]
    assert [path.name for path in folder.scores.iterdir()] == ["00000003.npy"]
