"""The files of X-IoMT: a capture may come in parts."""

from pathlib import Path

from medward.flows.datasets import XIOMT


def test_parts_of_one_capture_of_x_iomt_share_a_name() -> None:
    names = {XIOMT.describe(Path(f"attack_part_{number}.csv")).name for number in (1, 2, 10)}
    assert names == {"attack"}
    assert XIOMT.describe(Path("part_of_it.csv")).name == "part_of_it"
