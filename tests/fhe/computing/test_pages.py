"""The example of the room's README runs, and the tables of the specification are what their script prints."""

import importlib.util
import re
import subprocess
import sys
from math import log2
from pathlib import Path

import numpy as np
import pytest

from medward.fhe.computing import noise
from medward.fhe.computing.parameters import MOST_BITS, computing_parameters

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "spec" / "computing.md").read_text(encoding="utf-8")


def test_example_of_the_readme_runs() -> None:
    text = (ROOT / "medward" / "fhe" / "computing" / "README.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    lines = code.strip().splitlines()
    names: dict[str, object] = {}
    exec("\n".join(lines[:-1]), names)
    assert np.abs(eval(lines[-1].split("  #")[0], names) - [0.125, 0.25]).max() < 2.0**-20


def test_sizes_and_estimates_of_the_page_are_those_of_the_sets() -> None:
    for degree, bits in MOST_BITS.items():
        assert str(degree) in PAGE
        assert str(bits) in PAGE
    rows = re.findall(r"^\| (\d+) \| (\d+) \| 2\^(\d+), (\d+), (\d) \|", PAGE, re.MULTILINE)
    assert len(rows) == 5
    for degree, bits, scale, levels, digit in rows:
        assert round(computing_parameters(int(degree), int(scale), int(levels), int(digit)).bits) == int(bits)


def test_bounds_in_the_table_are_those_of_the_code() -> None:
    """Those that need no keys; all of the table is printed again before a release."""
    table = _cells(_part("bounds"))
    for column, arguments in enumerate(_tables().SETS):
        model = noise.noise_model(computing_parameters(*arguments))
        for operation, bound in (
            ("encrypt under the secret key", model.fresh(1.0, arguments[2])),
            ("encrypt under the public key", model.fresh_public(1.0, arguments[2])),
        ):
            assert abs(table[operation][column][0] - log2(bound.total)) < 0.5


@pytest.mark.slow
@pytest.mark.release
def test_table_is_what_its_script_prints() -> None:
    """Bounds exactly; what is measured has fresh keys each time, and moves by a little."""
    script = ROOT / "benchmarks" / "fhe" / "computing_tables.py"
    done = subprocess.run([sys.executable, str(script), "bounds"], capture_output=True, text=True, check=True)
    there, now = _cells(_part("bounds")), _cells(done.stdout)
    assert list(there) == list(now)
    for operation, cells in now.items():
        for (bound, measured), (old_bound, old_measured) in zip(cells, there[operation], strict=True):
            assert bound == old_bound
            assert abs(measured - old_measured) < 0.6
            assert 0 < bound - measured < 6


def test_sizes_in_the_table_are_those_of_what_the_formats_write(capsys: pytest.CaptureFixture[str]) -> None:
    _tables().print_sizes()
    assert _part("sizes").strip() == capsys.readouterr().out.strip()


def _part(what: str) -> str:
    """The table of the page that the script prints with this word."""
    return PAGE.split(f"<!-- printed by benchmarks/fhe/computing_tables.py {what} -->")[1].split("<!-- end")[0]


def _cells(table: str) -> dict[str, list[tuple[float, float]]]:
    rows = [line.strip("| \n").split(" | ") for line in table.strip().splitlines()[2:]]
    found = {row[0]: [tuple(map(float, re.findall(r"2\^(-?[\d.]+)", cell)[:2])) for cell in row[1:]] for row in rows}
    return {name: [(cell[0], cell[1]) for cell in cells] for name, cells in found.items()}


def _tables():
    spec = importlib.util.spec_from_file_location(
        "computing_tables", ROOT / "benchmarks" / "fhe" / "computing_tables.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
