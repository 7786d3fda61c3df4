"""The program that scores with OpenFHE, on a stand-in that is as strict about features, keys and levels."""

import subprocess
from pathlib import Path

import pytest

from medward.bench.fhe import openfhe_scoring_program

from .conftest import MakeInterpreter

PROGRAM = Path(openfhe_scoring_program.__file__)
INPUTS, HIDDEN, OUTPUTS = 3, (2, 4), 5
PRODUCTS = 3 * 2 + 2 * 4 + 4 * 5
NEURONS, SQUARES = 2 + 4 + 5, 2 + 4


@pytest.mark.parametrize(("eager", "switches"), [(False, NEURONS + SQUARES), (True, PRODUCTS + SQUARES)])
def test_each_line_is_answered_with_the_seconds_of_one_scoring(
    interpreter: MakeInterpreter, eager: bool, switches: int
) -> None:
    """It switches keys once a neuron, and once a product where the library cannot put that off."""
    widths = map(str, (INPUTS, *HIDDEN, OUTPUTS))
    command = [interpreter(eager=eager), "-I", PROGRAM, "64", "45", *widths]
    done = subprocess.run(command, input="\n\n", capture_output=True, text=True, check=True)
    version, *seconds = done.stdout.splitlines()
    assert version == "9.8.7"
    assert len(seconds) == 2
    assert min(map(float, seconds)) >= 0
    assert done.stderr.split() == ["products", str(2 * (PRODUCTS + SQUARES)), "switches", str(2 * switches)]
