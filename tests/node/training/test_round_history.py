"""The file of rounds: each round once, and no damage costs more than its own line."""

from pathlib import Path

from medward.node.training.round_history import RoundHistory


def told(number: int, outcome: str = "final") -> dict[str, object]:
    return {"round": number, "outcome": outcome}


def test_each_round_is_kept_once_in_order(tmp_path: Path) -> None:
    path = tmp_path / "rounds.jsonl"
    RoundHistory(tmp_path).add([told(1), told(0)])
    history = RoundHistory(tmp_path)
    history.add([told(2), told(1, "void"), told(0)])
    assert history.rounds() == [told(0), told(1), told(2)]
    assert path.stat().st_mode & 0o077 == 0


def test_line_that_a_crash_cut_short_costs_only_itself(tmp_path: Path) -> None:
    path = tmp_path / "rounds.jsonl"
    RoundHistory(tmp_path).add([told(0), told(1)])
    path.write_bytes(path.read_bytes()[:-5])
    history = RoundHistory(tmp_path)
    history.add([told(1), told(2)])
    assert RoundHistory(tmp_path).rounds() == [told(0), told(1), told(2)]


def test_foreign_lines_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "rounds.jsonl"
    path.write_bytes(b'\xff\n[]\n{"round": "x"}\n{"round": true}\n' + b"[" * 100_000 + b"\n")
    history = RoundHistory(tmp_path)
    history.add([told(0)])
    assert history.rounds() == [told(0)]
