"""Tables in documents are what the scripts print, and the constants of spec/scheme.md's proof hold."""

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from medward.fhe.context import Challenge, SumContext
from medward.fhe.parameters import MOST_BLOCKS, sum_parameters

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("script", "page"),
    [
        pytest.param("fhe/parameters.py", "spec/scheme.md", marks=pytest.mark.slow),
        ("fhe/tables.py", "docs/encryption.md"),
        ("fhe/scaling.py", "docs/scaling.md"),
    ],
)
def test_tables_are_those_of_the_script(script: str, page: str) -> None:
    path = ROOT / "benchmarks" / script
    printed = subprocess.run([sys.executable, str(path)], capture_output=True, text=True, check=True).stdout
    text = (ROOT / page).read_text(encoding="utf-8")
    between = text.split(f"<!-- printed by benchmarks/{script} -->\n\n")[1].split("<!-- end of what")[0]
    assert between == printed


@pytest.fixture(scope="module")
def tables() -> ModuleType:
    spec = importlib.util.spec_from_file_location("fhe_parameters", ROOT / "benchmarks" / "fhe" / "parameters.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_hints_leave_the_width_at_which_attacks_are_estimated(tables: ModuleType) -> None:
    mask = sum_parameters(8, 16, 16, 5, 11).mask_variance
    least = tables.width_left(tables.widest_gain(), mask)
    assert least >= 3.2
    assert tables.epsilon_bits(least, MOST_BLOCKS) > 120
    assert tables.width_left(tables.widest_gain(), mask // 4) < 3.2, "masks half as wide would not do"


def test_bound_on_the_largest_eigenvalue_is_one(tables: ModuleType) -> None:
    """Of a challenge as it is drawn, and not by so much that it would say nothing."""
    context = SumContext(sum_parameters(8, 4, 4, 1, 3), b"", (1, 2, 3, 4), 1)
    challenge = Challenge(context, b"a beacon")
    rows = np.concatenate([challenge.secret_rows, challenge.error_rows]).astype(float)
    largest = float(np.linalg.eigvalsh(rows.T @ rows).max())
    assert largest < tables.widest_gain() < 1.4 * largest


def test_figures_of_the_proof_are_printed() -> None:
    text = (ROOT / "spec" / "scheme.md").read_text(encoding="utf-8")
    before, rest = text.split("<!-- printed by benchmarks/fhe/parameters.py -->")
    printed, after = rest.split("<!-- end of what is printed -->")
    for figure in ("3.202", "3.298", "3.258", "23838", "4368"):
        assert figure in printed
        assert figure in (before + after).replace(",", "")
