"""What spec/meter.md says of columns is what the code makes."""

import subprocess
import sys
from pathlib import Path

from medward.traffic import ciciomt
from medward.traffic.columns import CHEAP, COLUMNS, EXPENSIVE, plan
from medward.traffic.meter import MeterSettings

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "spec" / "meter.md").read_text(encoding="utf-8")


def test_columns_in_the_spec_are_those_of_the_script() -> None:
    script = ROOT / "benchmarks" / "traffic" / "columns.py"
    printed = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=True).stdout
    begin, end = "<!-- printed by benchmarks/traffic/columns.py -->\n\n", "<!-- end of what is printed -->"
    assert PAGE.split(begin)[1].split(end)[0] == printed


def test_columns_have_names_of_their_own_and_a_plan() -> None:
    assert len(COLUMNS) == 3 * len(CHEAP) + 2 * len(EXPENSIVE) == len(plan())
    assert len({measure.name for measure in CHEAP + EXPENSIVE}) == len(CHEAP + EXPENSIVE)


def test_every_column_of_ciciomt_is_in_the_spec() -> None:
    table = PAGE.split("| column | what a packet adds |")[1].split("\n\n")[0]
    named = {
        name.strip().rstrip(";")
        for line in table.splitlines()
        for name in line.split("|")[1:2]
        for name in name.replace(";", ",").split(",")
    }
    named |= {f"{name.removesuffix('_')}_flag_number" for name in named if name.endswith("_")}
    assert set(ciciomt.COLUMNS) <= named


def test_default_places_are_those_of_the_spec() -> None:
    for places in (MeterSettings.flows, MeterSettings.devices, MeterSettings.addresses, MeterSettings.segments):
        assert f"| {places:,} |" in PAGE
