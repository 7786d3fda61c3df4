"""A flow goes the way that spec/sentinel.md lists."""

from pathlib import Path

from medward.flows.datasets import ward
from tests.cli.conftest import Run
from tests.paths import FLOW, calls, follow


def test_flow_goes_the_way_that_the_page_says(medward: Run, ward_model: Path, tmp_path: Path) -> None:
    file = tmp_path / "flows.csv"
    ward.write_csv(file, 300, 8)
    with calls(FLOW) as seen:
        done = medward("detect", "--model", ward_model, "--flows", file)
    assert done.code == 0
    assert '"decision"' in done.out
    follow(FLOW, seen)
